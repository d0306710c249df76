//! The settings, and where they come from.
//!
//! What belongs here is a plain value, how it is written, and which values are valid. What does not: what it does.
//!
//! Every setting has one name in three forms: a flag (`--data-dir`), an environment variable
//! (`LEVERET_DATA_DIR`) and a key of the TOML file that `--config` names (`data_dir`). A flag wins
//! over the environment, the environment over the file, the file over the default. The settings are
//! declared once, in [`settings::Settings`]; each of the three layers is a value of that type.
//!
//! `default_pass` and `anonymous_login_pass` have no flag, because every user of the machine can
//! read a command line.

mod data_dir;
mod error;
mod file;
mod limits;
mod load;
mod mechanism;
mod settings;
mod shown;
mod values;
mod watermark;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

pub use data_dir::{DataDir, Environment, locate as locate_data_dir};
pub use error::ConfigError;
pub use limits::Limits;
pub use load::Command;
pub use mechanism::Mechanism;
pub use values::{
    AuthMechanisms, ByteSize, Interval, LogFilter, LogFormat, LoopbackUsers, Maximum, Origins,
    Secret, TimeLimit,
};
pub use watermark::{DiskFreeLimit, MemoryWatermark};

use std::time::Duration;

/// AMQP's registered port.
pub const DEFAULT_PORT: u16 = 5672;
/// The port of RabbitMQ's management plugin.
pub const DEFAULT_MANAGEMENT_PORT: u16 = 15672;
/// What RabbitMQ proposes in `connection.tune`, in seconds.
pub const DEFAULT_HEARTBEAT: u16 = 60;
/// What RabbitMQ proposes in `connection.tune`.
pub const DEFAULT_CHANNEL_MAX: u16 = 2047;
/// What RabbitMQ proposes in `connection.tune`, in bytes.
pub const DEFAULT_FRAME_MAX: u32 = 128 * 1024;
/// RabbitMQ 4's default (3.x: 128 MiB), in bytes.
pub const DEFAULT_MAX_MESSAGE_SIZE: u64 = 16 * 1024 * 1024;
/// RabbitMQ's default since 3.8.17: half an hour.
pub const DEFAULT_CONSUMER_TIMEOUT: Duration = Duration::from_millis(1_800_000);
/// RabbitMQ's default.
pub const DEFAULT_STATISTICS_INTERVAL: Duration = Duration::from_millis(5000);
const DEFAULT_MAX_TRANSACTION_SIZE: u64 = 128 << 20;
/// Enough that consumers that keep up never wait for the disk, and little compared to the rest.
const DEFAULT_QUEUE_MEMORY: u64 = 32 << 20;
/// What stands for no value, where a setting may have none.
const NONE: &str = "none";
/// The name and the password of the user in a new data directory.
pub const DEFAULT_USER: &str = "guest";

