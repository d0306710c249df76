//! Virtual hosts.

use super::contents::QueueTotals;
use crate::domain::broker::Broker;
use crate::domain::vhost;
use crate::domain::vhost::spec::VhostMetadata;
use crate::engine::queue::QueueKind;
use crate::manage::statistics::visit;
use crate::text::names::NODE_NAME;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// A virtual host.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Vhost {
    /// Its name.
    pub name: String,
    /// What operators say about it.
    pub description: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The type of queues that are declared without one.
    pub default_queue_type: &'static str,
    /// Whether deleting it is refused.
    pub protected_from_deletion: bool,
    /// Whether messages are traced.
    pub tracing: bool,
    /// Its state on each node.
    pub cluster_state: BTreeMap<&'static str, &'static str>,
    /// Description, tags and so on once more.
    #[schema(value_type = Object)]
    pub metadata: VhostMetadata,
    /// Its messages.
    #[serde(flatten)]
    pub totals: QueueTotals,
}

impl Vhost {
    /// Describes a virtual host.
    pub fn of(broker: &Broker, vhost: &Arc<vhost::Vhost>) -> Self {
        visit(broker);
        let queues = vhost.statistics.sums().queues();
        let metadata = vhost.metadata();
        let default = metadata.default_queue_type.unwrap_or(QueueKind::Classic);
        Vhost {
            name: vhost.name().to_string(),
            description: metadata.description.clone(),
            tags: metadata.tags.clone(),
            default_queue_type: default.as_str(),
            protected_from_deletion: metadata.protected_from_deletion,
            tracing: vhost.is_traced(),
            cluster_state: BTreeMap::from([(NODE_NAME, "running")]),
            metadata: VhostMetadata::clone(&metadata),
            totals: QueueTotals::of(&queues.counts),
        }
    }
}
