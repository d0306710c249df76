//! The store's errors, worded for the operator.

use std::{io, path::PathBuf, time::Duration};

use crate::advice;
use crate::types::{Position, QueueId};

/// Why an operation of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The directory cannot be created, read or written.
    #[error("cannot {action} {}: {source}; {}", path.display(), advice::about(path, source))]
    Directory {
        /// The attempted action, as a verb.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another process has the directory open.
    #[error("the data directory {} is in use by {}; stop it first, or choose another directory", path.display(), holder(*pid))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process that wrote the lock file, when it could be read.
        pid: Option<u32>,
    },
    /// The directory was written by a version with another schema.
    #[error("the store in {} was written by {} version of Leveret (schema {found}, this version knows up to {expected}); start the version that wrote it, or restore a backup of this version's; nothing is changed", path.display(), age(*found, *expected))]
    Schema {
        /// The directory.
        path: PathBuf,
        /// The schema found.
        found: u32,
        /// The schema this version reads and writes.
        expected: u32,
    },
    /// Part of the store is missing. The broker never silently starts with an empty store.
    #[error("the store in {} is incomplete: {what} missing, or from another store; put the missing part back, or restore the directory from a copy, or run `leveret check` to see what is lost and `leveret repair` to continue without it", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
        /// The part.
        what: String,
    },
    /// The commit log is damaged where it must not be.
    #[error("the log segment {} is damaged from byte {offset} to byte {end}, and the commits there are lost; run `leveret check` to list all damage and `leveret repair` to keep everything that is intact, or restore a copy", path.display())]
    DamagedLog {
        /// The segment.
        path: PathBuf,
        /// First damaged byte.
        offset: u64,
        /// First byte known to be good again, or the end.
        end: u64,
    },
    /// A stored run of messages is missing or does not match its checksum.
    #[error("messages {} to {} of the queue with id {} are damaged on disk and cannot be delivered; run `leveret check` to see which queue this is and `leveret repair` to remove them, or restore the data directory from a copy", first.0, last.0, queue.0)]
    DamagedMessages {
        /// The queue.
        queue: QueueId,
        /// First position that may be affected.
        first: Position,
        /// Last position that may be affected.
        last: Position,
    },
    /// A small record (of a queue, a definition or the catalogue) does not match its checksum.
    #[error(
        "the stored {what} is damaged; run `leveret check` to list all damage and `leveret repair` to keep everything that is intact, or restore the data directory from a copy"
    )]
    DamagedRecord {
        /// The record.
        what: String,
    },
    /// The disk is nearly full.
    #[error("the disk of {} has too little free space to move the messages of a log segment into the database; they stay in the log until there is enough space or consumers have acknowledged them", path.display())]
    DiskFull {
        /// The store's directory.
        path: PathBuf,
    },
    /// sled returned an error or panicked.
    #[error("the database in {} failed while {action}: {reason}; {}", path.display(), remedy(reason))]
    Database {
        /// sled's directory.
        path: PathBuf,
        /// The operation that failed.
        action: &'static str,
        /// sled's own error text.
        reason: String,
        /// Its file is damaged, so retrying will not help.
        damage: bool,
    },
    /// sled does not finish an operation. Whatever it has not made durable is still in the log.
    #[error("the store in {} has not finished {action} after {} seconds; nothing is lost: restart the broker; if this persists, check the disk and run `leveret check`", path.display(), after.as_secs())]
    Stuck {
        /// sled's directory, or the store's.
        path: PathBuf,
        /// The operation that does not finish.
        action: &'static str,
        /// How long the store has waited for it.
        after: Duration,
    },
    /// The log cannot be written at present. Nothing unwritten is confirmed.
    #[error(
        "cannot write the commit log, retrying: {reason}; free some disk space or repair the disk"
    )]
    WriteFailing {
        /// The last error.
        reason: String,
    },
    /// The store was closed, or its storage thread ended.
    #[error("the store is closed")]
    Closed,
}

impl StorageError {
    /// Returns whether trying again does not help, because the store has to be repaired first or is for another version.
    pub fn is_lasting(&self) -> bool {
        match self {
            StorageError::Schema { .. }
            | StorageError::Missing { .. }
            | StorageError::DamagedLog { .. }
            | StorageError::DamagedMessages { .. }
            | StorageError::DamagedRecord { .. } => true,
            StorageError::Database { damage, .. } => *damage,
            StorageError::Directory { .. }
            | StorageError::InUse { .. }
            | StorageError::DiskFull { .. }
            | StorageError::Stuck { .. }
            | StorageError::WriteFailing { .. }
            | StorageError::Closed => false,
        }
    }
}

fn age(found: u32, expected: u32) -> &'static str {
    if found > expected {
        "a newer"
    } else {
        "an unknown"
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

/// Returns what to do about an error of sled's, judging by its text.
fn remedy(reason: &str) -> &'static str {
    if reason.contains("No space left") || reason.contains("StorageFull") {
        "free some disk space"
    } else if reason.contains("Permission denied") || reason.contains("PermissionDenied") {
        "files in it belong to another user than the one who runs the broker: give the whole data directory to the broker's user with chown -R"
    } else {
        "if this persists, run `leveret repair` to rebuild the database from what is intact"
    }
}
