//! What a publisher sends, prepared before it starts.

use super::options::{Load, STAMP};
use super::route::Route;
use bytes::BytesMut;
use leveret_protocol::classes::{AMQPClass, BasicProperties, basic};
use leveret_protocol::frame;
use leveret_protocol::method::{self, properties_to_vec};
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_protocol::{ChannelId, DeliveryTag};

/// The channel of messages unless there are several.
const CHANNEL: ChannelId = ChannelId(1);
/// The approximate size in bytes of one write.
const BURST: usize = 64 * 1024;
/// The step between successive routing keys, chosen so that successive keys are not neighbours in
/// memory.
const STRIDE: usize = 7919;

/// The form in which messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendAs {
    /// As basic.publish, to a broker.
    Publish,
    /// As basic.deliver, to a consumer without a broker.
    Deliver,
}

/// Everything that a publisher sends, repeatedly, in pieces of about [`BURST`] bytes.
pub(super) struct Script {
    pieces: Vec<Piece>,
    /// The next piece and message to send.
    piece: usize,
    message: usize,
    /// The number of channels, and that of the next message.
    channels: u16,
    channel: u16,
}

struct Piece {
    bytes: Vec<u8>,
    /// Where each message ends.
    ends: Vec<usize>,
    /// Where the body of each message begins.
    bodies: Vec<usize>,
}

impl Script {
    /// Prepares the messages of the n-th publisher: to each of its queues or bindings in turn.
    pub(super) fn new(load: &Load, n: u32, frame_max: u32, kind: SendAs) -> Self {
        let mut writer = Writer {
            load,
            kind,
            frame_max,
            body: (0..load.size).map(|i| (i * 31 + 7) as u8).collect(),
            ends: Vec::new(),
            bodies: Vec::new(),
            out: BytesMut::new(),
        };
        let routes = routes(load, n);
        let mut pieces = Vec::new();
        let mut written = 0;
        while written < routes.len() || writer.out.len() < BURST && pieces.is_empty() {
            let priority = load
                .priorities
                .map(|max| (written * STRIDE % (usize::from(max) + 1)) as u8);
            writer.put(&routes[written * STRIDE % routes.len()], priority);
            written += 1;
            if writer.out.len() >= BURST {
                pieces.push(writer.piece());
            }
        }
        if !writer.out.is_empty() {
            pieces.push(writer.piece());
        }
        Script {
            pieces,
            piece: 0,
            message: 0,
            channels: match kind {
                SendAs::Publish => load.publisher_channels(),
                SendAs::Deliver => 1,
            },
            channel: CHANNEL.0,
        }
    }

    /// Returns the next messages, at least one and at most `max`, and their number. With `stamp`,
    /// the body of the n-th of them starts with its time of publishing. Messages use the channels in
    /// turn.
    pub(super) fn next(&mut self, max: u64, stamp: Option<impl Fn(u64) -> u64>) -> (&[u8], u64) {
        let (first, piece) = (self.message, &mut self.pieces[self.piece]);
        let remaining = piece.ends.len() - first;
        let count = remaining
            .min(usize::try_from(max).unwrap_or(remaining))
            .max(1);
        if let Some(stamp) = stamp {
            for (n, at) in piece.bodies[first..first + count].iter().enumerate() {
                let time = stamp(n as u64).to_be_bytes();
                piece.bytes[*at..*at + STAMP].copy_from_slice(&time);
            }
        }
        let start = match first {
            0 => 0,
            message => piece.ends[message - 1],
        };
        let end = piece.ends[first + count - 1];
        if self.channels > 1 {
            for message in first..first + count {
                let begin = message
                    .checked_sub(1)
                    .map_or(0, |before| piece.ends[before]);
                set_channel(&mut piece.bytes[begin..piece.ends[message]], self.channel);
                self.channel = self.channel % self.channels + 1;
            }
        }
        let at = self.piece;
        self.message += count;
        if count == remaining {
            self.message = 0;
            self.piece = (self.piece + 1) % self.pieces.len();
        }
        (&self.pieces[at].bytes[start..end], count as u64)
    }

