//! Why certificates cannot be used.

use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why certificates, keys or settings cannot be used, in one line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TlsError {
    /// A file cannot be read or used.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// Settings do not fit together.
    #[error("{0}")]
    Settings(String),
}

impl TlsError {
    /// Returns an error about a file.
    pub(super) fn file(path: &Path, reason: impl Into<String>) -> Self {
        TlsError::File {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}
