//! sled after an error of the disk.
//!
//! Once one of its writes has failed, sled refuses everything for good. So it is let go of and opened again, which finds
//! what was flushed; what was not is still in the log, and folded anew.
//!
//! A sync that failed is worse: Linux takes what it should have written for clean, and gives it to readers, sled's
//! recovery included, as if it were on disk. So before sled is opened again all of its file is written again as it is
//! read, and synced. That this is still to be done is remembered, and noted in a file beside it, should the process end
//! before. That file needs no sync: where the machine goes down as well, all that is read afterwards is on disk.

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

/// Bytes written again at a time.
const STEP: usize = 256 << 10;

/// How long sled may take to close: it writes what it has gathered, a few MiB.
const CLOSING: Duration = Duration::from_secs(20);

/// The sleds of this process whose file may not be on disk as it is read.
static UNSYNCED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The note of that in sled's directory.
fn note(path: &Path) -> PathBuf {
    path.join("unsynced")
}

/// Notes that a sync of sled's file has failed, or may have.
pub(crate) fn note_unsynced(path: &Path) {
    UNSYNCED.lock().insert(path.to_owned());
    // On a disk on which not even this can be made, only a process that ends before it has written again misses it.
    let _ = File::create(note(path));
}

fn is_unsynced(path: &Path) -> bool {
    UNSYNCED.lock().contains(path) || note(path).exists()
}

impl Sleds {
    /// Opens those again that refuse service after an error of the disk.
    ///
    /// # Errors
    /// One does not open: to be tried again.
    pub(crate) fn revive(&self, sync_failed: bool) -> Result<(), StorageError> {
        // All of them: which one a failed sync was about is not known.
        let opened = self.volumes.sleds().into_iter().chain([self.main()]);
        opened
            .map(|sled| sled.revive(sync_failed))
            .fold(Ok(()), Result::and)
    }
}

impl SledStore {
    /// Opens sled again if it refuses service. Readers wait meanwhile.
    ///
    /// # Errors
    /// It does not open: to be tried again.
    pub(crate) fn revive(&self, sync_failed: bool) -> Result<(), StorageError> {
        let fail = |source| StorageError::Directory {
            action: "write again what a failed sync left in",
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
        make_durable(&self.path).map_err(fail)?;
        *open = Some(self.open_again()?);
        tracing::info!("sled was opened again after an error");
        Ok(())
    }
}

/// Writes sled's file again as it is read, if a sync of it has failed since that was last done.
///
/// # Errors
/// It cannot be read or written.
pub(crate) fn make_durable(path: &Path) -> io::Result<()> {
    if !is_unsynced(path) {
        return Ok(());
    }
    tracing::warn!("a sync of sled's file had failed: it is written again");
    let db = path.join("db");
    let file = match OpenOptions::new().read(true).write(true).open(&db) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return forget_unsynced(path),
        file => file?,
    };
    lock_released(&file)?;
    let len = file.metadata()?.len();
    let mut bytes = vec![0; STEP];
    let mut at = 0;
    while at < len {
        let count = usize::try_from(len - at).unwrap_or(STEP).min(STEP);
        let part = &mut bytes[..count];
        file.read_exact_at(part, at)?;
        // Zeros too: they may have been written over something.
        file.write_all_at(part, at)?;
        at += count as u64;
    }
    file.sync_all()?;
    File::open(path.join("conf")).and_then(|conf| conf.sync_all())?;
    forget_unsynced(path)
}

/// Takes sled's lock, for as long as the file is open: somebody may still be reading through the sled that was let go, and
/// while they do it may write.
pub(crate) fn lock_released(file: &File) -> io::Result<()> {
    let until = Instant::now() + RELEASE_TIMEOUT;
    while let Err(error) = file.try_lock() {
        if Instant::now() >= until {
            return Err(error.into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// It is written again.
fn forget_unsynced(path: &Path) -> io::Result<()> {
    match fs::remove_file(note(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    UNSYNCED.lock().remove(path);
    Ok(())
}

impl Drop for SledStore {
    /// sled's last sync panics where it fails; what is not on disk then is in the log.
    fn drop(&mut self) {
        let open = self.open.get_mut().take();
        if let Err(error) = close(&self.path, open) {
            tracing::error!("{error}");
        }
    }
}

/// Closes sled, which writes what it still has, and tells nobody when it cannot sync that.
///
/// # Errors
/// It panicked, or does not come to an end.
fn close(path: &Path, open: Option<OpenSled>) -> Result<(), StorageError> {
    let Some(open) = open else {
        return Ok(());
    };
    let failures = sled_sync::failures();
    let file = open.file().try_clone();
    let closed = let_go(path, open);
    let synced = file.and_then(|file| file.sync_data());
    if closed.is_err() || synced.is_err() || failures != sled_sync::failures() {
        note_unsynced(path);
    }
    closed
}

/// Drops sled, or what is left of it. Where one of its threads has panicked, as at damage that it came upon by itself, sled
/// waits for that one to end, and for ever: so it is not waited for with it.
///
/// # Errors
/// It panicked, or does not come to an end.
pub(crate) fn let_go(path: &Path, sled: impl Send + 'static) -> Result<(), StorageError> {
    drop_within(CLOSING, path, sled)
}

fn drop_within<T: Send + 'static>(
    patience: Duration,
    path: &Path,
    open: T,
) -> Result<(), StorageError> {
    let (done, closed) = mpsc::channel();
    let place = path.to_owned();
    // Where no thread can be had, what it would have dropped is dropped here.
    guarded(path, "closing", || {
        let closing = thread::Builder::new().name("sled closing".to_owned());
        let close = move || {
            let dropped = guarded(&place, "closing", || {
                drop(open);
                Ok(())
            });
            // Nobody waits for it any more: then it has been said already that it takes too long.
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
        // As if it could not have been made.
        fs::remove_file(note(path)).unwrap();
        assert!(is_unsynced(path));
        make_durable(path).unwrap();
        assert!(!is_unsynced(path));
        // Left by a process that is gone.
        fs::write(note(path), b"").unwrap();
        assert!(is_unsynced(path));
        make_durable(path).unwrap();
        assert!(!is_unsynced(path));
        assert_eq!(fs::read(path.join("db")).unwrap(), b"as it was read");
    }

    /// Ends when it is told to.
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
        let error = let_go(Path::new("/nowhere"), Panics);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("panicked: at its last sync"), "{error}");
    }
}
