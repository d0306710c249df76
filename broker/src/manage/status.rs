//! What `status` reports.

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
    /// The broker's version.
    pub version: String,
    /// The data directory, absolute.
    pub data_directory: String,
    /// The configuration files that were read.
    pub config_files: Vec<String>,
    /// Where the log goes.
    pub log_files: Vec<String>,
    /// Alarms in force.
    pub alarms: Vec<Resource>,
    /// Resident memory in octets.
    pub memory: u64,
    /// Memory above which publishers are blocked, as it was set.
    pub memory_watermark: MemoryWatermark,
    /// The same in octets.
    pub memory_limit: u64,
    /// Open file descriptors.
    pub file_descriptors: u64,
    /// How many may be open.
    pub file_descriptors_limit: u64,
    /// Those of them that are client sockets.
    pub sockets: u64,
    /// Free octets on the disk of the data directory, when the system tells.
    pub disk_free: Option<u64>,
    /// Free octets below which publishers are blocked.
    pub disk_free_limit: u64,
    /// Open connections.
    pub connections: u64,
    /// Queues in all virtual hosts.
    pub queues: u64,
    /// Virtual hosts.
    pub vhosts: u64,
    /// Where the broker listens.
    pub listeners: Vec<Listener>,
}

/// One listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The address.
    pub interface: String,
    /// The TCP port.
    pub port: u16,
    /// As RabbitMQ calls it: `amqp`, `amqp/ssl`.
    pub protocol: String,
    /// For people: `AMQP 0-9-1`.
    pub purpose: String,
}
