//! Decides which calls fail.
//!
//! The file contains `errno first count kinds [part of a path]`. Calls of these kinds (letters: `o` open for writing,
//! `w` write, `s` sync, `l` change of length, `r` rename, unlink or mkdir) on paths that contain that part are counted
//! from 0 since the process started; `count` of them fail, beginning with number `first`. If the file is empty or
//! missing, none fails.

use std::ffi::CString;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

static CALLS: AtomicU64 = AtomicU64::new(0);

fn file() -> Option<&'static CString> {
    static FILE: OnceLock<Option<CString>> = OnceLock::new();
    FILE.get_or_init(|| {
        let path = std::env::var("LEVERET_POWER_FAULTS").ok()?;
        CString::new(path).ok()
    })
    .as_ref()
}

/// Returns the error with which this call must fail.
pub(crate) fn fault(kind: u8, path: &[u8]) -> Option<i32> {
    let file = file()?;
    let mut bytes = [0u8; 256];
    // SAFETY: a path that ends in zero, and a buffer of the length told.
    let got = unsafe {
        let fd = libc::syscall(
            libc::SYS_openat,
            libc::AT_FDCWD,
            file.as_ptr(),
            libc::O_RDONLY | libc::O_CLOEXEC,
        );
        if fd < 0 {
            return None;
        }
        let got = libc::syscall(libc::SYS_read, fd, bytes.as_mut_ptr(), bytes.len());
        libc::syscall(libc::SYS_close, fd);
        got
    };
    let text = std::str::from_utf8(bytes.get(..usize::try_from(got).ok()?)?).ok()?;
    let mut words = text.split_whitespace();
    let errno: i32 = words.next()?.parse().ok()?;
    let first: u64 = words.next()?.parse().ok()?;
    let count: u64 = words.next()?.parse().ok()?;
    let kinds = words.next()?.as_bytes();
    let part = words.next().unwrap_or_default().as_bytes();
    let meant = part.is_empty() || path.windows(part.len()).any(|window| window == part);
    if !kinds.contains(&kind) || !meant {
        return None;
    }
    let call = CALLS.fetch_add(1, Ordering::SeqCst);
    (call >= first && call - first < count).then_some(errno)
}
