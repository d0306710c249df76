//! What a publisher sends, made before it begins.

use super::options::{Load, STAMP};
use super::topology::Way;
use bytes::BytesMut;
use leveret_protocol::classes::{AMQPClass, BasicProperties, basic};
use leveret_protocol::frame;
use leveret_protocol::method::{self, properties_to_vec};
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_protocol::{ChannelId, DeliveryTag};

const CHANNEL: ChannelId = ChannelId(1);
/// Octets written at a time.
const BURST: usize = 64 * 1024;
/// Routing keys come in an order in which neighbours are not neighbours in memory.
const STRIDE: usize = 7919;

/// As what the messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum As {
    /// basic.publish, for a broker.
    Publish,
    /// basic.deliver, for a consumer without a broker in between.
    Deliver,
}

/// All that a publisher sends, over and over, in pieces of about [`BURST`] octets.
pub(super) struct Script {
    pieces: Vec<Piece>,
    /// What is sent next.
    piece: usize,
    message: usize,
}

struct Piece {
    octets: Vec<u8>,
    /// Where each message ends.
    ends: Vec<usize>,
    /// Where the body of each message begins.
    bodies: Vec<usize>,
}

impl Script {
    /// The messages of the n-th publisher: to each of its queues or bindings in turn.
    pub(super) fn new(load: &Load, n: u32, frame_max: u32, kind: As) -> Self {
        let mut writer = Writer {
            load,
            kind,
            frame_max,
            body: (0..load.size).map(|i| (i * 31 + 7) as u8).collect(),
            ends: Vec::new(),
            bodies: Vec::new(),
            out: BytesMut::new(),
        };
        let ways = ways(load, n);
        let mut pieces = Vec::new();
        let mut written = 0;
        while written < ways.len() || writer.out.len() < BURST && pieces.is_empty() {
            let priority = load
                .priorities
                .map(|max| (written * STRIDE % (usize::from(max) + 1)) as u8);
            writer.put(&ways[written * STRIDE % ways.len()], priority);
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
        }
    }

    /// The next messages, `most` of them at most and one at least, and how many they are. With
    /// `stamp` the n-th of them says in its body when it was published.
    pub(super) fn next(&mut self, most: u64, stamp: Option<impl Fn(u64) -> u64>) -> (&[u8], u64) {
        let (first, piece) = (self.message, &mut self.pieces[self.piece]);
        let left = piece.ends.len() - first;
        let count = left.min(usize::try_from(most).unwrap_or(left)).max(1);
        if let Some(stamp) = stamp {
            for (n, at) in piece.bodies[first..first + count].iter().enumerate() {
                let time = stamp(n as u64).to_be_bytes();
                piece.octets[*at..*at + STAMP].copy_from_slice(&time);
            }
        }
        let start = match first {
            0 => 0,
            message => piece.ends[message - 1],
        };
        let end = piece.ends[first + count - 1];
        let at = self.piece;
        self.message += count;
        if count == left {
            self.message = 0;
            self.piece = (self.piece + 1) % self.pieces.len();
        }
        (&self.pieces[at].octets[start..end], count as u64)
    }

    /// Octets of the first message: of every one, where there is one way.
    pub(super) fn message_len(&self) -> usize {
        self.pieces[0].ends[0]
    }
}

/// Where the n-th publisher's messages go.
fn ways(load: &Load, n: u32) -> Vec<Way> {
    let exchange = load.exchange_name();
    if exchange.is_empty() {
        let queues = load.queues_of(n, load.publishers);
        return queues
            .into_iter()
            .map(|queue| Way::to(exchange, &queue))
            .collect();
    }
    if !load.routing_key.is_empty() {
        return load
            .routing_key
            .iter()
            .map(|key| Way::to(exchange, key))
            .collect();
    }
    match load.exchange_type {
        Some(kind) => (0..load.bindings).map(|n| kind.way(exchange, n)).collect(),
        None => vec![Way::to(exchange, &load.queue(n % load.queues))],
    }
}

