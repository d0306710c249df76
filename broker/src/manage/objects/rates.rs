//! Counters as objects show them: each with its value and, beside it, how it moves (`publish`, `publish_details`).

use super::contents::QueueTotals;
use crate::domain::broker::Broker;
use crate::domain::connections::ConnectionInfo;
use crate::domain::vhost::Vhost;
use crate::engine::queue::Queue;
use crate::engine::statistics::{ChurnCounts, ExchangeCounts, MessageStats, Tracked};
use crate::manage::access::{Principal, Right};
use crate::manage::statistics::{Columns, Details, Ranges, Series};
use serde::Serialize;
use serde_json::{Map, Number, Value};
use std::sync::Arc;
use utoipa::ToSchema;

/// Shows counters, with samples of the ranges that were asked for.
#[derive(Clone)]
pub struct Rates {
    /// The ranges of the samples.
    pub ranges: Ranges,
}

/// `message_stats`: counters by name, and their details.
pub type MessageStatistics = Map<String, Value>;

/// How the numbers of messages move.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct LengthDetails {
    /// Of all messages.
    #[schema(value_type = Object)]
    pub messages_details: Details,
    /// Of ready messages.
    #[schema(value_type = Object)]
    pub messages_ready_details: Details,
    /// Of unacknowledged messages.
    #[schema(value_type = Object)]
    pub messages_unacknowledged_details: Details,
}

/// How the bytes of a connection move.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ByteDetails {
    /// Of those received.
    #[schema(value_type = Object)]
    pub recv_oct_details: Details,
    /// Of those sent.
    #[schema(value_type = Object)]
    pub send_oct_details: Details,
}

impl Rates {
    /// Returns `message_stats`; `None` if nothing was counted yet, as in RabbitMQ.
    pub fn message_stats(
        &self,
        broker: &Broker,
        stats: &MessageStats,
        tracked: &Tracked,
        columns: &'static Columns,
    ) -> Option<MessageStatistics> {
        if stats.is_zero() {
            return None;
        }
        let series = Series::of(&broker.statistics, tracked, columns, self.ranges.msg_rates);
        let mut shown = Map::new();
        let counters = stats.iter().chain([("deliver_get", stats.deliver_get())]);
        for (name, value) in counters {
            if let Some(details) = series.details(name) {
                shown.insert(name.to_owned(), value.into());
                shown.insert(format!("{name}_details"), json(&details));
            }
        }
        Some(shown)
    }

    /// Returns how the numbers of messages move.
    pub fn lengths(
        &self,
        broker: &Broker,
        tracked: &Tracked,
        columns: &'static Columns,
    ) -> LengthDetails {
        let series = Series::of(&broker.statistics, tracked, columns, self.ranges.lengths);
        let of = |name| series.details(name).unwrap_or_default();
        LengthDetails {
            messages_details: of("messages"),
            messages_ready_details: of("messages_ready"),
            messages_unacknowledged_details: of("messages_unacknowledged"),
        }
    }

    /// Returns how the bytes of a connection, or of several, move.
    pub fn bytes(
        &self,
        broker: &Broker,
        tracked: &Tracked,
        columns: &'static Columns,
    ) -> ByteDetails {
        let series = Series::of(&broker.statistics, tracked, columns, self.ranges.data_rates);
        let of = |name| series.details(name).unwrap_or_default();
        ByteDetails {
            recv_oct_details: of("recv_oct"),
            send_oct_details: of("send_oct"),
        }
    }

    /// Returns the counters of these names with their details, one after the other: of the node, or of what comes and goes.
    pub fn counters<'a>(
        &self,
        broker: &Broker,
        tracked: &Tracked,
        columns: &'static Columns,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> Map<String, Value> {
        let (mut shown, mut names) = (Map::new(), Vec::new());
        for (name, value) in values {
            shown.insert(name.to_owned(), value.into());
            names.push(name);
        }
        shown.extend(self.details(broker, tracked, columns, names));
        shown
    }

    /// Returns how the counters of these names move: of the node, or of what comes and goes.
    fn details<'a>(
        &self,
        broker: &Broker,
        tracked: &Tracked,
        columns: &'static Columns,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Map<String, Value> {
        let series = Series::of(&broker.statistics, tracked, columns, self.ranges.node_stats);
        let details = |name: &str| json(&series.details(name).unwrap_or_default());
        let names = names.into_iter();
        names
            .map(|name| (format!("{name}_details"), details(name)))
            .collect()
    }
}

