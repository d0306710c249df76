//! The configuration in force, shared by all listeners.

use super::config::{self, Configs};
use super::error::TlsError;
use super::settings::{LoginFrom, TlsSettings};
use parking_lot::RwLock;
use rustls::ServerConfig;
use std::sync::Arc;

/// The broker's certificates and keys, as read last. Copies share them.
#[derive(Clone, Debug)]
pub struct Tls(Arc<RwLock<InForce>>);

#[derive(Debug)]
struct InForce {
    settings: TlsSettings,
    configs: Option<Configs>,
}

impl Default for Tls {
    /// Returns a handle without certificates.
    fn default() -> Self {
        let settings = TlsSettings::default();
        let configs = None;
        Tls(Arc::new(RwLock::new(InForce { settings, configs })))
    }
}

impl Tls {
    /// Reads the certificates that the settings name.
    ///
    /// # Errors
    /// When settings do not fit together, or a file cannot be used.
    pub fn open(settings: TlsSettings) -> Result<Self, TlsError> {
        let configs = config::load(&settings)?;
        Ok(Tls(Arc::new(RwLock::new(InForce { settings, configs }))))
    }

    /// Returns the configuration for AMQP, which asks clients for certificates if `tls_verify` says so; `None` without
    /// certificates. Ask at each accept: a reload replaces it.
    pub fn server_config(&self) -> Option<Arc<ServerConfig>> {
        let in_force = self.0.read();
        in_force
            .configs
            .as_ref()
            .map(|configs| configs.amqp.clone())
    }

    /// Returns the configuration for HTTP, which asks nobody for a certificate: browsers would ask their users for one.
    pub fn https_config(&self) -> Option<Arc<ServerConfig>> {
        let in_force = self.0.read();
        in_force
            .configs
            .as_ref()
            .map(|configs| configs.https.clone())
    }

    /// Returns what of a client's certificate is the user's name.
    pub fn login_from(&self) -> LoginFrom {
        self.0.read().settings.login
    }

    /// Reads all files again. Connections go on with what they have; new ones get what was read.
    ///
    /// # Errors
    /// When settings do not fit together, or a file cannot be used. Then what was in force stays in force.
    pub fn reload(&self) -> Result<(), TlsError> {
        let settings = self.0.read().settings.clone();
        self.replace(settings)
    }

    /// Uses other settings from now on.
    ///
    /// # Errors
    /// As [`reload`](Tls::reload).
    pub fn replace(&self, settings: TlsSettings) -> Result<(), TlsError> {
        // Reading takes a while; accepting goes on meanwhile.
        let configs = config::load(&settings)?;
        *self.0.write() = InForce { settings, configs };
        Ok(())
    }
}
