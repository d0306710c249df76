//! The settings, and where they come from.
//!
//! What belongs here is a plain value, how it is written, and which values are valid. What does not: what it does.
//!
//! Every setting has one name in three forms: a flag (`--data-dir`), an environment variable
//! (`LEVERET_DATA_DIR`) and a key of the TOML file that `--config` names (`data_dir`). A flag wins
//! over the environment, the environment over the file, the file over the default. The settings are
//! declared once, in `settings`; each of the three layers is a [`settings::Settings`].
//!
//! `default_pass`, `anonymous_login_pass` and `tls_key_password` have no flag, because every user of the machine can
//! read a command line.

mod check;
mod data_dir;
mod error;
mod file;
mod limits;
mod load;
mod log;
mod mechanism;
mod settings;
mod shown;
mod table;
mod tls;
mod values;
mod watermark;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use data_dir::{DataDir, Environment, locate as locate_data_dir};
pub use error::ConfigError;
pub use limits::Limits;
pub use load::Command;
pub use log::{LogFilter, LogFormat, RotationAge};
pub use mechanism::Mechanism;
use settings::NONE;
pub use settings::{
    Config, DEFAULT_CHANNEL_MAX, DEFAULT_CONSUMER_TIMEOUT, DEFAULT_FRAME_MAX, DEFAULT_HEARTBEAT,
    DEFAULT_MANAGEMENT_PORT, DEFAULT_MAX_MESSAGE_SIZE, DEFAULT_PORT, DEFAULT_STATISTICS_INTERVAL,
    DEFAULT_USER,
};
pub use tls::{CertLogin, SanType, TlsVerify, TlsVersion};
pub use values::{
    AuthMechanisms, ByteSize, Interval, LoopbackUsers, Maximum, Origins, Secret, TimeLimit,
};
pub use watermark::{DiskFreeLimit, MemoryWatermark};

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
            data_dir,
            ..Config::defaults()
        }
    }
}
