//! The records of the trace.
//!
//! `kind u8, handle u64, a u64, b u64, path length u32, data length u32, path, data`, numbers little-endian. Each is
//! written in one call to a file open for appending, so several processes may write one trace.

use libc::{c_void, iovec};

/// The kind of operation. The numbers are known to `leveret_tests::power`.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Kind {
    /// `path` was opened as `handle`; `a`: 1 if this created it, 2 if this truncated it.
    Open = 1,
    /// `data` was written at `a`.
    Write = 2,
    /// The file's length became `a`.
    SetLen = 3,
    /// Everything written to the file, or every name in the directory, is on disk.
    Sync = 4,
    /// A sync was made to fail.
    SyncFailed = 5,
    /// `path` was renamed to `data`.
    Rename = 6,
    /// `path` is gone.
    Unlink = 7,
    /// The directory `path` was created.
    Mkdir = 8,
    /// The directory `path` was removed.
    Rmdir = 9,
    /// The process wrote the mark `data`.
    Mark = 10,
    /// An operation that the layer does not support.
    Unknown = 11,
    /// `b` bytes from `a` on became zeros; the length stays.
    Zero = 12,
    /// A call on `path` was made to fail.
    Failed = 13,
}

/// One record.
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    pub(crate) handle: u64,
    pub(crate) a: u64,
    pub(crate) b: u64,
    pub(crate) path: &'a [u8],
    pub(crate) data: &'a [u8],
}

impl Record<'_> {
    pub(crate) fn new(kind: Kind) -> Record<'static> {
        Record {
            kind,
            handle: 0,
            a: 0,
            b: 0,
            path: &[],
            data: &[],
        }
    }

    /// Appends the record. If the trace cannot be written, ends the process, because the test would be worthless.
    pub(crate) fn write(&self, fd: i32) {
        let mut head = [0u8; 33];
        head[0] = self.kind as u8;
        head[1..9].copy_from_slice(&self.handle.to_le_bytes());
        head[9..17].copy_from_slice(&self.a.to_le_bytes());
        head[17..25].copy_from_slice(&self.b.to_le_bytes());
        head[25..29].copy_from_slice(&(self.path.len() as u32).to_le_bytes());
        head[29..33].copy_from_slice(&(self.data.len() as u32).to_le_bytes());
        let part = |bytes: &[u8]| iovec {
            iov_base: bytes.as_ptr() as *mut c_void,
            iov_len: bytes.len(),
        };
        let parts = [part(&head), part(self.path), part(self.data)];
        let all = head.len() + self.path.len() + self.data.len();
        // SAFETY: the slices live until the call returns.
        let written = unsafe { libc::syscall(libc::SYS_writev, fd, parts.as_ptr(), parts.len()) };
        if written != all as i64 {
            // SAFETY: ends the process and does nothing else.
            unsafe { libc::abort() };
        }
    }
}
