//! Whom to trust and what to show: the settings of TLS, and rustls's configuration made from them.

use super::Tls;
use super::tls::Handshake;
use crate::client::patience::Patience;
use crate::net::tls::PemFile;
use clap::ValueEnum;
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
pub(crate) struct Settings {
    pub(crate) cacert: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) insecure: bool,
    pub(crate) server_name: Option<String>,
    /// Do not say which name we want.
    pub(crate) no_sni: bool,
    pub(crate) version: Option<Version>,
    pub(crate) resumption: bool,
}

/// The configuration of all connections, and what their handshakes have agreed on.
pub(crate) struct Trust {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    verified: bool,
    handshakes: Mutex<Handshakes>,
}

/// The handshakes of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Handshakes {
    /// What the first one agreed on.
    first: Option<Handshake>,
    pub(crate) full: u64,
    pub(crate) resumed: u64,
    /// The broker's certificate was checked.
    pub(crate) verified: bool,
}

impl Handshakes {
    /// Returns the version of the first one.
    pub(crate) fn version(&self) -> &str {
        self.first.as_ref().map_or("none", |first| &first.version)
    }

    /// Returns the cipher suite of the first one.
    pub(crate) fn cipher(&self) -> &str {
        self.first.as_ref().map_or("none", |first| &first.cipher)
    }
}

impl Trust {
    /// Reads the files. `host` is the broker's, and the name to check for unless the settings have another.
    pub(crate) fn new(settings: &Settings, host: &str) -> io::Result<Self> {
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
    pub(crate) fn handshake(&self, socket: Socket, patience: Patience) -> io::Result<Tls> {
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

    pub(crate) fn verified(&self) -> bool {
        self.verified
    }

    /// Returns the handshakes so far.
    pub(crate) fn handshakes(&self) -> Handshakes {
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
