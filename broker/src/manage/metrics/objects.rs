//! The metrics of queues, exchanges, channels and connections.

use super::description::{Metric, metrics};
use crate::domain::connections::Traffic;
use crate::engine::clock::Time;
use crate::engine::queue::Queue;
use crate::engine::statistics::{MessageStats, QueueSums};
use crate::manage::objects::contents::{QueueContents, QueueTotals};
use crate::plumbing::report::ChannelReport;

/// What a queue has, or all of them together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct QueueFigures {
    pub(super) sums: QueueSums,
    totals: QueueTotals,
    pub(super) contents: QueueContents,
    /// Of one queue only.
    utilisation: Option<f64>,
    /// Of one queue only, and not of streams.
    head_timestamp: Option<u64>,
}

impl QueueFigures {
    /// Reads a queue.
    pub(super) fn of(queue: &Queue, now: Time) -> Self {
        QueueFigures {
            utilisation: queue.utilisation(now),
            head_timestamp: queue.head_timestamp(),
            ..QueueFigures::of_all(queue.sums())
        }
    }

    /// Returns those of many queues.
    pub(super) fn of_all(sums: QueueSums) -> Self {
        QueueFigures {
            sums,
            totals: QueueTotals::of(&sums.counts),
            contents: QueueContents::of(&sums),
            utilisation: None,
            head_timestamp: None,
        }
    }
}

/// `queue_coarse_metrics`.
pub(super) const QUEUE_COARSE: &[Metric<QueueFigures>] = metrics! { QueueFigures;
    Gauge queue_messages_ready "Messages that wait for a consumer" |q| q.totals.messages_ready;
    Gauge queue_messages_unacked "Messages that consumers have and have not acknowledged" |q| q.totals.messages_unacknowledged;
    Gauge queue_messages "All messages of the queues, ready or not" |q| q.totals.messages;
};

/// `queue_consumer_count`.
pub(super) const QUEUE_CONSUMERS: &[Metric<QueueFigures>] = metrics! { QueueFigures;
    Gauge queue_consumers "Consumers of the queues" |q| q.contents.consumers;
};

/// `queue_metrics`.
pub(super) const QUEUE: &[Metric<QueueFigures>] = metrics! { QueueFigures;
    Gauge queue_consumers "Consumers of the queues" |q| q.contents.consumers;
    Gauge queue_consumer_capacity "Part of the time, from 0 to 1, in which consumers took messages at once" |q| q.utilisation;
    Gauge queue_consumer_utilisation "The same as queue_consumer_capacity" |q| q.utilisation;
    Gauge queue_process_memory_bytes "Memory of the queues and their messages" |q| q.contents.memory;
    Gauge queue_messages_ram "Messages in memory" |q| q.contents.messages_ram;
    Gauge queue_messages_ram_bytes "Size of the messages in memory" |q| q.contents.message_bytes_ram;
    Gauge queue_messages_ready_ram "Ready messages in memory" |q| q.contents.messages_ready_ram;
    Gauge queue_messages_unacked_ram "Unacknowledged messages in memory" |q| q.contents.messages_unacknowledged_ram;
    Gauge queue_messages_persistent "Persistent messages" |q| q.contents.messages_persistent;
    Gauge queue_messages_persistent_bytes "Size of the persistent messages" |q| q.contents.message_bytes_persistent;
    Gauge queue_messages_bytes "Size of all messages" |q| q.contents.message_bytes;
    Gauge queue_messages_ready_bytes "Size of the ready messages" |q| q.contents.message_bytes_ready;
    Gauge queue_messages_unacked_bytes "Size of the unacknowledged messages" |q| q.contents.message_bytes_unacknowledged;
    Gauge queue_head_message_timestamp "Timestamp of the first message, in seconds since 1970, if it has one and is in memory" |q| q.head_timestamp;
    Counter queue_disk_reads_total "Messages that the queues have read from disk" |q| q.sums.disk_reads;
    Counter queue_disk_writes_total "Messages that the queues have written to disk" |q| q.sums.disk_writes;
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

/// `queue_exchange_metrics` of all queues and exchanges together: pairs are not counted by themselves.
pub(super) const ALL_ROUTED: &[Metric<MessageStats>] = metrics! { MessageStats;
    Counter queue_exchange_messages_published_total "Messages routed from exchanges to queues" |s| s.publish_out;
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
            consumers: queues.contents.consumers,
            unacked: queues.contents.messages_unacknowledged_ram,
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

/// `connection_metrics`, as far as they are not counted with the traffic. RabbitMQ calls these bytes packets.
pub(super) const CONNECTION_PENDING: &[Metric<u64>] = metrics! { u64;
    Gauge connection_pending_packets "Bytes that wait to be sent to clients" |pending| *pending;
};

/// `connection_metrics`.
pub(super) const CONNECTION: &[Metric<Traffic>] = metrics! { Traffic;
    Counter connection_incoming_packets_total "Reads from the sockets of clients" |t| t.reads;
    Counter connection_outgoing_packets_total "Writes to the sockets of clients" |t| t.writes;
    Gauge connection_channels "Open channels of connections" |t| t.channels;
};
