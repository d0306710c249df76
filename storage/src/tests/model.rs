//! Random operations, checkpoints, closes and power cuts against a model a page long.
//!
//! Batches are atomic and ordered, so after a power cut the store must hold the model's state after some number of
//! batches: at least those confirmed, at most those submitted.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use proptest::prelude::*;

use super::{
    disk::{BadDisk, Shared},
    world::*,
};
use crate::{Batch, CommitSink, Op, Opened, Position, QueueId, Store};

/// Messages from about this size on are chunks of their own.
const LARGE: usize = 16_000;

#[derive(Debug, Clone)]
enum Step {
    /// Publish this many messages of about this size to each queue of the mask, in pairs of reversed order. A large
    /// message is the same in all of the queues.
    Publish {
        queues: u8,
        count: u64,
        len: usize,
    },
    /// Acknowledge a share of the messages of a queue, from some place on.
    Ack {
        queue: u64,
        from: usize,
        count: usize,
    },
    /// In one batch, move messages from one queue to another, whether they were written or not. With `ahead`, one of
    /// them is settled before its publish is submitted.
    Move {
        from: u64,
        to: u64,
        skip: usize,
        count: usize,
        ahead: bool,
    },
    Delivered {
        queue: u64,
    },
    Delete {
        queue: u64,
    },
    Define {
        key: u8,
        value: Option<u8>,
    },
    Flush,
    Close,
    /// Cut the power; the disk keeps this many thousandths of the unsynced data.
    PowerCut {
        kept: u64,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Model {
    live: BTreeMap<u64, BTreeSet<u64>>,
    definitions: BTreeMap<u8, u8>,
}

impl Model {
    fn of(opened: &Opened) -> Model {
        let mut model = Model::default();
        for queue in &opened.queues {
            let found = positions(&opened.store, queue.queue.0);
            assert_eq!(queue.messages, found.len() as u64, "{queue:?}");
            assert_eq!(
                queue.first.map(|p| p.0),
                found.first().copied(),
                "{queue:?}"
            );
            assert_eq!(queue.last.map(|p| p.0), found.last().copied(), "{queue:?}");
            assert!(
                found
                    .last()
                    .is_none_or(|last| queue.next_position.0 > *last),
                "{queue:?}"
            );
            model.set(queue.queue.0, found.into_iter().collect());
        }
        for (key, value) in &opened.definitions {
            assert!(value.iter().all(|byte| *byte == value[0]));
            model.definitions.insert(key[0], value[0]);
        }
        model
    }

    fn set(&mut self, queue: u64, live: BTreeSet<u64>) {
        if !live.is_empty() {
            self.live.insert(queue, live);
        }
    }
}

struct World<'a> {
    path: &'a Path,
    opened: Option<Opened>,
    told: Arc<Told>,
    /// The model after each batch since everything was last known to be on disk.
    states: Vec<Model>,
    next: u64,
    batches: u64,
    /// What was published since the store was opened, by queue and position.
    messages: BTreeMap<(u64, u64), Arc<Message>>,
}

impl World<'_> {
    fn open(&mut self, kept: u64) {
        let disk = Arc::new(Shared(BadDisk::forgetful(kept)));
        self.opened = Some(Store::open_with(small(self.path), disk).unwrap());
        self.told = Arc::new(Told::default());
        self.batches = 0;
        self.messages.clear();
    }

    fn store(&self) -> &Store {
        &self.opened.as_ref().unwrap().store
    }

    fn model(&self) -> &Model {
        self.states.last().unwrap()
    }

    fn submit(&mut self, ops: Vec<Op>, change: impl FnOnce(&mut Model)) {
        let mut model = self.model().clone();
        change(&mut model);
        model.live.retain(|_, live| !live.is_empty());
        self.states.push(model);
        let notify = Op::Notify {
            token: token(self.batches),
        };
        let sink = Some(self.told.clone() as Arc<dyn CommitSink>);
        let ops = ops.into_iter().chain([notify]).collect();
        if self.batches.is_multiple_of(2) {
            self.store().submit(Batch { ops, sink });
        } else {
            submit_directly(self.store(), Batch { ops, sink });
        }
        self.batches += 1;
    }

    fn publish(&mut self, queue: u64, position: u64, len: usize) -> Op {
        let message = Message::new(body(queue, position, len));
        self.messages.insert((queue, position), message.clone());
        publish_message(queue, position, message)
    }

    fn publish_everywhere(&mut self, queues: &[u64], position: u64, len: usize) -> Vec<Op> {
        if len < LARGE {
            let publish = |queue: &u64| self.publish(*queue, position, len);
            return queues.iter().map(publish).collect();
        }
        let message = Message::shared(body(SEVERAL, position, len));
        let publish = |queue: &u64| {
            self.messages.insert((*queue, position), message.clone());
            publish_message(*queue, position, message.clone())
        };
        queues.iter().map(publish).collect()
    }

    fn settle_op(&self, queue: u64, position: u64) -> Op {
        let known = self.messages.get(&(queue, position));
        settle(
            queue,
            position,
            known.cloned().unwrap_or_else(Message::written),
        )
    }

    fn move_some(&mut self, from: u64, to: u64, skip: usize, count: usize, ahead: bool) {
        let live = self.model().live.get(&from).into_iter().flatten().copied();
        let moved: Vec<u64> = live.skip(skip).take(count).collect();
        let mut ops = Vec::new();
        let mut came = Vec::new();
        for position in &moved {
            ops.push(self.settle_op(from, *position));
            came.push(self.next);
            ops.push(self.publish(to, self.next, 100));
            self.next += 1;
        }
        let late = ahead.then(|| {
            let position = self.next;
            self.next += 1;
            let late = self.publish(from, position, 100);
            ops.push(self.settle_op(from, position));
            late
        });
        self.submit(ops, |model| {
            if let Some(live) = model.live.get_mut(&from) {
                live.retain(|position| !moved.contains(position));
            }
            model.live.entry(to).or_default().extend(came);
        });
        if let Some(late) = late {
            self.submit(vec![late], |_| {});
        }
    }

