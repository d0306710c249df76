//! What the store kept over a restart of messages that came back to their queues.

use crate::domain::broker::Broker;
use crate::engine::queue::{DeliveryCount, Found};
use leveret_storage::{Position, QueueId};
use std::collections::{BTreeMap, HashMap};

/// It by queue and place, until the queues ask for it.
#[derive(Debug, Default)]
pub struct DeliveryCounts(HashMap<QueueId, BTreeMap<Position, Found>>);

impl DeliveryCounts {
    /// What the store kept of a message.
    pub fn add(&mut self, queue: u64, position: u64, found: Found) {
        let counts = self.0.entry(QueueId(queue)).or_default();
        counts.insert(Position(position), found);
    }

    /// All of one queue.
    pub fn take(&mut self, queue: QueueId) -> BTreeMap<Position, Found> {
        self.0.remove(&queue).unwrap_or_default()
    }

    /// Removes that of queues that have no messages any more.
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
