//! The metrics of queues, exchanges, channels and connections.

use super::description::{Metric, metrics};
use crate::domain::connections::Traffic;
use crate::engine::clock::Time;
use crate::engine::queue::{Counts, Queue};
use crate::engine::statistics::MessageStats;
use crate::manage::objects::queue::memory;
use crate::plumbing::report::ChannelReport;

/// What a queue has, or all of them together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct QueueFigures {
    pub(super) consumers: u64,
    utilisation: Option<f64>,
    memory: u64,
    ready: u64,
    pub(super) unacked: u64,
    messages: u64,
    bytes: u64,
    ready_bytes: u64,
    unacked_bytes: u64,
    pub(super) paged_out: u64,
    pub(super) paged_out_bytes: u64,
    ready_paged_out: u64,
    persistent: u64,
    persistent_bytes: u64,
    pub(super) waiting: u64,
    pub(super) undelivered: u64,
    disk_reads: u64,
    disk_writes: u64,
}

impl QueueFigures {
    /// Reads a queue; its utilisation only if the time is given.
    pub(super) fn of(queue: &Queue, now: Option<Time>) -> Self {
        let (counts, stats): (Counts, _) = (queue.counts(), queue.stats());
        let all = counts.all();
        QueueFigures {
            consumers: counts.consumers,
            utilisation: now.and_then(|now| queue.utilisation(now)),
            memory: memory(&counts),
            ready: counts.ready,
            unacked: counts.unacked,
            messages: all.messages,
            bytes: all.bytes,
            ready_bytes: counts.ready_bytes + counts.waiting.bytes,
            unacked_bytes: counts.unacked_bytes,
            paged_out: all.paged_out,
            paged_out_bytes: all.paged_out_bytes,
            ready_paged_out: counts.paged_out,
            persistent: counts.persistent + counts.undelivered.messages,
            persistent_bytes: counts.persistent_bytes + counts.undelivered.bytes,
            waiting: counts.waiting.messages,
            undelivered: counts.undelivered.messages,
            disk_reads: stats.disk_reads,
            disk_writes: stats.disk_writes,
        }
    }

    /// Adds those of another queue.
    pub(super) fn add(&mut self, other: &QueueFigures) {
        // Destructured, so that a figure that is added later cannot be forgotten here.
        let QueueFigures {
            consumers,
            utilisation: _,
            memory,
            ready,
            unacked,
            messages,
            bytes,
            ready_bytes,
            unacked_bytes,
            paged_out,
            paged_out_bytes,
            ready_paged_out,
            persistent,
            persistent_bytes,
            waiting,
            undelivered,
            disk_reads,
            disk_writes,
        } = other;
        self.consumers += consumers;
        self.memory += memory;
        self.ready += ready;
        self.unacked += unacked;
        self.messages += messages;
        self.bytes += bytes;
        self.ready_bytes += ready_bytes;
        self.unacked_bytes += unacked_bytes;
        self.paged_out += paged_out;
        self.paged_out_bytes += paged_out_bytes;
        self.ready_paged_out += ready_paged_out;
        self.persistent += persistent;
        self.persistent_bytes += persistent_bytes;
        self.waiting += waiting;
        self.undelivered += undelivered;
        self.disk_reads += disk_reads;
        self.disk_writes += disk_writes;
    }
}

/// `queue_coarse_metrics`.
pub(super) const QUEUE_COARSE: &[Metric<QueueFigures>] = metrics! { QueueFigures;
    Gauge queue_messages_ready "Messages that wait for a consumer" |q| q.ready;
    Gauge queue_messages_unacked "Messages that consumers have and have not acknowledged" |q| q.unacked;
    Gauge queue_messages "All messages of the queues, ready or not" |q| q.messages;
};

/// `queue_consumer_count`.
pub(super) const QUEUE_CONSUMERS: &[Metric<QueueFigures>] = metrics! { QueueFigures;
    Gauge queue_consumers "Consumers of the queues" |q| q.consumers;
};

