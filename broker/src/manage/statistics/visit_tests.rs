//! The sums of queues compared with a full count, after anything that may happen to them.

use super::sampler::Sampler;
use super::visit::visit;
use crate::config::Limits;
use crate::domain::broker::Broker;
use crate::domain::vhost::Vhost;
use crate::domain::vhost::spec::VhostSpec;
use crate::engine::message::{MessageBuilder, SharedMessage};
use crate::engine::queue::paging::Limits as PagingLimits;
use crate::engine::queue::{Entry, Queue, QueueKind, QueueSpec, Return};
use crate::engine::statistics::QueueSums;
use crate::plumbing::paging::Pager;
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_storage::{Spill, Token};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const TYPES: [&str; 3] = ["classic", "quorum", "stream"];

#[derive(Clone, Debug)]
enum Step {
    Declare {
        name: usize,
        kind: usize,
        max: Option<i64>,
    },
    Delete(usize),
    Publish {
        name: usize,
        count: usize,
        size: usize,
    },
    Get {
        name: usize,
        no_ack: bool,
    },
    Settle {
        index: usize,
        how: u8,
    },
    Purge(usize),
    Visit,
    Sample,
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    let max = prop::option::of(1i64..20);
    prop_oneof![
        2 => (name(), 0..TYPES.len(), max).prop_map(|(name, kind, max)| Step::Declare { name, kind, max }),
        1 => name().prop_map(Step::Delete),
        6 => (name(), 1usize..30, 0usize..2000)
            .prop_map(|(name, count, size)| Step::Publish { name, count, size }),
        4 => (name(), any::<bool>()).prop_map(|(name, no_ack)| Step::Get { name, no_ack }),
        3 => (any::<usize>(), 0u8..3).prop_map(|(index, how)| Step::Settle { index, how }),
        1 => name().prop_map(Step::Purge),
        3 => Just(Step::Visit),
        1 => Just(Step::Sample),
    ]
}

/// Returns messages with bodies of this size.
fn messages(count: usize, size: usize) -> impl Iterator<Item = (SharedMessage, Option<Token>)> {
    let body = vec![0; size];
    let message = move |_| {
        let mut message = MessageBuilder::new(b"", b"", &[0, 0], true, size as u64);
        message.push(&body).unwrap();
        (Arc::new(message.finish(false)), None)
    };
    (0..count).map(message)
}

struct World {
    broker: Arc<Broker>,
    vhost: Arc<Vhost>,
    sampler: Sampler,
    time: i64,
    unacked: Vec<(Arc<Queue>, Entry)>,
    /// What deleted queues have read and written.
    gone: BTreeMap<usize, (u64, u64)>,
}

impl World {
    fn new(spill: Spill) -> Self {
        let mut broker = Broker::new(Limits::default(), Vec::new(), None);
        broker.pager = Some(Arc::new(Pager::at_once(
            PagingLimits::with_budget(16 << 10),
            None,
            spill,
        )));
        broker.add_vhost(VhostSpec::named("/"), &mut broker.effects(None));
        let vhost = broker.vhost("/").unwrap();
        World {
            broker: Arc::new(broker),
            vhost,
            sampler: Sampler::default(),
            time: 0,
            unacked: Vec::new(),
            gone: BTreeMap::new(),
        }
    }

