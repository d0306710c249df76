//! What can be proven of a store that is damaged: told by [`check`], and put into a fresh one by [`repair`].
//!
//! Both read the files by themselves, without sled, which refuses or goes back in time where part of its file is damaged,
//! and without the store's own recovery. What counts is what matches its checksum: a value of sled's under its key, a
//! commit of the log as a whole. Nothing is ever changed in place.

mod gather;
mod places;
mod rebuild;
mod sled_file;
mod tail;
#[cfg(test)]
mod tail_tests;
mod visit;

use std::path::PathBuf;

use bytes::Bytes;

use crate::{directory::Directory, error::StorageError, options::Options, types::QueueId};

use gather::Gathered;

/// What a look through a store found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Every queue there are records of, by id.
    pub queues: Vec<CheckedQueue>,
    /// Every intact definition, by key.
    pub definitions: Vec<(Bytes, Bytes)>,
    /// What is damaged or missing, in words; empty for a sound store.
    pub damage: Vec<String>,
    /// Bytes behind the log's last whole commit: what a crash cut short, and nobody was told of.
    pub torn_bytes: u64,
}

/// A queue as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedQueue {
    /// Its id.
    pub queue: QueueId,
    /// Live messages whose checksums are right.
    pub intact: u64,
    /// Their encoded bytes.
    pub bytes: u64,
    /// Messages that are known to have been there and are not readable.
    pub lost: u64,
}

/// What a repair did.
#[derive(Debug, Clone)]
pub struct Repaired {
    /// What was found; everything intact in it is in the new store.
    pub findings: Findings,
    /// Where the damaged store stands now, whole as it was.
    pub set_aside: PathBuf,
}

/// Looks through a store that nobody has open, and changes nothing.
///
/// # Errors
/// There is none, it is in use, or the system cannot read it.
pub fn check(options: &Options) -> Result<Findings, StorageError> {
    let directory = Directory::existing(&options.path)?;
    let _lock = directory.lock()?;
    let gathered = Gathered::read(&directory)?;
    gathered.count()
}

/// Puts everything intact of a store that nobody has open into a fresh one, which takes its place; the damaged one is set
/// aside beside it. A repair that is cut off leaves the damaged store where it was.
///
/// # Errors
/// There is none, it is in use, or the system cannot read or write.
pub fn repair(options: &Options) -> Result<Repaired, StorageError> {
    let directory = Directory::existing(&options.path)?;
    let lock = directory.lock()?;
    let gathered = Gathered::read(&directory)?;
    let findings = rebuild::write(&gathered, options)?;
    let set_aside = rebuild::exchange(&directory)?;
    drop(lock);
    Ok(Repaired {
        findings,
        set_aside,
    })
}