/// `queue_metrics`.
pub(super) const QUEUE: &[Metric<QueueFigures>] = metrics! { QueueFigures;
    Gauge queue_consumers "Consumers of the queues" |q| q.consumers;
    Gauge queue_consumer_capacity "Part of the time, from 0 to 1, in which consumers took messages at once" |q| q.utilisation;
    Gauge queue_consumer_utilisation "The same as queue_consumer_capacity" |q| q.utilisation;
    Gauge queue_process_memory_bytes "Memory of the queues and their messages" |q| q.memory;
    Gauge queue_messages_ram "Messages in memory" |q| q.messages - q.paged_out;
    Gauge queue_messages_ram_bytes "Size of the messages in memory" |q| q.bytes - q.paged_out_bytes;
    Gauge queue_messages_ready_ram "Ready messages in memory" |q| q.ready.saturating_sub(q.ready_paged_out);
    Gauge queue_messages_unacked_ram "Unacknowledged messages in memory" |q| q.unacked;
    Gauge queue_messages_persistent "Persistent messages" |q| q.persistent;
    Gauge queue_messages_persistent_bytes "Size of the persistent messages" |q| q.persistent_bytes;
    Gauge queue_messages_bytes "Size of all messages" |q| q.bytes;
    Gauge queue_messages_ready_bytes "Size of the ready messages" |q| q.ready_bytes;
    Gauge queue_messages_unacked_bytes "Size of the unacknowledged messages" |q| q.unacked_bytes;
    Counter queue_disk_reads_total "Messages that the queues have read from disk" |q| q.disk_reads;
    Counter queue_disk_writes_total "Messages that the queues have written to disk" |q| q.disk_writes;
};

/// `queue_delivery_metrics`.
pub(super) const QUEUE_DELIVERY: &[Metric<MessageStats>] = metrics! { MessageStats;
    Counter queue_get_ack_total "Messages fetched from queues with basic.get, to be acknowledged" |s| s.get;
    Counter queue_get_total "Messages fetched from queues with basic.get that need no acknowledgement" |s| s.get_no_ack;
    Counter queue_messages_delivered_ack_total "Messages delivered from queues to consumers that acknowledge" |s| s.deliver;
    Counter queue_messages_delivered_total "Messages delivered from queues to consumers that do not acknowledge" |s| s.deliver_no_ack;
    Counter queue_messages_redelivered_total "Messages delivered from queues again" |s| s.redeliver;
    Counter queue_messages_acked_total "Messages of queues that were acknowledged" |s| s.ack;
    Counter queue_get_empty_total "Uses of basic.get on empty queues" |s| s.get_empty;
};

/// `channel_queue_exchange_metrics` of a queue: its channels and exchanges are not counted by themselves.
pub(super) const QUEUE_PUBLISHED: &[Metric<MessageStats>] = metrics! { MessageStats;
    Counter queue_messages_published_total "Messages routed to queues" |s| s.publish;
};

/// The same for all queues together.
pub(super) const ALL_PUBLISHED: &[Metric<MessageStats>] = metrics! { MessageStats;
    Counter queue_messages_published_total "Messages routed to queues" |s| s.publish_out;
};

/// `exchange_metrics`; what is confirmed or unroutable is counted by channel.
pub(super) const EXCHANGE: &[Metric<MessageStats>] = metrics! { MessageStats;
    Counter exchange_messages_published_total "Messages published to exchanges" |s| s.publish_in;
};

/// `exchange_metrics` of all exchanges together.
pub(super) const ALL_EXCHANGES: &[Metric<MessageStats>] = metrics! { MessageStats;
    Counter exchange_messages_published_total "Messages published to exchanges" |s| s.publish;
    Counter exchange_messages_confirmed_total "Messages published to exchanges and confirmed" |s| s.confirm;
    Counter exchange_messages_unroutable_returned_total "Mandatory messages that no queue took, which were returned" |s| s.return_unroutable;
    Counter exchange_messages_unroutable_dropped_total "Other messages that no queue took, which were dropped" |s| s.drop_unroutable;
};

/// `channel_exchange_metrics`.
pub(super) const CHANNEL_PUBLISHED: &[Metric<MessageStats>] = metrics! { MessageStats;
    Counter channel_messages_published_total "Messages published on channels" |s| s.publish;
    Counter channel_messages_confirmed_total "Messages published on channels and confirmed" |s| s.confirm;
    Counter channel_messages_unroutable_returned_total "Mandatory messages on channels that no queue took, which were returned" |s| s.return_unroutable;
    Counter channel_messages_unroutable_dropped_total "Other messages on channels that no queue took, which were dropped" |s| s.drop_unroutable;
};

