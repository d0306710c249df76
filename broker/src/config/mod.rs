//! What the operator may set, and where it is set.
//!
//! Every key exists three times under one name: as a flag (`--data-dir`), as an environment
//! variable (`LEVERET_DATA_DIR`) and as a key of the TOML file that `--config` names (`data_dir`).
//! A flag wins over the environment, the environment over the file, the file over the default.
//! The keys are declared once, in [`settings::Settings`]; the three layers are three values of it.
//!
//! The exceptions are `default_pass` and `anonymous_login_pass`, which have no flag: a command line
//! is readable to every user of the machine.

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
    AuthMechanisms, ByteSize, LogFilter, LogFormat, LoopbackUsers, Maximum, Secret, TimeLimit,
};
pub use watermark::{DiskFreeLimit, MemoryWatermark};

use std::time::Duration;

/// AMQP's registered port.
pub const DEFAULT_PORT: u16 = 5672;
/// Seconds; what RabbitMQ proposes in `connection.tune`.
pub const DEFAULT_HEARTBEAT: u16 = 60;
/// What RabbitMQ proposes in `connection.tune`.
pub const DEFAULT_CHANNEL_MAX: u16 = 2047;
/// Octets; what RabbitMQ proposes in `connection.tune`.
pub const DEFAULT_FRAME_MAX: u32 = 128 * 1024;
/// Octets; RabbitMQ 4's default (3.x: 128 MiB).
pub const DEFAULT_MAX_MESSAGE_SIZE: u64 = 16 * 1024 * 1024;
/// RabbitMQ's default since 3.8.17: half an hour.
pub const DEFAULT_CONSUMER_TIMEOUT: Duration = Duration::from_millis(1_800_000);
const DEFAULT_MAX_TRANSACTION_SIZE: u64 = 128 << 20;
/// Enough that consumers who keep up never wait for the disk, and little beside the rest.
const DEFAULT_QUEUE_MEMORY: u64 = 32 << 20;
/// The user, and its password, that a new data directory starts with.
pub const DEFAULT_USER: &str = "guest";

/// The settings of a broker, complete and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on.
    pub bind: IpAddr,
    /// The TCP port to listen on; 0 asks the system for a free one.
    pub port: u16,
    /// Where everything that survives a restart lives; absolute. It need not exist yet.
    pub data_dir: PathBuf,
    /// What is logged.
    pub log_level: LogFilter,
    /// How a log line looks.
    pub log_format: LogFormat,
    /// Seconds between heartbeats, as proposed to clients; 0 turns them off.
    pub heartbeat: u16,
    /// The most channels on one connection, as proposed to clients; 0 means 65535.
    pub channel_max: u16,
    /// The largest frame in octets, as proposed to clients; 4096 at least (spec 4.2.3).
    pub frame_max: u32,
    /// The largest message body in octets.
    pub max_message_size: u64,
    /// How long a consumer may hold a delivery; none for as long as it likes.
    pub consumer_timeout: Option<Duration>,
    /// The most connections at a time; none for any number.
    pub connection_max: Option<u64>,
    /// The most channels at a time, on all connections together; none for any number.
    pub channel_max_per_node: Option<u64>,
    /// The most consumers on one channel; none for any number.
    pub consumer_max_per_channel: Option<u64>,
    /// Memory above which publishers are blocked.
    pub vm_memory_high_watermark: MemoryWatermark,
    /// Octets of messages that queues, all together, keep in memory while they wait; what is beyond
    /// waits on disk.
    pub queue_memory: u64,
    /// Free disk space below which publishers are blocked.
    pub disk_free_limit: DiskFreeLimit,
    /// The most octets of uncommitted messages that one connection's transactions may hold.
    pub max_transaction_size: u64,
    /// Users that may log in from a loopback address only.
    pub loopback_users: Vec<String>,
    /// How clients may log in.
    pub auth_mechanisms: Vec<Mechanism>,
    /// The user that clients are who log in by ANONYMOUS, where that is one of the mechanisms; none
    /// for nobody.
    pub anonymous_login_user: Option<String>,
    /// Its password.
    pub anonymous_login_pass: Secret,
    /// The administrator that a new data directory starts with.
    pub default_user: String,
    /// Its password.
    pub default_pass: Secret,
    /// The file that was read, if one was named.
    pub config_file: Option<PathBuf>,
}

impl Config {
    /// The address to listen on, with its port.
    pub fn listen_address(&self) -> SocketAddr {
        SocketAddr::new(self.bind, self.port)
    }

    /// Every setting at its default, with this data directory: what tests start from.
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
            loopback_users: vec![DEFAULT_USER.to_owned()],
            auth_mechanisms: vec![Mechanism::Plain, Mechanism::AmqPlain],
            anonymous_login_user: Some(DEFAULT_USER.to_owned()),
            anonymous_login_pass: Secret::from(DEFAULT_USER),
            default_user: DEFAULT_USER.to_owned(),
            default_pass: Secret::from(DEFAULT_USER),
            config_file: None,
        }
    }
}
