//! Disk space for data that does not fit into memory and need not survive a restart: pages of messages that are written
//! once, read once, never synced, and gone with the process.
//!
//! Pages are appended to files of 64 MiB. Dropping a page frees its blocks at once (by punching a hole where the file
//! system supports it), and dropping the last page of a file deletes the file. Files found at startup are leftovers and
//! deleted.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, fallocate};

/// The size at which a file is full.
const FILE_SIZE: u64 = 64 << 20;
/// Pages are aligned to blocks, so that the holes they leave are whole blocks.
const BLOCK: u64 = 4096;
/// How many bytes are buffered before they are written.
const BUFFER: usize = 64 << 10;
/// The extension of the files.
const EXTENSION: &str = "spill";

/// The spill directory.
#[derive(Debug)]
pub struct Spill {
    directory: PathBuf,
    current: Mutex<Current>,
    bytes: Arc<AtomicU64>,
}

/// The file that pages are appended to.
#[derive(Debug, Default)]
struct Current {
    file: Option<Arc<SpillFile>>,
    end: u64,
    number: u64,
}

/// A file, which is deleted when it is dropped.
#[derive(Debug)]
struct SpillFile {
    file: File,
    path: PathBuf,
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a file of messages that were paged out");
        }
    }
}

/// A page on disk. Its blocks are freed when it is dropped.
#[derive(Debug)]
pub struct Spilled {
    file: Arc<SpillFile>,
    offset: u64,
    len: u64,
    checksum: u32,
    bytes: Arc<AtomicU64>,
}

impl Spill {
    /// Opens the spill directory, which is created if missing and emptied.
    ///
    /// # Errors
    /// The directory cannot be created, or a leftover cannot be deleted.
    pub fn open(directory: &Path) -> io::Result<Spill> {
        fs::create_dir_all(directory)?;
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == EXTENSION)
            {
                fs::remove_file(path)?;
            }
        }
        Ok(Spill {
            directory: directory.to_owned(),
            current: Mutex::default(),
            bytes: Arc::default(),
        })
    }

    /// Returns the total size of the pages on disk.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Writes a page of `len` bytes that `fill` supplies. Blocks on the disk.
    ///
    /// # Errors
    /// The disk failed or is full, or `fill` supplied a different number of bytes. Nothing is left of the page then.
    pub fn write(
        &self,
        len: u64,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<Spilled> {
        let (file, offset) = self.reserve(len)?;
        self.bytes.fetch_add(len, Ordering::Relaxed);
        // From here on, dropping the page frees its blocks whatever happens.
        let mut page = Spilled {
            file,
            offset,
            len,
            checksum: 0,
            bytes: self.bytes.clone(),
        };
        let mut writer = PageWriter {
            page: &page,
            buffer: Vec::with_capacity(BUFFER.min(usize::try_from(len).unwrap_or(BUFFER))),
            written: 0,
            hasher: crc32fast::Hasher::new(),
        };
        fill(&mut writer)?;
        writer.flush()?;
        if writer.written != len {
            return Err(io::Error::other("the page is shorter than announced"));
        }
        let checksum = writer.hasher.finalize();
        page.checksum = checksum;
        Ok(page)
    }

    fn reserve(&self, len: u64) -> io::Result<(Arc<SpillFile>, u64)> {
        let mut current = self.current.lock();
        let Current { file, end, number } = &mut *current;
        if *end >= FILE_SIZE {
            *file = None;
        }
        let file = match file {
            Some(file) => file,
            None => {
                let path = self.directory.join(format!("{number:08}.{EXTENSION}"));
                let options = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .clone();
                let opened = options.open(&path)?;
                (*end, *number) = (0, *number + 1);
                file.insert(Arc::new(SpillFile { file: opened, path }))
            }
        };
        let offset = *end;
        *end += len.div_ceil(BLOCK) * BLOCK;
        Ok((file.clone(), offset))
    }
}

impl Spilled {
    /// Returns the size of the page.
    pub fn bytes(&self) -> u64 {
        self.len
    }

