//! The node.

use super::erlang;
use super::listener::WebContext;
use crate::config::Mechanism;
use crate::engine::exchange::ExchangeKind;
use crate::manage::AdminContext;
use crate::plumbing::alarms::Resource;
use crate::plumbing::system;
use crate::text::names::{NODE_NAME, RABBITMQ_VERSION};
use leveret_storage::{Health, Stats};
use serde::Serialize;
use serde_json::{Map, Value};
use std::num::NonZero;
use tokio::runtime::Handle;
use utoipa::ToSchema;

/// Tasks at most, for clients that compare: Erlang's default. There is no such limit here.
const TASK_LIMIT: u64 = 1 << 20;

/// The node.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[allow(
    missing_docs,
    reason = "RabbitMQ's keys, which its documentation explains"
)]
pub struct Node {
    pub name: &'static str,
    pub r#type: &'static str,
    pub running: bool,
    pub being_drained: bool,
    /// The process id, as text.
    pub os_pid: String,
    /// Milliseconds since the start.
    pub uptime: u64,
    pub processors: usize,
    /// Tasks that wait for a thread.
    pub run_queue: u64,
    pub rates_mode: &'static str,
    /// RabbitMQ's version that the node is compatible with.
    pub rabbitmq_version: &'static str,
    /// Resident memory in bytes.
    pub mem_used: u64,
    /// The memory use in bytes above which publishers are blocked.
    pub mem_limit: u64,
    pub mem_alarm: bool,
    pub mem_calculation_strategy: &'static str,
    /// Free bytes on the disk of the data directory.
    pub disk_free: u64,
    /// Free bytes below which publishers are blocked.
    pub disk_free_limit: u64,
    pub disk_free_alarm: bool,
    /// Open file descriptors.
    pub fd_used: u64,
    pub fd_total: u64,
    /// Sockets of AMQP connections.
    pub sockets_used: u64,
    pub sockets_total: u64,
    /// Tasks.
    pub proc_used: u64,
    pub proc_total: u64,
    pub net_ticktime: u64,
    pub partitions: [&'static str; 0],
    pub cluster_links: [&'static str; 0],
    #[schema(value_type = Object)]
    pub metrics_gc_queue_length: Map<String, Value>,
    #[schema(value_type = Object)]
    pub ra_open_file_metrics: Map<String, Value>,
    pub applications: [Application; 1],
    pub exchange_types: Vec<Choice>,
    pub auth_mechanisms: Vec<Choice>,
    pub contexts: Vec<WebContext>,
    pub enabled_plugins: [&'static str; 1],
    pub db_dir: String,
    pub config_files: Vec<String>,
    pub log_files: Vec<String>,
    /// How the store is doing; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreFigures>,
    /// Zeros.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub erlang: Map<String, Value>,
}

/// How the store is doing: Leveret's own.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StoreFigures {
    /// Bytes of the commit log that are not in the database yet.
    pub log_bytes: u64,
    /// Bytes of the database.
    pub database_bytes: u64,
    /// Bytes that wait to be written.
    pub backlog_bytes: u64,
    /// Commits that were written and synced.
    pub commits: u64,
    /// How long the last of them took, in milliseconds.
    pub last_sync_ms: f64,
    /// What cannot be written, and why; absent if all is well: `rabbitmqadmin` 3.x cannot show `null`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl StoreFigures {
    fn of(stats: Stats) -> Self {
        let Health { write, checkpoint } = stats.health;
        StoreFigures {
            log_bytes: stats.log_bytes,
            database_bytes: stats.sled_bytes,
            backlog_bytes: stats.backlog_bytes,
            commits: stats.commits,
            last_sync_ms: stats.last_sync.as_secs_f64() * 1000.0,
            problem: write.or(checkpoint),
        }
    }
}

/// A program in the node.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Application {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// A type of exchanges or a login mechanism.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Choice {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Whether it can be used.
    pub enabled: bool,
}

impl Node {
    /// Describes this node.
    pub fn of(context: &AdminContext) -> Self {
        let broker = &context.broker;
        let alarms = broker.alarms.view();
        let in_force = |wanted| broker.alarms.in_force().iter().any(|alarm| alarm == wanted);
        let (fd_used, fd_total) = system::file_descriptors();
        let tasks = Handle::try_current().map(|runtime| runtime.metrics()).ok();
        Node {
            name: NODE_NAME,
            r#type: "disc",
            running: true,
            being_drained: broker.service.is_under_maintenance(),
            os_pid: std::process::id().to_string(),
            uptime: broker.started.elapsed().as_millis() as u64,
            processors: std::thread::available_parallelism().map_or(1, NonZero::get),
            run_queue: tasks
                .as_ref()
                .map_or(0, |all| all.global_queue_depth() as u64),
            rates_mode: "basic",
            rabbitmq_version: RABBITMQ_VERSION,
            mem_used: system::resident_memory(),
            mem_limit: alarms.memory_bytes,
            mem_alarm: in_force(Resource::Memory),
            mem_calculation_strategy: "rss",
            disk_free: leveret_storage::free_space(&context.data_dir).unwrap_or(0),
            disk_free_limit: alarms.disk_bytes,
            disk_free_alarm: in_force(Resource::Disk),
            fd_used,
            fd_total,
            sockets_used: broker.connections.count() as u64,
            sockets_total: system::socket_limit(fd_total),
            proc_used: tasks.as_ref().map_or(0, |all| all.num_alive_tasks() as u64),
            proc_total: TASK_LIMIT,
            net_ticktime: 60,
            partitions: [],
            cluster_links: [],
            metrics_gc_queue_length: Map::new(),
            ra_open_file_metrics: Map::new(),
            applications: [Application {
                name: "leveret",
                description: "Leveret",
                version: env!("CARGO_PKG_VERSION"),
            }],
            exchange_types: exchange_types(),
            auth_mechanisms: auth_mechanisms(context),
            contexts: WebContext::all(context),
            enabled_plugins: ["rabbitmq_management"],
            db_dir: context.data_dir.display().to_string(),
            config_files: config_files(context),
            log_files: context.log.locations(),
            store: broker
                .store
                .as_ref()
                .map(|store| StoreFigures::of(store.stats())),
            erlang: erlang::node_figures(),
        }
    }
}

/// Returns the configuration files that were read.
pub fn config_files(context: &AdminContext) -> Vec<String> {
    let files = context.config.config_files.iter();
    files.map(|file| file.display().to_string()).collect()
}

/// Returns the types of exchanges, by name.
pub fn exchange_types() -> Vec<Choice> {
    let mut types: Vec<Choice> = ExchangeKind::ALL
        .into_iter()
        .map(|kind| Choice {
            name: kind.name(),
            description: match kind {
                ExchangeKind::Direct => "The routing key equals the binding key",
                ExchangeKind::Fanout => "Every binding matches",
                ExchangeKind::Topic => "Binding keys are patterns of words",
                ExchangeKind::Headers => "Binding arguments are compared with headers",
                ExchangeKind::ConsistentHash => "One destination by consistent hashing",
                ExchangeKind::Random => "One random binding",
                ExchangeKind::LocalRandom => "One random queue of this node",
                ExchangeKind::ModulusHash => "One binding by hashing",
                ExchangeKind::DelayedMessage => "Messages are delayed, then routed",
            },
            enabled: true,
        })
        .collect();
    types.sort_by_key(|choice| choice.name);
    types
}

fn auth_mechanisms(context: &AdminContext) -> Vec<Choice> {
    let offered = context.broker.mechanisms();
    let all = Mechanism::ALL.into_iter();
    all.map(|mechanism| Choice {
        name: mechanism.name(),
        description: match mechanism {
            Mechanism::Plain => "A name and a password",
            Mechanism::AmqPlain => "A name and a password in a field table",
            Mechanism::Anonymous => "No password",
            Mechanism::External => "The client's certificate",
        },
        enabled: offered.offered(mechanism.name()).is_some(),
    })
    .collect()
}
