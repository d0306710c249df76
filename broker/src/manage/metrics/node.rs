//! The metrics of the process: what it uses, what comes and goes, and who it is.

use super::description::{Metric, Sink, metrics};
use super::totals::Totals;
use crate::domain::auth::LoginProtocol;
use crate::domain::broker::Broker;
use crate::engine::statistics::ChurnCounts;
use crate::manage::objects::memory::Memory;
use crate::plumbing::alarms::{AlarmSet, Resource, View};
use crate::text::names::{NODE_NAME, RABBITMQ_VERSION};
use std::time::Duration;

/// `connection_churn_metrics`.
pub(super) const CHURN: &[Metric<ChurnCounts>] = metrics! { ChurnCounts;
    Counter connections_opened_total "Connections that were opened" |c| c.connection_created;
    Counter connections_closed_total "Connections that ended after they were opened" |c| c.connection_closed;
    Counter channels_opened_total "Channels that were opened" |c| c.channel_created;
    Counter channels_closed_total "Channels that were closed" |c| c.channel_closed;
    Counter queues_declared_total "Declarations of queues, new or not" |c| c.queue_declared;
    Counter queues_created_total "Queues that were created" |c| c.queue_created;
    Counter queues_deleted_total "Queues that were deleted" |c| c.queue_deleted;
};

/// `node_coarse_metrics`.
pub(super) const NODE_COARSE: &[Metric<Totals>] = metrics! { Totals;
    Gauge process_open_fds "Open file descriptors" |t| t.files.0;
    Gauge process_resident_memory_bytes "Resident memory of the broker" |t| t.memory;
    Gauge disk_space_available_bytes "Free space on the disk of the data directory" |t| t.disk_free;
};

/// What limits the process.
pub(super) struct Bounds {
    files: u64,
    view: View,
    uptime: Duration,
    alarms: AlarmSet,
    /// Since the epoch: noted at the start, so that no scrape shows another one.
    started_at: Duration,
}

impl Bounds {
    pub(super) fn of(broker: &Broker, totals: &Totals) -> Self {
        Bounds {
            files: totals.files.1,
            view: broker.alarms.view(),
            uptime: broker.started.elapsed(),
            alarms: broker.alarms.in_force(),
            started_at: broker.clock.start_since_epoch(),
        }
    }

    fn has(&self, resource: Resource) -> bool {
        self.alarms.iter().any(|alarm| alarm == resource)
    }
}

/// `node_metrics`.
pub(super) const NODE: &[Metric<Bounds>] = metrics! { Bounds;
    Gauge process_max_fds "File descriptors that may be open" |b| b.files;
    Gauge resident_memory_limit_bytes "Memory use above which publishers are blocked" |b| b.view.memory_bytes;
    Gauge disk_space_available_limit_bytes "Free disk space below which publishers are blocked" |b| b.view.disk_bytes;
    Gauge erlang_uptime_seconds "Time since the broker started" |b| b.uptime.as_secs_f64();
};

/// The alarms, and what RabbitMQ's plugin has beside its families.
pub(super) const DYNAMIC: &[Metric<Bounds>] = metrics! { Bounds;
    Untyped alarms_free_disk_space_watermark "1 while publishers are blocked because the disk is nearly full" |b| b.has(Resource::Disk);
    Untyped alarms_memory_used_watermark "1 while publishers are blocked because too much memory is used" |b| b.has(Resource::Memory);
    Gauge unreachable_cluster_peers_count "Nodes of the cluster that cannot be reached; there is one node" |_| 0_u64;
};

/// What has no prefix in RabbitMQ, either.
pub(super) const PROCESS: &[Metric<Bounds>] = metrics! { Bounds;
    Gauge process_start_time_seconds "When the broker started, in seconds since 1970" |b| b.started_at.as_secs_f64();
};

/// `node_persister_metrics`, as far as the store has such operations.
pub(super) const PERSISTER: &[Metric<Totals>] = metrics! { Totals;
    Counter io_write_ops_total "Writes to the commit log" |t| t.store.as_ref().map(|store| store.commits);
    Counter io_write_bytes_total "Bytes written to the commit log" |t| t.store.as_ref().map(|store| store.bytes_written);
    Counter io_sync_ops_total "Times that the commit log was synced" |t| t.store.as_ref().map(|store| store.commits);
    Counter io_sync_time_seconds_total "Time that writing and syncing the commit log took" |t| t.store.as_ref().map(|store| store.latency.sum.as_secs_f64());
};

