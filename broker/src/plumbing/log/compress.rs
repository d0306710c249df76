//! Compressing rotated log files, on a thread of its own: lines that are logged meanwhile need not wait.

use super::file::{LogFile, numbered};
use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// The log file that is shared with those who rotate it.
pub(super) type SharedFile = Arc<Mutex<Option<LogFile>>>;

/// Compresses the rotated files of a log, one at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Compressor {
    log: Weak<Mutex<Option<LogFile>>>,
    is_running: Arc<AtomicBool>,
}

/// A rotated file that is to be compressed.
struct Job {
    source: File,
    number: u64,
    /// The rotations when it had this number.
    rotations: u64,
}

impl Compressor {
    /// Returns one for this log file.
    pub(super) fn new(log: &SharedFile) -> Self {
        Compressor {
            log: Arc::downgrade(log),
            is_running: Arc::default(),
        }
    }

    /// Compresses whatever is not compressed yet, unless that is being done already.
    pub(super) fn start(&self, path: &Path) {
        if self.is_running.swap(true, Ordering::AcqRel) {
            return;
        }
        let (this, path) = (self.clone(), path.to_owned());
        let thread = std::thread::Builder::new().name("log-compress".to_owned());
        let started = thread.spawn(move || {
            let unfinished = PathBuf::from(format!("{}.gz.tmp", path.display()));
            let done = this.compress_all(&path, &unfinished);
            if done.is_err() {
                // The disk may be full.
                let _ = fs::remove_file(&unfinished);
            }
            this.is_running.store(false, Ordering::Release);
            if let Err(error) = done {
                let path = path.display();
                tracing::error!(%path, %error, "a rotated log file cannot be compressed");
            }
        });
        if let Err(error) = started {
            self.is_running.store(false, Ordering::Release);
            tracing::error!(%error, "rotated log files cannot be compressed");
        }
    }

    fn compress_all(&self, path: &Path, unfinished: &Path) -> io::Result<()> {
        while let Some(mut job) = self.next(path)? {
            let mut compressed = GzEncoder::new(File::create(unfinished)?, Compression::default());
            io::copy(&mut job.source, &mut compressed)?;
            compressed.finish()?;
            self.put_in_place(path, unfinished, &job)?;
        }
        Ok(())
    }

    /// Returns the oldest file that is not compressed.
    fn next(&self, path: &Path) -> io::Result<Option<Job>> {
        let Some(log) = self.log.upgrade() else {
            return Ok(None);
        };
        let log = log.lock();
        let Some(log) = log.as_ref().filter(|log| log.path() == path) else {
            return Ok(None);
        };
        for number in (0..u64::from(log.rotation().count)).rev() {
            match File::open(numbered(path, number, false)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => {
                    return Ok(Some(Job {
                        source: opened?,
                        number,
                        rotations: log.rotations(),
                    }));
                }
            }
        }
        Ok(None)
    }

    /// Replaces the file, which may have another number by now, or none.
    fn put_in_place(&self, path: &Path, unfinished: &Path, job: &Job) -> io::Result<()> {
        let log = self.log.upgrade();
        let log = log.as_ref().map(|log| log.lock());
        let log = log.as_deref().and_then(Option::as_ref);
        if let Some(log) = log.filter(|log| log.path() == path)
            // It has fewer if it was closed and opened meanwhile.
            && let Some(rotated) = log.rotations().checked_sub(job.rotations)
        {
            let number = job.number + rotated;
            let plain = numbered(path, number, false);
            if number < u64::from(log.rotation().count) && plain.exists() {
                fs::rename(unfinished, numbered(path, number, true))?;
                return fs::remove_file(plain);
            }
        }
        fs::remove_file(unfinished)
    }
}
