//! Reads back the trace of the layer. Its format is described in `tests/power/layer/trace.rs`.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// An operation on a file under test. Paths are relative to the directory under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A file or directory was opened.
    Open {
        /// The number that identifies it from now on.
        handle: u64,
        /// Its path.
        path: String,
        /// Whether this created it.
        made: bool,
        /// Whether this truncated it.
        cut: bool,
    },
    /// Bytes were written at an offset.
    Write {
        /// The file.
        handle: u64,
        /// The offset.
        at: u64,
        /// The data.
        data: Vec<u8>,
    },
    /// A file got a new length.
    SetLen {
        /// The file.
        handle: u64,
        /// Its length.
        len: u64,
    },
    /// Bytes became zeros.
    Zero {
        /// The file.
        handle: u64,
        /// The offset.
        at: u64,
        /// How many.
        len: u64,
    },
    /// A file or directory was synced.
    Sync(u64),
    /// A sync was made to fail.
    SyncFailed(u64),
    /// A file was renamed.
    Rename(String, String),
    /// A file was removed.
    Remove(String),
    /// A directory was created.
    Mkdir(String),
    /// The process wrote a mark.
    Mark(String),
    /// A call on this path was made to fail.
    Failed(String),
    /// An operation that the layer does not support.
    Unknown(String),
}

/// A trace being read.
pub struct Trace {
    file: BufReader<File>,
    dir: String,
}

impl Trace {
    /// Opens the trace of work below `dir`.
    pub fn open(path: &Path, dir: &Path) -> Trace {
        let file = File::open(path).unwrap_or_else(|e| panic!("the trace {path:?}: {e}"));
        Trace {
            file: BufReader::with_capacity(1 << 20, file),
            dir: dir.to_str().expect("a path in UTF-8").to_owned(),
        }
    }

    /// Appends a mark to a trace, as if by the process: records what somebody else has been told by now.
    pub fn mark(mut trace: &File, mark: &str) {
        use std::io::Write;
        let mut record = vec![0u8; 33];
        record[0] = 10;
        let len = u32::try_from(mark.len()).expect("a short mark");
        record[29..33].copy_from_slice(&len.to_le_bytes());
        record.extend(mark.as_bytes());
        trace.write_all(&record).expect("a mark");
    }

    fn relative(&self, path: Vec<u8>) -> String {
        let path = String::from_utf8(path).expect("a path in UTF-8");
        let rest = path.strip_prefix(&self.dir).unwrap_or(&path);
        rest.trim_start_matches('/').to_owned()
    }
}

impl Iterator for Trace {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let mut head = [0u8; 33];
        // A killed process may leave half a record.
        self.file.read_exact(&mut head).ok()?;
        let long = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight"));
        let short = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four"));
        let (handle, a, b) = (long(1), long(9), long(17));
        let mut path = vec![0; short(25) as usize];
        self.file.read_exact(&mut path).ok()?;
        let mut data = vec![0; short(29) as usize];
        self.file.read_exact(&mut data).ok()?;
        Some(match head[0] {
            1 => Event::Open {
                handle,
                path: self.relative(path),
                made: a & 1 != 0,
                cut: a & 2 != 0,
            },
            2 => Event::Write {
                handle,
                at: a,
                data,
            },
            3 => Event::SetLen { handle, len: a },
            4 => Event::Sync(handle),
            5 => Event::SyncFailed(handle),
            6 => Event::Rename(self.relative(path), self.relative(data)),
            7 | 9 => Event::Remove(self.relative(path)),
            8 => Event::Mkdir(self.relative(path)),
            10 => Event::Mark(String::from_utf8(data).expect("a mark in UTF-8")),
            12 => Event::Zero {
                handle,
                at: a,
                len: b,
            },
            13 => Event::Failed(self.relative(path)),
            _ => Event::Unknown(format!(
                "{} on {}",
                String::from_utf8_lossy(&data),
                self.relative(path)
            )),
        })
    }
}
