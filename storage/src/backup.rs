//! A copy of a store that is in use.
//!
//! The main sled, which is small, and the log are copied while the checkpoint stands still; publishers go on, as the log
//! has room. Together they say what the store is at that moment. Messages in sled stand in volumes that are not written
//! any more: those are copied afterwards, one by one, each closed meanwhile; none is deleted before the copy is whole.
//!
//! The marker comes last: without it the copy is not taken for a store.

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
    log::{Closed, LogState},
    sleds::Sleds,
};

/// What a backup is made of.
pub(crate) struct Backup<'a> {
    pub(crate) sleds: &'a Sleds,
    pub(crate) log: &'a LogState,
    /// Held by the checkpoint while it works.
    pub(crate) working: &'a Mutex<()>,
}

impl Backup<'_> {
    /// Copies everything that was committed before the call to a directory, which must be empty or not there; all of it
    /// is synced on return.
    ///
    /// # Errors
    /// The directory holds something, or cannot be written; or the store cannot be read.
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
            self.sleds.copy_main(&copy.main(0), || Ok(()))?;
            let last = copy_log(&self.log.all(), &copy).map_err(fail)?;
            copy.write_clean_close(last)?;
            copy.write_last_segment(&Disk, last.seq).map_err(fail)?;
            let all = volumes.all().into_iter();
            all.filter(|(_, usage, _)| usage.chunks > 0)
                .map(|(number, _, _)| number)
                .collect::<Vec<_>>()
        };
        fs::create_dir_all(&copy.volumes).map_err(fail)?;
        for number in used {
            volumes.copy(number, &copy.volumes).map_err(fail)?;
        }
        // A file's name is safe with the directory it stands in.
        for dir in [&copy.volumes, &copy.log, &copy.path] {
            File::open(dir)
                .and_then(|dir| dir.sync_all())
                .and_then(|()| sync_parent(dir))
                .map_err(fail)?;
        }
        copy.write_marker(self.sleds.identity(), 0)
    }
}

/// Copies the log as far as it is synced.
fn copy_log(segments: &[Closed], copy: &Directory) -> io::Result<CleanClose> {
    let mut last = CleanClose { seq: 0, end: 0 };
    for segment in segments {
        let name = segment.path.file_name().unwrap_or_default();
        let mut from = File::open(&segment.path)?.take(segment.end);
        let mut to = File::create(copy.log.join(name))?;
        io::copy(&mut from, &mut to)?;
        to.flush()?;
        to.sync_all()?;
        last = CleanClose {
            seq: segment.seq,
            end: segment.end,
        };
    }
    Ok(last)
}

/// Copies a directory with the files and directories in it, and syncs it all but for its own name.
///
/// # Errors
/// It cannot be read, or the copy not be written.
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
