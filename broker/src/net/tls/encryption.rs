//! What is kept of a handshake: what was agreed on, in RabbitMQ's words, and what the client's certificate says.

use super::names;
use super::settings::LoginFrom;
use super::suites::{MAC, Suite};
use crate::config::{CertLogin, SanType};
use crate::text::names::NAME_MAX;
use crate::text::shorten::shortened;
use rustls::{ProtocolVersion, ServerConnection};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// The bytes of a name in a certificate that are kept to be shown.
const TEXT_MAX: usize = 1024;

/// How a connection is encrypted, in RabbitMQ's words (`rabbit_ssl`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// `tlsv1.3` or `tlsv1.2`.
    pub protocol: &'static str,
    /// `any` with TLS 1.3, else `ecdhe_rsa` or `ecdhe_ecdsa`.
    pub key_exchange: &'static str,
    /// Such as `aes_256_gcm`.
    pub cipher: &'static str,
    /// `aead`: all ciphers authenticate what they encrypt.
    pub hash: &'static str,
    /// The client's certificate, which was checked; `None` without one.
    pub peer: Option<Box<PeerCertificate>>,
}

/// What the certificate of a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Whose it is: `CN=app,O=Example`.
    pub subject: String,
    /// Who has signed it.
    pub issuer: String,
    /// `2026-01-01T00:00:00Z - 2027-01-01T00:00:00Z`.
    pub validity: String,
    /// The name of the user whose it is, or why there is none.
    login: Result<String, &'static str>,
}

impl Encryption {
    /// Returns the facts of a handshake that is over. `login` says what of the client's certificate is the user's name.
    pub fn of(session: &ServerConnection, login: LoginFrom) -> Self {
        let suite = session.negotiated_cipher_suite();
        let suite = suite.and_then(|suite| Suite::of(suite.suite()));
        let certificates = session.peer_certificates();
        let peer = certificates.and_then(|chain| chain.first());
        Encryption {
            protocol: match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "tlsv1.2",
                _ => "tlsv1.3",
            },
            key_exchange: suite.map_or("", |suite| suite.key_exchange),
            cipher: suite.map_or("", |suite| suite.cipher),
            hash: MAC,
            peer: peer
                .and_then(|der| PeerCertificate::read(der, login))
                .map(Box::new),
        }
    }
}

impl PeerCertificate {
    /// Reads a certificate. `None` if it cannot be parsed, so that nobody logs in with it.
    pub fn read(der: &[u8], login: LoginFrom) -> Option<Self> {
        let certificate = names::parsed(der)?;
        let kept = |text: String| shortened(&text, TEXT_MAX).into_owned();
        Some(PeerCertificate {
            subject: kept(names::distinguished(certificate.subject())),
            issuer: kept(names::distinguished(certificate.issuer())),
            validity: names::validity(&certificate),
            login: login_name(&certificate, login),
        })
    }

    /// Returns the name of the user whose certificate this is.
    ///
    /// # Errors
    /// Why there is none, for the log.
    pub fn login_name(&self) -> Result<&str, &'static str> {
        self.login.as_deref().map_err(|reason| *reason)
    }
}

fn login_name(certificate: &X509Certificate<'_>, from: LoginFrom) -> Result<String, &'static str> {
    let name = match from.part {
        CertLogin::DistinguishedName => Some(names::distinguished(certificate.subject())),
        CertLogin::CommonName => names::common_name(certificate.subject()),
        CertLogin::SubjectAlternativeName => {
            let wanted = |name: &GeneralName<'_>| {
                let (of, text) = alternative(name)?;
                (of == from.san_type).then_some(text)
            };
            let mut names = names::alternative_names(certificate, wanted).into_iter();
            names.nth(usize::try_from(from.san_index).unwrap_or(usize::MAX))
        }
    };
    match name {
        None => Err("no name found in the client's certificate: see ssl_cert_login_from"),
        Some(name) if name.is_empty() => Err("the name in the client's certificate is empty"),
        Some(name) if name.len() > NAME_MAX => {
            Err("the name in the client's certificate has more than 255 bytes")
        }
        Some(name) => Ok(name),
    }
}

fn alternative(name: &GeneralName<'_>) -> Option<(SanType, String)> {
    match name {
        GeneralName::DNSName(host) => Some((SanType::Dns, (*host).to_owned())),
        GeneralName::RFC822Name(address) => Some((SanType::Email, (*address).to_owned())),
        GeneralName::URI(uri) => Some((SanType::Uri, (*uri).to_owned())),
        GeneralName::IPAddress(bytes) => Some((SanType::Ip, names::ip_address(bytes)?)),
        GeneralName::OtherName(_, value) => Some((SanType::OtherName, names::other_name(value)?)),
        _ => None,
    }
}
