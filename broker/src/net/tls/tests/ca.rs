//! An authority that signs what a test needs.

use crate::net::tls::{Encryption, Tls, TlsSettings};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ConnectionCommon, RootCertStore, ServerConnection};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub(super) struct Signed {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Signed {
    pub(super) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }
}

/// An authority, and a directory for files.
pub(super) struct Ca {
    pub(super) certificate: String,
    issuer: Issuer<'static, KeyPair>,
    directory: TempDir,
}

/// Returns the time in so many days.
pub(super) fn in_days(days: i64) -> SystemTime {
    let by = Duration::from_secs(86_400 * days.unsigned_abs());
    match days < 0 {
        true => SystemTime::now() - by,
        false => SystemTime::now() + by,
    }
}

/// Returns the parameters of a certificate with this common name, valid for ten days.
pub(super) fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.not_before = in_days(-1).into();
    params.not_after = in_days(10).into();
    params
}

impl Ca {
    pub(super) fn new() -> Self {
        Ca::named("Test authority")
    }

    pub(super) fn named(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_after = in_days(100).into();
        Ca {
            certificate: params.self_signed(&key).unwrap().pem(),
            issuer: Issuer::new(params, key),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn sign(&self, params: &CertificateParams) -> Signed {
        let key = KeyPair::generate().unwrap();
        Signed {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// Signs a certificate of a server with these names.
    pub(super) fn server(&self, hosts: &[&str]) -> Signed {
        let mut params = params(hosts[0]);
        let host = |host: &&str| SanType::DnsName((*host).try_into().unwrap());
        params.subject_alt_names = hosts.iter().map(host).collect();
        self.sign(&params)
    }

    /// Signs a certificate of a client.
    pub(super) fn client(&self, common_name: &str) -> Signed {
        let mut params = params(common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from_slice(common_name.as_bytes()));
        self.sign(&params)
    }

    /// Returns a list that revokes the certificates of clients with these common names.
    pub(super) fn revoking(&self, common_names: &[&str], next: SystemTime) -> String {
        let revoked = |name: &&str| RevokedCertParams {
            serial_number: SerialNumber::from_slice(name.as_bytes()),
            revocation_time: in_days(-1).into(),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: in_days(-2).into(),
            next_update: next.into(),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: common_names.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// Writes a file.
    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes a server's certificate and its key to one file.
    pub(super) fn pair(&self, name: &str, pair: &Signed) -> PathBuf {
        self.write(name, &format!("{}{}", pair.certificate, pair.key))
    }

    /// Returns settings with a certificate for `localhost`.
    pub(super) fn settings(&self) -> TlsSettings {
        TlsSettings {
            certificates: vec![self.pair("server.pem", &self.server(&["localhost"]))],
            ..TlsSettings::default()
        }
    }
}

/// A client.
pub(super) struct Client {
    config: ClientConfig,
    host: String,
}

impl Client {
    /// Returns a client that trusts this authority and has no certificate.
    pub(super) fn new(ca: &Ca, host: &str) -> Self {
        Client::with(ca, host, None, rustls::ALL_VERSIONS)
    }

    pub(super) fn with(
        ca: &Ca,
        host: &str,
        certificate: Option<&Signed>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(ca.certificate.as_bytes());
        roots.add(authority.unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match certificate {
            None => builder.with_no_client_auth(),
            Some(signed) => {
                let key = PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).unwrap();
                builder
                    .with_client_auth_cert(vec![signed.der()], key)
                    .unwrap()
            }
        };
        Client {
            config,
            host: host.to_owned(),
        }
    }

    /// Performs a handshake. Returns what the broker knows of it, and the certificate that the client got.
    pub(super) fn connect(
        self,
        tls: &Tls,
    ) -> Result<(Encryption, CertificateDer<'static>), io::Error> {
        let name = ServerName::try_from(self.host).unwrap();
        let mut client = ClientConnection::new(Arc::new(self.config), name).unwrap();
        let mut server = ServerConnection::new(tls.server_config().unwrap()).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let received = pass(&mut client, &mut server);
            // What a peer says of its own failure comes before what the other one makes of it.
            let answered = pass(&mut server, &mut client);
            let failed = match (received, answered) {
                (Ok(0), Ok(0)) => panic!("the handshake stands still"),
                (Err(error), _) => error,
                (_, Err(_)) => pass(&mut client, &mut server).unwrap_err(),
                _ => continue,
            };
            return Err(io::Error::new(io::ErrorKind::InvalidData, failed));
        }
        let shown = client.peer_certificates().unwrap()[0].clone().into_owned();
        Ok((Encryption::of(&server, tls.login_from()), shown))
    }
}

/// Passes on what one side has to say. Returns the number of bytes, or why the other side does not accept them.
fn pass<A, B>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
) -> Result<usize, rustls::Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets()?;
    }
    Ok(bytes.len())
}
