//! Random operations on two queues, two connections and four channels, against a model that only
//! knows what a queue promises.
//!
//! [`world`] does what connections do (take mail, acknowledge, give credit back, resume), [`model`]
//! judges every delivery and every record for the store as it appears.

mod cases;
mod consuming;
mod dead_letters;
mod ending;
mod fixtures;
mod messages;
mod model;
mod policies;
mod records;
mod rules;
mod settling;
mod single_active;
mod time;
mod world;

use crate::engine::queue::paging::Limits;
use crate::engine::queue::{RetryKind, Return};
use crate::plumbing::paging::Pager;
use fixtures::{Delays, Kind, LARGE, Limit, Rules};
use leveret_storage::Spill;
use proptest::prelude::*;
use proptest::sample::Index;
use std::path::Path;
use std::sync::Arc;
use world::World;

/// What happens next. Indices pick among what there is at that moment.
#[derive(Clone, Debug)]
enum Step {
    Publish {
        queue: usize,
        count: usize,
        kind: Kind,
    },
    PublishToBoth {
        kind: Kind,
    },
    /// Messages on their way from elsewhere take their places, and
    Reserve {
        queue: usize,
        count: usize,
        kind: Kind,
    },
    /// arrive when their records have reached the store.
    Arrive,
    Consume(Consume),
    Cancel(Index),
    Take {
        peer: usize,
    },
    Settle {
        channel: usize,
        which: Index,
        multiple: bool,
        fate: Fate,
    },
    Get {
        queue: usize,
        channel: usize,
        no_ack: bool,
    },
    Purge {
        queue: usize,
    },
    Policy {
        queue: usize,
        limit: Option<Limit>,
        delays: Option<Delays>,
    },
    Limit {
        channel: usize,
        limit: u32,
    },
    CloseChannel {
        channel: usize,
    },
    /// The connection ends; `at_once`: its mailbox closes before its consumers are gone.
    End {
        peer: usize,
        at_once: bool,
    },
    Delete {
        queue: usize,
    },
    /// The storage thread claims what waits to be written.
    Write,
    /// Memory is short, or very short: where backlogs leave it, so do heads.
    PageOutIdle {
        queue: usize,
        everything: bool,
    },
    /// The exchange for dead letters comes, or goes.
    Way {
        open: bool,
    },
    /// Time goes by.
    Wait {
        milliseconds: u64,
    },
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Acknowledged,
    Rejected,
    Requeued(Return),
}

#[derive(Clone, Debug)]
struct Consume {
    queue: usize,
    channel: usize,
    prefetch: u32,
    no_ack: bool,
    priority: i32,
    exclusive: bool,
}

const QUEUES: usize = 2;
const PEERS: usize = 2;
const CHANNELS: usize = 4;

/// A message, which is large so often.
fn kind(large: f64) -> impl Strategy<Value = Kind> {
    let expiration = prop::option::weighted(0.2, 0u8..50);
    let large = prop::bool::weighted(large);
    let priority = prop::sample::select(vec![0, 0, 0, 1, 2, 3, 4, 9, 31, 200]);
    (any::<bool>(), large, priority, expiration).prop_map(
        |(persistent, large, priority, expiration)| Kind {
            persistent,
            large,
            priority,
            expiration,
        },
    )
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        5 => Just(Fate::Acknowledged),
        2 => Just(Fate::Rejected),
        2 => Just(Fate::Requeued(Return::Released)),
        2 => Just(Fate::Requeued(Return::Failed)),
    ]
}

fn consume() -> impl Strategy<Value = Step> {
    let often = |likely| prop::bool::weighted(likely);
    (
        0..QUEUES,
        0..CHANNELS,
        0u32..4,
        often(0.2),
        0i32..2,
        often(0.1),
    )
        .prop_map(|(queue, channel, prefetch, no_ack, priority, exclusive)| {
            Step::Consume(Consume {
                queue,
                channel,
                prefetch,
                no_ack,
                priority,
                exclusive,
            })
        })
}

fn step() -> impl Strategy<Value = Step> {
    let (queue, channel, peer) = (0..QUEUES, 0..CHANNELS, 0..PEERS);
    prop_oneof![
        12 => (queue.clone(), 1usize..5, kind(0.2)).prop_map(
            |(queue, count, kind)| Step::Publish { queue, count, kind }),
        3 => kind(0.0).prop_map(|kind| Step::PublishToBoth { kind }),
        2 => (queue.clone(), 1usize..4, kind(0.0)).prop_map(
            |(queue, count, kind)| Step::Reserve { queue, count, kind }),
        3 => Just(Step::Arrive),
        8 => consume(),
        2 => any::<Index>().prop_map(Step::Cancel),
        12 => peer.clone().prop_map(|peer| Step::Take { peer }),
        12 => (channel.clone(), any::<Index>(), any::<bool>(), fate()).prop_map(
            |(channel, which, multiple, fate)| Step::Settle { channel, which, multiple, fate }),
        3 => (queue.clone(), channel.clone(), any::<bool>()).prop_map(
            |(queue, channel, no_ack)| Step::Get { queue, channel, no_ack }),
        1 => queue.clone().prop_map(|queue| Step::Purge { queue }),
        2 => (queue.clone(), prop::option::of(limit()), prop::option::weighted(0.3, delays()))
            .prop_map(|(queue, limit, delays)| Step::Policy { queue, limit, delays }),
        2 => (channel.clone(), 0u32..4).prop_map(|(channel, limit)| Step::Limit { channel, limit }),
        1 => channel.prop_map(|channel| Step::CloseChannel { channel }),
        1 => (peer, any::<bool>()).prop_map(|(peer, at_once)| Step::End { peer, at_once }),
        1 => queue.clone().prop_map(|queue| Step::Delete { queue }),
        4 => Just(Step::Write),
        2 => (queue, any::<bool>()).prop_map(|(queue, everything)| Step::PageOutIdle { queue, everything }),
        1 => prop::bool::weighted(0.6).prop_map(|open| Step::Way { open }),
        6 => (0u64..60).prop_map(|milliseconds| Step::Wait { milliseconds }),
        1 => (500u64..1500).prop_map(|milliseconds| Step::Wait { milliseconds }),
    ]
}

