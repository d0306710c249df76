//! A connection that consumes.

use super::client::{Client, taken_note_of};
use super::meter::{Shared, now};
use super::options::{Load, STAMP};
use super::pace::Pace;
use super::patience::Patience;
use bytes::BytesMut;
use leveret_protocol::frame::FrameKind;
use leveret_protocol::method::{self, BASIC_DELIVER};
use leveret_protocol::{ChannelId, DeliveryTag, MethodId};
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

const CONSUME_OK: MethodId = MethodId::new(60, 21);
/// The longest sleep of a consumer with a limited rate.
const NAP: Duration = Duration::from_millis(50);

pub(super) struct Consumer<'a> {
    client: Client,
    shared: &'a Shared,
    pace: Pace,
    /// Deliveries still to take.
    left: u64,
    taken: Taken,
    out: BytesMut,
}

/// What has come.
struct Taken {
    ack_every: Option<u32>,
    stamped: bool,
    answers: usize,
    /// Deliveries since the last acknowledgement, and the tag of the last of them.
    not_acked: u32,
    last_tag: u64,
    /// The next frame of a body is the first of its message.
    body_begins: bool,
    times: Vec<(u64, u64)>,
}

impl<'a> Consumer<'a> {
    /// The n-th consumer, over a connection that brings deliveries already.
    pub(super) fn new(load: &Load, n: u32, client: Client, shared: &'a Shared) -> Self {
        Consumer {
            client,
            shared,
            pace: Pace::new(load.consumer_rate, now(), (n, load.consumers)),
            left: load.cmessages.unwrap_or(u64::MAX),
            taken: Taken {
                ack_every: load.ack_every(),
                stamped: load.measure_latency,
                answers: 0,
                not_acked: 0,
                last_tag: 0,
                body_begins: false,
                times: Vec::new(),
            },
            out: BytesMut::new(),
        }
    }

    /// Connects and begins to consume from the n-th consumer's queues.
    pub(super) fn start(load: &Load, n: u32, shared: &'a Shared) -> io::Result<Self> {
        let mut client = Client::connect(load)?;
        client.qos(load.prefetch)?;
        let queues = load.queues_of(n, load.consumers);
        for (at, queue) in queues.iter().enumerate() {
            client.consume(queue, &format!("c{at}"), load.ack_every().is_some())?;
        }
        let mut consumer = Consumer::new(load, n, client, shared);
        let mut patience = Patience::new(load.patience());
        while consumer.taken.answers < queues.len() {
            if !patience.lasts("has not answered basic.consume")? {
                return Err(io::ErrorKind::Interrupted.into());
            }
            consumer.turn()?;
        }
        Ok(consumer)
    }

    /// Takes deliveries until told to stop.
    pub(super) fn run(mut self) -> io::Result<()> {
        self.consume_all()?;
        self.client.close()
    }

    /// The same where there is no broker to say good-bye to.
    pub(super) fn run_bare(mut self) -> io::Result<()> {
        match self.consume_all() {
            // Whoever passed the octets on ends when the publisher does.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            ended => ended,
        }
    }

    fn consume_all(&mut self) -> io::Result<()> {
        while !self.shared.is_over() && self.left > 0 {
            self.turn()?;
        }
        Ok(())
    }

    /// Takes what has come, acknowledges it, and waits for more.
    fn turn(&mut self) -> io::Result<()> {
        let at = now();
        let most = self.pace.due(at).min(self.left);
        if most == 0 {
            std::thread::sleep(self.pace.wait(at).min(NAP));
            return Ok(());
        }
        let (taken, out) = (&mut self.taken, &mut self.out);
        let mut count = 0;
        self.client.frames(|kind, payload| {
            count += u64::from(taken.take(kind, payload, at, out)?);
            Ok(count < most)
        })?;
        if count > 0 {
            self.pace.did(count);
            self.left -= count;
            self.shared.consumed.fetch_add(count, Ordering::Relaxed);
            self.shared.latency.record(&self.taken.times);
            self.taken.times.clear();
        }
        if self.left == 0 {
            self.taken.ack_the_rest(&mut self.out);
        }
        self.acknowledge()?;
        if count < most && !self.client.read()? {
            // Nothing more comes: what was saved up is due.
            self.taken.ack_the_rest(&mut self.out);
            self.acknowledge()?;
        }
        Ok(())
    }

    fn acknowledge(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            let shared = self.shared;
            self.client.write(&self.out, |_, _| Ok(!shared.is_over()))?;
            self.out.clear();
        }
        Ok(())
    }
}

impl Taken {
    /// Takes a frame, and says whether a message is counted with it.
    fn take(
        &mut self,
        kind: FrameKind,
        payload: &[u8],
        at: u64,
        out: &mut BytesMut,
    ) -> io::Result<bool> {
        match kind {
            FrameKind::Method => match method::peek_id(payload) {
                Some(BASIC_DELIVER) => {
                    self.body_begins = true;
                    if self.ack_every.is_some() {
                        self.last_tag = delivery_tag(payload);
                    }
                    Ok(false)
                }
                Some(CONSUME_OK) => {
                    self.answers += 1;
                    Ok(false)
                }
                _ => taken_note_of(kind, payload).map(|_| false),
            },
            FrameKind::Body if self.body_begins => {
                if self.stamped
                    && let Some(stamp) = payload.first_chunk::<STAMP>()
                {
                    self.took(at.saturating_sub(u64::from_be_bytes(*stamp)));
                }
                self.acknowledge(out);
                Ok(true)
            }
            // Without a body the content ends with its header, which says so.
            FrameKind::Header if payload.get(4..12) == Some(&[0; 8]) => {
                self.acknowledge(out);
                Ok(true)
            }
            FrameKind::Body | FrameKind::Header | FrameKind::Heartbeat => Ok(false),
        }
    }

    fn took(&mut self, nanoseconds: u64) {
        match self.times.last_mut() {
            Some((same, messages)) if *same == nanoseconds => *messages += 1,
            _ => self.times.push((nanoseconds, 1)),
        }
    }

    /// A message is here.
    fn acknowledge(&mut self, out: &mut BytesMut) {
        self.body_begins = false;
        let Some(every) = self.ack_every else {
            return;
        };
        self.not_acked += 1;
        if self.not_acked >= every {
            put_ack(out, self.last_tag, every > 1);
            self.not_acked = 0;
        }
    }

    fn ack_the_rest(&mut self, out: &mut BytesMut) {
        if self.not_acked > 0 {
            put_ack(out, self.last_tag, true);
            self.not_acked = 0;
        }
    }
}

fn put_ack(out: &mut BytesMut, tag: u64, multiple: bool) {
    method::encode_ack(out, ChannelId(1), DeliveryTag(tag), multiple);
}

/// The delivery tag of basic.deliver, behind the consumer tag.
fn delivery_tag(payload: &[u8]) -> u64 {
    let at = 5 + usize::from(payload.get(4).copied().unwrap_or(0));
    let octets = payload
        .get(at..at + 8)
        .and_then(|octets| octets.try_into().ok());
    octets.map_or(0, u64::from_be_bytes)
}