    /// Returns the length of the first message, which is that of every message if there is one
    /// route.
    pub(super) fn message_len(&self) -> usize {
        self.pieces[0].ends[0]
    }
}

/// Moves the frames of a message to a channel.
fn set_channel(mut frames: &mut [u8], channel: u16) {
    while let [_, number @ .., _] = frames
        && let [high, low, s0, s1, s2, s3, ..] = number
    {
        [*high, *low] = channel.to_be_bytes();
        let size = u32::from_be_bytes([*s0, *s1, *s2, *s3]) as usize;
        frames = &mut frames[size + frame::OVERHEAD..];
    }
}

/// Returns the routes of the n-th publisher's messages.
fn routes(load: &Load, n: u32) -> Vec<Route> {
    let exchange = load.exchange_name();
    if exchange.is_empty() {
        let queues = load.queues_of(n, load.publishers);
        return queues
            .into_iter()
            .map(|queue| Route::to(exchange, &queue))
            .collect();
    }
    if !load.routing_key.is_empty() {
        return load
            .routing_key
            .iter()
            .map(|key| Route::to(exchange, key))
            .collect();
    }
    match load.exchange_type {
        Some(kind) => (0..load.bindings)
            .map(|n| kind.route(exchange, n))
            .collect(),
        None => vec![Route::to(exchange, &load.queue(n % load.queues))],
    }
}

struct Writer<'a> {
    load: &'a Load,
    kind: SendAs,
    frame_max: u32,
    body: Vec<u8>,
    out: BytesMut,
    ends: Vec<usize>,
    bodies: Vec<usize>,
}

