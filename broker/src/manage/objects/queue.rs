//! Queues and streams.

use super::Arguments;
use crate::domain::broker::Broker;
use crate::engine::queue as engine;
use crate::manage::table;
use crate::text::names::NODE_NAME;
use serde::Serialize;
use utoipa::ToSchema;

/// A queue or a stream.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Its virtual host.
    pub vhost: String,
    /// `classic`, `quorum` or `stream`.
    pub r#type: &'static str,
    /// Whether it survives a restart.
    pub durable: bool,
    /// Whether it is deleted with its last consumer.
    pub auto_delete: bool,
    /// Whether it belongs to one connection.
    pub exclusive: bool,
    /// The arguments of its declaration.
    #[schema(value_type = Object)]
    pub arguments: Arguments,
    /// The node that has it.
    pub node: &'static str,
    /// `running`.
    pub state: &'static str,
    /// All messages: ready, unacknowledged, and waiting for a retry or for dead-lettering.
    pub messages: u64,
    /// Messages ready for delivery.
    pub messages_ready: u64,
    /// Messages delivered and not acknowledged.
    pub messages_unacknowledged: u64,
}

impl Queue {
    /// Describes a queue.
    pub fn of(_broker: &Broker, queue: &engine::Queue) -> Self {
        let counts = queue.counts();
        let all = counts.all();
        let spec = &queue.spec;
        Queue {
            name: queue.name().to_string(),
            vhost: queue.vhost.to_string(),
            r#type: spec.kind().as_str(),
            durable: spec.durable,
            auto_delete: spec.auto_delete,
            exclusive: spec.exclusive_to.is_some(),
            arguments: table::json(&spec.arguments),
            node: NODE_NAME,
            state: "running",
            messages: all.messages,
            messages_ready: counts.ready,
            messages_unacknowledged: counts.unacked,
        }
    }
}
