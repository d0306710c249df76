//! What queues hold, one or many together: the only place that derives RabbitMQ's figures from the counts.

use crate::engine::queue::Counts;
use crate::engine::statistics::QueueSums;
use serde::Serialize;
use utoipa::ToSchema;

/// The approximate memory of a queue without its messages, in bytes.
const QUEUE_MEMORY: u64 = 1024;
/// The approximate memory of an unacknowledged delivery without its body, in bytes.
const DELIVERY_MEMORY: u64 = 160;

/// The numbers of messages in a queue (`enable_queue_totals`), or in several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueueTotals {
    /// All messages: ready, unacknowledged, and waiting for a retry or for dead-lettering.
    pub messages: u64,
    /// Messages ready for delivery.
    pub messages_ready: u64,
    /// Messages delivered and not acknowledged.
    pub messages_unacknowledged: u64,
}

impl QueueTotals {
    /// Returns the numbers of these counts.
    pub fn of(counts: &Counts) -> Self {
        QueueTotals {
            messages: counts.all().messages,
            messages_ready: counts.ready,
            messages_unacknowledged: counts.unacked,
        }
    }
}

/// What a queue holds, or several. Sizes are in bytes; those of messages are of their bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueueContents {
    /// The number of consumers.
    pub consumers: u64,
    /// The memory that it takes.
    pub memory: u64,
    /// Persistent messages.
    pub messages_persistent: u64,
    /// Messages in memory.
    pub messages_ram: u64,
    /// Ready messages in memory.
    pub messages_ready_ram: u64,
    /// Unacknowledged messages in memory: all of them.
    pub messages_unacknowledged_ram: u64,
    /// Messages that are only on disk.
    pub messages_paged_out: u64,
    /// The size of all messages.
    pub message_bytes: u64,
    /// The size of ready messages.
    pub message_bytes_ready: u64,
    /// The size of unacknowledged messages.
    pub message_bytes_unacknowledged: u64,
    /// The size of persistent messages.
    pub message_bytes_persistent: u64,
    /// The size of messages in memory.
    pub message_bytes_ram: u64,
    /// The size of messages that are only on disk.
    pub message_bytes_paged_out: u64,
}

impl QueueContents {
    /// Returns what these queues hold.
    pub fn of(sums: &QueueSums) -> Self {
        let counts = &sums.counts;
        let (all, dlx) = (counts.all(), &counts.undelivered);
        QueueContents {
            consumers: counts.consumers,
            memory: memory(sums) + unacknowledged_memory(sums),
            messages_persistent: counts.persistent + dlx.messages,
            messages_ram: all.messages - all.paged_out,
            messages_ready_ram: counts.ready.saturating_sub(counts.paged_out),
            messages_unacknowledged_ram: counts.unacked,
            messages_paged_out: all.paged_out,
            message_bytes: all.bytes,
            // Messages waiting for a retry count as ready (`rabbit_fifo:add_bytes_return`).
            message_bytes_ready: counts.ready_bytes + counts.waiting.bytes,
            message_bytes_unacknowledged: counts.unacked_bytes,
            message_bytes_persistent: counts.persistent_bytes + dlx.bytes,
            message_bytes_ram: all.bytes - all.paged_out_bytes,
            message_bytes_paged_out: all.paged_out_bytes,
        }
    }
}

/// Returns the approximate memory of queues with the messages that nobody has, in bytes.
pub(super) fn memory(sums: &QueueSums) -> u64 {
    sums.queues * QUEUE_MEMORY + sums.counts.memory
}

/// Returns the approximate memory of what consumers of these queues have and have not acknowledged, in bytes.
fn unacknowledged_memory(sums: &QueueSums) -> u64 {
    sums.counts.unacked * DELIVERY_MEMORY + sums.counts.unacked_bytes
}