fn limit() -> impl Strategy<Value = Limit> {
    let bytes = prop::sample::select(vec![0, LARGE as u64, 3 * LARGE as u64]);
    (0u64..6, bytes, any::<bool>()).prop_map(|(messages, bytes, refuses)| Limit {
        messages,
        bytes,
        refuses,
    })
}

fn delays() -> impl Strategy<Value = Delays> {
    let kind = prop::sample::select(RetryKind::NAMES.to_vec());
    (kind, 1u64..80, 0u64..150).prop_map(|(kind, min, more)| Delays {
        kind,
        min,
        max: min + more,
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    let max_priority = prop::option::of(1u8..4);
    let (ttl, expires) = (
        prop::option::of(0u64..50),
        prop::option::weighted(0.2, 20u64..200),
    );
    let limit = prop::option::of(limit());
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let quorum = prop::option::weighted(0.3, 0u16..4);
    let delays = prop::option::weighted(0.4, delays());
    (limit, max_priority, flags, ttl, expires, quorum, delays).prop_map(
        |(
            limit,
            max_priority,
            (single_active, dead_letters, at_least_once),
            ttl,
            expires,
            quorum,
            delays,
        )| Rules {
            limit,
            // A quorum queue has priorities of its own.
            max_priority: max_priority.filter(|_| quorum.is_none()),
            single_active,
            ttl,
            expires,
            dead_letters,
            at_least_once,
            quorum,
            delays,
        },
    )
}

fn keeps_its_promises(rules: Rules, steps: Vec<Step>) {
    go_on(World::new(rules), steps);
}

/// A world whose backlogs leave memory at once, for a directory.
fn paged_world(rules: Rules, directory: &Path) -> World {
    let spill = Spill::open(directory).unwrap();
    // Pages of two messages.
    let limits = Limits {
        budget: 0,
        page: 250,
    };
    World::with_pager(rules, Some(Arc::new(Pager::at_once(limits, None, spill))))
}

/// What waits on disk for a retry comes while others are served, in an order that nobody promises:
/// it has a test of its own.
fn keeps_its_promises_on_disk(rules: Rules, steps: Vec<Step>) {
    let directory = tempfile::tempdir().unwrap();
    let rules = Rules {
        delays: None,
        ..rules
    };
    let without_delays = |step| match step {
        Step::Policy { queue, limit, .. } => Step::Policy {
            queue,
            limit,
            delays: None,
        },
        step => step,
    };
    let steps = steps.into_iter().map(without_delays).collect();
    go_on(paged_world(rules, directory.path()), steps);
}

/// These rules, of a quorum queue that loses no dead letter.
fn losing_none(rules: Rules, limit: Limit, quorum: u16) -> Rules {
    Rules {
        limit: Some(Limit {
            refuses: true,
            ..limit
        }),
        max_priority: None,
        dead_letters: true,
        at_least_once: true,
        quorum: Some(quorum),
        ..rules
    }
}

fn go_on(mut world: World, steps: Vec<Step>) {
    for step in steps {
        world.run(step);
    }
    world.finish();
}

proptest! {
    // What fails is kept as a case of its own, with a name.
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..Default::default() })]
    #[test]
    fn a_queue_keeps_its_promises(
        rules in rules(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        keeps_its_promises(rules, steps);
    }

    #[test]
    fn a_queue_whose_backlog_leaves_memory_keeps_its_promises(
        rules in rules(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        keeps_its_promises_on_disk(rules, steps);
    }

    #[test]
    fn a_queue_that_loses_no_dead_letter_keeps_its_promises(
        rules in rules(),
        limit in limit(),
        quorum in 0u16..4,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        keeps_its_promises(losing_none(rules, limit, quorum), steps);
    }

    #[test]
    fn a_queue_that_loses_no_dead_letter_keeps_its_promises_when_its_backlog_leaves_memory(
        rules in rules(),
        limit in limit(),
        quorum in 0u16..4,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        keeps_its_promises_on_disk(losing_none(rules, limit, quorum), steps);
    }

    #[test]
    fn a_quorum_queue_with_a_single_active_consumer_keeps_its_promises(
        rules in rules(),
        quorum in 0u16..4,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let rules = Rules {
            max_priority: None,
            single_active: true,
            quorum: Some(quorum),
            ..rules
        };
        keeps_its_promises(rules, steps);
    }
}
