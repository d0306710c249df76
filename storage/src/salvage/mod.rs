//! Recovers what is provably intact in a damaged store: [`check`] reports it, [`repair`] copies it to a new store.
//!
//! Both read the files without sled, which refuses to open or silently reverts to an older state if part of its file is
//! damaged, and without the store's own recovery. Whatever matches its checksum counts: a value of sled's under its
//! key, a commit of the log as a whole. Nothing is ever changed in place.

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

use crate::{
    directory::Directory, error::StorageError, options::Options, progress::Stage, types::QueueId,
};

use gather::Gathered;

/// What checking a store found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Every queue that has records, by id.
    pub queues: Vec<CheckedQueue>,
    /// Every intact definition, by key.
    pub definitions: Vec<(Bytes, Bytes)>,
    /// Descriptions of what is damaged or missing; empty for a healthy store.
    pub damage: Vec<String>,
    /// The number of bytes after the last complete commit of the log: what a crash cut short, and was never confirmed.
    pub torn_bytes: u64,
}

/// What was found of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedQueue {
    /// Its id.
    pub queue: QueueId,
    /// The number of live messages with correct checksums.
    pub intact: u64,
    /// Their encoded bytes.
    pub bytes: u64,
    /// The number of messages known to have existed that are not readable.
    pub lost: u64,
}

/// The result of a repair.
#[derive(Debug, Clone)]
pub struct Repaired {
    /// What was found; everything intact is in the new store.
    pub findings: Findings,
    /// Where the damaged store is now, unchanged.
    pub set_aside: PathBuf,
}

/// Checks a store that is not in use, without changing anything.
///
/// # Errors
/// There is no store, it is in use, a newer version wrote it, or it cannot be read.
pub fn check(options: &Options) -> Result<Findings, StorageError> {
    let directory = Directory::existing(&options.path)?;
    let _lock = directory.lock_for_reading()?;
    let gathered = Gathered::read(&directory)?;
    options.progress.begin(Stage::Checking, 0);
    gathered.visit(|_, _, _| {
        options.progress.add(1);
        Ok(())
    })
}

/// Copies everything intact in a store that is not in use to a new store, which takes its place; the damaged one is
/// renamed and kept beside it. An interrupted repair leaves the damaged store in place.
///
/// # Errors
/// There is no store, it is in use, a newer version wrote it, or files cannot be read or written.
pub fn repair(options: &Options) -> Result<Repaired, StorageError> {
    let directory = Directory::existing(&options.path)?;
    // Before the lock, which writes: what a newer version wrote is not touched.
    directory.check_version()?;
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
