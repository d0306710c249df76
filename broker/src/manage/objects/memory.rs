//! Where the memory of a node is, in RabbitMQ's categories. They are disjoint, and add up to the whole.

use super::contents::memory;
use crate::domain::broker::Broker;
use crate::engine::queue::QueueKind;
use crate::engine::statistics::VhostSums;
use crate::manage::statistics::visit;
use crate::plumbing::ledger::Kind as Held;
use crate::plumbing::system;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// RabbitMQ's categories that are empty here.
const EMPTY: [&str; 16] = [
    "quorum_queue_dlx_procs",
    "queue_slave_procs",
    "stream_queue_replica_reader_procs",
    "stream_queue_coordinator_procs",
    "plugins",
    "metadata_store",
    "metadata_store_ets",
    "other_proc",
    "metrics",
    "mnesia",
    "quorum_ets",
    "other_ets",
    "msg_index",
    "code",
    "atom",
    "allocated_unused",
];

/// The memory of the node in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Memory {
    /// Frames and messages that have not arrived completely, and frames that wait for the store.
    pub connection_readers: u64,
    /// What clients have not read yet.
    pub connection_writers: u64,
    /// Channels and consumers, unacknowledged messages and those of transactions.
    pub connection_channels: u64,
    /// Deliveries on their way to connections.
    pub connection_other: u64,
    /// Classic queues with the messages that wait in them.
    pub queue_procs: u64,
    /// Quorum queues with the messages that wait in them.
    pub quorum_queue_procs: u64,
    /// Streams, with the messages that are not read from disk.
    pub stream_queue_procs: u64,
    /// What was read from streams for consumers, and the messages that wait in delayed exchanges.
    pub binary: u64,
    /// Rates and histories.
    pub mgmt_db: u64,
    /// Everything else.
    pub other_system: u64,
    #[serde(skip)]
    total: u64,
}

const READER: &[Held] = &[Held::Input, Held::Unfinished, Held::Deferred];
const WRITER: &[Held] = &[Held::Output];
const CHANNEL: &[Held] = &[Held::Unacknowledged, Held::Uncommitted, Held::Declared];

impl Memory {
    /// Measures.
    pub fn of(broker: &Broker) -> Self {
        visit(broker);
        let mut sums = VhostSums::default();
        for vhost in broker.vhosts() {
            sums.add(&vhost.statistics.sums());
        }
        let mut held = [0; Held::ALL.len()];
        broker.connections.totals(|info| {
            for (sum, kind) in held.iter_mut().zip(Held::ALL) {
                *sum += info.holdings.of(kind);
            }
        });
        let held = |kinds: &[Held]| -> u64 { kinds.iter().map(|kind| held[*kind as usize]).sum() };
        let queues = |kind: QueueKind| memory(&sums.by_kind[kind as usize]);
        // The ledger counts all that connections hold but their input, and what is in their mailboxes.
        let counted = held(READER) - held(&[Held::Input]) + held(WRITER) + held(CHANNEL);
        let waiting = broker.pager.as_ref().map_or(0, |pager| pager.memory());
        Memory {
            connection_readers: held(READER),
            connection_writers: held(WRITER),
            connection_channels: held(CHANNEL),
            connection_other: broker.ledger.total().saturating_sub(counted),
            queue_procs: queues(QueueKind::Classic),
            quorum_queue_procs: queues(QueueKind::Quorum),
            stream_queue_procs: queues(QueueKind::Stream) + broker.readers.tail_bytes(),
            binary: broker.ledger.read_ahead().used()
                + waiting.saturating_sub(sums.queues().counts.memory),
            mgmt_db: broker.statistics.memory(),
            ..Memory::default()
        }
        .in_total(system::resident_memory())
    }

    /// Adds what else there is of this many bytes. What is known are estimates: if they exceed it, they are the whole.
    fn in_total(self, resident: u64) -> Self {
        let known = self.connection_readers
            + self.connection_writers
            + self.connection_channels
            + self.connection_other
            + self.queue_procs
            + self.quorum_queue_procs
            + self.stream_queue_procs
            + self.binary
            + self.mgmt_db;
        Memory {
            other_system: resident.saturating_sub(known),
            total: resident.max(known),
            ..self
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

    /// Returns the categories with their bytes.
    pub fn rows(&self) -> Vec<(String, u64)> {
        let all = self.categories().into_iter();
        all.filter_map(|(name, bytes)| Some((name, bytes.as_u64()?)))
            .collect()
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

    fn sum(object: &Value) -> u64 {
        let values = object.as_object().unwrap().iter();
        let counted = values.filter(|(name, _)| *name != "total");
        counted.filter_map(|(_, value)| value.as_u64()).sum()
    }

    #[test]
    fn the_categories_add_up_to_the_whole() {
        let known = Memory {
            connection_readers: 1,
            connection_writers: 2,
            connection_channels: 3,
            connection_other: 4,
            queue_procs: 20,
            quorum_queue_procs: 5,
            stream_queue_procs: 5,
            binary: 6,
            mgmt_db: 7,
            ..Memory::default()
        };
        for (resident, other, total) in [(200, 147, 200), (40, 0, 53)] {
            let memory = known.in_total(resident);
            let absolute = memory.absolute();
            assert_eq!((memory.other_system, sum(&absolute)), (other, total));
            assert_eq!(absolute["total"]["rss"], total);
            let relative = memory.relative();
            assert_eq!(relative["queue_procs"], 20 * 100 / total);
            assert_eq!(relative["total"], 100);
            assert!(sum(&relative) <= 100);
        }
    }
}
