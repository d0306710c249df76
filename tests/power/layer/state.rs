//! The state of the layer: which descriptors are files under test.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

use libc::{c_char, c_int};
use parking_lot::{Mutex, MutexGuard};

use crate::trace::{Kind, Record};

/// An open file or directory under test.
#[derive(Clone)]
pub(crate) struct Open {
    pub(crate) handle: u64,
    pub(crate) path: Vec<u8>,
    pub(crate) append: bool,
}

pub(crate) struct State {
    dir: Vec<u8>,
    marks: Vec<u8>,
    trace: Option<i32>,
    open: HashMap<c_int, Open>,
    marks_open: Vec<c_int>,
    next: u64,
}

impl State {
    fn from_environment() -> Option<Mutex<State>> {
        let variable = |name: &str| {
            let value = std::env::var_os(name)?;
            Some(value.as_bytes().to_vec())
        };
        let dir = variable("LEVERET_POWER_DIR")?;
        let trace = variable("LEVERET_POWER_TRACE").map(|mut path| {
            path.push(0);
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
            // SAFETY: a path that ends in zero.
            let fd = unsafe {
                libc::syscall(
                    libc::SYS_openat,
                    libc::AT_FDCWD,
                    path.as_ptr(),
                    flags,
                    0o644,
                )
            };
            fd as c_int
        });
        // Registered with the first call, so that it runs after whatever the process itself does at exit.
        unsafe { libc::atexit(stop) };
        Some(Mutex::new(State {
            dir,
            marks: variable("LEVERET_POWER_MARKS").unwrap_or_default(),
            trace,
            open: HashMap::new(),
            marks_open: Vec::new(),
            next: u64::from(std::process::id()) << 32,
        }))
    }

    /// Returns the absolute path if it is under test.
    pub(crate) fn under_test(&self, at: c_int, path: *const c_char) -> Option<Vec<u8>> {
        if path.is_null() {
            return None;
        }
        // SAFETY: whoever calls a function of libc with a path passes a string that ends in zero.
        let path = unsafe { CStr::from_ptr(path) }.to_bytes();
        let path = if path.starts_with(b"/") {
            path.to_vec()
        } else if at == libc::AT_FDCWD {
            return None;
        } else {
            let base = &self.open.get(&at)?.path;
            [base, &b"/"[..], path].concat()
        };
        let rest = path.strip_prefix(&self.dir[..])?;
        (rest.is_empty() || rest[0] == b'/').then(|| {
            let end = path.len() - path.iter().rev().take_while(|byte| **byte == b'/').count();
            path[..end].to_vec()
        })
    }

    pub(crate) fn is_marks(&self, path: *const c_char) -> bool {
        // SAFETY: as above.
        !path.is_null()
            && !self.marks.is_empty()
            && unsafe { CStr::from_ptr(path) }.to_bytes() == self.marks
    }

    pub(crate) fn note(&self, record: &Record<'_>) {
        if let Some(trace) = self.trace {
            record.write(trace);
        }
    }

    pub(crate) fn opened(&mut self, fd: c_int, path: Vec<u8>, append: bool, made: bool, cut: bool) {
        self.next += 1;
        let handle = self.next;
        self.note(&Record {
            handle,
            a: u64::from(made) | u64::from(cut) << 1,
            path: &path,
            ..Record::new(Kind::Open)
        });
        let open = Open {
            handle,
            path,
            append,
        };
        self.open.insert(fd, open);
    }

    pub(crate) fn opened_marks(&mut self, fd: c_int) {
        self.marks_open.push(fd);
    }

    pub(crate) fn takes_marks(&self, fd: c_int) -> bool {
        self.marks_open.contains(&fd)
    }

    pub(crate) fn get(&self, fd: c_int) -> Option<Open> {
        self.open.get(&fd).cloned()
    }

    pub(crate) fn duplicated(&mut self, from: c_int, to: c_int) {
        if let Some(open) = self.open.get(&from).cloned() {
            self.open.insert(to, open);
        }
        if self.takes_marks(from) {
            self.marks_open.push(to);
        }
    }

    pub(crate) fn closed(&mut self, fd: c_int) {
        self.open.remove(&fd);
        self.marks_open.retain(|open| *open != fd);
    }
}

/// Runs at exit, so that no thread ends between a call and recording it.
extern "C" fn stop() {
    std::mem::forget(state());
}

/// Returns the locked state: calls on files under test happen one at a time, so that the trace has their order. Returns
/// `None` if the layer is not active.
pub(crate) fn state() -> Option<MutexGuard<'static, State>> {
    static STATE: OnceLock<Option<Mutex<State>>> = OnceLock::new();
    let state = STATE.get_or_init(State::from_environment).as_ref()?;
    Some(state.lock())
}
