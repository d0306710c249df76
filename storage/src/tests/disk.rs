//! A simulated disk that may lose what is not synced, and fails when told to.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::io::{Disk, LogFile, LogIo};

/// Operations (creates, writes, syncs, renames) `from..to`, counted from 0, fail.
pub(super) struct BadDisk {
    operations: AtomicU64,
    from: u64,
    to: u64,
    /// How much of the unsynced data the disk keeps when it fails or loses power, in thousandths.
    kept: u64,
}

impl BadDisk {
    pub(super) fn failing(from: u64, to: u64, kept: u64) -> Arc<BadDisk> {
        Arc::new(BadDisk {
            operations: AtomicU64::new(0),
            from,
            to,
            kept,
        })
    }

    /// Never fails; a power cut loses all unsynced data but `kept` thousandths.
    pub(super) fn forgetful(kept: u64) -> Arc<BadDisk> {
        BadDisk::failing(u64::MAX, u64::MAX, kept)
    }

    pub(super) fn operations(&self) -> u64 {
        self.operations.load(Ordering::SeqCst)
    }

    fn operate(&self) -> io::Result<()> {
        let number = self.operations.fetch_add(1, Ordering::SeqCst);
        if (self.from..self.to).contains(&number) {
            return Err(io::Error::other(format!(
                "operation {number} was told to fail"
            )));
        }
        Ok(())
    }
}

/// The trait is implemented for a wrapper of `Arc<BadDisk>`, as its files need the disk too.
pub(super) struct Shared(pub(super) Arc<BadDisk>);

impl LogIo for Shared {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        self.0.operate()?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        Ok(Box::new(BadFile {
            disk: Arc::clone(&self.0),
            file,
            unsynced: Vec::new(),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.operate()?;
        Disk.rename(from, to)
    }
}

struct BadFile {
    disk: Arc<BadDisk>,
    file: File,
    unsynced: Vec<(u64, Vec<u8>)>,
}

impl BadFile {
    /// Part of the unsynced data reaches the disk, the rest is lost.
    fn lose(&mut self) {
        for (offset, bytes) in self.unsynced.drain(..) {
            let kept = bytes.len() * self.disk.kept as usize / 1000;
            self.file.write_all_at(&bytes[..kept], offset).unwrap();
        }
    }
}

impl LogFile for BadFile {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.unsynced.push((offset, bytes.to_vec()));
        self.disk.operate()
    }

    fn sync_data(&mut self) -> io::Result<()> {
        if let Err(error) = self.disk.operate() {
            self.lose();
            return Err(error);
        }
        for (offset, bytes) in self.unsynced.drain(..) {
            self.file.write_all_at(&bytes, offset)?;
        }
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
}

impl Drop for BadFile {
    fn drop(&mut self) {
        self.lose();
    }
}
