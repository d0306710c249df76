//! What a client does: methods, publishes in any shape, acknowledgements of what it was given,
//! anything at all; and each of these with some bytes changed.

use super::methods::{Call, bits, client_call, exchange, key, other_call};
use super::tables::properties;
use leveret_protocol::frame::FRAME_END;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Something that a client sends.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Call(u16, Call),
    Settle(Settle),
    /// Closes a channel and opens it again.
    Reopen(u16),
    /// tx.commit, on the channel with transactions.
    Commit,
    /// tx.rollback there.
    Rollback,
    Publish(Publication),
    /// Their frames in turn, as a client with several threads may send them.
    Interleaved(Vec<Publication>),
    /// A frame of any type.
    Frame(u8, u16, Vec<u8>),
    /// No frame at all.
    Octets(Vec<u8>),
    Changed(Box<Act>, Vec<Change>),
}

/// How a client answers a delivery that it has heard of.
#[derive(Clone, Debug)]
pub(super) struct Settle {
    pub(super) channel: u16,
    which: Index,
    how: How,
    bits: u8,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Ack,
    Reject,
    Nack,
}

/// A publish.
#[derive(Clone, Debug)]
pub(super) struct Publication {
    channel: u16,
    exchange: &'static str,
    key: &'static str,
    /// Mandatory and immediate.
    bits: u8,
    properties: Vec<u8>,
    class: u16,
    size: usize,
    /// Bytes that the header announces more or less than there are.
    lie: i64,
    /// Bytes of each body frame; the last holds for all that follow.
    pieces: Vec<usize>,
    order: Order,
}

/// In which order a publish's frames are sent.
#[derive(Clone, Copy, Debug)]
enum Order {
    Sound,
    HeaderTwice,
    HeaderLast,
    BodyOnly,
    /// Only so many of them.
    Cut(usize),
}

/// A change to bytes on their way.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Flip(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Truncate(Index),
    /// The size that the first frame claims.
    Size(u32),
    /// The last byte of the last frame.
    End(u8),
}

/// A frame's bytes.
pub(super) fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    super::super::client::frame_bytes(kind, channel, payload)
}

/// What a client makes of a channel that it has opened: one with confirms, one with transactions.
pub(super) fn mode(channel: u16) -> Vec<u8> {
    match channel {
        2 => frame(1, channel, &[0, 85, 0, 10, 0]),
        3 => frame(1, channel, &[0, 90, 0, 10]),
        _ => Vec::new(),
    }
}

impl Act {
    /// What goes over the wire; `heard` says which delivery tags of a channel wait for an answer.
    pub(super) fn octets(&self, heard: &dyn Fn(u16) -> Vec<u64>) -> Vec<u8> {
        match self {
            Act::Call(channel, call) => frame(1, *channel, &call.payload()),
            Act::Settle(settle) => {
                let chosen = settle.choose(&heard(settle.channel));
                chosen
                    .map(|(tag, _)| settle.octets(tag))
                    .unwrap_or_default()
            }
            Act::Commit => frame(1, 3, &[0, 90, 0, 20]),
            Act::Rollback => frame(1, 3, &[0, 90, 0, 30]),
            Act::Reopen(channel) => {
                let close = frame(1, *channel, &[0, 20, 0, 40, 0, 200, 0, 0, 0, 0, 0]);
                let open = frame(1, *channel, &[0, 20, 0, 10, 0]);
                [close, open, mode(*channel)].concat()
            }
            Act::Publish(publication) => publication.frames().concat(),
            Act::Interleaved(publications) => {
                let mut all: Vec<_> = publications
                    .iter()
                    .map(|p| p.frames().into_iter())
                    .collect();
                let mut octets = Vec::new();
                loop {
                    let round: Vec<u8> = all
                        .iter_mut()
                        .filter_map(Iterator::next)
                        .flatten()
                        .collect();
                    if round.is_empty() {
                        return octets;
                    }
                    octets.extend(round);
                }
            }
            Act::Frame(kind, channel, payload) => frame(*kind, *channel, payload),
            Act::Octets(octets) => octets.clone(),
            Act::Changed(act, changes) => {
                let mut octets = act.octets(heard);
                for change in changes {
                    change.apply(&mut octets);
                }
                octets
            }
        }
    }
}

impl Settle {
    /// Which delivery is answered, and whether all before it are.
    pub(super) fn choose(&self, heard: &[u64]) -> Option<(u64, bool)> {
        let multiple = self.bits & 1 != 0 && !matches!(self.how, How::Reject);
        (!heard.is_empty()).then(|| (heard[self.which.index(heard.len())], multiple))
    }

    fn octets(&self, tag: u64) -> Vec<u8> {
        let method = match self.how {
            How::Ack => 80u16,
            How::Reject => 90,
            How::Nack => 120,
        };
        let mut payload = [60u16.to_be_bytes(), method.to_be_bytes()].concat();
        payload.extend_from_slice(&tag.to_be_bytes());
        payload.push(self.bits);
        frame(1, self.channel, &payload)
    }
}

