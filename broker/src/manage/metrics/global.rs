//! What happened to all messages, by protocol and type of queue (RabbitMQ: `rabbit_global_counters`). Unlike the sums of
//! objects, these never decrease.

use super::description::{Metric, Sink, histogram, metrics};
use crate::domain::broker::Broker;
use crate::engine::queue::{QueueKind, Reason};
use crate::engine::statistics::{MessageStats, SIZE_BOUNDS, Strategy, Traffic};

/// The protocol that everything is published and delivered with.
pub(super) const PROTOCOL: (&str, &str) = ("protocol", "amqp091");
const PREFIX: &str = "rabbitmq_global_";

/// What is counted by protocol.
pub(super) struct ByProtocol {
    pub(super) traffic: Traffic,
    pub(super) publishers: u64,
    pub(super) consumers: u64,
}

/// The counters by protocol.
pub(super) const BY_PROTOCOL: &[Metric<ByProtocol>] = metrics! { ByProtocol;
    Counter messages_received_total "Messages published by clients" |p| p.traffic.published.publish;
    Counter messages_received_confirm_total "Messages published by clients that expect a confirm" |p| p.traffic.with_confirm;
    Counter messages_routed_total "Messages routed to queues and streams, counted once for each" |p| p.traffic.published.publish_out;
    Counter messages_unroutable_dropped_total "Messages that no queue took, which were dropped" |p| p.traffic.published.drop_unroutable;
    Counter messages_unroutable_returned_total "Mandatory messages that no queue took, which were returned" |p| p.traffic.published.return_unroutable;
    Counter messages_confirmed_total "Messages confirmed to their publishers" |p| p.traffic.published.confirm;
    Gauge publishers "Open channels that have published" |p| p.publishers;
    Gauge consumers "Consumers" |p| p.consumers;
};

/// The counters by protocol and type of queue.
pub(super) const BY_KIND: &[Metric<MessageStats>] = metrics! { MessageStats;
    Counter messages_delivered_total "Messages delivered to consumers or fetched with basic.get" |s| s.deliver_get();
    Counter messages_delivered_consume_manual_ack_total "Messages delivered to consumers that acknowledge" |s| s.deliver;
    Counter messages_delivered_consume_auto_ack_total "Messages delivered to consumers that do not acknowledge" |s| s.deliver_no_ack;
    Counter messages_delivered_get_manual_ack_total "Messages fetched with basic.get, to be acknowledged" |s| s.get;
    Counter messages_delivered_get_auto_ack_total "Messages fetched with basic.get that need no acknowledgement" |s| s.get_no_ack;
    Counter messages_get_empty_total "Uses of basic.get on empty queues" |s| s.get_empty;
    Counter messages_redelivered_total "Messages delivered or fetched again" |s| s.redeliver;
    Counter messages_acknowledged_total "Messages acknowledged by clients" |s| s.ack;
};

/// Returns RabbitMQ's name of a type of queue in labels.
pub(super) fn kind_label(kind: QueueKind) -> &'static str {
    match kind {
        QueueKind::Classic => "rabbit_classic_queue",
        QueueKind::Quorum => "rabbit_quorum_queue",
        QueueKind::Stream => "rabbit_stream_queue",
    }
}

/// Writes the counters.
pub(super) fn write(sink: &mut dyn Sink, broker: &Broker, counts: &ByProtocol) {
    for metric in BY_PROTOCOL {
        let name = format!("{PREFIX}{}", metric.name);
        sink.begin(&name, metric.kind, metric.help);
        if let Some(value) = (metric.value)(counts) {
            sink.value(&name, "", &[PROTOCOL], value);
        }
    }
    for metric in BY_KIND {
        let name = format!("{PREFIX}{}", metric.name);
        sink.begin(&name, metric.kind, metric.help);
        for kind in QueueKind::ALL {
            let labels = [PROTOCOL, ("queue_type", kind_label(kind))];
            if let Some(value) = (metric.value)(&counts.traffic.by_kind[kind as usize]) {
                sink.value(&name, "", &labels, value);
            }
        }
    }
    write_dead_letters(sink, broker);
}

fn write_dead_letters(sink: &mut dyn Sink, broker: &Broker) {
    for (reason, name, help) in [
        (
            Reason::MaxLength,
            "maxlen",
            "Messages that a full queue dropped",
        ),
        (
            Reason::Expired,
            "expired",
            "Messages whose time to live was over",
        ),
        (
            Reason::Rejected,
            "rejected",
            "Messages that consumers rejected for good",
        ),
        (
            Reason::DeliveryLimit,
            "delivery_limit",
            "Messages whose delivery failed too often",
        ),
    ] {
        let name = format!("{PREFIX}messages_dead_lettered_{name}_total");
        sink.begin(&name, super::Kind::Counter, help);
        for kind in [QueueKind::Classic, QueueKind::Quorum] {
            for strategy in Strategy::ALL {
                if kind == QueueKind::Classic
                    && (strategy == Strategy::AtLeastOnce || reason == Reason::DeliveryLimit)
                {
                    continue;
                }
                let labels = [
                    ("queue_type", kind_label(kind)),
                    ("dead_letter_strategy", strategy.as_str()),
                ];
                let count = broker.statistics.dead_letters.get(kind, reason, strategy);
                sink.value(&name, "", &labels, count as f64);
            }
        }
    }
}

/// Writes the sizes of messages.
pub(super) fn write_sizes(sink: &mut dyn Sink, broker: &Broker) {
    let sizes = broker.statistics.message_sizes.get();
    histogram(
        sink,
        (
            "rabbitmq_message_size_bytes",
            "Sizes of the published messages",
        ),
        &[PROTOCOL],
        (&SIZE_BOUNDS.map(size_bound), &sizes.classes),
        sizes.bytes as f64,
    );
}

/// Returns a bound as RabbitMQ writes it, which dashboards depend on: `100000.0`, `1e+06`.
fn size_bound(bound: u64) -> String {
    let digits = bound.to_string();
    let exponent = digits.len() - 1;
    match exponent < 6 {
        true => format!("{digits}.0"),
        false => format!("{}e+{exponent:02}", digits.trim_end_matches('0')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_written_as_dashboards_expect_them() {
        let written = SIZE_BOUNDS.map(size_bound);
        let expected = [
            "100.0", "1000.0", "10000.0", "100000.0", "1e+06", "1e+07", "5e+07", "1e+08",
        ];
        assert_eq!(written, expected);
    }
}