/// `auth_attempt_metrics`, read from how many attempts succeeded and how many failed.
pub(super) const AUTH: &[Metric<(u64, u64)>] = metrics! { (u64, u64);
    Counter auth_attempts_total "Attempts to log in" |l| l.0 + l.1;
    Counter auth_attempts_succeeded_total "Attempts to log in that succeeded" |l| l.0;
    Counter auth_attempts_failed_total "Attempts to log in that failed" |l| l.1;
};

/// `auth_attempt_detailed_metrics`, read from the same.
pub(super) const AUTH_DETAILED: &[Metric<(u64, u64)>] = metrics! { (u64, u64);
    Counter auth_attempts_detailed_total "Attempts to log in, by source" |l| l.0 + l.1;
    Counter auth_attempts_detailed_succeeded_total "Attempts to log in that succeeded, by source" |l| l.0;
    Counter auth_attempts_detailed_failed_total "Attempts to log in that failed, by source" |l| l.1;
};

/// The protocols with their attempts; those that nobody has used, too.
pub(super) fn logins(broker: &Broker) -> Vec<(LoginProtocol, (u64, u64))> {
    let counted = broker.login_attempts.by_protocol();
    let of = |protocol| {
        let counts = counted.iter().find(|(counted, _)| *counted == protocol);
        counts.map_or((0, 0), |(_, counts)| (counts.succeeded, counts.failed))
    };
    LoginProtocol::ALL
        .map(|protocol| (protocol, of(protocol)))
        .into()
}

/// The numbers of open objects.
pub(super) const TOTALS: &[Metric<Totals>] = metrics! { Totals;
    Gauge connections "Open connections" |t| t.connections;
    Gauge channels "Open channels" |t| t.connection.channels;
    Gauge consumers "Consumers" |t| t.queue.contents.consumers;
    Gauge queues "Queues and streams" |t| t.queue.sums.queues;
};

/// Writes who the broker is. Dashboards join these with nearly everything.
pub(super) fn write_identity(sink: &mut dyn Sink, broker: &Broker, endpoint: &str) {
    use super::Kind::Untyped;
    let name = "rabbitmq_build_info";
    sink.begin(name, Untyped, "The versions of the broker");
    let labels = [
        ("rabbitmq_version", RABBITMQ_VERSION),
        ("prometheus_plugin_version", env!("CARGO_PKG_VERSION")),
        ("prometheus_client_version", ""),
        ("erlang_version", ""),
        ("product_version", env!("CARGO_PKG_VERSION")),
        ("product_name", "Leveret"),
    ];
    sink.value(name, "", &labels, 1.0);
    let name = "rabbitmq_identity_info";
    sink.begin(name, Untyped, "The names of the node and of the cluster");
    let (cluster, id) = (
        broker.global_parameters.cluster_name(),
        broker.global_parameters.cluster_id(),
    );
    let labels = [
        ("rabbitmq_node", NODE_NAME),
        ("rabbitmq_cluster", cluster.as_str()),
        ("rabbitmq_cluster_permanent_id", id.as_str()),
        ("rabbitmq_endpoint", endpoint),
    ];
    sink.value(name, "", &labels, 1.0);
}

/// The memory by what has it, of `/metrics/memory-breakdown`: RabbitMQ's names where Leveret has such a thing.
pub(super) const MEMORY: &[Metric<Memory>] = metrics! { Memory;
    Gauge memory_client_connection_reader_bytes "Memory of frames and messages that have not arrived completely" |m| m.connection_readers;
    Gauge memory_client_connection_writer_bytes "Memory of what clients have not read yet" |m| m.connection_writers;
    Gauge memory_client_connection_channel_bytes "Memory of channels, with unacknowledged and uncommitted messages" |m| m.connection_channels;
    Gauge memory_client_connection_other_bytes "Memory of deliveries on their way to connections" |m| m.connection_other;
    Gauge memory_classic_queue_erlang_process_bytes "Memory of classic queues with the messages that wait in them" |m| m.queue_procs;
    Gauge memory_quorum_queue_erlang_process_bytes "Memory of quorum queues with the messages that wait in them" |m| m.quorum_queue_procs;
    Gauge memory_stream_erlang_process_bytes "Memory of streams" |m| m.stream_queue_procs;
    Gauge memory_binary_heap_bytes "Memory of what was read from streams, and of what waits in delayed exchanges" |m| m.binary;
    Gauge memory_management_stats_db_bytes "Memory of rates and histories" |m| m.mgmt_db;
    Gauge memory_other_system_bytes "Resident memory of everything else" |m| m.other_system;
};
