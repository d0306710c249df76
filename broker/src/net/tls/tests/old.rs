//! What is too old to be used: it is said what to do.

use super::ca::Ca;
use crate::config::TlsVerify;
use crate::net::tls::{Tls, TlsSettings, handshake_failure};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::ParsedCertificate;
use rustls::{Error, PeerIncompatible};
use std::io;

/// As `openssl x509 -req` writes it without `-extfile`.
const CERTIFICATE: &str = include_str!("keys/version-1.pem");
const KEY: &str = include_str!("keys/ec-sec1.pem");
/// As `openssl ca -gencrl` writes it without `crlnumber`.
const LIST: &str = include_str!("keys/list-version-1.pem");

fn failure(error: Error) -> String {
    handshake_failure(&io::Error::new(io::ErrorKind::InvalidData, error)).into_owned()
}

#[test]
fn certificates_of_version_1_have_to_be_signed_again() {
    let advice = "of X.509 version 1: sign it with extensions (openssl x509 -req -extfile ...)";
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    let error = ParsedCertificate::try_from(&certificate).err().unwrap();
    assert_eq!(
        failure(error),
        format!("the client's certificate is {advice}")
    );

    let ca = Ca::new();
    let path = ca.write("old.pem", &format!("{CERTIFICATE}{KEY}"));
    let settings = TlsSettings {
        certificates: vec![path.clone()],
        ..TlsSettings::default()
    };
    let error = Tls::open(settings).unwrap_err().to_string();
    let path = path.display();
    let reason = "the certificate cannot be used: it is";
    assert_eq!(error, format!("{path}: {reason} {advice}"));
}

#[test]
fn lists_of_version_1_are_named_with_what_they_lack() {
    let ca = Ca::new();
    let good = ca.write("good.pem", &ca.revoking(&[], super::ca::in_days(1)));
    let old = ca.write("old.pem", LIST);
    let settings = TlsSettings {
        authorities: Some(ca.write("ca.pem", &ca.certificate)),
        verify: TlsVerify::Peer,
        revoked: vec![good, old.clone()],
        ..ca.settings()
    };
    let error = Tls::open(settings).unwrap_err().to_string();
    let start = format!("{}: a list in it cannot be read", old.display());
    assert!(error.starts_with(&start), "{error}");
    assert!(error.contains("version 2 with a CRL number"), "{error}");
}

#[test]
fn clients_of_old_versions_of_tls_are_told_so() {
    let old = Error::PeerIncompatible(PeerIncompatible::SignatureAlgorithmsExtensionRequired);
    assert!(failure(old).starts_with("the client offers no version of TLS that is supported"));
}
