//! Queues and streams.

use super::Arguments;
use super::consumer::{Consumer, channel_pid};
use super::contents::{QueueContents, QueueTotals};
use crate::domain::broker::Broker;
use crate::engine::interfaces::ConnectionId;
use crate::engine::queue::{self as engine, Counts, QueueKind};
use crate::engine::statistics::QueueSums;
use crate::manage::pid::Pid;
use crate::manage::policies;
use crate::text::names::NODE_NAME;
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Instant;
use utoipa::ToSchema;

/// A queue or a stream.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Queue {
    /// As it was declared.
    #[serde(flatten)]
    pub declared: DeclaredQueue,
    /// How many messages it has.
    #[serde(flatten)]
    pub totals: QueueTotals,
    /// Its contents and its settings.
    #[serde(flatten)]
    pub details: QueueDetails,
    /// What only one queue by itself shows.
    #[serde(flatten)]
    pub clients: Option<QueueClients>,
}

/// A queue without statistics (`disable_stats`).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeclaredQueue {
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
    /// The node that leads it, of a quorum queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<&'static str>,
    /// The nodes that have it, of a quorum queue or a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<[&'static str; 1]>,
    /// Those of them that run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<[&'static str; 1]>,
    /// The connection that it is exclusive to.
    #[serde(skip)]
    pub owner: Option<ConnectionId>,
    /// What stands for its process.
    #[serde(skip)]
    pub pid: String,
}

/// A queue with nothing but its numbers of messages (`disable_stats` and `enable_queue_totals`).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueueWithTotals {
    /// As it was declared.
    #[serde(flatten)]
    pub declared: DeclaredQueue,
    /// How many messages it has.
    #[serde(flatten)]
    pub totals: QueueTotals,
}

/// A queue's contents and settings.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueueDetails {
    /// What it holds.
    #[serde(flatten)]
    pub contents: QueueContents,
    /// The policy that applies to it.
    pub policy: Option<String>,
    /// The operator policy that applies to it.
    pub operator_policy: Option<String>,
    /// Both policies, merged.
    #[schema(value_type = Object)]
    pub effective_policy_definition: Map<String, Value>,
    /// The consumer that has it exclusively.
    pub exclusive_consumer_tag: Option<String>,
    /// The consumer that gets its messages, if only one does.
    pub single_active_consumer_tag: Option<String>,
    /// The fraction of time in which it could deliver at once, 0 without consumers; absent for a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer_utilisation: Option<f64>,
    /// The same, as RabbitMQ's newer name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer_capacity: Option<f64>,
    /// Messages read from disk since it was declared or recovered.
    #[serde(skip)]
    pub disk_reads: u64,
    /// Messages written to disk since then.
    #[serde(skip)]
    pub disk_writes: u64,
    /// What waits longer than a consumer would need, if there is such a thing for its type.
    #[serde(flatten)]
    pub shown_parked: Option<ParkedMessages>,
    /// The pid of the channel with the exclusive consumer.
    #[serde(skip)]
    pub exclusive_consumer_pid: Option<Pid>,
    /// The pid of the channel with the single active consumer.
    #[serde(skip)]
    pub single_active_consumer_pid: Option<Pid>,
    /// The same as [`QueueDetails::shown_parked`], for every type.
    #[serde(skip)]
    pub parked: ParkedMessages,
}

/// Messages that wait for a retry or for dead-lettering.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ParkedMessages {
    /// Dead letters that have not been routed.
    pub messages_dlx: u64,
    /// Their size.
    pub message_bytes_dlx: u64,
    /// Messages that wait before they are delivered again.
    pub messages_delayed: u64,
    /// How such messages are delayed: `disabled`, or a description.
    pub delayed_retry: String,
    /// When the first of them is due, in milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_delayed_at: Option<u64>,
    /// When the last of them is due, in milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delayed_at: Option<u64>,
}

/// Who uses a queue.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueueClients {
    /// Its consumers.
    pub consumer_details: Vec<Consumer>,
    /// The connection that it is exclusive to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_pid_details: Option<Owner>,
    /// Publishes by exchange: not counted.
    #[schema(value_type = Vec<Object>)]
    pub incoming: [(); 0],
    /// Deliveries by channel: not counted.
    #[schema(value_type = Vec<Object>)]
    pub deliveries: [(); 0],
}

/// The connection that an exclusive queue belongs to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Owner {
    /// Its name.
    pub name: String,
    /// The client's address.
    pub peer_host: String,
    /// The client's port.
    pub peer_port: u16,
}

