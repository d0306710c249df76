//! The settings, and where they come from.
//!
//! What belongs here is a plain value, how it is written, and which values are valid. What does not: what it does.
//!
//! Every setting has one name in three forms: a flag (`--data-dir`), an environment variable
//! (`LEVERET_DATA_DIR`) and a key of a TOML file (`data_dir`). A flag wins over the environment, the
//! environment over the files, a later file over an earlier one, a file over the default. `sources` says
//! which files are read. The settings are declared once, in `settings`; each layer is a [`settings::Settings`].
//!
//! `default_pass`, `anonymous_login_pass` and `tls_key_password` have no flag, because every user of the machine can
//! read a command line.

mod auth;
mod backend_settings;
mod backends;
mod check;
mod data_dir;
mod default_limits;
mod error;
mod file;
mod limits;
mod listener;
mod load;
mod log;
mod mechanism;
mod paths;
mod plain_words;
mod rabbitmq;
mod regular;
mod replaced;
mod settings;
mod shown;
mod sources;
mod system_user;
mod table;
mod tls;
mod values;
mod watermark;

#[cfg(test)]
mod credentials_tests;
#[cfg(test)]
mod sources_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wrong_values_tests;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use auth::{AuthBackend, AuthBackends, PasswordHashing};
pub use backends::{HttpMethod, SigningKey};
pub use data_dir::{DataDir, Environment, SYSTEM_DATA_DIR, locate as locate_data_dir};
pub use default_limits::DefaultLimit;
pub use error::ConfigError;
pub use limits::Limits;
pub use listener::{ListenerSpec, ListenerSpecs, Place, TlsPort, Trusted};
pub use load::{Command, TlsCommand, command_line};
pub use log::{LogFilter, LogFormat, RotationAge};
pub use mechanism::Mechanism;
pub use rabbitmq::{Imported, Note, TakenVariable};
use settings::NONE;
pub use settings::{
    Config, DEFAULT_CHANNEL_MAX, DEFAULT_CONSUMER_TIMEOUT, DEFAULT_FRAME_MAX, DEFAULT_HEARTBEAT,
    DEFAULT_MANAGEMENT_PORT, DEFAULT_MANAGEMENT_TLS_PORT, DEFAULT_MAX_MESSAGE_SIZE, DEFAULT_PORT,
    DEFAULT_STATISTICS_INTERVAL, DEFAULT_TLS_PORT, DEFAULT_USER,
};
pub use system_user::SystemUser;
pub use tls::{CertLogin, SanType, TlsVerify, TlsVersion};
pub use values::{
    AuthMechanisms, ByteSize, Interval, LoopbackUsers, Maximum, Origins, Secret, TimeLimit,
};
pub use watermark::{DiskFreeLimit, MemoryWatermark};

impl Config {
    /// Returns everything to listen on for AMQP; `certified` says whether there is a certificate.
    pub fn amqp_listeners(&self, certified: bool) -> Vec<ListenerSpec> {
        if !self.listeners.is_empty() {
            return self.listeners.clone();
        }
        let plain = SocketAddr::new(self.bind, self.port);
        let tls = self.tls_port.port(DEFAULT_TLS_PORT, certified);
        beside(
            Some(plain),
            tls.map(|port| SocketAddr::new(self.bind, port)),
        )
    }

    /// Returns everything that the management HTTP API listens on.
    pub fn management_listeners(&self, certified: bool) -> Vec<ListenerSpec> {
        if !self.management {
            return Vec::new();
        }
        if !self.management_listeners.is_empty() {
            return self.management_listeners.clone();
        }
        let at = |port| SocketAddr::new(self.management_bind, port);
        let plain = at(self.management_port.unwrap_or(DEFAULT_MANAGEMENT_PORT));
        let tls = self.management_tls_port;
        let tls = tls.port(DEFAULT_MANAGEMENT_TLS_PORT, certified);
        beside(Some(plain), tls.map(at))
    }

    /// Returns whether a listener for AMQP has TLS. WebSocket does not count: it never asks for a client's certificate.
    pub fn has_tls(&self) -> bool {
        let listeners = self.amqp_listeners(!self.tls_certfile.is_empty());
        listeners.iter().any(|one| one.tls)
    }

    /// Returns whether other machines may be able to connect to a listener on which users log in.
    pub fn is_reachable(&self) -> bool {
        // The default ports with TLS are on the same addresses as those without.
        let mut listeners = self.amqp_listeners(true);
        listeners.extend(self.management_listeners(true));
        !listeners.iter().all(ListenerSpec::is_local)
    }

    /// Returns whether nobody has chosen the port of this listener of the management HTTP API.
    pub fn is_default_management(&self, spec: &ListenerSpec) -> bool {
        let chosen = match spec.tls {
            false => self.management_port.is_some(),
            true => self.management_tls_port != TlsPort::Auto,
        };
        self.management_listeners.is_empty() && !chosen
    }

    /// Returns everything on which anybody may read the metrics.
    pub fn prometheus_listeners(&self) -> Vec<ListenerSpec> {
        if !self.prometheus_listeners.is_empty() {
            return self.prometheus_listeners.clone();
        }
        let at = |port| SocketAddr::new(self.prometheus_bind, port);
        beside(
            self.prometheus_port.map(at),
            self.prometheus_tls_port.map(at),
        )
    }

    /// Returns the defaults with this data directory, for tests to start from.
    pub fn with_data_dir(data_dir: PathBuf) -> Self {
        Config {
            data_dir,
            ..Config::defaults()
        }
    }
}

/// Returns a listener without TLS and one with it.
fn beside(plain: Option<SocketAddr>, tls: Option<SocketAddr>) -> Vec<ListenerSpec> {
    let plain = plain.map(|address| ListenerSpec::at(address, false));
    let tls = tls.map(|address| ListenerSpec::at(address, true));
    plain.into_iter().chain(tls).collect()
}
