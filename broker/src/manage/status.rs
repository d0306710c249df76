//! The response to `status`.

use crate::config::MemoryWatermark;
use crate::plumbing::alarms::Resource;
use serde::{Deserialize, Serialize};

/// The state of a broker, in the sections of `rabbitmqctl status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Process id.
    pub pid: u32,
    /// Seconds since the start.
    pub uptime: u64,
    /// Whether it is under maintenance.
    pub is_under_maintenance: bool,
    /// The broker's version.
    pub version: String,
    /// The cluster's name.
    pub cluster_name: String,
    /// The settings in force, by key.
    pub settings: Vec<(String, String)>,
    /// The environment variables of the process that begin with `LEVERET_` or `RABBITMQ_`, by name.
    pub variables: Vec<(String, String)>,
    /// The data directory, absolute.
    pub data_directory: String,
    /// The configuration files that were read.
    pub config_files: Vec<String>,
    /// Where the log goes.
    pub log_files: Vec<String>,
    /// Alarms in force.
    pub alarms: Vec<Resource>,
    /// Resident memory in bytes.
    pub memory: u64,
    /// The memory use above which publishers are blocked, as configured.
    pub memory_watermark: MemoryWatermark,
    /// The same in bytes.
    pub memory_limit: u64,
    /// Open file descriptors.
    pub file_descriptors: u64,
    /// The limit on open file descriptors.
    pub file_descriptors_limit: u64,
    /// The number of client sockets among them.
    pub sockets: u64,
    /// Free bytes on the disk of the data directory, if the system reports them.
    pub disk_free: Option<u64>,
    /// Free bytes below which publishers are blocked.
    pub disk_free_limit: u64,
    /// Open connections.
    pub connections: u64,
    /// Queues in all virtual hosts.
    pub queues: u64,
    /// Virtual hosts.
    pub vhosts: u64,
    /// The addresses that the broker listens on.
    pub listeners: Vec<Listener>,
}

/// One listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The address.
    pub interface: String,
    /// The TCP port.
    pub port: u16,
    /// RabbitMQ's name for the protocol: `amqp`, `amqp/ssl`.
    pub protocol: String,
    /// A readable name: `AMQP 0-9-1`.
    pub purpose: String,
}
