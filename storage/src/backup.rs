//! Copies a store while it is in use.
//!
//! The main sled, which is small, and the log are copied while the checkpoint is paused; publishers carry on as long as
//! the log has space. Together they capture the state of the store at that moment. Stored messages are in volumes that
//! are no longer written: those are copied afterwards, one at a time, each closed while it is copied. None is deleted
//! before the copy is complete.
//!
//! The marker is written last: a directory without it is not accepted as a store.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use crate::{
    directory::{CleanClose, Directory},
    error::StorageError,
    io::{Disk, sync_parent},
    log::{LogState, SegmentEnd},
    sleds::Sleds,
};

/// The parts of a store that a backup copies.
pub(crate) struct Backup<'a> {
    pub(crate) sleds: &'a Sleds,
    pub(crate) log: &'a LogState,
    /// Held by the checkpoint while it works.
    pub(crate) working: &'a Mutex<()>,
    /// Returns whether the store is closing, which does not wait for a backup.
    pub(crate) is_closing: &'a dyn Fn() -> bool,
}

impl Backup<'_> {
    /// Copies everything committed before the call to a directory, which must be empty or not exist. All of it is
    /// synced on return.
    ///
    /// # Errors
    /// The directory is not empty or cannot be written, the store cannot be read, or it is closing.
    pub(crate) fn to(&self, path: &Path) -> Result<(), StorageError> {
        let fail = |source| StorageError::Directory {
            action: "write a backup to",
            path: path.to_owned(),
            source,
        };
        if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(fail(io::Error::other("it is not empty")));
        }
        let copy = Directory::create(path)?;
        let volumes = &self.sleds.volumes;
        let _pin = volumes.pin();
        let used = {
            let _still = self.working.lock();
            volumes.end_current();
            self.sleds.copy_main(&copy.main(0), || self.check_open())?;
            let last = self.copy_log(&copy)?.map_err(fail)?;
            copy.write_clean_close(last)?;
            copy.write_last_segment(&Disk, last.seq).map_err(fail)?;
            let all = volumes.all().into_iter();
            all.filter(|(_, usage, _)| usage.chunks > 0)
                .map(|(number, _, _)| number)
                .collect::<Vec<_>>()
        };
        fs::create_dir_all(&copy.volumes).map_err(fail)?;
        for number in used {
            self.check_open()?;
            volumes.copy(number, &copy.volumes).map_err(fail)?;
        }
        // A new file name is durable only once its directory is synced.
        for dir in [&copy.volumes, &copy.log, &copy.path] {
            File::open(dir)
                .and_then(|dir| dir.sync_all())
                .and_then(|()| sync_parent(dir))
                .map_err(fail)?;
        }
        copy.write_marker(self.sleds.identity(), 0)
    }

    fn check_open(&self) -> Result<(), StorageError> {
        match (self.is_closing)() {
            true => Err(StorageError::Closed),
            false => Ok(()),
        }
    }

    /// Copies the synced part of the log. The outer error is that the store is closing.
    fn copy_log(&self, copy: &Directory) -> Result<io::Result<CleanClose>, StorageError> {
        let mut last = CleanClose { seq: 0, end: 0 };
        for segment in self.log.all() {
            self.check_open()?;
            if let Err(error) = copy_segment(&segment, copy) {
                return Ok(Err(error));
            }
            last = CleanClose {
                seq: segment.seq,
                end: segment.end,
            };
        }
        Ok(Ok(last))
    }
}

/// Copies the synced part of a segment of the log.
fn copy_segment(segment: &SegmentEnd, copy: &Directory) -> io::Result<()> {
    let name = segment.path.file_name().unwrap_or_default();
    let mut from = File::open(&segment.path)?.take(segment.end);
    let mut to = File::create(copy.log.join(name))?;
    io::copy(&mut from, &mut to)?;
    to.flush()?;
    to.sync_all()
}

/// Copies a directory tree and syncs it, except for the entry of the copy itself in its parent directory.
///
/// # Errors
/// The original cannot be read, or the copy cannot be written.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let mut dirs: Vec<(PathBuf, PathBuf)> = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = dirs.pop() {
        fs::create_dir(&to)?;
        for entry in fs::read_dir(&from)? {
            let entry = entry?;
            let to = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                dirs.push((entry.path(), to));
            } else {
                fs::copy(entry.path(), &to)?;
                File::open(&to)?.sync_all()?;
            }
        }
        File::open(&to)?.sync_all()?;
    }
    Ok(())
}
