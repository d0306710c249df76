//! A connection that publishes.

use super::client::{Client, put_publish};
use super::topology::EXCHANGE;
use super::{Load, Shared};
use bytes::BytesMut;
use leveret_protocol::classes::BasicProperties;
use leveret_protocol::frame::FrameKind;
use leveret_protocol::method::{self, Method, properties_to_vec};
use leveret_protocol::values::{AMQPValue, FieldTable};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Octets written at a time.
const BURST: usize = 64 * 1024;

/// Publishes until told to stop; returns the times from publish to confirm.
pub(super) fn run(load: &Load, n: u32, shared: &Shared) -> io::Result<Vec<Duration>> {
    let mut client = Client::connect(load)?;
    if load.confirm > 0 {
        client.confirm_select()?;
    }
    let script = Script::new(load, n, client.frame_max);
    if load.confirm == 0 {
        for piece in script.pieces.iter().cycle() {
            if shared.stop_publishing.load(Ordering::Relaxed) {
                break;
            }
            client.socket.write_all(&piece.bytes)?;
            shared
                .published
                .fetch_add(piece.messages as u64, Ordering::Relaxed);
        }
        return Ok(Vec::new());
    }
    let mut messages = script.messages();
    let mut window = Window::default();
    while !shared.stop_publishing.load(Ordering::Relaxed) {
        // The window is filled before anything is waited for.
        let room = load.confirm as usize - window.sent.len();
        let mut left = room;
        while left > 0 {
            let Some((bytes, count)) = messages.take(left) else {
                break;
            };
            client.socket.write_all(bytes)?;
            let now = Instant::now();
            window.sent.extend(std::iter::repeat_n(Some(now), count));
            shared.published.fetch_add(count as u64, Ordering::Relaxed);
            left -= count;
        }
        let confirmed = window.read(&mut client)?;
        shared.confirmed.fetch_add(confirmed, Ordering::Relaxed);
    }
    // A socket that is closed with something unread takes along what the broker has not read yet.
    while !window.sent.is_empty() {
        let confirmed = window.read(&mut client)?;
        shared.confirmed.fetch_add(confirmed, Ordering::Relaxed);
    }
    Ok(window.latencies)
}

/// All that a publisher sends, over and over, in pieces of about [`BURST`].
struct Script {
    pieces: Vec<Piece>,
}

struct Piece {
    bytes: Vec<u8>,
    messages: usize,
    /// Where each message ends.
    ends: Vec<usize>,
}

impl Script {
    fn new(load: &Load, n: u32, frame_max: u32) -> Self {
        let body: Vec<u8> = (0..load.size).map(|i| (i * 31 + 7) as u8).collect();
        let count = match load.exchange {
            Some(_) => load.bindings as usize,
            None => 1,
        };
        let mut pieces: Vec<Piece> = Vec::new();
        let mut out = BytesMut::new();
        let mut ends = Vec::new();
        let mut sent = 0;
        // The routing keys in an order in which neighbours are not neighbours in memory.
        const STRIDE: usize = 7919;
        while sent < count || out.len() < BURST && pieces.is_empty() {
            let at = (sent * STRIDE % count) as u32;
            let priority = load
                .priorities
                .map(|max| (sent * STRIDE % (usize::from(max) + 1)) as u8);
            put_one(&mut out, load, n, (at, priority), &body, frame_max);
            ends.push(out.len());
            sent += 1;
            if out.len() >= BURST {
                pieces.push(Piece::of(out.split(), std::mem::take(&mut ends)));
            }
        }
        if !out.is_empty() {
            pieces.push(Piece::of(out, ends));
        }
        Script { pieces }
    }

    fn messages(&self) -> Messages<'_> {
        Messages {
            script: self,
            piece: 0,
            message: 0,
        }
    }
}

impl Piece {
    fn of(bytes: BytesMut, ends: Vec<usize>) -> Self {
        Piece {
            bytes: bytes.to_vec(),
            messages: ends.len(),
            ends,
        }
    }
}

/// A way through a script that starts again at its end.
struct Messages<'a> {
    script: &'a Script,
    piece: usize,
    message: usize,
}

impl<'a> Messages<'a> {
    /// The next messages, `most` of them at most and one at least, and how many they are.
    fn take(&mut self, most: usize) -> Option<(&'a [u8], usize)> {
        let piece = self.script.pieces.get(self.piece)?;
        let count = most.min(piece.messages - self.message);
        let start = match self.message {
            0 => 0,
            message => piece.ends[message - 1],
        };
        let bytes = &piece.bytes[start..piece.ends[self.message + count - 1]];
        self.message += count;
        if self.message == piece.messages {
            self.message = 0;
            self.piece = (self.piece + 1) % self.script.pieces.len();
        }
        Some((bytes, count))
    }
}

/// Writes the publish for binding `at`, or for the publisher's own queue, with a priority or none.
fn put_one(
    out: &mut BytesMut,
    load: &Load,
    n: u32,
    (at, priority): (u32, Option<u8>),
    body: &[u8],
    frame_max: u32,
) {
    let way = load.exchange.map(|through| through.way(at));
    let mut properties = BasicProperties::default();
    if load.persistent {
        properties = properties.with_delivery_mode(2);
    }
    if let Some(expiration) = load.expiration {
        properties = properties.with_expiration(expiration.to_string().as_str().into());
    }
    if let Some(priority) = priority {
        properties = properties.with_priority(priority);
    }
    if let Some(header) = way.as_ref().and_then(|way| way.header.as_deref()) {
        let mut headers = FieldTable::default();
        headers.insert("way".into(), AMQPValue::LongString(header.into()));
        properties = properties.with_headers(headers);
    }
    let properties = properties_to_vec(&properties);
    match &way {
        Some(way) => put_publish(
            out,
            EXCHANGE,
            &way.routing_key,
            &properties,
            body,
            frame_max,
        ),
        None => put_publish(out, "", &load.queue(n), &properties, body, frame_max),
    }
}

/// Publishes that are not confirmed yet.
#[derive(Default)]
struct Window {
    confirmed_through: u64,
    sent: VecDeque<Option<Instant>>,
    latencies: Vec<Duration>,
}

impl Window {
    /// Reads once and takes the confirms that came.
    fn read(&mut self, client: &mut Client) -> io::Result<u64> {
        client.read()?;
        let now = Instant::now();
        let mut confirmed = 0;
        while client.take_frame(|frame, payload| {
            if frame.kind == FrameKind::Method
                && let Method::Ack { tag, multiple } =
                    method::decode(payload).map_err(io::Error::other)?
            {
                confirmed += self.confirm(tag.0, multiple, now);
            }
            Ok(())
        })? {}
        Ok(confirmed)
    }

    fn confirm(&mut self, tag: u64, multiple: bool, now: Instant) -> u64 {
        let last = (tag - self.confirmed_through) as usize;
        let first = if multiple { 0 } else { last - 1 };
        let mut confirmed = 0;
        for slot in self.sent.range_mut(first..last) {
            if let Some(sent) = slot.take() {
                self.latencies.push(now - sent);
                confirmed += 1;
            }
        }
        while let Some(None) = self.sent.front() {
            self.sent.pop_front();
            self.confirmed_through += 1;
        }
        confirmed
    }
}