/// `channel_queue_metrics`.
pub(super) const CHANNEL_DELIVERED: &[Metric<MessageStats>] = metrics! { MessageStats;
    Counter channel_get_ack_total "Messages fetched on channels with basic.get, to be acknowledged" |s| s.get;
    Counter channel_get_total "Messages fetched on channels with basic.get that need no acknowledgement" |s| s.get_no_ack;
    Counter channel_messages_delivered_ack_total "Messages delivered on channels to consumers that acknowledge" |s| s.deliver;
    Counter channel_messages_delivered_total "Messages delivered on channels to consumers that do not acknowledge" |s| s.deliver_no_ack;
    Counter channel_messages_redelivered_total "Messages delivered on channels again" |s| s.redeliver;
    Counter channel_messages_acked_total "Messages acknowledged on channels" |s| s.ack;
    Counter channel_get_empty_total "Uses of basic.get on channels that found an empty queue" |s| s.get_empty;
};

/// What a channel has, or all of them together, as far as it is known without asking them.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChannelFigures {
    consumers: u64,
    unacked: u64,
    unconfirmed: Option<u64>,
    uncommitted: Option<u64>,
    uncommitted_acks: Option<u64>,
    prefetch: Option<u64>,
    global_prefetch: Option<u64>,
}

impl ChannelFigures {
    /// Reads what a channel reports.
    pub(super) fn of(channel: &ChannelReport) -> Self {
        ChannelFigures {
            consumers: channel.consumers,
            unacked: channel.unacknowledged,
            unconfirmed: Some(channel.unconfirmed),
            uncommitted: Some(channel.uncommitted),
            uncommitted_acks: Some(channel.uncommitted_acks),
            prefetch: Some(channel.prefetch.into()),
            global_prefetch: Some(channel.global_prefetch.into()),
        }
    }

    /// Returns what queues know of all channels: asking thousands of connections would take too long.
    pub(super) fn of_queues(queues: &QueueFigures) -> Self {
        ChannelFigures {
            consumers: queues.consumers,
            unacked: queues.unacked,
            unconfirmed: None,
            uncommitted: None,
            uncommitted_acks: None,
            prefetch: None,
            global_prefetch: None,
        }
    }
}

/// `channel_metrics`.
pub(super) const CHANNEL: &[Metric<ChannelFigures>] = metrics! { ChannelFigures;
    Gauge channel_consumers "Consumers on channels" |c| c.consumers;
    Gauge channel_messages_unacked "Messages delivered on channels and not acknowledged" |c| c.unacked;
    Gauge channel_messages_unconfirmed "Messages published on channels and not confirmed yet" |c| c.unconfirmed;
    Gauge channel_messages_uncommitted "Messages published in transactions that are not committed yet" |c| c.uncommitted;
    Gauge channel_acks_uncommitted "Acknowledgements in transactions that are not committed yet" |c| c.uncommitted_acks;
    Gauge consumer_prefetch "Unacknowledged messages that each new consumer may have, 0 for any number" |c| c.prefetch;
    Gauge channel_prefetch "Unacknowledged messages that a channel may have, 0 for any number" |c| c.global_prefetch;
};

/// `connection_coarse_metrics`.
pub(super) const CONNECTION_COARSE: &[Metric<Traffic>] = metrics! { Traffic;
    Counter connection_incoming_bytes_total "Bytes received from clients" |t| t.received;
    Counter connection_outgoing_bytes_total "Bytes sent to clients" |t| t.sent;
};

/// `connection_metrics`.
pub(super) const CONNECTION: &[Metric<Traffic>] = metrics! { Traffic;
    Counter connection_incoming_packets_total "Reads from the sockets of clients" |t| t.reads;
    Counter connection_outgoing_packets_total "Writes to the sockets of clients" |t| t.writes;
    Gauge connection_channels "Open channels of connections" |t| t.channels;
};
