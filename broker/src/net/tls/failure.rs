//! Why handshakes fail, in words that say who has to change what.

use rustls::server::VerifierBuilderError;
use rustls::{
    AlertDescription, CertRevocationListError, CertificateError, Error, InvalidMessage,
    PeerIncompatible,
};
use std::borrow::Cow;
use std::io;

/// webpki's name for a certificate that has no extensions.
const VERSION_1: &str = "UnsupportedCertVersion";
/// webpki's name for an authority's certificate where a client's or a server's belongs.
const AUTHORITY: &str = "CaUsedAsEndEntity";
/// What is wrong with certificates of version 1, and what to do.
const SIGN_AGAIN: &str =
    "of X.509 version 1: sign it with extensions (openssl x509 -req -extfile ...)";
const TOO_LARGE: &str =
    "the client sends a message that is larger than 64 KiB, which is the most in a handshake";

/// Returns why a handshake has failed, for the log.
pub fn handshake_failure(error: &io::Error) -> Cow<'static, str> {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match (inner, error.kind()) {
        (Some(error), _) => of_tls(error),
        (None, io::ErrorKind::UnexpectedEof) => "the client closed the connection".into(),
        // What rustls says of a message that does not fit into its buffer.
        (None, _) if error.to_string().contains("message buffer full") => TOO_LARGE.into(),
        (None, _) => error.to_string().into(),
    }
}

/// Returns why the broker's own certificate cannot be used.
pub(super) fn own_certificate(error: &Error) -> Cow<'static, str> {
    match error {
        Error::InvalidCertificate(reason) => match unnamed(reason).as_deref() {
            Some(VERSION_1) => format!("it is {SIGN_AGAIN}").into(),
            Some(AUTHORITY) => {
                "it is that of an authority (CA:TRUE): issue one for the broker".into()
            }
            _ => reason.to_string().into(),
        },
        other => other.to_string().into(),
    }
}

/// Returns why clients' certificates cannot be checked with the files of settings.
pub(super) fn checking(error: &VerifierBuilderError) -> Cow<'static, str> {
    match error {
        VerifierBuilderError::InvalidCrl(
            CertRevocationListError::ParseError
            | CertRevocationListError::InvalidCrlNumber
            | CertRevocationListError::UnsupportedCrlVersion,
        ) => {
            "a list in it cannot be read: it has to be of version 2 with a CRL number, as openssl ca -gencrl writes it with \
             crlnumber in its configuration"
                .into()
        }
        other => format!("clients' certificates cannot be checked with it: {other}").into(),
    }
}

fn of_tls(error: &Error) -> Cow<'static, str> {
    match error {
        Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge) => TOO_LARGE.into(),
        Error::InvalidMessage(_) => "the client does not speak TLS, which this port expects".into(),
        Error::PeerIncompatible(reason) => incompatible(reason),
        Error::NoCertificatesPresented => {
            "the client has no certificate, and tls_fail_if_no_peer_cert demands one".into()
        }
        Error::InvalidCertificate(reason) => certificate(reason),
        Error::AlertReceived(alert) => rejected(*alert),
        Error::General(text) if text.contains("no server certificate chain resolved") => {
            "the client offers no cipher or signature that fits the broker's certificates".into()
        }
        other => other.to_string().into(),
    }
}

fn incompatible(reason: &PeerIncompatible) -> Cow<'static, str> {
    match reason {
        // Clients of TLS 1.1 and older have no such extension.
        PeerIncompatible::SignatureAlgorithmsExtensionRequired
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic => {
            "the client offers no version of TLS that is supported (1.2 or 1.3, and in tls_versions)"
                .into()
        }
        PeerIncompatible::NoCipherSuitesInCommon => {
            "the client offers no cipher that is supported: see cipher_suites".into()
        }
        PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NoEcPointFormatsInCommon
        | PeerIncompatible::NamedGroupsExtensionRequired => {
            "the client offers no key exchange that is supported: X25519, P-256 or P-384".into()
        }
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
            "the client supports no signature of the kind that the broker's certificate makes"
                .into()
        }
        other => format!("the client's TLS does not fit: {other:?}").into(),
    }
}

fn certificate(reason: &CertificateError) -> Cow<'static, str> {
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the client's certificate, or one that has signed it, has expired".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the client's certificate is not valid yet: compare the clocks".into()
        }
        CertificateError::Revoked => "the client's certificate has been revoked".into(),
        CertificateError::BadSignature => {
            "the client's certificate is not signed with the key of the authority that it names: is the right certificate \
             of that authority in tls_cacertfile?"
                .into()
        }
        CertificateError::UnknownIssuer => {
            "the client's certificate is not signed by an authority in tls_cacertfile, or the client sends no intermediate \
             certificates"
                .into()
        }
        CertificateError::UnknownRevocationStatus => {
            "no list in tls_crlfile is by the authority that has signed the client's certificate, or one above it"
                .into()
        }
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => {
            "the list in tls_crlfile of the authority that has signed the client's certificate is out of date"
                .into()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the client's certificate is not for clients (extendedKeyUsage has no clientAuth)"
                .into()
        }
        other => match unnamed(other).as_deref() {
            Some(VERSION_1) => format!("the client's certificate is {SIGN_AGAIN}").into(),
            Some(AUTHORITY) => {
                "the client's certificate is that of an authority (CA:TRUE): issue one for the client"
                    .into()
            }
            _ => format!("the client's certificate is not valid: {other}").into(),
        },
    }
}

/// Returns the name of a reason that rustls has no name for, but webpki has.
fn unnamed(reason: &CertificateError) -> Option<String> {
    match reason {
        CertificateError::Other(other) => Some(other.0.to_string()),
        _ => None,
    }
}

fn rejected(alert: AlertDescription) -> Cow<'static, str> {
    match alert {
        AlertDescription::UnknownCA => {
            "the client does not trust the authority that has signed the broker's certificate"
                .into()
        }
        AlertDescription::CertificateExpired => {
            "the client says that the broker's certificate has expired".into()
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked => {
            "the client does not accept the broker's certificate: is it for the name that the client connects to?"
                .into()
        }
        other => format!("the client gave up: {other:?}").into(),
    }
}
