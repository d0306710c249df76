//! The unacknowledged deliveries of one channel.

use super::memory_limits::DELIVERY_OVERHEAD;
use crate::engine::queue::{Consumer, Entry, Queue, Return};
use crate::plumbing::ledger::Part;
use leveret_protocol::DeliveryTag;
use std::collections::VecDeque;
use std::sync::Arc;

/// An unacknowledged delivery.
#[derive(Debug)]
pub struct Delivery {
    /// The queue it came from and may return to.
    pub queue: Arc<Queue>,
    /// Its consumer; `None` for basic.get.
    pub consumer: Option<Arc<Consumer>>,
    /// The message.
    pub entry: Entry,
}

impl Delivery {
    /// Returns the approximate memory it uses, in bytes.
    pub fn bytes(&self) -> u64 {
        DELIVERY_OVERHEAD + self.entry.weight()
    }
}

/// A delivery on its way back to its queue.
pub type Returning = (Delivery, Return);

/// Deliveries by tag. Tags only grow, so a deque of slots finds a tag by its distance from the
/// front, or by binary search where tags were skipped (deliveries that need no acknowledgement take
/// tags too).
#[derive(Debug, Default)]
pub struct Unacked {
    slots: VecDeque<(DeliveryTag, Option<Delivery>)>,
    count: usize,
    memory: Part,
}

/// Empty slots are removed when they are more than this and the majority: one delivery that is
/// never acknowledged must not keep a slot for each later one.
const TOLERATED_HOLES: usize = 128;

impl Unacked {
    /// Creates an empty list whose memory is counted in `memory`.
    pub fn counted(memory: Part) -> Self {
        Unacked {
            memory,
            ..Unacked::default()
        }
    }

    /// Returns the number of deliveries.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns the approximate memory they use, in bytes.
    #[cfg(test)]
    pub fn bytes(&self) -> u64 {
        self.memory.bytes()
    }

