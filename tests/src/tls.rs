//! An authority that signs certificates for a test, and clients that trust it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An authority, and a directory with `ca.pem` and whatever it has signed.
#[derive(Debug)]
pub struct Ca {
    folder: TempDir,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Default for Ca {
    fn default() -> Self {
        let folder = TempDir::with_prefix("leveret-test-").expect("a directory");
        let key = KeyPair::generate().expect("a key");
        let mut params = params("The test's authority", 100);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let made = params.self_signed(&key).expect("a certificate");
        std::fs::write(folder.path().join("ca.pem"), made.pem()).expect("a file");
        Ca {
            folder,
            certificate: made.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }
}

fn params(common_name: &str, days: u64) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = &mut params.distinguished_name;
    name.push(DnType::CommonName, common_name);
    let now = SystemTime::now();
    params.not_before = (now - Duration::from_secs(3600)).into();
    params.not_after = (now + Duration::from_secs(86_400 * days)).into();
    params
}

impl Ca {
    /// Returns the path of a file.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the path of a file as text.
    pub fn path(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    /// Signs a certificate for `localhost` that is valid for so many days, and writes it with its key to a file. Returns it.
    pub fn server(&self, file: &str, days: u64) -> CertificateDer<'static> {
        let mut params = params("localhost", days);
        let localhost = "localhost".try_into().expect("a name");
        params.subject_alt_names = vec![rcgen::SanType::DnsName(localhost)];
        self.sign(&params, file)
    }

    /// Signs a client's certificate, and writes it with its key to a file.
    pub fn client(&self, file: &str, common_name: &str) {
        let mut params = params(common_name, 10);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params, file);
    }

    fn sign(&self, params: &CertificateParams, file: &str) -> CertificateDer<'static> {
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, &self.issuer).expect("a certificate");
        let pem = format!("{}{}", made.pem(), key.serialize_pem());
        // As whoever replaces certificates does it.
        std::fs::write(self.file("new"), pem).expect("a file");
        std::fs::rename(self.file("new"), self.file(file)).expect("a file");
        made.der().clone()
    }

    /// Connects with TLS as `localhost`, with the client's certificate in a file if one is named.
    pub async fn dial(&self, address: &str, client: Option<&str>) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match client {
            None => config.with_no_client_auth(),
            Some(file) => {
                let file = self.file(file);
                let chain = CertificateDer::pem_file_iter(&file).expect("a file");
                let chain = chain.collect::<Result<_, _>>().expect("certificates");
                let key = PrivateKeyDer::from_pem_file(&file).expect("a key");
                config.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        let connector = TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(address).await.expect("it listens");
        let name = ServerName::try_from("localhost").expect("a name");
        connector.connect(name, stream).await.expect("TLS")
    }
}
