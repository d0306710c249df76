//! What ends TLS in front of a broker, and the certificates for it.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use tokio_rustls::server::TlsStream;

/// An authority and the files of its certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    files: TempDir,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = Authority {
            issuer: CertifiedIssuer::self_signed(params, key).expect("a certificate"),
            files: TempDir::new().expect("a temporary directory"),
        };
        authority.write("ca.pem", &authority.issuer.pem());
        authority
    }

    /// Writes NAME.pem and NAME.key for this host.
    pub fn issue(&self, name: &str, host: &str) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, host);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        self.write(&format!("{name}.pem"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Returns the path as text.
    pub fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("an authority");
        roots
    }

    /// Returns what a server with a certificate for `localhost` speaks. With `clients`, it wants a certificate of that
    /// authority.
    pub fn server(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        clients: Option<&Authority>,
    ) -> TlsAcceptor {
        self.issue("server", "localhost");
        let pem = std::fs::read(self.path("server.pem")).expect("a file");
        let certificate = CertificateDer::from_pem_slice(&pem);
        let key = PrivateKeyDer::from_pem_file(self.path("server.key")).expect("a key");
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder
            .with_protocol_versions(versions)
            .expect("versions of TLS");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let roots = Arc::new(clients.roots());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let chain = vec![certificate.expect("a certificate")];
        let config = builder.with_single_cert(chain, key);
        TlsAcceptor::from(Arc::new(config.expect("a configuration")))
    }
}

/// All versions of TLS.
pub const ALL: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// Ends TLS in front of the broker until the test is over. Returns the address to connect to.
pub async fn terminate(acceptor: TlsAcceptor, broker: &str) -> String {
    let broker = broker.to_owned();
    serve(acceptor, move |stream| forward(stream, broker.clone())).await
}

/// Serves connections until the test is over, each in a task.
pub async fn serve<F>(
    acceptor: TlsAcceptor,
    talk: impl Fn(TlsStream<TcpStream>) -> F + Clone + Send + Sync + 'static,
) -> String
where
    F: Future<Output = io::Result<()>> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, talk) = (acceptor.clone(), talk.clone());
            tokio::spawn(async move {
                socket.set_nodelay(true)?;
                let stream = acceptor.accept(socket).await?;
                talk(stream).await
            });
        }
    });
    format!("localhost:{port}")
}

/// Copies between a stream and the broker.
pub async fn forward(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    broker: String,
) -> io::Result<()> {
    let mut to = TcpStream::connect(&broker).await?;
    to.set_nodelay(true)?;
    copy_bidirectional(&mut stream, &mut to).await.map(drop)
}
