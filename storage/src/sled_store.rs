//! Wraps sled 0.34.7, with everything we know about living with it.
//!
//! - It treats `sync_file_range` as a sync, which no power cut respects, and reuses segments on that belief: see
//!   [`sled_sync`]. [`SledStore::flush_synced`] also syncs `db` through our own handle, because at the very end sled
//!   has nothing left to flush.
//! - Its `conf` file is never synced, and is read even if its checksum is wrong: see [`remove_damaged_conf`].
//! - Pages over a quarter of the segment size become blob files that leak: see [`schema::MAX_VALUE`].
//! - Its cache evicts from a shard only after 64 accesses to pages of that shard, and then keeps one page per shard.
//!   Bulk data that is written or read once piles up to hundreds of MB: see [`SledStore::touch`].
//! - A damaged snapshot file makes open fail although everything is in `db`: we set it aside and retry.
//! - Damage in `db` makes it panic: every call that reads goes through [`guarded`].
//! - If one of its writes fails, threads that wait for that write may wait forever: see [`Watched`].
//! - If one of its threads has panicked, it may never close: see [`sled_reopen::drop_with_timeout`].
//! - Space is reclaimed by the flusher thread only, so `flush_every_ms` stays on.
//! - Memory for its buffers is allocated lazily; the cache is kept small, because hot messages are cached elsewhere.

use std::{
    any::Any,
    fs::{self, File},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::RwLock;
use sled::{Batch, Db, IVec};

use crate::{
    error::StorageError, io::sync_parent, schema, sled_reopen, sled_sync, sled_watchdog::Watched,
};

/// sled's own segment size, which must stay what it was when the store was created. sled has several write buffers of
/// the same size.
pub(crate) const SEGMENT_SIZE: usize = 2 << 20;
/// How many accesses per chunk make sled check its cache: a page holds about 8 chunks, and a shard is checked after 64
/// accesses.
const CACHE_CHECK_ACCESSES: usize = 8;
/// How many bytes of changes are passed to sled at once.
const BATCH_BYTES: usize = 1 << 20;
/// How many changes are passed to sled at once, however small.
const BATCH_OPS: usize = 4096;

/// One sled database of the store.
#[derive(Debug)]
pub(crate) struct SledStore {
    pub(crate) path: PathBuf,
    cache: u64,
    /// `None` while sled is being reopened, and after that has failed.
    pub(crate) open: RwLock<Option<OpenSled>>,
    /// How many more batches sled accepts before it fails, once.
    #[cfg(test)]
    pub(crate) fail_after: std::sync::Arc<std::sync::atomic::AtomicI64>,
}

/// An open sled.
#[derive(Debug, Clone)]
pub(crate) struct OpenSled(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    /// Our own handle on sled's file, for real syncs.
    file: File,
    /// Dropped after `db`, so that threads that wait while `db` closes are still watched.
    _watched: Watched,
}

/// The result of a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// The checksum of the value is wrong.
    Damaged,
    Value(Checked),
}

/// A value whose checksum was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked(Sealed);

/// The stored form, with the checksum in front.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sealed {
    Sled(IVec),
    Read(Bytes),
}

impl Checked {
    /// Wraps bytes read from a file, whose checksum was verified.
    pub(crate) fn from_sealed(value: Vec<u8>) -> Checked {
        Checked(Sealed::Read(value.into()))
    }
}

impl AsRef<[u8]> for Checked {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Checked> for Bytes {
    fn from(value: Checked) -> Bytes {
        match value.0 {
            Sealed::Read(bytes) => bytes.slice(schema::CHECKSUM..),
            Sealed::Sled(_) => Bytes::from_owner(value),
        }
    }
}

impl std::ops::Deref for Checked {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let sealed = match &self.0 {
            Sealed::Sled(bytes) => &bytes[..],
            Sealed::Read(bytes) => &bytes[..],
        };
        &sealed[schema::CHECKSUM..]
    }
}

