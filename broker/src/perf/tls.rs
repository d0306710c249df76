//! The options of TLS.

use clap::Args;
use std::path::PathBuf;

use crate::client::Version;
use crate::client::transport::Settings;
use crate::client::uri::{Address, Target};

/// The options of TLS.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "TLS")]
pub struct TlsOptions {
    /// Use TLS with --address (a URI says amqps://).
    #[arg(long, conflicts_with = "uri")]
    pub tls: bool,
    /// The certificates of the authorities to trust, in PEM (default: those that the system trusts).
    #[arg(long, value_name = "FILE", alias = "cacertfile")]
    pub cacert: Option<PathBuf>,
    /// Our certificate and its chain, in PEM.
    #[arg(long, value_name = "FILE", alias = "certfile")]
    pub cert: Option<PathBuf>,
    /// The key of our certificate, in PEM (default: the one in the file of the certificate).
    #[arg(long, value_name = "FILE", alias = "keyfile")]
    pub key: Option<PathBuf>,
    /// Log in as our certificate says (the mechanism EXTERNAL), without a password.
    #[arg(long, conflicts_with_all = ["user", "password"])]
    pub external: bool,
    /// Accept any certificate of the broker. The output says so.
    #[arg(long, conflicts_with = "cacert")]
    pub insecure: bool,
    /// The name that the broker's certificate must have, sent to it as SNI (default: the host).
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// Accept this version only.
    #[arg(long, value_name = "VERSION", value_enum)]
    pub tls_version: Option<Version>,
    /// Resume sessions where the broker allows it (default: a full handshake for each connection).
    #[arg(long)]
    pub tls_resumption: bool,
}

impl TlsOptions {
    /// Returns the first option that has no meaning without TLS.
    fn needs_tls(&self) -> Option<&'static str> {
        let given = [
            ("--cacert", self.cacert.is_some()),
            ("--cert", self.cert.is_some()),
            ("--key", self.key.is_some()),
            ("--external", self.external),
            ("--insecure", self.insecure),
            ("--server-name", self.server_name.is_some()),
            ("--tls-version", self.tls_version.is_some()),
            ("--tls-resumption", self.tls_resumption),
        ];
        let first = given.into_iter().find(|(_, given)| *given);
        first.map(|(name, _)| name)
    }

    /// Applies the options to what a URI says, or other options.
    ///
    /// # Errors
    /// They make no sense together.
    pub(super) fn apply(&self, target: &mut Target) -> Result<(), String> {
        target.external |= self.external;
        let Some(settings) = target.tls.take() else {
            return match self.needs_tls() {
                Some(option) => Err(format!("{option} needs TLS: --uri amqps://, or --tls")),
                None => Ok(()),
            };
        };
        if matches!(target.address, Address::Unix(_)) {
            return Err("--tls: Unix sockets are not encrypted".to_owned());
        }
        let settings = self.over(settings);
        if settings.cert.is_none() && settings.key.is_some() {
            return Err("a key needs its certificate: --cert".to_owned());
        }
        if settings.cert.is_none() && target.external {
            return Err("--external needs a client certificate: --cert".to_owned());
        }
        target.tls = Some(settings);
        Ok(())
    }

    /// Returns the settings: what is not given here is as in the URI.
    fn over(&self, uri: Settings) -> Settings {
        Settings {
            insecure: self.insecure || uri.insecure && self.cacert.is_none(),
            cacert: self.cacert.clone().or(uri.cacert),
            key: match &self.cert {
                Some(_) => self.key.clone(),
                None => self.key.clone().or(uri.key),
            },
            cert: self.cert.clone().or(uri.cert),
            server_name: self.server_name.clone().or(uri.server_name),
            no_sni: uri.no_sni && self.server_name.is_none(),
            version: self.tls_version,
            resumption: self.tls_resumption,
        }
    }
}
