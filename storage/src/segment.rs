//! Reads log segments back.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    block::BLOCK_HEADER,
    error::StorageError,
    record::{self, BLOCK_MAGIC_START, BlockHeader, Record, SEGMENT_HEADER, SegmentHeader},
};

/// How many bytes are read at once when a segment is scanned.
const READ_AHEAD: usize = 256 * 1024;

/// A segment open for reading.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
    file: File,
}

/// Where a segment's valid bytes end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// At this offset, as the writer recorded.
    Known(u64),
    /// Wherever the crash left it, possibly with an unfinished commit: this is the last segment.
    Torn,
}

/// The result of scanning a segment.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The offset after the last complete commit.
    pub(crate) end: u64,
    /// The length of an unfinished commit at the end.
    pub(crate) torn: u64,
    /// The damaged ranges that were skipped.
    pub(crate) losses: Vec<(u64, u64)>,
}

/// Returns the name of a segment's file in the log directory.
pub(crate) fn file_name(seq: u64) -> String {
    format!("{seq:016}.log")
}

impl Segment {
    /// Opens a segment and checks its header.
    ///
    /// # Errors
    /// The file cannot be read, or its header is damaged.
    pub(crate) fn open(path: &Path) -> Result<Arc<Segment>, StorageError> {
        let fail = |source| StorageError::Directory {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(fail)?;
        let mut bytes = [0; SEGMENT_HEADER];
        let got = read_up_to(&file, &mut bytes, 0).map_err(fail)?;
        // A segment gets its name only after its header is synced, so a bad header is damage, not the result of a
        // crash.
        let header =
            SegmentHeader::decode(&bytes[..got]).ok_or_else(|| StorageError::DamagedLog {
                path: path.to_owned(),
                offset: 0,
                end: SEGMENT_HEADER as u64,
            })?;
        Ok(Arc::new(Segment {
            path: path.to_owned(),
            header,
            file,
        }))
    }

    pub(crate) fn file_len(&self) -> Result<u64, StorageError> {
        Ok(self
            .file
            .metadata()
            .map_err(|source| self.read_error(source))?
            .len())
    }

    /// Returns once the contents of the file are on disk.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        self.file
            .sync_data()
            .map_err(|source| self.read_error(source))
    }

    pub(crate) fn window(self: &Arc<Segment>, size: usize) -> Window {
        Window {
            segment: Arc::clone(self),
            size,
            start: 0,
            bytes: Vec::new(),
        }
    }

