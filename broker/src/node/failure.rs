//! Why the broker did not start, or did not stop cleanly, and what that means for whoever starts it again.

use super::data_dir;
use crate::domain::recovery::RecoveryError;
use crate::manage::definitions::LoadError;
use crate::net::tls::TlsError;
use leveret_storage::StorageError;
use thiserror::Error;

/// Nothing in particular.
const FAILED: u8 = 1;
/// What is stored cannot be used: `EX_DATAERR` of sysexits.h.
const UNUSABLE_DATA: u8 = 65;
/// Somebody else has what the broker needs: `EX_UNAVAILABLE`.
const UNAVAILABLE: u8 = 69;

/// Why the broker did not start, or did not stop cleanly: one line each.
#[derive(Debug, Error)]
pub enum Failure {
    /// The store does not open or close.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What is stored cannot be restored.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The data directory holds something else, or belongs to somebody else.
    #[error(transparent)]
    DataDir(#[from] data_dir::Unusable),
    /// See [`definitions::load_configured`].
    #[error("cannot load definitions: {0}")]
    Definitions(#[from] LoadError),
    /// Certificates or keys cannot be used.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] TlsError),
    /// Nobody could log in as the settings say.
    #[error("cannot start: {0}")]
    Logins(String),
    /// A port cannot be had.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address and port.
        address: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The socket for leveretctl cannot be had.
    #[error("cannot open the admin socket {path}: {reason}")]
    Admin {
        /// The data directory.
        path: String,
        /// The system's error.
        reason: std::io::Error,
    },
    /// Everything else.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

impl Failure {
    /// Returns the exit status: one of its own where a restart cannot help, and where somebody else has to end first.
    pub fn status(&self) -> u8 {
        match self {
            Failure::Storage(StorageError::InUse { .. }) | Failure::Listen { .. } => UNAVAILABLE,
            Failure::Storage(error) if error.is_lasting() => UNUSABLE_DATA,
            Failure::Recovery(error) if error.is_lasting() => UNUSABLE_DATA,
            Failure::DataDir(_) => data_dir::UNUSABLE,
            Failure::Storage(_)
            | Failure::Recovery(_)
            | Failure::Definitions(_)
            | Failure::Tls(_)
            | Failure::Logins(_)
            | Failure::Admin { .. }
            | Failure::System(_) => FAILED,
        }
    }
}