impl Queue {
    /// Describes a queue.
    pub fn of(broker: &Broker, queue: &engine::Queue) -> Self {
        let sums = queue.sums();
        Queue {
            declared: DeclaredQueue::of(queue),
            totals: QueueTotals::of(&sums.counts),
            details: QueueDetails::of(broker, queue, &sums),
            clients: None,
        }
    }

    /// Describes a queue and who uses it.
    pub fn in_full(broker: &Broker, queue: &engine::Queue) -> Self {
        Queue {
            clients: Some(QueueClients::of(broker, queue)),
            ..Queue::of(broker, queue)
        }
    }
}

impl DeclaredQueue {
    /// Describes a queue as it was declared.
    pub fn of(queue: &engine::Queue) -> Self {
        let spec = &queue.spec;
        let replicated = queue.kind != QueueKind::Classic;
        DeclaredQueue {
            name: queue.name().to_string(),
            vhost: queue.vhost.to_string(),
            r#type: spec.kind().as_str(),
            durable: spec.durable,
            auto_delete: spec.auto_delete,
            exclusive: spec.exclusive_to.is_some(),
            arguments: Arguments::from(&spec.arguments),
            node: NODE_NAME,
            state: "running",
            leader: (queue.kind == QueueKind::Quorum).then_some(NODE_NAME),
            members: replicated.then_some([NODE_NAME]),
            online: replicated.then_some([NODE_NAME]),
            owner: spec.exclusive_to,
            pid: format!("<leveret.queue.{}>", queue.id.0),
        }
    }
}

impl QueueWithTotals {
    /// Describes a queue.
    pub fn of(queue: &engine::Queue) -> Self {
        QueueWithTotals {
            declared: DeclaredQueue::of(queue),
            totals: QueueTotals::of(&queue.counts()),
        }
    }
}

impl QueueDetails {
    fn of(broker: &Broker, queue: &engine::Queue, sums: &QueueSums) -> Self {
        let policy = queue.policy();
        let exclusive = queue.exclusive_consumer();
        let active = queue.single_active_consumer().0;
        let tag = |consumer: &Arc<engine::Consumer>| consumer.tag.to_string();
        let parked = ParkedMessages::of(broker, queue, &sums.counts);
        let utilisation = queue.utilisation(broker.clock.time(Instant::now()));
        QueueDetails {
            contents: QueueContents::of(sums),
            disk_reads: sums.disk_reads,
            disk_writes: sums.disk_writes,
            consumer_utilisation: utilisation,
            consumer_capacity: utilisation,
            effective_policy_definition: policies::definition(policy.as_deref()),
            operator_policy: policies::operator_name(policy.clone()),
            policy: policies::name(policy),
            exclusive_consumer_tag: exclusive.as_ref().map(tag),
            exclusive_consumer_pid: exclusive.as_deref().map(channel_pid),
            single_active_consumer_tag: active.as_ref().map(tag),
            single_active_consumer_pid: active.as_deref().map(channel_pid),
            shown_parked: (queue.kind == QueueKind::Quorum).then(|| parked.clone()),
            parked,
        }
    }
}

impl ParkedMessages {
    fn of(broker: &Broker, queue: &engine::Queue, counts: &Counts) -> Self {
        let due = queue.waiting_until();
        let millis = |time| broker.clock.wall_millis(time);
        let retry = queue
            .settings()
            .delayed_retry
            .as_ref()
            .map(|retry| retry.to_string());
        ParkedMessages {
            messages_dlx: counts.undelivered.messages,
            message_bytes_dlx: counts.undelivered.bytes,
            messages_delayed: counts.waiting.messages,
            delayed_retry: retry.unwrap_or_else(|| "disabled".to_owned()),
            next_delayed_at: due.map(|(first, _)| millis(first)),
            last_delayed_at: due.map(|(_, last)| millis(last)),
        }
    }
}

impl QueueClients {
    fn of(broker: &Broker, queue: &engine::Queue) -> Self {
        let consumers = queue.consumers();
        let owner = queue.spec.exclusive_to;
        let owner = owner.and_then(|id| broker.connections.get(id));
        QueueClients {
            consumer_details: consumers
                .iter()
                .map(|consumer| Consumer::of(broker, consumer))
                .collect(),
            owner_pid_details: owner.map(|connection| Owner {
                name: connection.label(),
                peer_host: connection.ends.peer.host(),
                peer_port: connection.ends.peer.port(),
            }),
            incoming: [],
            deliveries: [],
        }
    }
}
