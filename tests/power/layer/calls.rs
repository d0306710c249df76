//! The functions of libc that change files, or make changes durable.
//!
//! Each passes the call on to the kernel itself and records what it did. Functions with a variable number of arguments
//! are declared with all arguments they can have: on the platforms that Linux runs on, those arrive in the same
//! registers.

use libc::{c_char, c_int, c_uint, c_void, iovec, mode_t, off_t, off64_t, size_t, ssize_t};

use crate::faults;
use crate::state::{State, state};
use crate::trace::{Kind, Record};

/// Returns the error with which this call must fail, after recording it.
fn fault(state: &State, kind: u8, path: &[u8]) -> Option<i32> {
    let errno = faults::fault(kind, path)?;
    state.note(&Record {
        path,
        ..Record::new(Kind::Failed)
    });
    Some(errno)
}

fn fail(errno: i32) -> c_int {
    // SAFETY: the address of this thread's errno.
    unsafe { *libc::__errno_location() = errno };
    -1
}

unsafe fn open_at(at: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: the caller's arguments, unchanged.
    let call = || unsafe { libc::syscall(libc::SYS_openat, at, path, flags, mode) as c_int };
    let Some(mut state) = state() else {
        return call();
    };
    if state.is_marks(path) {
        let fd = call();
        state.opened_marks(fd);
        return fd;
    }
    let Some(name) = state.under_test(at, path) else {
        return call();
    };
    let writes = flags & libc::O_ACCMODE != libc::O_RDONLY;
    if writes && let Some(errno) = fault(&state, b'o', &name) {
        return fail(errno);
    }
    // SAFETY: as above.
    let existed = unsafe { libc::syscall(libc::SYS_faccessat, at, path, libc::F_OK) } == 0;
    let fd = call();
    if fd >= 0 {
        let cut = writes && existed && flags & libc::O_TRUNC != 0;
        let append = flags & libc::O_APPEND != 0;
        state.opened(fd, name, append, !existed, cut);
    }
    fd
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    unsafe { open_at(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    unsafe { open_at(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat(at: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    unsafe { open_at(at, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat64(at: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    unsafe { open_at(at, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn creat(path: *const c_char, mode: mode_t) -> c_int {
    let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
    unsafe { open_at(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn creat64(path: *const c_char, mode: mode_t) -> c_int {
    unsafe { creat(path, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn close(fd: c_int) -> c_int {
    let state = state();
    if let Some(mut state) = state {
        state.closed(fd);
        return unsafe { libc::syscall(libc::SYS_close, fd) as c_int };
    }
    unsafe { libc::syscall(libc::SYS_close, fd) as c_int }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fcntl(fd: c_int, command: c_int, argument: *mut c_void) -> c_int {
    let result = unsafe { libc::syscall(libc::SYS_fcntl, fd, command, argument) as c_int };
    let duplicates = command == libc::F_DUPFD || command == libc::F_DUPFD_CLOEXEC;
    if duplicates
        && result >= 0
        && let Some(mut state) = state()
    {
        state.duplicated(fd, result);
    }
    result
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fcntl64(fd: c_int, command: c_int, argument: *mut c_void) -> c_int {
    unsafe { fcntl(fd, command, argument) }
}

/// Writes at an offset, or at the position of the descriptor.
unsafe fn write_at(fd: c_int, bytes: *const c_void, len: size_t, offset: Option<off_t>) -> ssize_t {
    let call = || unsafe {
        match offset {
            Some(offset) => libc::syscall(libc::SYS_pwrite64, fd, bytes, len, offset) as ssize_t,
            None => libc::syscall(libc::SYS_write, fd, bytes, len) as ssize_t,
        }
    };
    // Standard streams may be written at any time in a process: they never count as files.
    let Some(state) = (fd > 2).then(state).flatten() else {
        return call();
    };
    if state.takes_marks(fd) {
        let data = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), len) };
        state.note(&Record {
            data,
            ..Record::new(Kind::Mark)
        });
        return len as ssize_t;
    }
    let Some(open) = state.get(fd) else {
        drop(state);
        return call();
    };
    if let Some(errno) = fault(&state, b'w', &open.path) {
        return fail(errno) as ssize_t;
    }
    let written = call();
    if written > 0 {
        let at = match offset {
            Some(offset) if !open.append => offset as u64,
            // SAFETY: only asks for the position of the descriptor.
            Some(_) | None => unsafe {
                let end = libc::syscall(libc::SYS_lseek, fd, 0, libc::SEEK_CUR);
                (end - written as i64) as u64
            },
        };
        let data = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), written as usize) };
        state.note(&Record {
            handle: open.handle,
            a: at,
            data,
            ..Record::new(Kind::Write)
        });
    }
    written
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, len: size_t) -> ssize_t {
    unsafe { write_at(fd, bytes, len, None) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(fd: c_int, bytes: *const c_void, len: size_t, at: off_t) -> ssize_t {
    unsafe { write_at(fd, bytes, len, Some(at)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(
    fd: c_int,
    bytes: *const c_void,
    len: size_t,
    at: off64_t,
) -> ssize_t {
    unsafe { write_at(fd, bytes, len, Some(at)) }
}

/// A vectored write may be short: for a file under test only the first non-empty part is written.
unsafe fn write_vector(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    let follows = fd > 2 && state().is_some_and(|s| s.get(fd).is_some() || s.takes_marks(fd));
    if !follows {
        return unsafe { libc::syscall(libc::SYS_writev, fd, parts, count) as ssize_t };
    }
    let parts = unsafe { std::slice::from_raw_parts(parts, count.max(0) as usize) };
    match parts.iter().find(|part| part.iov_len > 0) {
        Some(part) => unsafe { write_at(fd, part.iov_base, part.iov_len, None) },
        None => 0,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    unsafe { write_vector(fd, parts, count) }
}

/// A call that the layer does not support: recorded if it is about a file under test, so that the test knows.
fn unknown(fd: c_int, what: &[u8]) {
    if let Some(state) = state()
        && let Some(open) = state.get(fd)
    {
        state.note(&Record {
            handle: open.handle,
            path: &open.path,
            data: what,
            ..Record::new(Kind::Unknown)
        });
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev(fd: c_int, parts: *const iovec, count: c_int, at: off_t) -> ssize_t {
    unknown(fd, b"pwritev");
    unsafe { libc::syscall(libc::SYS_pwritev, fd, parts, count, at, 0) as ssize_t }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev64(
    fd: c_int,
    parts: *const iovec,
    count: c_int,
    at: off64_t,
) -> ssize_t {
    unsafe { pwritev(fd, parts, count, at) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(
    address: *mut c_void,
    len: size_t,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    at: off_t,
) -> *mut c_void {
    if fd >= 0 && flags & libc::MAP_SHARED != 0 && protection & libc::PROT_WRITE != 0 {
        unknown(fd, b"mmap");
    }
    unsafe { libc::syscall(libc::SYS_mmap, address, len, protection, flags, fd, at) as *mut c_void }
}

/// Refuses copies inside the kernel: callers fall back to reading and writing.
#[unsafe(no_mangle)]
unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_at: *mut off64_t,
    to: c_int,
    to_at: *mut off64_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    if state().is_some_and(|state| state.get(to).is_some()) {
        return fail(libc::ENOSYS) as ssize_t;
    }
    unsafe {
        libc::syscall(
            libc::SYS_copy_file_range,
            from,
            from_at,
            to,
            to_at,
            len,
            flags,
        ) as ssize_t
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile64(to: c_int, from: c_int, at: *mut off64_t, len: size_t) -> ssize_t {
    if state().is_some_and(|state| state.get(to).is_some()) {
        return fail(libc::EINVAL) as ssize_t;
    }
    unsafe { libc::syscall(libc::SYS_sendfile, to, from, at, len) as ssize_t }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(fd: c_int, len: off64_t) -> c_int {
    let call = || unsafe { libc::syscall(libc::SYS_ftruncate, fd, len) as c_int };
    let Some((state, open)) = state().and_then(|state| {
        let open = state.get(fd)?;
        Some((state, open))
    }) else {
        return call();
    };
    if let Some(errno) = fault(&state, b'l', &open.path) {
        return fail(errno);
    }
    let result = call();
    if result == 0 {
        state.note(&Record {
            handle: open.handle,
            a: len as u64,
            ..Record::new(Kind::SetLen)
        });
    }
    result
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate(fd: c_int, len: off_t) -> c_int {
    unsafe { ftruncate64(fd, len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fallocate64(fd: c_int, mode: c_int, at: off64_t, len: off64_t) -> c_int {
    let call = || unsafe { libc::syscall(libc::SYS_fallocate, fd, mode, at, len) as c_int };
    let Some((state, open)) = state().and_then(|state| {
        let open = state.get(fd)?;
        Some((state, open))
    }) else {
        return call();
    };
    if let Some(errno) = fault(&state, b'l', &open.path) {
        return fail(errno);
    }
    let result = call();
    if result == 0 {
        let (at, len) = (at as u64, len as u64);
        let zeros = mode & (libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_ZERO_RANGE) != 0;
        let (handle, data) = (open.handle, &[][..]);
        if zeros {
            let record = Record {
                handle,
                a: at,
                b: len,
                data,
                ..Record::new(Kind::Zero)
            };
            state.note(&record);
        }
        if mode & libc::FALLOC_FL_KEEP_SIZE == 0 {
            let mut stat = std::mem::MaybeUninit::<libc::stat64>::zeroed();
            let told = unsafe { libc::fstat64(fd, stat.as_mut_ptr()) };
            let len = if told == 0 {
                unsafe { stat.assume_init() }.st_size as u64
            } else {
                at + len
            };
            state.note(&Record {
                handle,
                a: len,
                ..Record::new(Kind::SetLen)
            });
        }
    }
    result
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fallocate(fd: c_int, mode: c_int, at: off_t, len: off_t) -> c_int {
    unsafe { fallocate64(fd, mode, at, len) }
}

/// Syncs of files under test are recorded and not performed.
unsafe fn sync(fd: c_int, number: i64) -> c_int {
    let Some((state, open)) = state().and_then(|state| {
        let open = state.get(fd)?;
        Some((state, open))
    }) else {
        return unsafe { libc::syscall(number, fd) as c_int };
    };
    let failed = fault(&state, b's', &open.path);
    let kind = if failed.is_some() {
        Kind::SyncFailed
    } else {
        Kind::Sync
    };
    state.note(&Record {
        handle: open.handle,
        ..Record::new(kind)
    });
    failed.map_or(0, fail)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    unsafe { sync(fd, libc::SYS_fsync) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    unsafe { sync(fd, libc::SYS_fdatasync) }
}

/// Makes nothing durable: it neither flushes the cache of the disk nor writes the length or layout of the file.
#[unsafe(no_mangle)]
unsafe extern "C" fn sync_file_range(_: c_int, _: off64_t, _: off64_t, _: c_uint) -> c_int {
    0
}

unsafe fn rename_at(from_at: c_int, from: *const c_char, to_at: c_int, to: *const c_char) -> c_int {
    let call =
        || unsafe { libc::syscall(libc::SYS_renameat2, from_at, from, to_at, to, 0) as c_int };
    let Some((state, name)) = state().and_then(|state| {
        let name = state.under_test(from_at, from)?;
        Some((state, name))
    }) else {
        return call();
    };
    if let Some(errno) = fault(&state, b'r', &name) {
        return fail(errno);
    }
    let result = call();
    if result == 0 {
        let new = state.under_test(to_at, to).unwrap_or_default();
        state.note(&Record {
            path: &name,
            data: &new,
            ..Record::new(Kind::Rename)
        });
    }
    result
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    unsafe { rename_at(libc::AT_FDCWD, from, libc::AT_FDCWD, to) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn renameat(
    from_at: c_int,
    from: *const c_char,
    to_at: c_int,
    to: *const c_char,
) -> c_int {
    unsafe { rename_at(from_at, from, to_at, to) }
}

/// Changes a directory by name.
unsafe fn change_name(
    kind: Kind,
    at: c_int,
    path: *const c_char,
    call: impl Fn() -> c_int,
) -> c_int {
    let Some((state, name)) = state().and_then(|state| {
        let name = state.under_test(at, path)?;
        Some((state, name))
    }) else {
        return call();
    };
    if let Some(errno) = fault(&state, b'r', &name) {
        return fail(errno);
    }
    let result = call();
    if result == 0 {
        state.note(&Record {
            path: &name,
            ..Record::new(kind)
        });
    }
    result
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlinkat(at: c_int, path: *const c_char, flags: c_int) -> c_int {
    let kind = if flags & libc::AT_REMOVEDIR != 0 {
        Kind::Rmdir
    } else {
        Kind::Unlink
    };
    unsafe {
        change_name(kind, at, path, || {
            libc::syscall(libc::SYS_unlinkat, at, path, flags) as c_int
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    unsafe { unlinkat(libc::AT_FDCWD, path, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    unsafe { unlinkat(libc::AT_FDCWD, path, libc::AT_REMOVEDIR) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdirat(at: c_int, path: *const c_char, mode: mode_t) -> c_int {
    unsafe {
        change_name(Kind::Mkdir, at, path, || {
            libc::syscall(libc::SYS_mkdirat, at, path, mode) as c_int
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    unsafe { mkdirat(libc::AT_FDCWD, path, mode) }
}
