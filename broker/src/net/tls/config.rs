//! From files to what rustls needs.

use super::error::TlsError;
use super::expiry::{Role, Validity};
use super::failure;
use super::pem_file::PemFile;
use super::settings::TlsSettings;
use super::sni::Choices;
use crate::config::{TlsVerify, TlsVersion};
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The permission of everybody to read a file.
const READ_BY_ALL: u32 = 0o004;

/// What files come to.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    /// `None` without certificates.
    pub(super) configs: Option<Configs>,
    /// How long it all is valid.
    pub(super) validity: Arc<[Validity]>,
}

impl Default for Loaded {
    fn default() -> Self {
        Loaded {
            configs: None,
            validity: Arc::new([]),
        }
    }
}

/// One configuration for each kind of listener.
#[derive(Clone, Debug)]
pub(super) struct Configs {
    /// For AMQP, where clients may have certificates.
    pub(super) amqp: Arc<ServerConfig>,
    /// For HTTP, where nobody is asked for one.
    pub(super) https: Arc<ServerConfig>,
}

/// Returns the provider of cryptography.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Reads all files, and returns what they come to.
///
/// # Errors
/// When settings do not fit together, or a file cannot be used.
pub(super) fn load(settings: &TlsSettings) -> Result<Loaded, TlsError> {
    settings.check()?;
    if settings.certificates.is_empty() {
        return Ok(Loaded::default());
    }
    let mut validity = Vec::new();
    let provider = provider();
    let password = key_password(settings)?;
    let mut keys = Vec::new();
    for (index, path) in settings.certificates.iter().enumerate() {
        let key_path = settings.keys.get(index).unwrap_or(path);
        let key = certified(&provider, path, key_path, password.as_deref())?;
        let chain = key.cert.iter();
        validity
            .extend(chain.filter_map(|der| Validity::of_certificate(path, Role::Certificate, der)));
        keys.push(key);
    }
    let choices = Arc::new(Choices::new(keys));
    let verifier = verifier(settings, &provider, &mut validity)?;
    let build = |verifier: Arc<dyn ClientCertVerifier>, protocols: &[&str]| {
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions(&settings.versions))
            .map_err(|error| TlsError::Settings(error.to_string()))?;
        let asks = verifier.offer_client_auth();
        let mut config = builder
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(choices.clone());
        let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
        config.alpn_protocols = protocols.collect();
        if asks {
            // A resumed session would not check the client's certificate again: neither its end nor its revocation.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(config))
    };
    let configs = Configs {
        https: build(Arc::new(NoClientAuth), &["http/1.1"])?,
        amqp: build(verifier, &[])?,
    };
    Ok(Loaded {
        configs: Some(configs),
        validity: validity.into(),
    })
}

/// Returns the password of encrypted keys.
fn key_password(settings: &TlsSettings) -> Result<Option<String>, TlsError> {
    let Some(path) = &settings.key_password_file else {
        let password = settings.key_password.as_ref();
        return Ok(password.map(|password| password.expose().to_owned()));
    };
    let text =
        std::fs::read_to_string(path).map_err(|error| TlsError::file(path, error.to_string()))?;
    Ok(text.lines().next().map(str::to_owned))
}

/// Warns of a file with a key that anybody on the machine can read.
fn warn_of_readers(path: &Path) {
    let mode = std::fs::metadata(path).map_or(0, |found| found.mode());
    if mode & READ_BY_ALL != 0 {
        tracing::warn!(
            file = %path.display(),
            mode = format_args!("{:o}", mode & 0o777),
            "every user of this machine can read this private key: chmod o-r"
        );
    }
}

/// Reads a certificate and its key.
fn certified(
    provider: &CryptoProvider,
    path: &Path,
    key_path: &Path,
    password: Option<&str>,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let file = PemFile::read(path)?;
    let chain = file.certificates()?;
    let key = match key_path == path {
        true => file.key(password)?,
        false => PemFile::read(key_path)?.key(password)?,
    };
    let key = provider.key_provider.load_private_key(key).map_err(|_| {
        let reason = "the private key cannot be used: RSA of 2048 to 8192 bits, ECDSA on P-256 or P-384, and Ed25519 are \
                      supported";
        TlsError::file(key_path, reason)
    })?;
    warn_of_readers(key_path);
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Arc::new(certified)),
        Err(Error::InconsistentKeys(_)) => {
            let path = path.display();
            let reason = format!(
                "this private key does not belong to the first certificate in {path}; the broker's own certificate comes \
                 first, intermediate ones follow"
            );
            Err(TlsError::file(key_path, reason))
        }
        Err(error) => Err(TlsError::file(
            path,
            format!(
                "the certificate cannot be used: {}",
                failure::own_certificate(&error)
            ),
        )),
    }
}

/// Returns what checks clients' certificates.
fn verifier(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
    validity: &mut Vec<Validity>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(path) = &settings.authorities else {
        return Ok(Arc::new(NoClientAuth));
    };
    // A wrong file is told before it is needed.
    let authorities = PemFile::read(path)?.certificates()?;
    if settings.verify != TlsVerify::Peer {
        return Ok(Arc::new(NoClientAuth));
    }
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        validity.extend(Validity::of_certificate(path, Role::Authority, &authority));
        roots.add(authority).map_err(|error| {
            TlsError::file(path, format!("a certificate in it cannot be used: {error}"))
        })?;
    }
    let roots = Arc::new(roots);
    let checking = || WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
    let mut builder = checking();
    for path in &settings.revoked {
        let lists = PemFile::read(path)?.revocation_lists()?;
        validity.extend(lists.iter().filter_map(|der| Validity::of_list(path, der)));
        builder = builder.with_crls(lists);
    }
    if !settings.revoked.is_empty() {
        builder = builder.enforce_revocation_expiration();
    }
    if !settings.certificate_required {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| {
        // The error does not say which list it is about.
        let is_wrong = |path: &&PathBuf| {
            let lists = PemFile::read(path).and_then(|file| file.revocation_lists());
            lists.is_ok_and(|lists| checking().with_crls(lists).build().is_err())
        };
        let path = settings.revoked.iter().find(is_wrong).unwrap_or(path);
        TlsError::file(path, failure::checking(&error))
    })
}

fn versions(wanted: &[TlsVersion]) -> Vec<&'static SupportedProtocolVersion> {
    let one = |version: &TlsVersion| match version {
        TlsVersion::V13 => &rustls::version::TLS13,
        TlsVersion::V12 => &rustls::version::TLS12,
    };
    wanted.iter().map(one).collect()
}
