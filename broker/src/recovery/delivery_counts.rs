//! How often messages came back to quorum queues, as the store kept it over a restart.

use crate::broker::Broker;
use crate::definitions::Definition;
use leveret_storage::{Position, QueueId};
use std::collections::{BTreeMap, HashMap};

/// The counts by queue and place, until their queues ask for them.
#[derive(Debug, Default)]
pub struct DeliveryCounts(HashMap<QueueId, BTreeMap<Position, u16>>);

impl DeliveryCounts {
    /// A count that the store kept.
    pub fn add(&mut self, queue: u64, position: u64, count: u16) {
        let counts = self.0.entry(QueueId(queue)).or_default();
        counts.insert(Position(position), count);
    }

    /// Those of one queue.
    pub fn take(&mut self, queue: QueueId) -> BTreeMap<Position, u16> {
        self.0.remove(&queue).unwrap_or_default()
    }

    /// Removes those of queues that have no messages any more.
    pub fn drop_rest(self, broker: &Broker) {
        let mut fx = broker.effects(None);
        for (queue, counts) in self.0 {
            for (position, count) in counts {
                let definition = Definition::DeliveryCount {
                    queue: queue.0,
                    position: position.0,
                    count,
                };
                fx.store(definition.delete());
            }
        }
        fx.perform();
    }
}
