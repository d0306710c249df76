//! Everything that can go wrong at the store's border, in words for the operator.

use std::{io, path::PathBuf, time::Duration};

use crate::types::{Position, QueueId};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The directory cannot be created, read or written.
    #[error("cannot {action} {}: {source}; check that the directory exists on a disk with free space and belongs to the user running the broker", path.display())]
    Directory {
        /// What was tried, as a verb.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the directory open.
    #[error("the data directory {} is in use by {}; stop that broker first or choose another directory", path.display(), holder(*pid))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process that wrote the lock file, when it could be read.
        pid: Option<u32>,
    },
    /// The directory was written by a version with another format.
    #[error("{} holds a store of format {found}, this version reads format {expected}; start it with the version that wrote it", path.display())]
    Schema {
        /// The directory.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The format this version reads and writes.
        expected: u32,
    },
    /// Part of what a store consists of is not there: never started empty silently.
    #[error("the store in {} is not complete: {what} missing, or not its own; put back what is missing, or restore the directory from a copy; or see with `leveret check` what is lost, and go on without it by `leveret repair`", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
        /// The part.
        what: String,
    },
    /// The commit log is damaged where it must not be.
    #[error("the log segment {} is damaged from byte {offset} to byte {end}: commits in there are lost; `leveret check` says what else is damaged, `leveret repair` keeps everything else; or restore a copy", path.display())]
    DamagedLog {
        /// The segment.
        path: PathBuf,
        /// First damaged byte.
        offset: u64,
        /// First byte known to be good again, or the end.
        end: u64,
    },
    /// A stored run of messages does not match its checksum, or is not there.
    #[error("messages {} to {} of queue {} are damaged on disk and cannot be delivered; `leveret repair` takes them out, or restore the data directory from a copy", first.0, last.0, queue.0)]
    DamagedMessages {
        /// The queue.
        queue: QueueId,
        /// First position that may be affected.
        first: Position,
        /// Last position that may be affected.
        last: Position,
    },
    /// A small record (queue, definition, catalogue) does not match its checksum.
    #[error(
        "the stored {what} is damaged; `leveret check` says what else is, `leveret repair` keeps everything else; or restore the data directory from a copy"
    )]
    DamagedRecord {
        /// Which.
        what: String,
    },
    /// The disk is nearly full.
    #[error("the disk of {} has no room for what lives in a log segment; that stays where it is until there is room, or consumers have taken it", path.display())]
    NoRoom {
        /// The store's directory.
        path: PathBuf,
    },
    /// sled refused or panicked.
    #[error("the database in {} failed while {action}: {reason}; {}", path.display(), remedy(reason))]
    Database {
        /// sled's directory.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// sled's own words.
        reason: String,
        /// Its file is damaged: trying again will not help.
        damage: bool,
    },
    /// sled does not come to an end of something. What it has not made durable is in the log.
    #[error("the database in {} has not come to an end of {action} for {} seconds; nothing is lost: start the broker again, and if this persists look at the disk, then at what `leveret check` says", path.display(), after.as_secs())]
    Stuck {
        /// sled's directory, or the store's.
        path: PathBuf,
        /// What is being done.
        action: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// Writing the log does not succeed at present; nothing unwritten is confirmed.
    #[error(
        "the log cannot be written: {reason}; free disk space or repair the disk, writing is retried meanwhile"
    )]
    WriteFailing {
        /// The last error.
        reason: String,
    },
    /// The store was closed, or its thread ended.
    #[error("the store is closed")]
    Closed,
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

/// What to do about an error of sled's, by its words.
fn remedy(reason: &str) -> &'static str {
    if reason.contains("No space left") || reason.contains("StorageFull") {
        "free some disk space"
    } else {
        "if this persists, `leveret repair` makes a new one of what is intact"
    }
}
