//! Notices that the store was deleted, moved or replaced while it is open.
//!
//! A process may go on writing to files that have no name any more. Whatever it writes there is gone when it ends, so
//! nothing of it may be confirmed.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::directory::{Directory, Lock};

/// How often the files are looked at: two system calls each time, whatever the load.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the store's files are, and when they were last seen in their place.
#[derive(Debug)]
pub(crate) struct Presence {
    store: PathBuf,
    lock: PathBuf,
    /// The device and inode of the lock file that this process holds.
    identity: (u64, u64),
    /// `None` if they were not in their place.
    seen: Option<Instant>,
}

impl Presence {
    /// Returns that of a store that this process has locked just now.
    ///
    /// # Errors
    /// The system tells nothing about the lock file.
    pub(crate) fn new(directory: &Directory, lock: &Lock) -> io::Result<Presence> {
        let found = lock.0.metadata()?;
        Ok(Presence {
            store: directory.path.clone(),
            lock: directory.lock_file(),
            identity: (found.dev(), found.ino()),
            seen: Some(Instant::now()),
        })
    }

    /// Checks that the store is in its place, unless that was done in the last second. `segment_is_deleted` says whether
    /// the log segment that is being written has no name any more. After a failure every call looks again.
    ///
    /// # Errors
    /// It is not, or the system does not tell.
    pub(crate) fn check(
        &mut self,
        now: Instant,
        segment_is_deleted: impl FnOnce() -> io::Result<bool>,
    ) -> io::Result<()> {
        if self
            .seen
            .is_some_and(|seen| now.saturating_duration_since(seen) < INTERVAL)
        {
            return Ok(());
        }
        self.seen = None;
        let in_place = match fs::metadata(&self.lock) {
            Ok(found) => (found.dev(), found.ino()) == self.identity,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if !in_place || segment_is_deleted()? {
            return Err(io::Error::other(format!(
                "the store in {} was deleted, moved or replaced while the broker has it open; nothing is confirmed any \
                 more: put it back in its place, or stop the broker and restore a backup",
                self.store.display()
            )));
        }
        self.seen = Some(now);
        Ok(())
    }
}