    fn settle(&mut self) {
        self.states = vec![self.model().clone()];
    }

    fn check_live(&self) {
        for queue in 0..3 {
            let expected: Vec<_> = self
                .model()
                .live
                .get(&queue)
                .into_iter()
                .flatten()
                .copied()
                .collect();
            assert_eq!(positions(self.store(), queue), expected, "queue {queue}");
        }
    }

    fn restart(&mut self, cut: Option<u64>) {
        if cut.is_some() {
            self.store().abandon();
            // Told of batches 0..n: those are on disk.
            let told = self.told.0.lock().len();
            assert!(self.told.0.lock().iter().copied().eq(0..told as u64));
            let settled = self.states.len() - 1 - self.batches as usize;
            self.states.drain(..settled + told);
        } else {
            self.store().close().unwrap();
            self.settle();
        }
        self.opened = None;
        self.open(cut.unwrap_or(0));
        let found = Model::of(self.opened.as_ref().unwrap());
        assert_eq!(self.opened.as_ref().unwrap().report.clean, cut.is_none());
        assert!(
            self.states.contains(&found),
            "found {found:?}\nnone of {:?}",
            self.states
        );
        self.states = vec![found];
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish { queues, count, len } => {
                let positions: Vec<_> = (self.next..self.next + count).collect();
                self.next += count + 1;
                let wanted: Vec<_> = (0..3).filter(|queue| queues >> queue & 1 == 1).collect();
                let mut order = positions.clone();
                order.chunks_mut(2).for_each(<[u64]>::reverse);
                let mut ops = Vec::new();
                for position in order {
                    ops.extend(self.publish_everywhere(&wanted, position, len));
                }
                self.submit(ops, |model| {
                    for queue in wanted {
                        model.live.entry(queue).or_default().extend(&positions);
                    }
                });
            }
            Step::Ack { queue, from, count } => {
                // Only what was claimed by a commit may be acknowledged.
                self.store().flush().unwrap();
                let live: Vec<_> = self
                    .model()
                    .live
                    .get(&queue)
                    .into_iter()
                    .flatten()
                    .copied()
                    .collect();
                let acked: Vec<_> = live.into_iter().skip(from).take(count).collect();
                let ops = acked.iter().map(|p| ack(queue, *p, *p)).collect();
                self.submit(ops, |model| {
                    if let Some(live) = model.live.get_mut(&queue) {
                        live.retain(|position| !acked.contains(position));
                    }
                });
            }
            Step::Move {
                from,
                to,
                skip,
                count,
                ahead,
            } => self.move_some(from, to, skip, count, ahead),
            Step::Delivered { queue } => {
                let through = Position(self.next);
                self.submit(
                    vec![Op::Delivered {
                        queue: QueueId(queue),
                        through,
                    }],
                    |_| {},
                );
            }
            Step::Delete { queue } => self.submit(
                vec![Op::DeleteQueue {
                    queue: QueueId(queue),
                }],
                |model| {
                    model.live.remove(&queue);
                },
            ),
            Step::Define { key, value } => self.define(key, value),
            Step::Flush => {
                self.store().flush().unwrap();
                self.check_live();
            }
            Step::Close => self.restart(None),
            Step::PowerCut { kept } => self.restart(Some(kept)),
        }
    }

    fn define(&mut self, key: u8, value: Option<u8>) {
        let name = bytes::Bytes::copy_from_slice(&[key]);
        match value {
            Some(value) => {
                // Some fit one value of sled's, some do not.
                let bytes = vec![value; 10 + usize::from(value) * 300].into();
                self.submit(
                    vec![Op::PutDefinition {
                        key: name,
                        value: bytes,
                    }],
                    |model| {
                        model.definitions.insert(key, value);
                    },
                );
            }
            None => self.submit(vec![Op::DeleteDefinition { key: name }], |model| {
                model.definitions.remove(&key);
            }),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![8 => 0usize..400, 3 => 2000usize..6000, 2 => LARGE..70_000];
    prop_oneof![
        8 => (1u8..8, 1u64..12, len).prop_map(|(queues, count, len)| Step::Publish { queues, count, len }),
        5 => (0u64..3, 0usize..20, 1usize..30).prop_map(|(queue, from, count)| Step::Ack { queue, from, count }),
        4 => (0u64..3, 0u64..3, 0usize..20, 0usize..12, any::<bool>()).prop_map(
            |(from, to, skip, count, ahead)| Step::Move { from, to, skip, count, ahead }),
        1 => (0u64..3).prop_map(|queue| Step::Delivered { queue }),
        1 => (0u64..3).prop_map(|queue| Step::Delete { queue }),
        1 => (0u8..4, prop::option::of(any::<u8>())).prop_map(|(key, value)| Step::Define { key, value }),
        2 => Just(Step::Flush),
        1 => Just(Step::Close),
        1 => prop_oneof![Just(0), 1u64..1000, Just(1000)].prop_map(|kept| Step::PowerCut { kept }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_was_confirmed_is_there_and_what_was_acknowledged_is_not(steps in prop::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World {
            path: dir.path(),
            opened: None,
            told: Arc::default(),
            states: vec![Model::default()],
            next: 0,
            batches: 0,
            messages: BTreeMap::new(),
        };
        world.open(500);
        for step in steps {
            world.step(step);
        }
        world.restart(None);
    }
}