struct Writer<'a> {
    load: &'a Load,
    kind: As,
    frame_max: u32,
    body: Vec<u8>,
    out: BytesMut,
    ends: Vec<usize>,
    bodies: Vec<usize>,
}

impl Writer<'_> {
    fn put(&mut self, way: &Way, priority: Option<u8>) {
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
        if let Some(header) = &way.header {
            let mut headers = FieldTable::default();
            headers.insert("way".into(), AMQPValue::LongString(header.as_str().into()));
            properties = properties.with_headers(headers);
        }
        let properties = properties_to_vec(&properties);
        let out = &mut self.out;
        match self.kind {
            As::Publish => {
                let publish = basic::Publish {
                    exchange: way.exchange.as_str().into(),
                    routing_key: way.routing_key.as_str().into(),
                    mandatory: load.mandatory,
                    immediate: false,
                };
                let publish = basic::AMQPMethod::Publish(publish);
                method::encode(out, CHANNEL, &AMQPClass::Basic(publish));
            }
            As::Deliver => {
                let key = way.routing_key.as_bytes();
                method::encode_deliver(
                    out,
                    CHANNEL,
                    "c",
                    DeliveryTag(1),
                    false,
                    way.exchange.as_bytes(),
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
            octets: self.out.split().to_vec(),
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

    /// The routing keys and the first octets of the bodies.
    fn read(mut octets: &[u8]) -> Vec<(String, u64)> {
        let mut messages = Vec::new();
        while !octets.is_empty() {
            let Ok(Split::Whole(frame)) = frame::split(octets, 0) else {
                panic!("not a frame");
            };
            let payload = &octets[frame.payload()];
            match frame.kind {
                FrameKind::Method => match method::decode(payload).expect("a method") {
                    Method::Publish(publish) => {
                        let key = String::from_utf8_lossy(publish.routing_key).into_owned();
                        messages.push((key, 0));
                    }
                    other => panic!("{other:?}"),
                },
                FrameKind::Body => {
                    let stamp = payload[..8].try_into().expect("8 octets");
                    messages.last_mut().expect("a message").1 = u64::from_be_bytes(stamp);
                }
                _ => {}
            }
            octets = &octets[frame.total()..];
        }
        messages
    }

    const NO_STAMP: Option<fn(u64) -> u64> = None;

    #[test]
    fn pieces_are_cut_between_messages_and_begin_again_at_the_end() {
        let mut script = Script::new(&load("-q 3 -s 8"), 0, 4096, As::Publish);
        let mut keys = Vec::new();
        let mut sizes = [1, 2, 5000, 3, u64::MAX].iter().cycle();
        while keys.len() < 20_000 {
            let most = *sizes.next().expect("it goes round");
            let (octets, count) = script.next(most, NO_STAMP);
            let messages = read(octets);
            assert_eq!(messages.len() as u64, count);
            assert!(count <= most && count > 0);
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
    fn bodies_say_when_they_were_published() {
        let mut script = Script::new(&load("-s 5000 -l"), 0, 4096, As::Publish);
        let len = script.message_len();
        let (octets, count) = script.next(3, Some(|n| 1000 + n));
        assert_eq!((count, octets.len()), (3, 3 * len));
        let octets = octets.to_vec();
        let stamps: Vec<u64> = read(&octets[..len])
            .iter()
            .map(|(_, stamp)| *stamp)
            .collect();
        // The second frame of the body is the one that is seen last.
        assert_eq!(stamps.len(), 1);
        let (octets, _) = script.next(1, Some(|_| 77));
        let at = octets
            .windows(8)
            .filter(|octets| *octets == 77u64.to_be_bytes());
        assert_eq!(at.count(), 1);
    }

    #[test]
    fn routing_keys_are_used_in_turn() {
        let mut script = Script::new(
            &load("-e amq.topic -k a.b -k c.d -s 8"),
            0,
            4096,
            As::Publish,
        );
        let (octets, _) = script.next(4, NO_STAMP);
        let keys: Vec<String> = read(octets).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a.b", "c.d", "a.b", "c.d"]);
    }
}