impl Writer<'_> {
    fn put(&mut self, route: &Route, priority: Option<u8>) {
        let load = self.load;
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
        if let Some(header) = &route.header {
            let mut headers = FieldTable::default();
            headers.insert("way".into(), AMQPValue::LongString(header.as_str().into()));
            properties = properties.with_headers(headers);
        }
        let properties = properties_to_vec(&properties);
        let out = &mut self.out;
        match self.kind {
            SendAs::Publish => {
                let publish = basic::Publish {
                    exchange: route.exchange.as_str().into(),
                    routing_key: route.routing_key.as_str().into(),
                    mandatory: load.mandatory,
                    immediate: false,
                };
                let publish = basic::AMQPMethod::Publish(publish);
                method::encode(out, CHANNEL, &AMQPClass::Basic(publish));
            }
            SendAs::Deliver => {
                let key = route.routing_key.as_bytes();
                method::encode_deliver(
                    out,
                    CHANNEL,
                    "c",
                    DeliveryTag(1),
                    false,
                    route.exchange.as_bytes(),
                    key,
                );
            }
        }
        method::encode_content_header(out, CHANNEL, self.body.len() as u64, &properties);
        self.bodies.push(out.len() + frame::HEADER_LEN);
        for piece in self.body.chunks(self.frame_max as usize - frame::OVERHEAD) {
            method::encode_body(out, CHANNEL, piece);
        }
        self.ends.push(out.len());
    }

    fn piece(&mut self) -> Piece {
        Piece {
            bytes: self.out.split().to_vec(),
            ends: std::mem::take(&mut self.ends),
            bodies: std::mem::take(&mut self.bodies),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use leveret_protocol::frame::{FrameKind, Split};
    use leveret_protocol::method::Method;

    fn load(arguments: &str) -> Load {
        let words = std::iter::once("leveretperf").chain(arguments.split_whitespace());
        Load::try_parse_from(words).expect("arguments")
    }

    /// Returns the routing keys and the stamps in the bodies.
    fn read(mut bytes: &[u8]) -> Vec<(String, u64)> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let Ok(Split::Whole(frame)) = frame::split(bytes, 0) else {
                panic!("not a frame");
            };
            let payload = &bytes[frame.payload()];
            match frame.kind {
                FrameKind::Method => match method::decode(payload).expect("a method") {
                    Method::Publish(publish) => {
                        let key = String::from_utf8_lossy(publish.routing_key).into_owned();
                        messages.push((key, 0));
                    }
                    other => panic!("{other:?}"),
                },
                FrameKind::Body => {
                    let stamp = payload[..8].try_into().expect("8 bytes");
                    messages.last_mut().expect("a message").1 = u64::from_be_bytes(stamp);
                }
                _ => {}
            }
            bytes = &bytes[frame.total()..];
        }
        messages
    }

    const NO_STAMP: Option<fn(u64) -> u64> = None;

    #[test]
    fn pieces_are_cut_between_messages_and_begin_again_at_the_end() {
        let mut script = Script::new(&load("-q 3 -s 8"), 0, 4096, SendAs::Publish);
        let mut keys = Vec::new();
        let mut sizes = [1, 2, 5000, 3, u64::MAX].iter().cycle();
        while keys.len() < 20_000 {
            let max = *sizes.next().expect("it goes round");
            let (bytes, count) = script.next(max, NO_STAMP);
            let messages = read(bytes);
            assert_eq!(messages.len() as u64, count);
            assert!(count <= max && count > 0);
            keys.extend(messages.into_iter().map(|(key, _)| key));
        }
        // Every queue has its turn.
        for n in 0..3 {
            let share = keys
                .iter()
                .filter(|key| **key == format!("leveretperf-{n}"))
                .count();
            assert!(share * 4 > keys.len(), "{share} of {}", keys.len());
        }
    }

    #[test]
    fn messages_use_the_channels_in_turn_whatever_is_taken_at_a_time() {
        for arguments in ["-s 3", "-s 0 -q 2", "-s 5000", "-s 100000"] {
            let load = load(&format!("{arguments} -X 3"));
            let mut script = Script::new(&load, 0, 4096, SendAs::Publish);
            let mut used = Vec::new();
            for max in [1, 2, 4, 9, u64::MAX, 5, u64::MAX, 1] {
                let (mut bytes, _) = script.next(max, NO_STAMP);
                while let Ok(Split::Whole(frame)) = frame::split(bytes, 0) {
                    match frame.kind {
                        FrameKind::Method => used.push(frame.channel.0),
                        _ => assert_eq!(used.last(), Some(&frame.channel.0)),
                    }
                    bytes = &bytes[frame.total()..];
                }
                assert!(bytes.is_empty());
            }
            let in_turn = [1, 2, 3].into_iter().cycle().take(used.len());
            assert_eq!(used, in_turn.collect::<Vec<u16>>(), "{arguments}");
        }
    }

    #[test]
    fn bodies_say_when_they_were_published() {
        let mut script = Script::new(&load("-s 5000 -l"), 0, 4096, SendAs::Publish);
        let len = script.message_len();
        let (bytes, count) = script.next(3, Some(|n| 1000 + n));
        assert_eq!((count, bytes.len()), (3, 3 * len));
        let bytes = bytes.to_vec();
        let stamps: Vec<u64> = read(&bytes[..len])
            .iter()
            .map(|(_, stamp)| *stamp)
            .collect();
        // The second frame of the body is the one that is seen last.
        assert_eq!(stamps.len(), 1);
        let (bytes, _) = script.next(1, Some(|_| 77));
        let at = bytes
            .windows(8)
            .filter(|bytes| *bytes == 77u64.to_be_bytes());
        assert_eq!(at.count(), 1);
    }

    #[test]
    fn routing_keys_are_used_in_turn() {
        let mut script = Script::new(
            &load("-e amq.topic -k a.b -k c.d -s 8"),
            0,
            4096,
            SendAs::Publish,
        );
        let (bytes, _) = script.next(4, NO_STAMP);
        let keys: Vec<String> = read(bytes).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a.b", "c.d", "a.b", "c.d"]);
    }
}