fn json(details: &Details) -> Value {
    // Numbers and lists of numbers can always be written.
    serde_json::to_value(details).unwrap_or_default()
}

/// An object with its counters.
#[derive(Clone, Debug, Serialize)]
pub struct Counted<T> {
    /// The object.
    #[serde(flatten)]
    pub object: T,
    /// Its counters; empty without statistics.
    #[serde(flatten)]
    pub counters: Map<String, Value>,
}

impl Rates {
    /// Returns the counters of a queue.
    pub fn of_queue(&self, broker: &Broker, queue: &Queue) -> Map<String, Value> {
        let (tracked, columns) = (&queue.tracked, &Columns::QUEUE);
        let mut shown = fields(&self.lengths(broker, tracked, columns));
        let stats = self.message_stats(broker, &queue.stats(), tracked, columns);
        insert_stats(&mut shown, stats);
        shown
    }

    /// Returns the counters of an exchange.
    pub fn of_exchange(&self, broker: &Broker, counts: &ExchangeCounts) -> Map<String, Value> {
        let mut shown = Map::new();
        let stats = self.message_stats(broker, &counts.get(), &counts.tracked, &Columns::EXCHANGE);
        insert_stats(&mut shown, stats);
        shown
    }

    /// Returns the counters of a virtual host.
    pub fn of_vhost(&self, broker: &Broker, vhost: &Vhost) -> Map<String, Value> {
        let (tracked, columns) = (&vhost.statistics.tracked, &Columns::VHOST);
        let sums = vhost.statistics.sums();
        let mut shown = fields(&self.lengths(broker, tracked, columns));
        shown.extend(fields(&self.bytes(broker, tracked, columns)));
        let [received, sent] = sums.bytes;
        shown.insert("recv_oct".to_owned(), received.into());
        shown.insert("send_oct".to_owned(), sent.into());
        let stats = self.message_stats(broker, &sums.stats(), tracked, columns);
        insert_stats(&mut shown, stats);
        shown
    }

    /// Returns the counters of a connection.
    pub fn of_connection(&self, broker: &Broker, info: &ConnectionInfo) -> Map<String, Value> {
        let (tracked, columns) = (&info.tracked, &Columns::CONNECTION);
        let mut shown = fields(&self.bytes(broker, tracked, columns));
        let stats = self.message_stats(broker, &info.stats.get(), tracked, columns);
        insert_stats(&mut shown, stats);
        shown
    }

    /// Returns the counters of a channel.
    pub fn of_channel(
        &self,
        broker: &Broker,
        stats: &MessageStats,
        tracked: &Tracked,
    ) -> Map<String, Value> {
        let mut shown = Map::new();
        let stats = self.message_stats(broker, stats, tracked, &Columns::CHANNEL);
        insert_stats(&mut shown, stats);
        shown
    }

    /// Returns how the figures of the node move, and what came and went.
    pub fn of_node(&self, broker: &Broker) -> Map<String, Value> {
        let (node, columns) = (&broker.statistics.node, &Columns::NODE);
        let mut shown = self.details(broker, node, columns, columns.names());
        shown.extend(self.churn(broker));
        shown
    }

