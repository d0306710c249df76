//! What may happen, and what a case is made of.

use super::acts::{Act, act, greeting};
use super::methods::{QUEUES, VHOSTS};
use super::peer::Manner;
use proptest::prelude::*;
use proptest::sample::select;
use std::fmt;
use std::time::Duration;

/// Clients that do anything.
pub(super) const PEERS: usize = 3;

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) enum Turn {
    /// A client sends, and the server reads it in such pieces.
    Send {
        peer: usize,
        acts: Vec<Act>,
        piece: usize,
    },
    /// From now on a client reads so much at a time.
    Read {
        peer: usize,
        octets: usize,
    },
    /// A client's socket goes, and another client comes.
    Drop {
        peer: usize,
        manner: Manner,
    },
    /// Messages come for the queue whose messages are counted.
    Probe(u8),
    /// Large messages come for a queue, more than a connection takes that does not read.
    Flood(&'static str, u8),
    Wait(Duration),
    Operate(Operation),
}

/// What an operator does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    Close(usize),
    Report(usize),
    Permit(&'static str),
    EndQueue(&'static str),
    /// Raises and clears alarms: memory, disk.
    Alarm(bool, bool),
    /// Deletes a virtual host and adds it again.
    RenewVhost,
}

fn manner() -> impl Strategy<Value = Manner> {
    let greeting = prop_oneof![12 => Just(Vec::new()), 1 => greeting()];
    let vhost = prop_oneof![4 => Just(VHOSTS[0]), 1 => Just(VHOSTS[1])];
    (
        greeting,
        vhost,
        select(&[4096u32, 8192, 131_072][..]),
        prop_oneof![6 => Just(3u16), 1 => 0u16..4],
    )
        .prop_map(|(greeting, vhost, frame_max, channels)| Manner {
            greeting,
            vhost,
            frame_max,
            channels,
        })
}

fn operation() -> impl Strategy<Value = Operation> {
    let permissions = prop_oneof![
        5 => Just(".*"),
        2 => Just("^(amq.*|a|x|the-probe)$"),
        1 => Just("^$"),
    ];
    prop_oneof![
        1 => (0..PEERS).prop_map(Operation::Close),
        2 => (0..PEERS).prop_map(Operation::Report),
        2 => permissions.prop_map(Operation::Permit),
        1 => select(QUEUES).prop_map(Operation::EndQueue),
        1 => any::<(bool, bool)>().prop_map(|(memory, disk)| Operation::Alarm(memory, disk)),
        1 => Just(Operation::Alarm(false, false)),
        1 => Just(Operation::RenewVhost),
    ]
}

fn turn() -> impl Strategy<Value = Turn> {
    let piece = prop_oneof![1 => 1usize..30, 1 => 100usize..5000, 3 => Just(1 << 20)];
    let octets = prop_oneof![4 => Just(usize::MAX), 2 => Just(0), 1 => 100usize..10_000];
    let wait = prop_oneof![2 => 0u64..100, 1 => 0u64..10_000].prop_map(Duration::from_millis);
    prop_oneof![
        30 => (0..PEERS, prop::collection::vec(act(), 1..10), piece)
            .prop_map(|(peer, acts, piece)| Turn::Send { peer, acts, piece }),
        3 => (0..PEERS, octets).prop_map(|(peer, octets)| Turn::Read { peer, octets }),
        1 => (0..PEERS, manner()).prop_map(|(peer, manner)| Turn::Drop { peer, manner }),
        6 => (1u8..12).prop_map(Turn::Probe),
        1 => (select(&["a", "b", "c"][..]), 1u8..20).prop_map(|(queue, count)| Turn::Flood(queue, count)),
        2 => wait.prop_map(Turn::Wait),
        2 => operation().prop_map(Turn::Operate),
    ]
}

/// A case.
#[derive(Clone)]
pub(super) struct Case(pub(super) Vec<Turn>);

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|turn| writeln!(f, "{turn:?}"))
    }
}

pub(super) fn cases() -> impl Strategy<Value = Case> {
    prop::collection::vec(turn(), 1..60).prop_map(Case)
}
