//! Reading PEM files: certificates, keys and lists of revoked certificates.

use super::encrypted;
use super::error::TlsError;
use crate::text::shorten::shortened;
use pem::Pem;
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs1KeyDer,
    PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes: the authorities that a system trusts take a quarter of a megabyte, lists of
/// revoked certificates can be longer.
const MAX_FILE_SIZE: u64 = 64 << 20;
/// How many bytes of a block's name an error shows.
const TAG_SHOWN: usize = 40;

/// A PEM file that has been read.
pub struct PemFile {
    path: PathBuf,
    blocks: Vec<Pem>,
}

impl PemFile {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is not PEM.
    pub fn read(path: &Path) -> Result<Self, TlsError> {
        let failed = |reason: String| TlsError::file(path, reason);
        let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
        if !size.is_file() {
            return Err(failed("this is not a file".to_owned()));
        }
        if size.len() > MAX_FILE_SIZE {
            return Err(failed(format!("larger than {MAX_FILE_SIZE} bytes")));
        }
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let blocks = pem::parse_many(&bytes)
            .map_err(|error| failed(format!("this is not valid PEM: {error}")))?;
        let begun = bytes.windows(11).filter(|at| *at == b"-----BEGIN ").count();
        if blocks.len() != begun {
            let reason = "a PEM block that begins does not end: the file is not complete";
            return Err(failed(reason.to_owned()));
        }
        if blocks.is_empty() {
            let reason = "there is no PEM block, such as -----BEGIN CERTIFICATE-----, in it; openssl converts other \
                          formats (openssl x509 -inform DER, openssl pkey -inform DER, openssl pkcs12)";
            return Err(failed(reason.to_owned()));
        }
        let path = path.to_owned();
        Ok(PemFile { path, blocks })
    }

    /// Returns the certificates in it.
    ///
    /// # Errors
    /// When there is none.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let is_one = |block: &&Pem| matches!(block.tag(), "CERTIFICATE" | "X509 CERTIFICATE");
        let found = self.blocks.iter().filter(is_one);
        let found: Vec<_> = found
            .map(|block| CertificateDer::from(block.contents().to_vec()))
            .collect();
        match found.is_empty() {
            true => Err(self.has_no("certificate")),
            false => Ok(found),
        }
    }

    /// Returns the lists of revoked certificates in it.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn revocation_lists(
        &self,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        let found = self.blocks.iter().filter(|block| block.tag() == "X509 CRL");
        let found: Vec<_> = found
            .map(|block| CertificateRevocationListDer::from(block.contents().to_vec()))
            .collect();
        match found.is_empty() {
            true => Err(self.has_no("list of revoked certificates (X509 CRL)")),
            false => Ok(found),
        }
    }

    /// Returns the first key in it.
    ///
    /// # Errors
    /// When there is none, or it cannot be decrypted.
    pub fn key(&self, password: Option<&str>) -> Result<PrivateKeyDer<'static>, TlsError> {
        let is_key = |block: &&Pem| block.tag().ends_with("PRIVATE KEY");
        let Some(block) = self.blocks.iter().find(is_key) else {
            return Err(self.has_no("private key"));
        };
        let contents = match encrypted::is_encrypted(block) {
            true => encrypted::decrypted(block, password)
                .map_err(|reason| TlsError::file(&self.path, reason))?,
            false => block.contents().to_vec(),
        };
        match block.tag() {
            "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => {
                Ok(PrivatePkcs8KeyDer::from(contents).into())
            }
            "RSA PRIVATE KEY" => Ok(PrivatePkcs1KeyDer::from(contents).into()),
            "EC PRIVATE KEY" => Ok(PrivateSec1KeyDer::from(contents).into()),
            other => {
                let other = shortened(other, TAG_SHOWN);
                let reason = format!(
                    "keys of the format {other} are not supported; convert it with: openssl pkey -in FILE -out NEW"
                );
                Err(TlsError::file(&self.path, reason))
            }
        }
    }

    fn has_no(&self, what: &str) -> TlsError {
        let mut tags: Vec<_> = self
            .blocks
            .iter()
            .map(|block| shortened(block.tag(), TAG_SHOWN))
            .collect();
        tags.dedup();
        tags.truncate(5);
        let tags = tags.join(", ");
        TlsError::file(&self.path, format!("there is no {what} in it, but {tags}"))
    }
}
