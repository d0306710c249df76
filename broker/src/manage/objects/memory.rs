//! Where the memory of a node is, in RabbitMQ's categories.

use super::queue::memory;
use crate::domain::broker::Broker;
use crate::engine::queue::QueueKind;
use crate::plumbing::system;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// RabbitMQ's categories that are empty here.
const EMPTY: [&str; 20] = [
    "connection_readers",
    "connection_writers",
    "connection_channels",
    "quorum_queue_dlx_procs",
    "queue_slave_procs",
    "stream_queue_replica_reader_procs",
    "stream_queue_coordinator_procs",
    "plugins",
    "metadata_store",
    "metadata_store_ets",
    "other_proc",
    "metrics",
    "mgmt_db",
    "mnesia",
    "quorum_ets",
    "other_ets",
    "msg_index",
    "code",
    "atom",
    "allocated_unused",
];

/// The memory of the node in bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Memory {
    /// What connections hold.
    connection_other: u64,
    /// Classic queues with their messages.
    queue_procs: u64,
    /// Quorum queues with their messages.
    quorum_queue_procs: u64,
    /// Streams.
    stream_queue_procs: u64,
    /// What was read from streams for consumers.
    binary: u64,
    /// Everything else.
    other_system: u64,
    #[serde(skip)]
    total: u64,
}

impl Memory {
    /// Measures.
    pub fn of(broker: &Broker) -> Self {
        let mut queues = [0; 3];
        for queue in broker.vhosts().iter().flat_map(|vhost| vhost.queues()) {
            queues[match queue.spec.kind() {
                QueueKind::Classic => 0,
                QueueKind::Quorum => 1,
                QueueKind::Stream => 2,
            }] += memory(&queue.counts());
        }
        let [classic, quorum, stream] = queues;
        let connections = broker.ledger.total();
        let total = system::resident_memory();
        let known = connections + classic + quorum + stream;
        Memory {
            connection_other: connections,
            queue_procs: classic,
            quorum_queue_procs: quorum,
            stream_queue_procs: stream,
            binary: 0,
            other_system: total.saturating_sub(known),
            total,
        }
    }

    /// Returns RabbitMQ's object in bytes.
    pub fn absolute(&self) -> Value {
        let mut all = self.categories();
        all.insert("reserved_unallocated".to_owned(), 0.into());
        all.insert("strategy".to_owned(), "rss".into());
        let total = json!({"erlang": self.total, "rss": self.total, "allocated": self.total});
        all.insert("total".to_owned(), total);
        all.into()
    }

    /// Returns RabbitMQ's object with percentages of the whole.
    pub fn relative(&self) -> Value {
        let share = |bytes: u64| (bytes * 100).checked_div(self.total).unwrap_or(0);
        let mut all: Map<String, Value> = self
            .categories()
            .into_iter()
            .map(|(name, bytes)| (name, share(bytes.as_u64().unwrap_or(0)).into()))
            .collect();
        all.insert("total".to_owned(), 100.into());
        all.into()
    }

    fn categories(&self) -> Map<String, Value> {
        let mut all: Map<String, Value> = EMPTY
            .iter()
            .map(|name| ((*name).to_owned(), 0.into()))
            .collect();
        if let Value::Object(used) = json!(self) {
            all.extend(used);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_categories_add_up_to_the_whole() {
        let memory = Memory {
            connection_other: 10,
            queue_procs: 20,
            quorum_queue_procs: 5,
            stream_queue_procs: 5,
            binary: 0,
            other_system: 160,
            total: 200,
        };
        let absolute = memory.absolute();
        let sum = |object: &Value| -> u64 {
            let values = object.as_object().unwrap().iter();
            let counted = values.filter(|(name, _)| *name != "total");
            counted.filter_map(|(_, value)| value.as_u64()).sum()
        };
        assert_eq!(sum(&absolute), 200);
        assert_eq!(absolute["total"]["rss"], 200);
        let relative = memory.relative();
        assert_eq!(
            (&relative["queue_procs"], &relative["total"]),
            (&json!(10), &json!(100))
        );
        assert!(sum(&relative) <= 100);
    }
}
