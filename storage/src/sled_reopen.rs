//! Reopens sled after a disk error.
//!
//! Once one of its writes has failed, sled refuses all further operations. It is then closed and reopened, which
//! restores what was flushed; everything else is still in the log and is folded again.
//!
//! A failed sync is worse: Linux then treats the unwritten pages as clean and serves them to readers, including sled's
//! recovery, as if they were on disk. So before sled is reopened, its whole file is rewritten with what reads return,
//! and synced. Until that is done, the need for it is remembered in memory and in a marker file, should the process end
//! first. The marker needs no sync: if the machine goes down too, everything read afterwards is on disk.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    error::StorageError,
    sled_store::{OpenSled, RELEASE_TIMEOUT, SledStore, guarded},
    sled_sync,
    sleds::Sleds,
};

/// How many bytes are rewritten at a time.
const REWRITE_CHUNK: usize = 256 << 10;

/// How long sled may take to close: it writes what it has buffered, a few MiB.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(20);

/// The sleds of this process whose file may differ on disk from what reads return.
static UNSYNCED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Returns the path of the marker file in sled's directory.
fn unsynced_marker(path: &Path) -> PathBuf {
    path.join("unsynced")
}

/// Records that a sync of sled's file has failed, or may have.
pub(crate) fn note_unsynced(path: &Path) {
    UNSYNCED.lock().insert(path.to_owned());
    // If even this fails, only a process that ends before the rewrite misses it.
    let _ = File::create(unsynced_marker(path));
}

fn is_unsynced(path: &Path) -> bool {
    UNSYNCED.lock().contains(path) || unsynced_marker(path).exists()
}

impl Sleds {
    /// Reopens the sleds that refuse operations after a disk error.
    ///
    /// # Errors
    /// A sled cannot be opened; the caller retries.
    pub(crate) fn reopen_if_failed(&self, sync_failed: bool) -> Result<(), StorageError> {
        // All of them, because it is not known which one the failed sync was for.
        let opened = self.volumes.sleds().into_iter().chain([self.main()]);
        opened
            .map(|sled| sled.reopen_if_failed(sync_failed))
            .fold(Ok(()), Result::and)
    }
}

impl SledStore {
    /// Reopens sled if it refuses operations. Readers wait meanwhile.
    ///
    /// # Errors
    /// It cannot be opened; the caller retries.
    pub(crate) fn reopen_if_failed(&self, sync_failed: bool) -> Result<(), StorageError> {
        let fail = |source| StorageError::Directory {
            action: "rewrite, after a failed sync, the database in",
            path: self.path.clone(),
            source,
        };
        let failures = sled_sync::failures();
        let serves = self.flush_synced().is_ok();
        if sync_failed || failures != sled_sync::failures() {
            note_unsynced(&self.path);
        }
        if serves && !is_unsynced(&self.path) {
            return Ok(());
        }
        let mut open = self.open.write();
        close(&self.path, open.take())?;
        rewrite_if_unsynced(&self.path).map_err(fail)?;
        *open = Some(self.reopen()?);
        tracing::info!("reopened sled after an error");
        Ok(())
    }
}

/// Rewrites sled's file with what reads return, if a sync of it has failed since the last rewrite.
///
/// # Errors
/// It cannot be read or written.
pub(crate) fn rewrite_if_unsynced(path: &Path) -> io::Result<()> {
    if !is_unsynced(path) {
        return Ok(());
    }
    tracing::warn!("rewriting sled's file because a sync of it failed");
    let db = path.join("db");
    let file = match OpenOptions::new().read(true).write(true).open(&db) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return forget_unsynced(path),
        file => file?,
    };
    wait_for_lock(&file)?;
    let len = file.metadata()?.len();
    let mut bytes = vec![0; REWRITE_CHUNK];
    let mut at = 0;
    while at < len {
        let count = usize::try_from(len - at)
            .unwrap_or(REWRITE_CHUNK)
            .min(REWRITE_CHUNK);
        let part = &mut bytes[..count];
        file.read_exact_at(part, at)?;
        // Zeros too, because they may have replaced something else.
        file.write_all_at(part, at)?;
        at += count as u64;
    }
    file.sync_all()?;
    File::open(path.join("conf")).and_then(|conf| conf.sync_all())?;
    forget_unsynced(path)
}

