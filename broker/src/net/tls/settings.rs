//! The settings for TLS, apart from all others.

use super::error::TlsError;
use crate::config::{CertLogin, Config, SanType, Secret, TlsVerify, TlsVersion};
use std::path::PathBuf;

/// What certificates are used, and what is asked of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The files with the broker's certificates; empty for no TLS.
    pub certificates: Vec<PathBuf>,
    /// The files with their keys, in the same order; empty if the keys are in the certificates' files.
    pub keys: Vec<PathBuf>,
    /// The password of encrypted keys.
    pub key_password: Option<Secret>,
    /// The file that has it.
    pub key_password_file: Option<PathBuf>,
    /// The file with the authorities of clients' certificates.
    pub authorities: Option<PathBuf>,
    /// The files with the lists of revoked certificates.
    pub revoked: Vec<PathBuf>,
    /// Whether clients are asked for a certificate.
    pub verify: TlsVerify,
    /// Whether clients without one are refused.
    pub certificate_required: bool,
    /// The versions of TLS.
    pub versions: Vec<TlsVersion>,
    /// What of a client's certificate is the user's name.
    pub login: LoginFrom,
}

/// What of a client's certificate is the user's name for EXTERNAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginFrom {
    /// Which part.
    pub part: CertLogin,
    /// The type of alternative names, if it is one of these.
    pub san_type: SanType,
    /// Which of those of that type, counted from 0.
    pub san_index: u32,
}

impl From<&Config> for TlsSettings {
    fn from(config: &Config) -> Self {
        TlsSettings {
            certificates: config.tls_certfile.clone(),
            keys: config.tls_keyfile.clone(),
            key_password: config.tls_key_password.clone(),
            key_password_file: config.tls_key_password_file.clone(),
            authorities: config.tls_cacertfile.clone(),
            revoked: config.tls_crlfile.clone(),
            verify: config.tls_verify,
            certificate_required: config.tls_fail_if_no_peer_cert,
            versions: config.tls_versions.clone(),
            login: LoginFrom {
                part: config.ssl_cert_login_from,
                san_type: config.ssl_cert_login_san_type,
                san_index: config.ssl_cert_login_san_index,
            },
        }
    }
}

impl Default for TlsSettings {
    /// Returns the settings without TLS.
    fn default() -> Self {
        TlsSettings::from(&Config::with_data_dir(PathBuf::new()))
    }
}

impl TlsSettings {
    /// Checks what the settings demand of each other.
    ///
    /// # Errors
    /// What does not fit, and what to set.
    pub(super) fn check(&self) -> Result<(), TlsError> {
        let failed = |reason: String| Err(TlsError::Settings(reason));
        let (certificates, keys) = (self.certificates.len(), self.keys.len());
        if keys > 0 && keys != certificates {
            return failed(format!(
                "tls_keyfile names {keys} files and tls_certfile {certificates}: name the key of each certificate, in the \
                 same order, or leave tls_keyfile out if the keys are in the certificates' files"
            ));
        }
        let verifies = self.verify == TlsVerify::Peer;
        if verifies && self.authorities.is_none() {
            return failed(
                "tls_verify is verify_peer, so tls_cacertfile has to name a file with the authorities of the clients' \
                 certificates"
                    .to_owned(),
            );
        }
        if self.certificate_required && !verifies {
            return failed(
                "tls_fail_if_no_peer_cert has no effect unless tls_verify is verify_peer"
                    .to_owned(),
            );
        }
        if !self.revoked.is_empty() && !verifies {
            return failed("tls_crlfile has no effect unless tls_verify is verify_peer".to_owned());
        }
        if certificates == 0 && verifies {
            return failed(
                "tls_verify is verify_peer, but tls_certfile names no certificate of the broker"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Returns all files that are read.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let lists = [&self.certificates, &self.keys, &self.revoked];
        let single = [&self.key_password_file, &self.authorities];
        lists
            .into_iter()
            .flatten()
            .chain(single.into_iter().flatten())
    }
}
