//! Whom to trust and what to show: the options of TLS, and rustls's configuration made from them.

use super::Tls;
use super::tls::Handshake;
use crate::net::tls::PemFile;
use crate::perf::patience::Patience;
use crate::perf::uri::{Address, Target};
use clap::{Args, ValueEnum};
use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    DigitallySignedStruct, Error, InconsistentKeys, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use socket2::Socket;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many sessions are remembered to be resumed.
const SESSIONS: usize = 1024;

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

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Version {
    /// TLS 1.2.
    #[value(name = "1.2", alias = "tlsv1.2")]
    Tls12,
    /// TLS 1.3.
    #[value(name = "1.3", alias = "tlsv1.3")]
    Tls13,
}

/// What the options and the URI say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::perf) struct Settings {
    pub(in crate::perf) cacert: Option<PathBuf>,
    pub(in crate::perf) cert: Option<PathBuf>,
    pub(in crate::perf) key: Option<PathBuf>,
    pub(in crate::perf) insecure: bool,
    pub(in crate::perf) server_name: Option<String>,
    /// Do not say which name we want.
    pub(in crate::perf) no_sni: bool,
    pub(in crate::perf) version: Option<Version>,
    pub(in crate::perf) resumption: bool,
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
    pub(in crate::perf) fn apply(&self, target: &mut Target) -> Result<(), String> {
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

/// The configuration of all connections, and what their handshakes have agreed on.
pub(in crate::perf) struct Trust {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    verified: bool,
    handshakes: Mutex<Handshakes>,
}

/// The handshakes of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::perf) struct Handshakes {
    /// What the first one agreed on.
    first: Option<Handshake>,
    pub(in crate::perf) full: u64,
    pub(in crate::perf) resumed: u64,
    /// The broker's certificate was checked.
    pub(in crate::perf) verified: bool,
}

impl Handshakes {
    /// Returns the version of the first one.
    pub(in crate::perf) fn version(&self) -> &str {
        self.first.as_ref().map_or("none", |first| &first.version)
    }

    /// Returns the cipher suite of the first one.
    pub(in crate::perf) fn cipher(&self) -> &str {
        self.first.as_ref().map_or("none", |first| &first.cipher)
    }
}

impl Trust {
    /// Reads the files. `host` is the broker's, and the name to check for unless the settings have another.
    pub(in crate::perf) fn new(settings: &Settings, host: &str) -> io::Result<Self> {
        let name = settings.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name.clone())
            .map_err(|_| io::Error::other(format!("{name:?} is not a name for TLS")))?;
        Ok(Trust {
            config: Arc::new(configuration(settings)?),
            name,
            verified: !settings.insecure,
            handshakes: Mutex::default(),
        })
    }

    /// Does a handshake on a connected socket.
    pub(in crate::perf) fn handshake(&self, socket: Socket, patience: Patience) -> io::Result<Tls> {
        let config = Arc::clone(&self.config);
        let tls = Tls::handshake(socket, config, self.name.clone(), patience)?;
        let agreed = tls.agreed();
        let mut handshakes = self.handshakes.lock();
        match agreed.resumed {
            true => handshakes.resumed += 1,
            false => handshakes.full += 1,
        }
        handshakes.first.get_or_insert(agreed);
        Ok(tls)
    }

    pub(in crate::perf) fn verified(&self) -> bool {
        self.verified
    }

    /// Returns the handshakes so far.
    pub(in crate::perf) fn handshakes(&self) -> Handshakes {
        Handshakes {
            verified: self.verified,
            ..self.handshakes.lock().clone()
        }
    }
}

fn configuration(settings: &Settings) -> io::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[&SupportedProtocolVersion] = match settings.version {
        Some(Version::Tls12) => &[&rustls::version::TLS12],
        Some(Version::Tls13) => &[&rustls::version::TLS13],
        None => rustls::ALL_VERSIONS,
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(io::Error::other)?;
    let builder = match settings.insecure {
        true => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider))),
        false => builder.with_root_certificates(authorities(settings.cacert.as_deref())?),
    };
    let mut config = match &settings.cert {
        None => builder.with_no_client_auth(),
        Some(cert) => {
            let key = settings.key.as_ref().unwrap_or(cert);
            builder
                .with_client_auth_cert(certificates(cert)?, private_key(key)?)
                .map_err(|error| unusable(&error, cert, key))?
        }
    };
    config.enable_sni = !settings.no_sni;
    config.resumption = match settings.resumption {
        true => Resumption::in_memory_sessions(SESSIONS),
        false => Resumption::disabled(),
    };
    Ok(config)
}

/// Reads the authorities to trust: from a file, or those of the system.
fn authorities(file: Option<&Path>) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            for authority in certificates(file)? {
                roots.add(authority).map_err(|error| {
                    let file = file.display();
                    io::Error::other(format!("{file}: an authority cannot be used: {error}"))
                })?;
            }
        }
        None => {
            // Some system has some that cannot be parsed; what matters is whether ours is among the others.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    match roots.is_empty() {
        true => Err(io::Error::other(
            "the system trusts no authorities: --cacert FILE names the certificate of the broker's",
        )),
        false => Ok(roots),
    }
}

fn certificates(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let found = PemFile::read(file).and_then(|file| file.certificates());
    found.map_err(io::Error::other)
}

fn private_key(file: &Path) -> io::Result<PrivateKeyDer<'static>> {
    let found = PemFile::read(file).and_then(|file| file.key(None));
    found.map_err(io::Error::other)
}

fn unusable(error: &Error, cert: &Path, key: &Path) -> io::Error {
    let (cert, key) = (cert.display(), key.display());
    io::Error::other(match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            format!("the key in {key} is not that of the certificate in {cert}")
        }
        error => format!("the certificate in {cert} cannot be used with the key in {key}: {error}"),
    })
}

/// Accepts any certificate, if the broker has its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