/// Takes sled's lock for as long as the file is open: somebody may still be reading through the closed sled, which may
/// write until then.
pub(crate) fn wait_for_lock(file: &File) -> io::Result<()> {
    let until = Instant::now() + RELEASE_TIMEOUT;
    while let Err(error) = file.try_lock() {
        if Instant::now() >= until {
            return Err(error.into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Records that the file has been rewritten.
fn forget_unsynced(path: &Path) -> io::Result<()> {
    match fs::remove_file(unsynced_marker(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    UNSYNCED.lock().remove(path);
    Ok(())
}

impl Drop for SledStore {
    /// sled's last sync panics if it fails; whatever is not on disk then is in the log.
    fn drop(&mut self) {
        let open = self.open.get_mut().take();
        if let Err(error) = close(&self.path, open) {
            tracing::error!("{error}");
        }
    }
}

/// Closes sled, which writes what it has buffered but does not report a failing sync.
///
/// # Errors
/// It panicked, or it does not finish.
fn close(path: &Path, open: Option<OpenSled>) -> Result<(), StorageError> {
    let Some(open) = open else {
        return Ok(());
    };
    let failures = sled_sync::failures();
    let file = open.file().try_clone();
    let closed = drop_with_timeout(path, open);
    let synced = file.and_then(|file| file.sync_data());
    if closed.is_err() || synced.is_err() || failures != sled_sync::failures() {
        note_unsynced(path);
    }
    closed
}

/// Drops sled, or what is left of it, on another thread and with a timeout: if one of sled's threads has panicked, for
/// example because of damage, sled waits for it forever.
///
/// # Errors
/// It panicked, or it does not finish.
pub(crate) fn drop_with_timeout(
    path: &Path,
    sled: impl Send + 'static,
) -> Result<(), StorageError> {
    drop_within(CLOSE_TIMEOUT, path, sled)
}

fn drop_within<T: Send + 'static>(
    patience: Duration,
    path: &Path,
    open: T,
) -> Result<(), StorageError> {
    let (done, closed) = mpsc::channel();
    let place = path.to_owned();
    // If no thread can be started, the value is dropped here.
    guarded(path, "closing", || {
        let closing = thread::Builder::new().name("sled closing".to_owned());
        let close = move || {
            let dropped = guarded(&place, "closing", || {
                drop(open);
                Ok(())
            });
            // If nobody is waiting any more, the timeout has already been reported.
            let _ = done.send(dropped);
        };
        closing.spawn(close).map(|_| ()).map_err(sled::Error::from)
    })?;
    closed.recv_timeout(patience).unwrap_or_else(|_| {
        Err(StorageError::Stuck {
            path: path.to_owned(),
            action: "closing",
            after: patience,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_written_again_is_known_by_the_process_and_by_the_next_one() {
        let home = tempfile::TempDir::new().unwrap();
        let path = home.path();
        fs::write(path.join("db"), b"as it was read").unwrap();
        fs::write(path.join("conf"), b"settings").unwrap();
        assert!(!is_unsynced(path));
        note_unsynced(path);
        // As if the marker could not have been created.
        fs::remove_file(unsynced_marker(path)).unwrap();
        assert!(is_unsynced(path));
        rewrite_if_unsynced(path).unwrap();
        assert!(!is_unsynced(path));
        // Left by a process that is gone.
        fs::write(unsynced_marker(path), b"").unwrap();
        assert!(is_unsynced(path));
        rewrite_if_unsynced(path).unwrap();
        assert!(!is_unsynced(path));
        assert_eq!(fs::read(path.join("db")).unwrap(), b"as it was read");
    }

    /// Blocks in `drop` until told to stop.
    struct Slow(mpsc::Receiver<()>);

    impl Drop for Slow {
        fn drop(&mut self) {
            let _ = self.0.recv();
        }
    }

    #[test]
    fn what_does_not_close_is_not_waited_for() {
        let path = Path::new("/nowhere");
        let (end, told) = mpsc::channel();
        let error = drop_within(Duration::from_millis(10), path, Slow(told)).unwrap_err();
        assert!(matches!(error, StorageError::Stuck { .. }), "{error}");
        drop(end);

        let (end, told) = mpsc::channel();
        drop(end);
        drop_within(Duration::from_secs(60), path, Slow(told)).unwrap();
    }

    #[test]
    fn a_panic_while_closing_is_an_error() {
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("at its last sync");
            }
        }
        let error = drop_with_timeout(Path::new("/nowhere"), Panics);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("panicked: at its last sync"), "{error}");
    }
}