/// The complete, validated settings of a broker.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on.
    pub bind: IpAddr,
    /// The TCP port to listen on; 0 asks the system for a free one.
    pub port: u16,
    /// The directory for all stored data. Absolute; it need not exist yet.
    pub data_dir: PathBuf,
    /// What is logged.
    pub log_level: LogFilter,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// The heartbeat interval proposed to clients, in seconds; 0 turns heartbeats off.
    pub heartbeat: u16,
    /// The maximum number of channels per connection, as proposed to clients; 0 means 65535.
    pub channel_max: u16,
    /// The maximum frame size in bytes, as proposed to clients; at least 4096 (spec 4.2.3).
    pub frame_max: u32,
    /// The maximum size of a message body in bytes.
    pub max_message_size: u64,
    /// How long a consumer may take to acknowledge a delivery; `None` for no limit.
    pub consumer_timeout: Option<Duration>,
    /// The maximum number of connections; `None` for no limit.
    pub connection_max: Option<u64>,
    /// The maximum number of channels on all connections together; `None` for no limit.
    pub channel_max_per_node: Option<u64>,
    /// The maximum number of consumers per channel; `None` for no limit.
    pub consumer_max_per_channel: Option<u64>,
    /// The memory use above which publishers are blocked.
    pub vm_memory_high_watermark: MemoryWatermark,
    /// Bytes of memory for the messages in all queues together; further messages wait on disk.
    pub queue_memory: u64,
    /// The free disk space below which publishers are blocked.
    pub disk_free_limit: DiskFreeLimit,
    /// The maximum size in bytes of the uncommitted messages in one connection's transactions.
    pub max_transaction_size: u64,
    /// The time between two samples of what was counted.
    pub collect_statistics_interval: Duration,
    /// Users that may log in only from a loopback address.
    pub loopback_users: Vec<String>,
    /// The login mechanisms that clients are offered.
    pub auth_mechanisms: Vec<Mechanism>,
    /// The user that ANONYMOUS clients are logged in as, if that mechanism is offered; `None` to
    /// refuse them.
    pub anonymous_login_user: Option<String>,
    /// Its password.
    pub anonymous_login_pass: Secret,
    /// The administrator created in a new data directory.
    pub default_user: String,
    /// Its password.
    pub default_pass: Secret,
    /// The definition file, or directory of such files, that is imported at every start.
    pub load_definitions: Option<PathBuf>,
    /// Whether these files are not imported again while they do not change.
    pub definitions_skip_if_unchanged: bool,
    /// Whether the management HTTP API is served.
    pub management: bool,
    /// Its address.
    pub management_bind: IpAddr,
    /// Its port; `None` for [`DEFAULT_MANAGEMENT_PORT`], which may be in use by another broker.
    pub management_port: Option<u16>,
    /// The web origins whose pages may call it; `*` for all.
    pub management_cors_allow_origins: Vec<String>,
    /// The port on which anybody may read the metrics, if there is one.
    pub prometheus_port: Option<u16>,
    /// The address of that port.
    pub prometheus_bind: IpAddr,
    /// The file that was read, if one was named.
    pub config_file: Option<PathBuf>,
}

impl Config {
    /// Returns the address and port to listen on.
    pub fn listen_address(&self) -> SocketAddr {
        SocketAddr::new(self.bind, self.port)
    }

    /// Returns the address and port of the management HTTP API.
    pub fn management_address(&self) -> SocketAddr {
        let port = self.management_port.unwrap_or(DEFAULT_MANAGEMENT_PORT);
        SocketAddr::new(self.management_bind, port)
    }

    /// Returns the address and port on which anybody may read the metrics, if there is one.
    pub fn prometheus_address(&self) -> Option<SocketAddr> {
        let port = self.prometheus_port?;
        Some(SocketAddr::new(self.prometheus_bind, port))
    }

    /// Returns the defaults with this data directory, for tests to start from.
    pub fn with_data_dir(data_dir: PathBuf) -> Self {
        Config {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: DEFAULT_PORT,
            data_dir,
            log_level: LogFilter::default(),
            log_format: LogFormat::default(),
            heartbeat: DEFAULT_HEARTBEAT,
            channel_max: DEFAULT_CHANNEL_MAX,
            frame_max: DEFAULT_FRAME_MAX,
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
            consumer_timeout: Some(DEFAULT_CONSUMER_TIMEOUT),
            connection_max: None,
            channel_max_per_node: None,
            consumer_max_per_channel: None,
            vm_memory_high_watermark: MemoryWatermark::default(),
            queue_memory: DEFAULT_QUEUE_MEMORY,
            disk_free_limit: DiskFreeLimit::default(),
            max_transaction_size: DEFAULT_MAX_TRANSACTION_SIZE,
            collect_statistics_interval: DEFAULT_STATISTICS_INTERVAL,
            loopback_users: vec![DEFAULT_USER.to_owned()],
            auth_mechanisms: vec![Mechanism::Plain, Mechanism::AmqPlain],
            anonymous_login_user: Some(DEFAULT_USER.to_owned()),
            anonymous_login_pass: Secret::from(DEFAULT_USER),
            default_user: DEFAULT_USER.to_owned(),
            default_pass: Secret::from(DEFAULT_USER),
            load_definitions: None,
            definitions_skip_if_unchanged: false,
            management: true,
            management_bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            management_port: None,
            management_cors_allow_origins: Vec::new(),
            prometheus_port: None,
            prometheus_bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            config_file: None,
        }
    }
}
