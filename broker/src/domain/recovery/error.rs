//! Errors of recovery.

use crate::domain::auth::AuthError;
use crate::domain::durable::DefinitionError;
use leveret_storage::{Position, StorageError};
use thiserror::Error;

/// Why a broker could not be recovered from its data.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A definition cannot be decoded.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// A user or permission is invalid.
    #[error("cannot load stored users: {0}")]
    Users(#[from] AuthError),
    /// A new broker would have an administrator whose password can be guessed.
    #[error(
        "the default user '{0}' would be an administrator whom other machines reach, with a password that anybody guesses: \
         set another (default_pass, default_pass_file or LEVERET_DEFAULT_PASS), or list the user in loopback_users"
    )]
    GuessableDefaultUser(String),
    /// A stored message cannot be decoded although its checksum is right.
    #[error(
        "cannot decode message {} of queue '{queue}': was it written by a newer version?",
            position.0
    )]
    Message {
        /// The queue.
        queue: String,
        /// The message.
        position: Position,
    },
    /// The directory for messages that are paged out cannot be used.
    #[error("cannot use {path}, the directory for messages that do not fit into memory: {reason}")]
    Spill {
        /// The path of the directory.
        path: String,
        /// Why.
        reason: std::io::Error,
    },
    /// A definition cannot be used by this version, or refers to something that is not stored.
    #[error("cannot use stored {what} '{name}': {reason}")]
    Unusable {
        /// The kind of object.
        what: &'static str,
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
}

impl RecoveryError {
    /// Returns whether trying again does not help, because what is stored has to be repaired first or is for another
    /// version.
    pub fn is_lasting(&self) -> bool {
        match self {
            RecoveryError::Storage(error) => error.is_lasting(),
            RecoveryError::Definition(_)
            | RecoveryError::Users(_)
            | RecoveryError::Message { .. }
            | RecoveryError::Unusable { .. } => true,
            RecoveryError::GuessableDefaultUser(_) | RecoveryError::Spill { .. } => false,
        }
    }
}
