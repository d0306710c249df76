//! The interface between the log and the disk, which tests use to make the disk fail.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

/// A log segment that is being written.
pub(crate) trait LogFile: Send {
    /// Writes all of `bytes` at `offset`.
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Returns once everything written is on disk.
    fn sync_data(&mut self) -> io::Result<()>;
    /// Sets the length of the file to `len` bytes, padding with zeros.
    fn set_len(&mut self, len: u64) -> io::Result<()>;
    /// Returns whether the file has no name any more.
    fn is_deleted(&self) -> io::Result<bool> {
        Ok(false)
    }
}

/// Where log segments are created.
pub(crate) trait LogIo: Send + Sync {
    /// Creates a file, replacing an existing one.
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// Renames a file and makes the new name durable.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
}

/// The real disk.
pub(crate) struct Disk;

struct DiskFile(File);

impl LogFile for DiskFile {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn is_deleted(&self) -> io::Result<bool> {
        Ok(self.0.metadata()?.nlink() == 0)
    }
}

impl LogIo for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        Ok(Box::new(DiskFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        sync_parent(to)
    }
}

/// Syncs the parent directory of `path`: a new name is durable only once its directory is synced.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Replaces `path` by a file that begins with `bytes`, and returns that file. After a crash either the old or the new
/// file is there, complete; on return it is the new one.
pub(crate) fn replace_file(
    io: &dyn LogIo,
    path: &Path,
    bytes: &[u8],
) -> io::Result<Box<dyn LogFile>> {
    let temporary = path.with_extension("tmp");
    let mut file = io.create(&temporary)?;
    file.write_all_at(bytes, 0)?;
    file.sync_data()?;
    io.rename(&temporary, path)?;
    Ok(file)
}