    /// Returns what a principal sees moving: in the whole broker, or in the virtual hosts that it may see.
    pub fn of_broker(
        &self,
        broker: &Broker,
        principal: &Principal,
        totals: &QueueTotals,
    ) -> Map<String, Value> {
        let vhosts = principal.visible_vhosts(broker, Right::Monitoring);
        let (mut lengths, stats) = if principal.has(Right::Monitoring) {
            let mut sums = broker.statistics.retired();
            for vhost in &vhosts {
                sums.add(&vhost.statistics.sums());
            }
            let (tracked, columns) = (&broker.statistics.broker, &Columns::BROKER);
            let lengths = fields(&self.lengths(broker, tracked, columns));
            let stats = self.message_stats(broker, &sums.stats(), tracked, columns);
            (lengths, stats.unwrap_or_default())
        } else {
            // Without the right nobody learns how much happens elsewhere.
            self.of_vhosts(broker, &vhosts)
        };
        lengths.extend(fields(totals));
        Map::from_iter([
            ("queue_totals".to_owned(), lengths.into()),
            ("message_stats".to_owned(), stats.into()),
            ("churn_rates".to_owned(), self.churn(broker).into()),
        ])
    }

    /// Returns how the numbers of messages of some virtual hosts move together, and their `message_stats`.
    fn of_vhosts(
        &self,
        broker: &Broker,
        vhosts: &[Arc<Vhost>],
    ) -> (Map<String, Value>, MessageStatistics) {
        let (tracked, columns) = (Tracked::default(), &Columns::VHOST);
        let mut lengths = fields(&self.lengths(broker, &tracked, columns));
        let mut stats = Map::new();
        for vhost in vhosts {
            let (tracked, sums) = (&vhost.statistics.tracked, vhost.statistics.sums());
            let own = self.lengths(broker, tracked, columns);
            add(&mut lengths, fields(&own));
            let own = self.message_stats(broker, &sums.stats(), tracked, columns);
            add(&mut stats, own.unwrap_or_default());
        }
        (lengths, stats)
    }

    fn churn(&self, broker: &Broker) -> Map<String, Value> {
        let counts = broker.statistics.churn.get();
        let values = ChurnCounts::NAMES.into_iter().zip(counts.values());
        let tracked = &broker.statistics.broker;
        self.counters(broker, tracked, &Columns::BROKER, values)
    }
}

/// Adds figures to others of the same shape. Samples are of the same times, as they are of the same ranges.
fn add(sum: &mut Map<String, Value>, other: Map<String, Value>) {
    for (key, value) in other {
        match sum.get_mut(&key) {
            Some(_) if key == "timestamp" => {}
            Some(sum) => add_value(sum, value),
            None => {
                sum.insert(key, value);
            }
        }
    }
}

fn add_value(sum: &mut Value, other: Value) {
    match (sum, other) {
        (Value::Object(sum), Value::Object(other)) => add(sum, other),
        (Value::Array(sum), Value::Array(other)) => {
            let both = sum.iter_mut().zip(other);
            both.for_each(|(sum, other)| add_value(sum, other));
        }
        (Value::Number(sum), Value::Number(other)) => {
            let whole = sum.as_u64().zip(other.as_u64());
            let decimal = sum.as_f64().zip(other.as_f64());
            let added = whole.map(|(sum, other)| sum.saturating_add(other).into());
            let added = added.or_else(|| decimal.and_then(|(a, b)| Number::from_f64(a + b)));
            *sum = added.unwrap_or(other);
        }
        _ => {}
    }
}

fn insert_stats(shown: &mut Map<String, Value>, stats: Option<MessageStatistics>) {
    if let Some(stats) = stats {
        shown.insert("message_stats".to_owned(), stats.into());
    }
}

fn fields(object: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(object) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_of_virtual_hosts_add_up() {
        let figures = |value: f64, sample: u64| json!({"publish": sample, "publish_details": {"rate": value, "samples": [{"sample": sample, "timestamp": 9}]}});
        let mut sum = json!({});
        add_value(&mut sum, figures(0.5, 3));
        add_value(&mut sum, figures(1.0, 4));
        assert_eq!(sum, figures(1.5, 7));
        add_value(&mut sum, json!({"ack": 1}));
        assert_eq!((&sum["ack"], &sum["publish"]), (&json!(1), &json!(7)));
    }
}