    /// Iterates over the deliveries, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = (DeliveryTag, &Delivery)> {
        self.slots
            .iter()
            .filter_map(|(tag, delivery)| Some((*tag, delivery.as_ref()?)))
    }

    /// Returns the tag of the oldest delivery.
    pub fn first(&self) -> Option<DeliveryTag> {
        self.entries().next().map(|(tag, _)| tag)
    }

    /// Adds a delivery; tags must increase.
    pub fn push(&mut self, tag: DeliveryTag, delivery: Delivery) {
        debug_assert!(self.slots.back().is_none_or(|(last, _)| *last < tag));
        self.memory.add(delivery.bytes());
        self.slots.push_back((tag, Some(delivery)));
        self.count += 1;
    }

    fn find(&self, tag: DeliveryTag) -> Option<usize> {
        let (first, _) = self.slots.front()?;
        let guess = tag.0.checked_sub(first.0)? as usize;
        if self.slots.get(guess).is_some_and(|(t, _)| *t == tag) {
            return Some(guess);
        }
        self.slots.binary_search_by_key(&tag, |(t, _)| *t).ok()
    }

    /// Removes and returns one delivery.
    pub fn take(&mut self, tag: DeliveryTag) -> Option<Delivery> {
        let at = self.find(tag)?;
        let delivery = self.slots[at].1.take()?;
        self.count -= 1;
        self.memory.remove(delivery.bytes());
        self.clear_holes();
        Some(delivery)
    }

    /// Removes and returns all up to and including `tag`, in order; tag 0 means all (spec
    /// 1.8.3.13). Returns `None` if `tag` is neither outstanding nor 0.
    pub fn take_through(
        &mut self,
        tag: DeliveryTag,
    ) -> Option<impl Iterator<Item = (DeliveryTag, Delivery)> + use<>> {
        let end = if tag.0 == 0 {
            self.slots.len()
        } else {
            let at = self.find(tag)?;
            self.slots[at].1.as_ref()?;
            at + 1
        };
        let removed: Vec<(DeliveryTag, Delivery)> = self
            .slots
            .drain(..end)
            .filter_map(|(tag, delivery)| Some((tag, delivery?)))
            .collect();
        self.count -= removed.len();
        self.memory
            .remove(removed.iter().map(|(_, d)| d.bytes()).sum());
        self.clear_holes();
        Some(removed.into_iter())
    }

    /// Puts removed deliveries back, in any order.
    pub fn restore(&mut self, removed: impl IntoIterator<Item = (DeliveryTag, Delivery)>) {
        let mut slots: Vec<_> = std::mem::take(&mut self.slots)
            .into_iter()
            .filter(|(_, delivery)| delivery.is_some())
            .collect();
        slots.extend(removed.into_iter().map(|(tag, d)| (tag, Some(d))));
        slots.sort_unstable_by_key(|(tag, _)| *tag);
        self.count = slots.len();
        let deliveries = slots.iter().filter_map(|(_, delivery)| delivery.as_ref());
        self.memory.set(deliveries.map(Delivery::bytes).sum());
        self.slots = slots.into();
    }

    /// Frees the memory of empty slots.
    pub fn release_memory(&mut self) {
        self.slots.shrink_to_fit();
    }

    fn clear_holes(&mut self) {
        while let Some((_, None)) = self.slots.front() {
            self.slots.pop_front();
        }
        let holes = self.slots.len() - self.count;
        if holes > TOLERATED_HOLES && holes > self.count {
            self.slots.retain(|(_, delivery)| delivery.is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::message::MessageBuilder;
    use crate::engine::queue::QueueSpec;
    use leveret_protocol::values::FieldTable;
    use leveret_storage::{Position, QueueId};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn delivery(queue: &Arc<Queue>, tag: u64) -> Delivery {
        let message = MessageBuilder::new(b"", b"", &[0, 0], false, 0).finish(true);
        let entry = Entry::new(Position(tag), Arc::new(message));
        Delivery {
            queue: queue.clone(),
            consumer: None,
            entry,
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push { skip: u64 },
        Take(prop::sample::Index),
        TakeThrough(prop::sample::Index),
        TakeAll,
        TakeAndRestore(Vec<prop::sample::Index>),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0u64..3).prop_map(|skip| Step::Push { skip }),
            4 => any::<prop::sample::Index>().prop_map(Step::Take),
            1 => any::<prop::sample::Index>().prop_map(Step::TakeThrough),
            1 => Just(Step::TakeAll),
            1 => prop::collection::vec(any::<prop::sample::Index>(), 0..9)
                .prop_map(Step::TakeAndRestore),
        ]
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_sorted_set(steps in prop::collection::vec(step(), 0..600)) {
            let spec = QueueSpec {
                name: "q".into(), durable: false, auto_delete: false,
                exclusive_to: None, arguments: FieldTable::default(),
            };
            let queue = Arc::new(Queue::new(QueueId(1), "/".into(), spec, Position(0)));
            let mut unacked = Unacked::default();
            let mut model = BTreeSet::new();
            let mut next = 1;
            for step in steps {
                match step {
                    Step::Push { skip } => {
                        next += skip;
                        unacked.push(DeliveryTag(next), delivery(&queue, next));
                        model.insert(next);
                        next += 1;
                    }
                    Step::Take(at) => {
                        let tag = 1 + at.index(next as usize) as u64;
                        let taken = unacked.take(DeliveryTag(tag));
                        prop_assert_eq!(taken.is_some(), model.remove(&tag));
                        if let Some(taken) = taken {
                            prop_assert_eq!(taken.entry.position.0, tag);
                        }
                    }
                    Step::TakeThrough(at) => {
                        let tag = 1 + at.index(next as usize) as u64;
                        let taken = unacked.take_through(DeliveryTag(tag))
                            .map(|taken| taken.map(|(tag, _)| tag.0).collect::<Vec<_>>());
                        let expected = model.contains(&tag).then(|| {
                            let rest = model.split_off(&(tag + 1));
                            std::mem::replace(&mut model, rest).into_iter().collect::<Vec<_>>()
                        });
                        prop_assert_eq!(taken, expected);
                    }
                    Step::TakeAll => {
                        let taken: Vec<u64> = unacked.take_through(DeliveryTag(0)).unwrap()
                            .map(|(_, d)| d.entry.position.0).collect();
                        let expected: Vec<u64> = std::mem::take(&mut model).into_iter().collect();
                        prop_assert_eq!(taken, expected);
                    }
                    Step::TakeAndRestore(ats) => {
                        let mut taken = Vec::new();
                        for at in ats {
                            let tag = DeliveryTag(1 + at.index(next as usize) as u64);
                            taken.extend(unacked.take(tag).map(|delivery| (tag, delivery)));
                        }
                        unacked.restore(taken);
                    }
                }
                prop_assert_eq!(unacked.len(), model.len());
                let bytes: u64 = unacked.entries().map(|(_, d)| d.bytes()).sum();
                prop_assert_eq!(unacked.bytes(), bytes);
                prop_assert!(unacked.slots.len() <= 2 * model.len() + TOLERATED_HOLES + 1);
            }
        }
    }
}