    /// Reads the page. Blocks on the disk.
    ///
    /// # Errors
    /// The disk failed, or with [`io::ErrorKind::InvalidData`] the page is damaged.
    pub fn read(&self) -> io::Result<Bytes> {
        let len = usize::try_from(self.len).map_err(io::Error::other)?;
        let mut page = BytesMut::zeroed(len);
        self.file.file.read_exact_at(&mut page, self.offset)?;
        if crc32fast::hash(&page) != self.checksum {
            let text = format!("a damaged page in {}", self.file.path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(page.freeze())
    }
}

impl Drop for Spilled {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.len, Ordering::Relaxed);
        // If this fails, the blocks are freed with the file.
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let blocks = self.len.div_ceil(BLOCK) * BLOCK;
        if blocks > 0 {
            let _ = fallocate(&self.file.file, hole, self.offset, blocks);
        }
    }
}

/// Writes a page to its file.
struct PageWriter<'a> {
    page: &'a Spilled,
    buffer: Vec<u8>,
    written: u64,
    hasher: crc32fast::Hasher,
}

impl PageWriter<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.written + bytes.len() as u64;
        if end > self.page.len {
            return Err(io::Error::other("the page is longer than announced"));
        }
        self.hasher.update(bytes);
        let at = self.page.offset + self.written;
        self.page.file.file.write_all_at(bytes, at)?;
        self.written = end;
        Ok(())
    }
}

impl Write for PageWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() > BUFFER {
            self.put(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        self.put(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn write(spill: &Spill, bytes: &[u8]) -> Spilled {
        spill
            .write(bytes.len() as u64, |out| out.write_all(bytes))
            .unwrap()
    }

    fn files(directory: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn pages_read_back_as_written_whatever_their_size() {
        let directory = tempfile::tempdir().unwrap();
        let spill = Spill::open(directory.path()).unwrap();
        let contents = [0, 1, 4095, 4096, 4097, BUFFER, BUFFER + 1, 3 << 20]
            .map(|len: usize| (0..len).map(|at| (at * 7 + len) as u8).collect::<Vec<_>>());
        let pages: Vec<_> = contents.iter().map(|bytes| write(&spill, bytes)).collect();
        for (page, bytes) in pages.iter().zip(&contents) {
            assert_eq!(page.read().unwrap(), bytes);
        }
        let total: usize = contents.iter().map(Vec::len).sum();
        assert_eq!(spill.bytes(), total as u64);
    }

    #[test]
    fn a_page_let_go_frees_its_blocks_and_the_last_one_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let spill = Spill::open(directory.path()).unwrap();
        let half = vec![7; FILE_SIZE as usize / 2];
        let (first, second) = (write(&spill, &half), write(&spill, &half));
        let third = write(&spill, b"into the next file");
        assert_eq!(files(directory.path()).len(), 2);
        let blocks = |page: &Spilled| page.file.file.metadata().unwrap().blocks();
        let before = blocks(&second);
        drop(first);
        // Where the file system knows no holes, there is nothing to see until the file goes.
        assert!(blocks(&second) <= before);
        assert_eq!(second.read().unwrap(), half);
        drop(second);
        assert_eq!(files(directory.path()).len(), 1);
        assert_eq!(third.read().unwrap(), &b"into the next file"[..]);
        drop((third, spill));
        assert_eq!(files(directory.path()), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_damaged_page_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let spill = Spill::open(directory.path()).unwrap();
        let page = write(&spill, b"what was written");
        page.file.file.write_all_at(b"other", page.offset).unwrap();
        assert_eq!(page.read().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_page_of_the_wrong_length_is_an_error_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let spill = Spill::open(directory.path()).unwrap();
        assert!(spill.write(3, |out| out.write_all(b"four")).is_err());
        assert!(spill.write(5, |out| out.write_all(b"four")).is_err());
        assert_eq!(spill.bytes(), 0);
        assert_eq!(write(&spill, b"fine").read().unwrap(), &b"fine"[..]);
    }

    #[test]
    fn leftovers_are_removed_at_start_and_nothing_else_is() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("00000000.spill"), b"left over").unwrap();
        fs::write(directory.path().join("notes"), b"somebody's").unwrap();
        let spill = Spill::open(directory.path()).unwrap();
        assert_eq!(files(directory.path()), [directory.path().join("notes")]);
        assert_eq!(write(&spill, b"page").read().unwrap(), &b"page"[..]);
    }
}
