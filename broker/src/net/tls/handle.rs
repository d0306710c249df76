//! The configuration in force, shared by all listeners, and how another takes its place.

use super::config::{self, Loaded};
use super::error::TlsError;
use super::expiry::{self, Validity};
use super::files::FileStates;
use super::settings::{LoginFrom, TlsSettings};
use crate::config::TlsVerify;
use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often what expires is in the log.
const EXPIRY_LOGGED: Duration = Duration::from_secs(86_400);

/// The broker's certificates and keys, as read last. Copies share them.
#[derive(Clone, Debug, Default)]
pub struct Tls(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    in_force: RwLock<InForce>,
    /// Locked while files are read, which is longer than `in_force` may be.
    reading: Mutex<Reading>,
}

#[derive(Debug, Default)]
struct InForce {
    settings: TlsSettings,
    loaded: Loaded,
}

/// What is known of the files.
#[derive(Debug, Default)]
struct Reading {
    /// As they were when they were read last, with or without success.
    read: FileStates,
    /// As they were at the last look, if that was not the same.
    seen: Option<FileStates>,
    /// When it was logged what expires.
    logged: Option<Instant>,
}

impl Tls {
    /// Reads the certificates that the settings name.
    ///
    /// # Errors
    /// When settings do not fit together, or a file cannot be used.
    pub fn open(settings: TlsSettings) -> Result<Self, TlsError> {
        let tls = Tls::default();
        tls.replace(settings)?;
        Ok(tls)
    }

    /// Returns the configuration for AMQP, which asks clients for certificates if `tls_verify` says so; `None` without
    /// certificates. Ask at each accept: a reload replaces it.
    pub fn server_config(&self) -> Option<Arc<ServerConfig>> {
        let in_force = self.0.in_force.read();
        let configs = in_force.loaded.configs.as_ref();
        configs.map(|configs| configs.amqp.clone())
    }

    /// Returns the configuration for HTTP, which asks nobody for a certificate: browsers would ask their users for one.
    pub fn https_config(&self) -> Option<Arc<ServerConfig>> {
        let in_force = self.0.in_force.read();
        let configs = in_force.loaded.configs.as_ref();
        configs.map(|configs| configs.https.clone())
    }

    /// Returns whether clients of AMQP are asked for a certificate.
    pub fn asks_certificate(&self) -> bool {
        self.0.in_force.read().settings.verify == TlsVerify::Peer
    }

    /// Returns what of a client's certificate is the user's name.
    pub fn login_from(&self) -> LoginFrom {
        self.0.in_force.read().settings.login
    }

    /// Returns the settings in force.
    pub fn settings(&self) -> TlsSettings {
        self.0.in_force.read().settings.clone()
    }

    /// Returns how long what was read is valid, in the order of the files.
    pub fn validity(&self) -> Arc<[Validity]> {
        self.0.in_force.read().loaded.validity.clone()
    }

    /// Reads all files again. Connections go on with what they have; new ones get what was read.
    ///
    /// # Errors
    /// When settings do not fit together, or a file cannot be used. Then what was in force stays in force.
    pub fn reload(&self) -> Result<(), TlsError> {
        let mut reading = self.0.reading.lock();
        self.load(&mut reading, self.settings())
    }

    /// Uses other settings from now on, and reads all files again.
    ///
    /// # Errors
    /// As [`reload`](Tls::reload).
    pub fn replace(&self, settings: TlsSettings) -> Result<(), TlsError> {
        let mut reading = self.0.reading.lock();
        self.load(&mut reading, settings)
    }

    fn load(&self, reading: &mut Reading, settings: TlsSettings) -> Result<(), TlsError> {
        // Before the files are read: what changes meanwhile is read again.
        let states = FileStates::of(&settings);
        reading.seen = None;
        let loaded = config::load(&settings).inspect_err(|_| {
            // What is wrong is told once, and not again before it changes. Other settings are not in force, nor watched.
            if settings == self.0.in_force.read().settings {
                reading.read = states.clone();
            }
        })?;
        reading.read = states;
        reading.logged = Some(Instant::now());
        let before = {
            let mut in_force = self.0.in_force.write();
            let next = InForce { settings, loaded };
            std::mem::replace(&mut *in_force, next)
        };
        self.log(Some(&before.loaded.validity));
        Ok(())
    }

    /// Reads all files again if one of them has changed and then stayed as it is from one look to the next: a certificate
    /// and its key are two files. Logs what has come of it, and once a day what expires.
    pub(super) fn look(&self) {
        let mut reading = self.0.reading.lock();
        let settings = self.settings();
        let now = FileStates::of(&settings);
        let due = |at: Instant| at.elapsed() >= EXPIRY_LOGGED;
        if reading.logged.is_some_and(due) {
            reading.logged = Some(Instant::now());
            self.log(None);
        }
        if now == reading.read {
            reading.seen = None;
        } else if reading.seen.as_ref() == Some(&now) {
            match self.load(&mut reading, settings) {
                Ok(()) => {
                    tracing::info!("certificates were read again because their files changed");
                }
                Err(error) => tracing::error!(
                    %error,
                    "the files of certificates changed and cannot be used: the old certificates stay in force"
                ),
            }
        } else {
            reading.seen = Some(now);
        }
    }

    /// Logs what is in force, if it is not the same as `before`, and what expires.
    fn log(&self, before: Option<&[Validity]>) {
        let (all, now) = (self.validity(), expiry::now());
        for one in all.iter() {
            if before.is_some_and(|before| !before.contains(one)) {
                tracing::info!(
                    file = %one.file.display(),
                    subject = one.subject,
                    until = one.until_text(),
                    "certificate in force"
                );
            }
            one.log(now);
        }
    }
}