/// How long a sled that is being dropped may keep its file lock.
pub(crate) const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens sled, waiting while its file is locked. The lock on the directory is ours, so the holder can only be a store
/// of this process that is already closed: sled releases its lock when the last of its threads ends.
fn open_when_unlocked(
    path: &Path,
    open: impl Fn() -> sled::Result<sled::Db>,
) -> Result<sled::Db, StorageError> {
    let until = Instant::now() + RELEASE_TIMEOUT;
    loop {
        match guarded(path, "opening", &open) {
            Err(error) if is_locked(&error) && Instant::now() < until => {
                thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

/// sled has no variant for this error, only its text.
fn is_locked(error: &StorageError) -> bool {
    matches!(error, StorageError::Database { reason, .. } if reason.contains("could not acquire lock"))
}

impl OpenSled {
    /// Returns our own handle on sled's file.
    pub(crate) fn file(&self) -> &File {
        &self.0.file
    }

    fn open(path: &Path, cache: u64, repairs: &mut Vec<String>) -> Result<OpenSled, StorageError> {
        let failures = sled_sync::failures();
        OpenSled::try_open(path, cache, repairs).inspect_err(|_| {
            // The next open may read the file as if it were on disk.
            if failures != sled_sync::failures() {
                sled_reopen::note_unsynced(path);
            }
        })
    }

    fn try_open(
        path: &Path,
        cache: u64,
        repairs: &mut Vec<String>,
    ) -> Result<OpenSled, StorageError> {
        let directory = |action, source| StorageError::Directory {
            action,
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(path).map_err(|e| directory("create", e))?;
        for file in
            files(path, |name| name.ends_with(".generating")).map_err(|e| directory("read", e))?
        {
            fs::remove_file(&file).map_err(|e| directory("clean up", e))?;
        }
        sled_reopen::rewrite_if_unsynced(path).map_err(|e| directory("rewrite", e))?;
        remove_damaged_conf(path, repairs).map_err(|e| directory("clean up", e))?;
        let open = || {
            sled::Config::new()
                .path(path)
                .segment_size(SEGMENT_SIZE)
                .cache_capacity(cache)
                .mode(sled::Mode::HighThroughput)
                .open()
        };
        let db = match open_when_unlocked(path, open) {
            Ok(db) => db,
            Err(error) if is_locked(&error) => return Err(error),
            Err(error) => {
                let snapshots = files(path, |name| name.starts_with("snap."))
                    .map_err(|e| directory("read", e))?;
                if snapshots.is_empty() {
                    return Err(error);
                }
                for file in snapshots {
                    let name = file
                        .file_name()
                        .map(|n| n.to_string_lossy().into_owned())
                        .unwrap_or_default();
                    fs::rename(&file, path.join(format!("damaged-{name}")))
                        .map_err(|e| directory("set aside a file in", e))?;
                    repairs.push(format!("set sled's snapshot {name} aside: {error}"));
                }
                guarded(path, "opening without its snapshot", open)?
            }
        };
        let synced = synced_file(path);
        tracing::debug!("sled has synced {} times while opening", sled_sync::calls());
        match synced {
            Ok(file) => Ok(OpenSled(Arc::new(Inner {
                _watched: Watched::new(&db),
                db,
                file,
            }))),
            Err(error) => {
                // This may panic if another sync fails; the first error is the one to report.
                let _ = sled_reopen::drop_with_timeout(path, db);
                Err(directory("sync", error))
            }
        }
    }
}

/// Returns our handle on sled's file, the current contents of which are on disk.
fn synced_file(path: &Path) -> std::io::Result<File> {
    let conf = path.join("conf");
    File::open(&conf)?.sync_all()?;
    sync_parent(&conf)?;
    // A killed process leaves unsynced writes in the page cache. From now on they count as found, so they must survive
    // a power cut.
    let file = File::open(path.join("db"))?;
    sled_sync::sync(&file)?;
    Ok(file)
}

impl SledStore {
    /// Opens or creates sled's directory. Anything that had to be set aside is added to `repairs`.
    ///
    /// # Errors
    /// sled returned an error or panicked, even after its snapshots were set aside.
    pub(crate) fn open(
        path: &Path,
        cache: u64,
        repairs: &mut Vec<String>,
    ) -> Result<SledStore, StorageError> {
        let open = OpenSled::open(path, cache, repairs)?;
        Ok(SledStore {
            path: path.to_owned(),
            cache,
            open: RwLock::new(Some(open)),
            #[cfg(test)]
            fail_after: std::sync::Arc::new(i64::MAX.into()),
        })
    }

    /// Returns the open sled, or an error if it could not be reopened after an error.
    pub(crate) fn sled(&self) -> Result<OpenSled, StorageError> {
        self.open
            .read()
            .clone()
            .ok_or_else(|| StorageError::Database {
                path: self.path.clone(),
                action: "reopening after an error",
                reason: "it could not be opened yet; retrying".to_owned(),
                damage: false,
            })
    }

    /// Opens sled again after it was closed.
    pub(crate) fn reopen(&self) -> Result<OpenSled, StorageError> {
        OpenSled::open(&self.path, self.cache, &mut Vec::new())
    }

    /// Returns the value under `key` after checking its checksum.
    ///
    /// # Errors
    /// sled failed.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Found, StorageError> {
        let sled = self.sled()?;
        let value = guarded(&self.path, "reading", || sled.0.db.get(key))?;
        Ok(match value {
            None => Found::Nothing,
            Some(value) if schema::unsealed(key, &value).is_some() => {
                Found::Value(Checked(Sealed::Sled(value)))
            }
            Some(_) => Found::Damaged,
        })
    }

    /// Makes sled's cache notice that it is full, by accessing a chunk a few times (half a microsecond each).
    pub(crate) fn touch(&self, key: &[u8]) {
        // Only the access matters: an error will come up again when the value is read.
        let Ok(sled) = self.sled() else {
            return;
        };
        for _ in 0..CACHE_CHECK_ACCESSES {
            let _ = guarded(&self.path, "reading", || sled.0.db.get(key));
        }
    }

    /// Calls `visit` with every key under `prefix`, in ascending order, and its value if undamaged.
    ///
    /// # Errors
    /// sled failed, or `visit` did.
    pub(crate) fn scan(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut entries = self.sled()?.0.db.scan_prefix(prefix);
        while let Some((key, value)) =
            guarded(&self.path, "reading", || entries.next().transpose())?
        {
            visit(&key, schema::unsealed(&key, &value))?;
        }
        Ok(())
    }

    /// Returns whether every key starts with `prefix`.
    ///
    /// # Errors
    /// sled failed.
    pub(crate) fn holds_only(&self, prefix: u8) -> Result<bool, StorageError> {
        let mut keys = self.sled()?.0.db.iter().keys();
        while let Some(key) = guarded(&self.path, "reading", || keys.next().transpose())? {
            if key.first() != Some(&prefix) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Starts a series of changes.
    pub(crate) fn changes(&self) -> Changes<'_> {
        Changes {
            store: self,
            batch: Batch::default(),
            bytes: 0,
            ops: 0,
            bodies: Vec::new(),
        }
    }

    /// Returns once every change so far would survive a power cut.
    ///
    /// # Errors
    /// sled or the disk failed.
    pub(crate) fn flush_synced(&self) -> Result<(), StorageError> {
        let sled = self.sled()?;
        guarded(&self.path, "flushing", || sled.0.db.flush())?;
        sled_sync::sync(sled.file()).map_err(|source| StorageError::Directory {
            action: "sync",
            path: self.path.clone(),
            source,
        })
    }

    /// Returns the size of sled's files, or 0 if unknown.
    pub(crate) fn size(&self) -> u64 {
        self.sled()
            .ok()
            .and_then(|sled| sled.0.db.size_on_disk().ok())
            .unwrap_or(0)
    }
}

/// Changes to sled, passed to it in batches. Only changes between two calls of [`Changes::apply_if_large`] are
/// guaranteed to be applied together.
pub(crate) struct Changes<'a> {
    store: &'a SledStore,
    batch: Batch,
    bytes: usize,
    ops: usize,
    /// The keys of chunks in the batch.
    bodies: Vec<Vec<u8>>,
}

impl Changes<'_> {
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.bytes += key.len() + value.len();
        self.ops += 1;
        if key.first() == Some(&schema::BODY) {
            self.bodies.push(key.to_vec());
        }
        self.batch.insert(key, schema::sealed(key, value));
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        self.bytes += key.len();
        self.ops += 1;
        self.batch.remove(key);
    }

    /// Applies the changes so far if there are many.
    ///
    /// # Errors
    /// sled failed.
    pub(crate) fn apply_if_large(&mut self) -> Result<(), StorageError> {
        if self.bytes >= BATCH_BYTES || self.ops >= BATCH_OPS {
            self.apply()
        } else {
            Ok(())
        }
    }

    /// Applies the changes so far.
    ///
    /// # Errors
    /// sled failed.
    pub(crate) fn apply(&mut self) -> Result<(), StorageError> {
        if self.ops == 0 {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        #[cfg(test)]
        if self
            .store
            .fail_after
            .fetch_sub(1, std::sync::atomic::Ordering::SeqCst)
            == 0
        {
            let (path, reason) = (self.store.path.clone(), "told to fail".to_owned());
            return Err(StorageError::Database {
                path,
                action: "writing",
                reason,
                damage: false,
            });
        }
        (self.bytes, self.ops) = (0, 0);
        let sled = self.store.sled()?;
        guarded(&self.store.path, "writing", || sled.0.db.apply_batch(batch))?;
        for body in self.bodies.drain(..) {
            self.store.touch(&body);
        }
        free_garbage();
        Ok(())
    }
}

/// Frees sled's garbage: pages evicted from its cache and older versions of changed pages. sled frees these some time
/// after nobody can be using them, 64 at a time per thread; for pages with messages that is tens of MB.
pub(crate) fn free_garbage() {
    crossbeam_epoch::pin().flush();
}

/// Calls sled and turns its errors and panics into ours.
pub(crate) fn guarded<T>(
    path: &Path,
    action: &'static str,
    call: impl FnOnce() -> sled::Result<T>,
) -> Result<T, StorageError> {
    let (reason, damage) = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => (error.to_string(), !matches!(error, sled::Error::Io(_))),
        Err(panic) => {
            // sled panics at unexpected data in its file, and at unexpected disk errors.
            let reason = panic_text(panic.as_ref());
            let of_disk = reason.contains("Io(") || reason.contains("IO error");
            (reason, !of_disk)
        }
    };
    Err(StorageError::Database {
        path: path.to_owned(),
        action,
        reason,
        damage,
    })
}

/// Returns the message of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let words = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", words.unwrap_or("no reason given"))
}

/// Removes sled's `conf` file if it does not match its checksum, as after a power cut. sled writes a new one with the
/// same content, because nothing in it ever changes.
fn remove_damaged_conf(path: &Path, repairs: &mut Vec<String>) -> std::io::Result<()> {
    let conf = path.join("conf");
    let bytes = match fs::read(&conf) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let right = bytes
        .split_last_chunk()
        .is_some_and(|(text, crc)| crc32fast::hash(text).to_le_bytes() == *crc);
    if right {
        return Ok(());
    }
    repairs.push("replaced sled's damaged settings file".to_owned());
    fs::remove_file(conf)
}

fn files(path: &Path, wanted: impl Fn(&str) -> bool) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&wanted) {
            found.push(entry.path());
        }
    }
    Ok(found)
}
