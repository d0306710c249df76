//! The records for the store that a queue's calls may leave.

use super::model::Model;
use crate::domain::durable::Definition;
use crate::engine::queue::DeliveryCount;
use crate::engine::queue::Returns;
use bytes::Bytes;
use leveret_storage::{Op, Position, QueueId, Storable};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the store knows of a message.
pub(super) struct Record {
    message: Arc<dyn Storable>,
    cancellable: bool,
    claimed: bool,
}

impl Model {
    /// Judges the records of one call: one publish for each that came, one ack for each that left
    /// and was (or will be) written, nothing else.
    pub(super) fn recorded(&mut self, queue: QueueId, ops: &[Op]) {
        let (mut acked, mut settled) = (BTreeSet::new(), BTreeSet::new());
        for op in ops {
            match op {
                Op::Publish {
                    queue: q,
                    position,
                    message,
                    ..
                } if *q == queue => self.record(position.0, message.clone()),
                Op::Ack {
                    queue: q,
                    first,
                    last,
                } if *q == queue => {
                    for position in first.0..=last.0 {
                        assert!(acked.insert(position), "acked twice");
                    }
                }
                Op::Delivered { queue: q, through } if *q == queue => {
                    assert!(self.told_through < Some(through.0), "told again");
                    self.told_through = Some(through.0);
                }
                Op::PutDefinition { key, value } => {
                    let definition = Definition::decode(key, value).unwrap();
                    let Definition::DeliveryCount(DeliveryCount {
                        queue: q,
                        position,
                        count: failed,
                        released,
                        due,
                    }) = definition
                    else {
                        panic!("{definition:?}")
                    };
                    if q != queue.0 {
                        continue;
                    }
                    let due = due.map(|due| due - self.epoch);
                    let returns = (Returns { failed, released }, due);
                    let before = self.stored_returns.insert(position, returns);
                    assert_ne!(before, Some(returns), "stored again");
                }
                Op::DeleteDefinition { key } => {
                    let Some(position) = place_in(key, queue) else {
                        continue;
                    };
                    let gone = self.stored_returns.remove(&position);
                    assert!(gone.is_some(), "was not stored");
                }
                Op::Settle {
                    queue: q,
                    position,
                    message,
                } if *q == queue => {
                    // What the storage thread does.
                    message.cancel_write();
                    assert!(settled.insert(position.0), "settled twice");
                }
                Op::DeleteQueue { queue: q } if *q == queue => {
                    assert!(self.deleted, "deleted unasked");
                }
                _ => {}
            }
        }
        assert!(self.came.is_empty(), "never stored: {:?}", self.came);
        assert_eq!(self.told_through, self.delivered_through);
        assert_eq!(self.stored_returns, self.returns());
        let due: BTreeSet<u64> = std::mem::take(&mut self.left)
            .into_iter()
            .filter(|position| {
                let record = self.records.get(position).expect("left but never came");
                let written = record.claimed || !record.cancellable;
                if !written {
                    let wanted = record.message.begin_write(queue);
                    assert!(!wanted, "neither written off nor acked");
                }
                self.records.remove(position);
                written
            })
            .collect();
        assert_eq!(acked, due, "acks for the store");
        let dead = std::mem::take(&mut self.dead);
        let stays = |position: &u64| {
            self.kept
                .iter()
                .any(|kept| kept.stored_at == Some(*position))
        };
        let stored = dead.iter().filter_map(|(.., stored_at)| *stored_at);
        let dead: BTreeSet<u64> = stored.filter(|position| !stays(position)).collect();
        assert_eq!(
            settled, dead,
            "what leaves with the batch of its dead letters"
        );
        self.records.retain(|position, _| !dead.contains(position));
    }

    /// What the store has to know of what came back.
    fn returns(&self) -> BTreeMap<u64, (Returns, Option<u64>)> {
        let ready = self.ready.iter().map(|((_, place), known)| (place, known));
        let waiting = self.waiting.iter();
        let waiting = waiting.map(|((_, place), known)| (place, known));
        let all = ready.chain(waiting).chain(&self.unacked);
        let counted = all.filter(|(_, known)| known.stored && !known.returns.is_zero());
        counted
            .map(|(place, known)| (*place, (known.returns, known.due)))
            .collect()
    }

    fn record(&mut self, position: u64, message: Arc<dyn Storable>) {
        let cancellable = self.came.remove(&position).expect("stored unasked");
        let record = Record {
            message,
            cancellable,
            claimed: false,
        };
        assert!(self.records.insert(position, record).is_none());
    }

    /// The storage thread claims everything that waits: all of it is still wanted.
    pub(super) fn write(&mut self, queue: QueueId) {
        for record in self.records.values_mut().filter(|r| !r.claimed) {
            assert!(record.message.begin_write(queue), "wanted but written off");
            record.claimed = true;
        }
    }
}

/// The place that the key of a stored count is for, if it is one of this queue.
fn place_in(key: &Bytes, queue: QueueId) -> Option<u64> {
    let position = u64::from_be_bytes(*key.last_chunk().expect("a key"));
    let expected = DeliveryCount::key(queue, Position(position));
    (expected == *key).then_some(position)
}