    /// Scans the segment and calls `visit` with every record and its offset.
    ///
    /// # Errors
    /// The file cannot be read, or it is damaged and `accept_losses` is off, or `visit` failed.
    pub(crate) fn scan(
        self: &Arc<Segment>,
        end: End,
        accept_losses: bool,
        mut visit: impl FnMut(u64, Record<'_>) -> Result<(), StorageError>,
    ) -> Result<Scan, StorageError> {
        let file_len = self.file_len()?;
        let limit = match end {
            End::Known(end) => end,
            End::Torn => file_len,
        };
        let mut window = self.window(READ_AHEAD);
        let mut scan = Scan::default();
        let mut at = SEGMENT_HEADER as u64;
        while at < limit {
            if let Some(next) = self.block(&mut window, at, limit, &mut visit)? {
                at = next;
                continue;
            }
            let next = self.next_block(&mut window, at + 1, limit.min(file_len))?;
            let (lost_to, resume) = match (next, end) {
                (Some(next), _) => (next, next),
                (None, End::Known(end)) => (end, end),
                (None, End::Torn) => {
                    scan.torn = self.written_bytes(&mut window, at, limit)?;
                    break;
                }
            };
            if !accept_losses {
                return Err(StorageError::DamagedLog {
                    path: self.path.clone(),
                    offset: at,
                    end: lost_to,
                });
            }
            scan.losses.push((at, lost_to));
            at = resume;
        }
        scan.end = at;
        Ok(scan)
    }

    /// Visits the block at `at` and returns the offset after it, or `None` if there is no complete block.
    fn block(
        &self,
        window: &mut Window,
        at: u64,
        limit: u64,
        visit: &mut impl FnMut(u64, Record<'_>) -> Result<(), StorageError>,
    ) -> Result<Option<u64>, StorageError> {
        let Some(header) = BlockHeader::decode(window.get(at, BLOCK_HEADER)?, self.header.salt, at)
        else {
            return Ok(None);
        };
        let len = header.payload.saturating_add(BLOCK_HEADER as u64);
        if len > limit - at {
            return Ok(None);
        }
        // This fits: it is no longer than the file.
        let bytes = window.get(at, usize::try_from(len).unwrap_or(usize::MAX))?;
        let Some(records) = record::parse_block(bytes, &header) else {
            return Ok(None);
        };
        for (offset, record) in records {
            visit(at + offset as u64, record)?;
        }
        Ok(Some(at + len))
    }

    /// Returns the first offset in `from..limit` that holds a block header of this segment. Messages cannot fake one,
    /// because they do not know the salt.
    fn next_block(
        &self,
        window: &mut Window,
        from: u64,
        limit: u64,
    ) -> Result<Option<u64>, StorageError> {
        let mut at = from;
        while at + (BLOCK_HEADER as u64) <= limit {
            let bytes = window.get(at, READ_AHEAD)?;
            let starts = bytes.len().saturating_sub(BLOCK_HEADER - 1);
            for i in 0..starts {
                if bytes[i] == BLOCK_MAGIC_START
                    && BlockHeader::decode(&bytes[i..], self.header.salt, at + i as u64).is_some()
                {
                    return Ok(Some(at + i as u64));
                }
            }
            if starts == 0 {
                break;
            }
            at += starts as u64;
        }
        Ok(None)
    }

    /// Returns how many bytes from `from` on are not preallocated zeros.
    fn written_bytes(
        &self,
        window: &mut Window,
        from: u64,
        limit: u64,
    ) -> Result<u64, StorageError> {
        let (mut at, mut written) = (from, 0);
        while at < limit {
            let bytes = window.get(at, READ_AHEAD)?;
            if bytes.is_empty() {
                break;
            }
            if let Some(last) = bytes.iter().rposition(|&byte| byte != 0) {
                written = at + last as u64 + 1 - from;
            }
            at += bytes.len() as u64;
        }
        Ok(written)
    }

    fn read_error(&self, source: io::Error) -> StorageError {
        StorageError::Directory {
            action: "read",
            path: self.path.clone(),
            source,
        }
    }
}

/// A buffer over part of a segment, moved as needed.
#[derive(Debug)]
pub(crate) struct Window {
    segment: Arc<Segment>,
    size: usize,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Returns `len` bytes at `offset`, or fewer at the end of the file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn get(&mut self, offset: u64, len: usize) -> Result<&[u8], StorageError> {
        if let Some(range) = self.buffered(offset, len) {
            return Ok(&self.bytes[range]);
        }
        // The length comes from a checked header or our own index, but the file may have been truncated since.
        let available = self.segment.file_len()?.saturating_sub(offset);
        let want = (len.max(self.size) as u64).min(available);
        let want = usize::try_from(want).unwrap_or(usize::MAX);
        if self.bytes.capacity() > want.max(self.size).saturating_mul(4) {
            self.bytes = Vec::new();
        }
        self.bytes.resize(want, 0);
        let got = read_up_to(&self.segment.file, &mut self.bytes, offset)
            .map_err(|e| self.segment.read_error(e))?;
        self.bytes.truncate(got);
        self.start = offset;
        Ok(&self.bytes[..got.min(len)])
    }

    /// Returns the same as [`Window::get`] as owned memory, without copying it. The window is empty afterwards.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn take(&mut self, offset: u64, len: usize) -> Result<Bytes, StorageError> {
        let got = self.get(offset, len)?.len();
        // A window made for this call buffers nothing after `offset + len`.
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let bytes = Bytes::from(std::mem::take(&mut self.bytes));
        Ok(bytes.slice(from..from + got))
    }

    fn buffered(&self, offset: u64, len: usize) -> Option<std::ops::Range<usize>> {
        let begin = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let end = begin.checked_add(len)?;
        (end <= self.bytes.len()).then_some(begin..end)
    }
}

fn read_up_to(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut got = 0;
    while got < out.len() {
        match file.read_at(&mut out[got..], offset + got as u64) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}
