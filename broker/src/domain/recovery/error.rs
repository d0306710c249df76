//! Why a broker could not be put together.

use crate::domain::auth::AuthError;
use crate::domain::definitions::DefinitionError;
use leveret_storage::{Position, StorageError};
use thiserror::Error;

/// Why a broker could not be put together from its data.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A definition is not readable.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// A user or permission is not usable.
    #[error("stored users: {0}")]
    Users(#[from] AuthError),
    /// A stored message does not decode although its checksum holds.
    #[error(
        "message {position:?} of queue '{queue}' does not decode: was it written by a newer version?"
    )]
    Message {
        /// The queue.
        queue: String,
        /// The message.
        position: Position,
    },
    /// The place for messages that leave memory cannot be used.
    #[error("cannot use {path}, where messages go that do not fit into memory: {reason}")]
    Spill {
        /// The directory.
        path: String,
        /// Why.
        reason: std::io::Error,
    },
    /// A definition names something that was never stored.
    #[error("stored {what} '{name}' is not usable: {reason}")]
    Unusable {
        /// The kind of object.
        what: &'static str,
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
}
