//! RabbitMQ's feature flags: clients ask for those that they need.

use serde::Serialize;
use utoipa::ToSchema;

/// A feature of RabbitMQ's.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct FeatureFlag {
    /// RabbitMQ's name.
    pub name: &'static str,
    /// What it is.
    pub desc: &'static str,
    /// Where to read about it.
    pub doc_url: &'static str,
    /// The application that has it.
    pub provided_by: &'static str,
    /// `stable`.
    pub stability: &'static str,
    /// `enabled`.
    pub state: &'static str,
}

const fn broker(name: &'static str, desc: &'static str) -> FeatureFlag {
    FeatureFlag {
        name,
        desc,
        doc_url: "",
        provided_by: "rabbit",
        stability: "stable",
        state: "enabled",
    }
}

const fn statistics(name: &'static str, desc: &'static str) -> FeatureFlag {
    FeatureFlag {
        provided_by: "rabbitmq_management_agent",
        ..broker(name, desc)
    }
}

/// The features that the broker has, by name.
pub const FEATURE_FLAGS: [FeatureFlag; 15] = [
    broker(
        "classic_queue_type_delivery_support",
        "Deliveries of classic queues",
    ),
    broker("detailed_queues_endpoint", "The path /api/queues/detailed"),
    broker(
        "direct_exchange_routing_v2",
        "Fast routing in direct exchanges",
    ),
    statistics(
        "drop_unroutable_metric",
        "Unroutable messages that were dropped are counted",
    ),
    statistics(
        "empty_basic_get_metric",
        "basic.get of empty queues is counted",
    ),
    broker("feature_flags_v2", "Feature flags"),
    broker(
        "implicit_default_bindings",
        "Bindings to the default exchange are not stored",
    ),
    broker("maintenance_mode_status", "Maintenance mode status"),
    broker(
        "message_containers",
        "Messages are kept as they were published",
    ),
    broker("quorum_queue", "Queues of the type quorum"),
    broker("stream_filtering", "Filters of stream consumers"),
    broker("stream_queue", "Queues of the type stream"),
    broker(
        "stream_single_active_consumer",
        "Single active consumers of streams",
    ),
    broker("user_limits", "Limits of users"),
    broker(
        "virtual_host_metadata",
        "Descriptions and tags of virtual hosts",
    ),
];

#[cfg(test)]
mod tests {
    use super::FEATURE_FLAGS;

    #[test]
    fn features_are_listed_by_name() {
        assert!(FEATURE_FLAGS.is_sorted_by_key(|flag| flag.name));
    }
}
