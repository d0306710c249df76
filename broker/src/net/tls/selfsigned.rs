//! Certificates to try TLS with: an authority of one's own, whose key is not kept, and one certificate each for the broker and
//! a client.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use thiserror::Error;

/// How much slower the clocks of clients may be.
const CLOCKS_DIFFER: Duration = Duration::from_secs(3600);
/// The common name of the client's certificate.
const CLIENT: &str = "client";
/// The files that are written.
const FILES: [&str; 5] = [
    "ca.pem",
    "server.pem",
    "server.key",
    "client.pem",
    "client.key",
];

/// What is wanted.
#[derive(Clone, Debug)]
pub struct SelfSigned {
    /// Where the files go. Created if it does not exist.
    pub directory: PathBuf,
    /// The names and IP addresses of the broker.
    pub hosts: Vec<String>,
    /// How long the certificates are valid.
    pub days: u32,
}

/// Why no certificates were written.
#[derive(Debug, Error)]
pub enum SelfSignedError {
    /// A file is there already.
    #[error(
        "{0} exists and is not overwritten: choose another directory with --directory, or remove the file"
    )]
    Exists(PathBuf),
    /// This is no host.
    #[error("'{0}' is neither a host name nor an IP address")]
    Host(String),
    /// A file cannot be written.
    #[error("cannot write {path}: {reason}")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}

impl SelfSigned {
    /// Makes the certificates and writes them, all or none. Returns what to tell the operator.
    ///
    /// # Errors
    /// When a file exists or cannot be written, or a host is none.
    pub fn write(&self) -> Result<String, SelfSignedError> {
        if let Some(host) = self.hosts.iter().find(|host| !is_host(host)) {
            return Err(SelfSignedError::Host(host.clone()));
        }
        let paths = FILES.map(|file| self.directory.join(file));
        if let Some(path) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
            return Err(SelfSignedError::Exists(path.clone()));
        }
        let contents = self.contents()?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |reason| SelfSignedError::Write { path, reason }
        };
        let mut builder = DirBuilder::new();
        let created = builder.recursive(true).mode(0o700).create(&self.directory);
        created.map_err(failed(&self.directory))?;
        for (index, (path, text)) in paths.iter().zip(&contents).enumerate() {
            write_new(path, text).map_err(|error| {
                for written in &paths[..index] {
                    // The error that matters is the one that is returned.
                    let _ = fs::remove_file(written);
                }
                failed(path)(error)
            })?;
        }
        Ok(self.report())
    }

    /// Returns the contents of [`FILES`].
    fn contents(&self) -> Result<[String; 5], SelfSignedError> {
        let authority = self.authority()?;
        let ca = authority.0.pem();
        let issuer = Issuer::new(authority.1, authority.2);
        let mut server = self.params(self.hosts.clone(), "leveret")?;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let mut client = self.params(Vec::new(), CLIENT)?;
        client.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let (server_key, client_key) = (KeyPair::generate()?, KeyPair::generate()?);
        Ok([
            ca,
            server.signed_by(&server_key, &issuer)?.pem(),
            server_key.serialize_pem(),
            client.signed_by(&client_key, &issuer)?.pem(),
            client_key.serialize_pem(),
        ])
    }

    fn authority(
        &self,
    ) -> Result<(rcgen::Certificate, CertificateParams, KeyPair), SelfSignedError> {
        let mut params = self.params(Vec::new(), "leveret: an authority to try TLS with")?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        Ok((params.self_signed(&key)?, params, key))
    }

    fn params(
        &self,
        hosts: Vec<String>,
        common_name: &str,
    ) -> Result<CertificateParams, SelfSignedError> {
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        let now = SystemTime::now();
        params.not_before = (now - CLOCKS_DIFFER).into();
        params.not_after = (now + Duration::from_secs(86_400 * u64::from(self.days))).into();
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }

    fn report(&self) -> String {
        let directory = fs::canonicalize(&self.directory).unwrap_or(self.directory.clone());
        let directory = directory.display();
        let (hosts, days) = (self.hosts.join(", "), self.days);
        format!(
            "Certificates to try TLS with are in {directory}:\n\
             \n\
             ca.pem      the authority that clients have to trust; its key was not kept\n\
             server.pem  the broker's certificate, for {hosts}; valid for {days} days\n\
             server.key  its key\n\
             client.pem  a client's certificate, CN={CLIENT}; needed only with --tls-verify verify_peer\n\
             client.key  its key\n\
             \n\
             Start the broker with:\n\
             \n\
             leveret --tls-certfile {directory}/server.pem --tls-keyfile {directory}/server.key\n"
        )
    }
}

/// Returns the names of this machine: what a certificate is for unless somebody says otherwise.
pub fn own_hosts() -> Vec<String> {
    let mut hosts: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy().into_owned();
    if is_host(&name) && !hosts.contains(&name) {
        hosts.push(name);
    }
    hosts
}

fn is_host(text: &str) -> bool {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*');
    let is_name = !text.is_empty() && text.len() <= 253 && text.chars().all(valid);
    is_name || text.parse::<std::net::IpAddr>().is_ok()
}

/// Writes a file that nobody else may read, and that is not there yet.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
