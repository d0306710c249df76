//! The stored delivery counts of messages that came back to their queues.

use crate::domain::broker::Broker;
use crate::engine::queue::{DeliveryCount, Found};
use leveret_storage::{Position, QueueId};
use std::collections::{BTreeMap, HashMap};

/// Delivery counts by queue and position, until the queues take them.
#[derive(Debug, Default)]
pub struct DeliveryCounts(HashMap<QueueId, BTreeMap<Position, Found>>);

impl DeliveryCounts {
    /// Adds the count of a message.
    pub fn add(&mut self, queue: u64, position: u64, found: Found) {
        let counts = self.0.entry(QueueId(queue)).or_default();
        counts.insert(Position(position), found);
    }

    /// Takes the counts of a queue.
    pub fn take(&mut self, queue: QueueId) -> BTreeMap<Position, Found> {
        self.0.remove(&queue).unwrap_or_default()
    }

    /// Deletes the counts of queues that have no messages any more.
    pub fn drop_rest(self, broker: &Broker) {
        let mut fx = broker.effects(None);
        for (queue, counts) in self.0 {
            for position in counts.into_keys() {
                fx.store(DeliveryCount::delete(queue, position));
            }
        }
        fx.perform();
    }
}
