//! Turns what sled believes to be a sync into a real one.
//!
//! sled writes its segments in any order and believes them safe after `sync_file_range`, which on Linux makes nothing
//! durable: it neither flushes the cache of the disk nor writes the length and layout of the file. On that belief it
//! frees segments whose content it has moved, and overwrites them: a power cut then loses old data together with new,
//! and no later sync of ours helps (`tests/tests/power` shows it within a few cuts). sled has no setting for this, but
//! the function is a symbol, and an executable's own symbols come before those of libc. So this module defines one that
//! syncs. Nothing else in the process calls it.

// Needed to define a symbol for the linker and to borrow the descriptor that sled passes; see above for the reason.
#![allow(unsafe_code)]

use std::{
    ffi::{c_int, c_uint},
    fs::File,
    hint::black_box,
    io,
    mem::ManuallyDrop,
    os::fd::FromRawFd,
    sync::atomic::{AtomicU64, Ordering},
};

static CALLS: AtomicU64 = AtomicU64::new(0);
static FAILURES: AtomicU64 = AtomicU64::new(0);

/// Syncs the whole file. Like libc, returns -1 and sets `errno` on failure.
#[unsafe(no_mangle)]
extern "C" fn sync_file_range(fd: c_int, _offset: i64, _len: i64, _flags: c_uint) -> c_int {
    CALLS.fetch_add(1, Ordering::Relaxed);
    if fd < 0 {
        return -1;
    }
    // SAFETY: sled keeps the file open during the call, and it is not closed here.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    #[cfg(test)]
    if failing::strikes(&file) {
        return -1;
    }
    // Nothing between the failing call and the return touches errno.
    if sync(&file).is_ok() { 0 } else { -1 }
}

/// Syncs a file of sled's and counts failures.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    file.sync_data().inspect_err(|_| {
        FAILURES.fetch_add(1, Ordering::SeqCst);
    })
}

/// Returns how often a sync has failed in this process.
pub(crate) fn failures() -> u64 {
    FAILURES.load(Ordering::SeqCst)
}

/// Returns how often sled has called our function. The reference makes the linker keep it.
pub(crate) fn calls() -> u64 {
    black_box(sync_file_range as *const ());
    CALLS.load(Ordering::Relaxed)
}

/// Syncs that fail because a test says so.
#[cfg(test)]
pub(crate) mod failing {
    use std::{fs::File, io, os::unix::fs::MetadataExt, thread, time::Duration};

    use parking_lot::Mutex;

    /// The inodes of files whose next sync fails.
    static NEXT: Mutex<Vec<u64>> = Mutex::new(Vec::new());

    /// Makes the next sync of this file fail, slowly enough for other operations to overtake it.
    pub(crate) fn fail_next(file: &File) -> io::Result<()> {
        NEXT.lock().push(file.metadata()?.ino());
        Ok(())
    }

    pub(super) fn strikes(file: &File) -> bool {
        let Ok(metadata) = file.metadata() else {
            return false;
        };
        let mut next = NEXT.lock();
        let at = next.iter().position(|inode| *inode == metadata.ino());
        if at.map(|at| next.swap_remove(at)).is_none() {
            return false;
        }
        drop(next);
        thread::sleep(Duration::from_millis(200));
        true
    }
}
