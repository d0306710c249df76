//! What sled takes for a sync, made one.
//!
//! sled writes its segments in any order and believes them safe after `sync_file_range`, which on Linux makes nothing
//! durable: neither the disk's own cache is flushed nor the file's length and layout written. On that belief it gives
//! segments free whose content it has moved, and overwrites them: a power cut then loses old data together with new, and
//! no sync of ours afterwards helps (`tests/tests/power` shows it within a few cuts). sled has no setting for this, but
//! the function is a symbol, and an executable's own symbols come before libc's. So here is one that syncs. Nothing else
//! in the process calls it.

// A symbol for the linker, and the borrowing of a descriptor that sled passes: see above for the need.
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

/// Syncs the whole file. On failure -1 with `errno` set, as libc's.
#[unsafe(no_mangle)]
extern "C" fn sync_file_range(fd: c_int, _offset: i64, _len: i64, _flags: c_uint) -> c_int {
    CALLS.fetch_add(1, Ordering::Relaxed);
    if fd < 0 {
        return -1;
    }
    // SAFETY: sled holds the file open during the call, and it is not closed here.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    #[cfg(test)]
    if failing::strikes(&file) {
        return -1;
    }
    // Nothing between a failing call and the return touches errno.
    if sync(&file).is_ok() { 0 } else { -1 }
}

/// Syncs a file of sled's, and notes if that fails.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    file.sync_data().inspect_err(|_| {
        FAILURES.fetch_add(1, Ordering::SeqCst);
    })
}

/// How often it has failed in this process.
pub(crate) fn failures() -> u64 {
    FAILURES.load(Ordering::SeqCst)
}

/// Makes sure that the linker takes this file's function, and says how often sled has called it.
pub(crate) fn calls() -> u64 {
    black_box(sync_file_range as *const ());
    CALLS.load(Ordering::Relaxed)
}

/// A sync that fails because a test says so.
#[cfg(test)]
pub(crate) mod failing {
    use std::{fs::File, io, os::unix::fs::MetadataExt, thread, time::Duration};

    use parking_lot::Mutex;

    /// Files of which the next sync fails, by inode.
    static NEXT: Mutex<Vec<u64>> = Mutex::new(Vec::new());

    /// Lets the next sync of this file fail, and take so long that others overtake it.
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