impl Publication {
    fn frames(&self) -> Vec<Vec<u8>> {
        let mut method = vec![0, 60, 0, 40, 0, 0, self.exchange.len() as u8];
        method.extend_from_slice(self.exchange.as_bytes());
        method.push(self.key.len() as u8);
        method.extend_from_slice(self.key.as_bytes());
        method.push(self.bits);
        let mut header = self.class.to_be_bytes().to_vec();
        header.extend_from_slice(&[0, 0]);
        let announced = (self.size as i64 + self.lie).max(0);
        header.extend_from_slice(&announced.to_be_bytes());
        header.extend_from_slice(&self.properties);
        let method = frame(1, self.channel, &method);
        let header = frame(2, self.channel, &header);
        let mut bodies = Vec::new();
        let (mut left, mut piece) = (self.size, 4088);
        for at in 0.. {
            if left == 0 {
                break;
            }
            piece = self.pieces.get(at).copied().unwrap_or(piece.max(1));
            let taken = piece.min(left);
            bodies.push(frame(3, self.channel, &vec![b'x'; taken]));
            left -= taken;
        }
        let mut frames = vec![method];
        match self.order {
            Order::Sound | Order::Cut(_) => frames.push(header),
            Order::HeaderTwice => frames.extend([header.clone(), header]),
            Order::HeaderLast => {
                frames.append(&mut bodies);
                frames.push(header);
            }
            Order::BodyOnly => {}
        }
        frames.append(&mut bodies);
        if let Order::Cut(most) = self.order {
            frames.truncate(most);
        }
        frames
    }
}

impl Change {
    fn apply(&self, octets: &mut Vec<u8>) {
        if octets.is_empty() {
            return;
        }
        let len = octets.len();
        match self {
            Change::Flip(at, mask) => octets[at.index(len)] ^= mask,
            Change::Insert(at, octet) => octets.insert(at.index(len), *octet),
            Change::Remove(at) => {
                octets.remove(at.index(len));
            }
            Change::Truncate(at) => octets.truncate(at.index(len)),
            Change::Size(size) => {
                if let Some(field) = octets.get_mut(3..7) {
                    field.copy_from_slice(&size.to_be_bytes());
                }
            }
            Change::End(octet) => octets[len - 1] = *octet,
        }
    }
}

fn channel() -> impl Strategy<Value = u16> {
    prop_oneof![400 => 1u16..4, 1 => Just(4), 1 => select(&[0u16, 2047, 2048, 65535][..])]
}

fn settle() -> impl Strategy<Value = Settle> {
    let how = select(&[How::Ack, How::Ack, How::Reject, How::Nack][..]);
    (1u16..4, any::<Index>(), how, bits(&[30, 50])).prop_map(|(channel, which, how, bits)| Settle {
        channel,
        which,
        how,
        bits,
    })
}

fn publication() -> impl Strategy<Value = Publication> {
    let size = prop_oneof![
        4 => 0usize..40,
        2 => 3000usize..12_000,
        1 => select(&[4096usize, 4097, 70_000, 300_000][..]),
    ];
    let pieces = prop_oneof![
        3 => Just(vec![4088]),
        1 => Just(vec![131_064]),
        2 => prop::collection::vec(0usize..6000, 1..6),
    ];
    let order = prop_oneof![
        400 => Just(Order::Sound),
        1 => Just(Order::HeaderTwice),
        1 => Just(Order::HeaderLast),
        1 => Just(Order::BodyOnly),
        2 => (1usize..4).prop_map(Order::Cut),
    ];
    let lie = prop_oneof![400 => Just(0i64), 1 => -3i64..4, 1 => Just(1 << 40)];
    let class = prop_oneof![400 => Just(60u16), 1 => any::<u16>()];
    let place = (channel(), exchange(), key(), bits(&[30, 0]));
    (place, properties(), class, size, lie, pieces, order).prop_map(
        |((channel, exchange, key, bits), properties, class, size, lie, mut pieces, order)| {
            // Not a frame per byte: that only takes its time.
            let least = size / 40;
            pieces.push(least.max(1000));
            Publication {
                channel,
                exchange,
                key,
                bits,
                properties,
                class,
                size,
                lie,
                pieces,
                order,
            }
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (any::<Index>(), any::<u8>()).prop_map(|(at, mask)| Change::Flip(at, mask)),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, octet)| Change::Insert(at, octet)),
        1 => any::<Index>().prop_map(Change::Remove),
        1 => any::<Index>().prop_map(Change::Truncate),
        1 => prop_oneof![0u32..300, 4000u32..5000, 131_000u32..132_000, any::<u32>()].prop_map(Change::Size),
        1 => any::<u8>().prop_map(Change::End),
    ]
}

fn sound_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        60 => (channel(), client_call()).prop_map(|(channel, call)| Act::Call(channel, call)),
        35 => settle().prop_map(Act::Settle),
        3 => (1u16..4).prop_map(Act::Reopen),
        5 => Just(Act::Commit),
        3 => Just(Act::Rollback),
        40 => publication().prop_map(Act::Publish),
        4 => prop::collection::vec(publication(), 2..4).prop_map(Act::Interleaved),
        2 => Just(Act::Octets(frame(8, 0, &[]))),
    ]
}

fn odd_act() -> impl Strategy<Value = Act> {
    let other_channel = || prop_oneof![4 => Just(0u16), 1 => 0u16..4];
    prop_oneof![
        2 => (other_channel(), other_call()).prop_map(|(channel, call)| Act::Call(channel, call)),
        1 => (select(&[1u8, 2, 3, 4, 8, 9][..]), 0u16..5, prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(kind, channel, payload)| Act::Frame(kind, channel, payload)),
        1 => prop::collection::vec(any::<u8>(), 1..20).prop_map(Act::Octets),
        1 => Just(Act::Octets(vec![1, 0, 1, 0, 0, 0, 0, FRAME_END])),
    ]
}

/// Something that a client sends; few of these are invalid.
pub(super) fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        150 => sound_act(),
        1 => odd_act(),
        1 => (sound_act(), prop::collection::vec(change(), 1..3))
            .prop_map(|(act, changes)| Act::Changed(Box::new(act), changes)),
    ]
}

/// How a client connects: rarely in an invalid way.
pub(super) fn greeting() -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec(
        prop_oneof![
            1 => odd_act(),
            6 => other_call().prop_map(|call| Act::Call(0, call)),
            1 => act(),
        ],
        0..4,
    )
}