    async fn take(&mut self, step: Step) {
        let mut fx = self.broker.effects(None);
        match step {
            Step::Declare { name, kind, max } => {
                let mut arguments = FieldTable::default();
                let kind = AMQPValue::LongString(TYPES[kind].into());
                arguments.insert("x-queue-type".into(), kind);
                if let Some(max) = max {
                    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(max));
                }
                let spec = QueueSpec {
                    name: NAMES[name].into(),
                    durable: true,
                    auto_delete: false,
                    exclusive_to: None,
                    arguments,
                };
                let new_id = || self.broker.next_queue_id();
                // Refused if there is another queue of that name.
                let _ = self.vhost.declare_queue(spec, None, new_id, &mut fx);
            }
            Step::Delete(name) => {
                if let Some(queue) = self.vhost.queue(NAMES[name]) {
                    self.vhost.end_queue(&queue, &mut fx);
                    let stats = queue.stats();
                    let gone = self.gone.entry(queue.kind as usize).or_default();
                    gone.0 += stats.disk_reads;
                    gone.1 += stats.disk_writes;
                    self.unacked.retain(|(of, _)| !Arc::ptr_eq(of, &queue));
                }
            }
            Step::Publish { name, count, size } => {
                if let Some(queue) = self.vhost.queue(NAMES[name]) {
                    queue.publish(messages(count, size), false, &mut fx);
                }
            }
            Step::Get { name, no_ack } => {
                let queue = self.vhost.queue(NAMES[name]);
                if let Some(queue) = queue.filter(|queue| queue.stream().is_none())
                    && let Some((entry, _)) = queue.get(no_ack, &mut fx)
                    && !no_ack
                {
                    self.unacked.push((queue, entry));
                }
            }
            Step::Settle { index, how } => {
                if !self.unacked.is_empty() {
                    let (queue, entry) = self.unacked.swap_remove(index % self.unacked.len());
                    match how {
                        0 => queue.settle([&entry], [], &mut fx),
                        1 => queue.reject([&entry], [], &mut fx),
                        _ => queue.requeue([(entry, Return::Failed)], &mut fx),
                    }
                }
            }
            Step::Purge(name) => {
                let queue = self.vhost.queue(NAMES[name]);
                if let Some(queue) = queue.filter(|queue| queue.stream().is_none()) {
                    queue.purge(&mut fx);
                }
            }
            Step::Visit => visit(&self.broker),
            Step::Sample => {
                fx.perform();
                self.time += 5000;
                return self.sampler.sample(&self.broker, self.time).await;
            }
        }
        fx.perform();
    }

    fn check(&self) -> Result<(), TestCaseError> {
        visit(&self.broker);
        let mut found = [QueueSums::default(); QueueKind::ALL.len()];
        for (kind, (reads, writes)) in &self.gone {
            found[*kind].disk_reads += reads;
            found[*kind].disk_writes += writes;
        }
        for queue in self.vhost.queues() {
            found[queue.kind as usize] += queue.sums();
        }
        let sums = self.vhost.statistics.sums();
        prop_assert_eq!(sums.by_kind, found);
        let (reads, writes) = (sums.stats().disk_reads, sums.stats().disk_writes);
        let all = sums.queues();
        prop_assert_eq!((reads, writes), (all.disk_reads, all.disk_writes));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_sums_of_queues_are_those_of_a_full_count(
        steps in prop::collection::vec((step(), any::<bool>()), 1..80),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(Spill::open(folder.path()).unwrap());
            for (step, checks) in steps {
                world.take(step).await;
                if checks {
                    world.check()?;
                }
            }
            world.check()?;
            // Idle queues take no memory for their part of the sums, and nothing stays when all are gone.
            for name in NAMES {
                world.take(Step::Delete(NAMES.iter().position(|n| *n == name).unwrap())).await;
            }
            world.check()?;
            prop_assert_eq!(world.vhost.statistics.sums().queues().queues, 0);
            Ok(())
        })?;
    }
}

/// A visit reads the queues that have moved, and leaves them for the sampler.
#[tokio::test]
async fn idle_queues_are_not_visited_and_visited_ones_are_sampled() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(Spill::open(folder.path()).unwrap());
    let declare = |name| Step::Declare {
        name,
        kind: 0,
        max: None,
    };
    for name in 0..NAMES.len() {
        world.take(declare(name)).await;
    }
    world.take(Step::Sample).await;
    let publish = Step::Publish {
        name: 1,
        count: 3,
        size: 10,
    };
    world.take(publish.clone()).await;
    assert_eq!(world.broker.statistics.moved(), 1);
    for _ in 0..3 {
        visit(&world.broker);
        assert_eq!(world.broker.statistics.moved(), 0);
        assert_eq!(world.broker.statistics.unsampled(), 1, "each only once");
        world.take(publish.clone()).await;
    }
    world.take(Step::Sample).await;
    assert_eq!(world.broker.statistics.unsampled(), 0);
    let queue = world.vhost.queue(NAMES[1]).unwrap();
    let rows = queue.tracked.rows(0, [world.time].into_iter()).unwrap();
    assert_eq!(rows[0].1[0], 12, "publishes");
    assert_eq!(world.vhost.statistics.sums().lengths(), [12, 12, 0]);
}
