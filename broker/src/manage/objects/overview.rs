//! The broker as a whole.

use super::connection::Connection;
use super::contents::QueueTotals;
use super::listener::{Listener, WebContext};
use super::node::{Choice, exchange_types};
use crate::domain::vhost::Vhost;
use crate::engine::statistics::{QueueSums, VhostSums};
use crate::manage::AdminContext;
use crate::manage::access::{Principal, Right};
use crate::manage::statistics::visit;
use crate::text::names::{NODE_NAME, RABBITMQ_VERSION};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// The broker as a whole, as far as a principal may see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[allow(
    missing_docs,
    reason = "RabbitMQ's keys, which its documentation explains"
)]
pub struct Overview {
    pub product_name: &'static str,
    pub product_version: &'static str,
    /// RabbitMQ's version that the broker is compatible with.
    pub rabbitmq_version: &'static str,
    pub management_version: &'static str,
    pub erlang_version: &'static str,
    pub erlang_full_version: &'static str,
    pub crypto_lib_version: &'static str,
    pub release_series_support_status: &'static str,
    pub cluster_name: String,
    pub cluster_tags: BTreeMap<String, String>,
    pub node_tags: BTreeMap<String, String>,
    pub default_queue_type: &'static str,
    pub is_op_policy_updating_enabled: bool,
    pub require_definition_json_extension: bool,
    pub rates_mode: &'static str,
    pub sample_retention_policies: SampleRetention,
    pub disable_stats: bool,
    pub enable_queue_totals: bool,
    pub exchange_types: Vec<Choice>,
    pub object_totals: ObjectTotals,
    pub queue_totals: QueueTotals,
    pub statistics_db_event_queue: u64,
    /// For those who may see the node.
    #[serde(flatten)]
    pub node: Option<OverviewOfNode>,
}

/// What only those see who may see the node.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[allow(missing_docs, reason = "RabbitMQ's keys")]
pub struct OverviewOfNode {
    pub node: &'static str,
    pub listeners: Vec<Listener>,
    pub contexts: Vec<WebContext>,
}

/// How long samples of figures are kept, in seconds.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[allow(missing_docs, reason = "RabbitMQ's keys")]
pub struct SampleRetention {
    pub global: [u64; 4],
    pub basic: [u64; 2],
    pub detailed: [u64; 1],
}

/// How many objects there are.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct ObjectTotals {
    pub channels: u64,
    pub connections: u64,
    /// For those who may see the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumers: Option<u64>,
    pub exchanges: u64,
    pub queues: u64,
}

impl Overview {
    /// Describes what a principal may see of the broker.
    pub fn of(context: &AdminContext, principal: &Principal) -> Self {
        let broker = &context.broker;
        let monitor = principal.has(Right::Monitoring);
        let vhosts = principal.visible_vhosts(broker, Right::Monitoring);
        visit(broker);
        let mut sums = VhostSums::default();
        for vhost in &vhosts {
            sums.add(&vhost.statistics.sums());
        }
        let queues = sums.queues();
        Overview {
            product_name: "Leveret",
            product_version: env!("CARGO_PKG_VERSION"),
            rabbitmq_version: RABBITMQ_VERSION,
            management_version: RABBITMQ_VERSION,
            erlang_version: "",
            erlang_full_version: "",
            crypto_lib_version: "",
            release_series_support_status: "supported",
            cluster_name: broker.global_parameters.cluster_name(),
            cluster_tags: BTreeMap::new(),
            node_tags: BTreeMap::new(),
            default_queue_type: "classic",
            is_op_policy_updating_enabled: true,
            require_definition_json_extension: false,
            rates_mode: "basic",
            sample_retention_policies: SampleRetention {
                global: [600, 3600, 28800, 86400],
                basic: [600, 3600],
                detailed: [600],
            },
            disable_stats: false,
            enable_queue_totals: false,
            exchange_types: exchange_types(),
            object_totals: object_totals(context, principal, &vhosts, &queues),
            queue_totals: QueueTotals::of(&queues.counts),
            statistics_db_event_queue: 0,
            node: monitor.then(|| OverviewOfNode {
                node: NODE_NAME,
                listeners: Listener::all(context),
                contexts: WebContext::all(context),
            }),
        }
    }
}

fn object_totals(
    context: &AdminContext,
    principal: &Principal,
    vhosts: &[Arc<Vhost>],
    queues: &QueueSums,
) -> ObjectTotals {
    let may_see = |connection: &Connection| {
        let seen = principal.require_own_or(Right::Monitoring, &connection.user);
        seen.is_ok()
    };
    let connections = Connection::list(&context.broker, may_see);
    ObjectTotals {
        channels: connections.iter().map(|(_, each)| each.channels).sum(),
        connections: connections.len() as u64,
        consumers: principal
            .has(Right::Monitoring)
            .then_some(queues.counts.consumers),
        exchanges: vhosts.iter().map(|vhost| vhost.exchange_count()).sum(),
        queues: queues.queues,
    }
}
