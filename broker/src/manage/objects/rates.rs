//! Counters as objects show them: each with its value and, beside it, how it moves (`publish`, `publish_details`).

use crate::domain::broker::Broker;
use crate::engine::statistics::{MessageStats, Tracked};
use crate::manage::statistics::{Columns, Details, Ranges, Series};
use serde::Serialize;
use serde_json::{Map, Value};
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
pub struct OctetDetails {
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
    pub fn octets(
        &self,
        broker: &Broker,
        tracked: &Tracked,
        columns: &'static Columns,
    ) -> OctetDetails {
        let series = Series::of(&broker.statistics, tracked, columns, self.ranges.data_rates);
        let of = |name| series.details(name).unwrap_or_default();
        OctetDetails {
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
        let series = Series::of(&broker.statistics, tracked, columns, self.ranges.node_stats);
        let mut shown = Map::new();
        for (name, value) in values {
            shown.insert(name.to_owned(), value.into());
            let details = series.details(name).unwrap_or_default();
            shown.insert(format!("{name}_details"), json(&details));
        }
        shown
    }
}

fn json(details: &Details) -> Value {
    // Numbers and lists of numbers can always be written.
    serde_json::to_value(details).unwrap_or_default()
}
