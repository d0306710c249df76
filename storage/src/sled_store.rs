//! Everything we know about living with sled 0.34.7.
//!
//! - It takes `sync_file_range` for a sync, which no power cut respects, and reuses segments on that belief: see
//!   [`sled_sync`]. [`SledStore::flush_synced`] also syncs `db` through a handle of our own, as at its very end sled has
//!   nothing to flush.
//! - Its `conf` file is never synced, and read without respect for its checksum: see [`settle_conf`].
//! - Pages over a quarter of the segment size become blob files that leak: see [`schema::MAX_VALUE`].
//! - Its cache evicts from a shard only after 64 accesses to pages of that shard, and keeps one page per shard then. Bulk
//!   data that is written or read once piles up to hundreds of MB: [`SledStore::touch`].
//! - A damaged snapshot file makes open fail although everything is in `db`: it is set aside and open tried again.
//! - Damage in `db` makes it panic: every call that reads goes through [`guarded`].
//! - Where one of its writes fails, it may leave whoever waits for that waiting: see [`Watched`].
//! - Where one of its threads has panicked, it may not close: see [`sled_again::let_go`].
//! - Space is reclaimed by the flusher thread only, so `flush_every_ms` stays on.
//! - Memory for its buffers comes lazily; the cache is kept small, hot messages live elsewhere.

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
    error::StorageError, io::sync_parent, schema, sled_again, sled_sync, sled_watch::Watched,
};

/// sled's own segment size; must stay what it was when the store was made. Its write buffers are as large, several of them.
pub(crate) const SEGMENT_SIZE: usize = 2 << 20;
/// Accesses per chunk that make sled look at its cache: a page holds about 8 chunks, a shard looks after 64 accesses.
const TOUCHES: usize = 8;
/// Bytes of changes handed to sled at once.
const BATCH_BYTES: usize = 1 << 20;
/// Changes handed to sled at once, however small.
const BATCH_OPS: usize = 4096;

/// The sled half of the store.
#[derive(Debug)]
pub(crate) struct SledStore {
    pub(crate) path: PathBuf,
    cache: u64,
    /// `None` while it is being opened again, and when that did not succeed.
    pub(crate) open: RwLock<Option<OpenSled>>,
    /// How many more batches sled takes before it fails, once.
    #[cfg(test)]
    pub(crate) fail_after: std::sync::Arc<std::sync::atomic::AtomicI64>,
}

/// sled, open.
#[derive(Debug, Clone)]
pub(crate) struct OpenSled(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    /// Our own handle on sled's file, to sync it for real.
    file: File,
    /// Goes after `db`: what is waited for when that goes is still watched.
    _watched: Watched,
}

/// What stands under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// Its checksum is wrong.
    Damaged,
    Value(Checked),
}

/// A value whose checksum was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked(Sealed);

/// As it is stored, the checksum in front.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sealed {
    Sled(IVec),
    Read(Bytes),
}

impl Checked {
    /// Of octets read from a file, whose checksum was right.
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

/// How long a sled that is being dropped may keep its lock.
pub(crate) const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens sled, waiting while its lock is held. The directory's own lock is ours, so the holder can
/// only be a store of this very process that is closed already: sled lets go of its lock when the
/// last of its threads has noticed.
fn open_released(
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

/// sled has no kind for this error, only words.
fn is_locked(error: &StorageError) -> bool {
    matches!(error, StorageError::Database { reason, .. } if reason.contains("could not acquire lock"))
}

impl OpenSled {
    /// Our own handle on its file.
    pub(crate) fn file(&self) -> &File {
        &self.0.file
    }

    fn open(path: &Path, cache: u64, repairs: &mut Vec<String>) -> Result<OpenSled, StorageError> {
        let failures = sled_sync::failures();
        OpenSled::try_open(path, cache, repairs).inspect_err(|_| {
            // What is there now may be read next time as if it were on disk.
            if failures != sled_sync::failures() {
                sled_again::note_unsynced(path);
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
        sled_again::make_durable(path).map_err(|e| directory("write again", e))?;
        settle_conf(path, repairs).map_err(|e| directory("clean up", e))?;
        let open = || {
            sled::Config::new()
                .path(path)
                .segment_size(SEGMENT_SIZE)
                .cache_capacity(cache)
                .mode(sled::Mode::HighThroughput)
                .open()
        };
        let db = match open_released(path, open) {
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
                // It may panic when that fails as well.
                let _ = sled_again::let_go(path, db);
                Err(directory("sync", error))
            }
        }
    }
}

/// Our handle on sled's file, all of which is on disk as it is read now.
fn synced_file(path: &Path) -> std::io::Result<File> {
    let conf = path.join("conf");
    File::open(&conf)?.sync_all()?;
    sync_parent(&conf)?;
    // A process that was killed leaves what it wrote and had not synced yet in the page cache. From now on it counts as
    // found, so it must not vanish with the power.
    let file = File::open(path.join("db"))?;
    sled_sync::sync(&file)?;
    Ok(file)
}

impl SledStore {
    /// Opens or makes sled's directory. What had to be set aside is added to `repairs`.
    ///
    /// # Errors
    /// sled refused or panicked, also after setting its snapshots aside.
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

    /// sled, unless it could not be opened again after an error.
    pub(crate) fn sled(&self) -> Result<OpenSled, StorageError> {
        self.open
            .read()
            .clone()
            .ok_or_else(|| StorageError::Database {
                path: self.path.clone(),
                action: "being opened again after an error",
                reason: "it does not open at present, and is tried again".to_owned(),
                damage: false,
            })
    }

    /// Opens it again; it must be `None`.
    pub(crate) fn open_again(&self) -> Result<OpenSled, StorageError> {
        OpenSled::open(&self.path, self.cache, &mut Vec::new())
    }

    /// What stands under `key`, its checksum checked.
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

    /// Makes sled's cache notice that it is full: accesses a chunk a few times, for half a microsecond each.
    pub(crate) fn touch(&self, key: &[u8]) {
        // Only the access matters; an error comes up again where the value does.
        let Ok(sled) = self.sled() else {
            return;
        };
        for _ in 0..TOUCHES {
            let _ = guarded(&self.path, "reading", || sled.0.db.get(key));
        }
    }

    /// Gives `visit` every key under `prefix`, ascending, and its value if undamaged.
    ///
    /// # Errors
    /// sled failed, or `visit` said so.
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

    /// Whether no key starts with anything but `prefix`.
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

    /// Starts a run of changes.
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

    /// Bytes of sled's files; 0 when they cannot be told.
    pub(crate) fn size(&self) -> u64 {
        self.sled()
            .ok()
            .and_then(|sled| sled.0.db.size_on_disk().ok())
            .unwrap_or(0)
    }
}

/// Changes on their way into sled, handed over a batch at a time. Only what stands between two [`Changes::breathe`]
/// calls is sure to change together.
pub(crate) struct Changes<'a> {
    store: &'a SledStore,
    batch: Batch,
    bytes: usize,
    ops: usize,
    /// Chunks in the batch.
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

    /// Hands over what has gathered, if it is much.
    ///
    /// # Errors
    /// sled failed.
    pub(crate) fn breathe(&mut self) -> Result<(), StorageError> {
        if self.bytes >= BATCH_BYTES || self.ops >= BATCH_OPS {
            self.apply()
        } else {
            Ok(())
        }
    }

    /// Hands over what has gathered.
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

/// Lets sled's garbage go: pages that its cache has thrown out, and older states of pages that were changed, are freed
/// some time after nobody can be looking at them any more, by the 64 of a thread; of pages with messages that is tens of
/// MB.
pub(crate) fn free_garbage() {
    crossbeam_epoch::pin().flush();
}

/// Runs a call into sled; its errors and its panics become ours.
pub(crate) fn guarded<T>(
    path: &Path,
    action: &'static str,
    call: impl FnOnce() -> sled::Result<T>,
) -> Result<T, StorageError> {
    let (reason, damage) = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => (error.to_string(), !matches!(error, sled::Error::Io(_))),
        Err(panic) => {
            // sled panics at what it does not expect in its file, and where it does not expect the disk to fail.
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

/// The words of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let words = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", words.unwrap_or("no reason given"))
}

/// Removes a `conf` file of sled's that does not match its checksum, as a power cut may leave it: sled writes a new one
/// of the same content, as nothing in it ever changes.
fn settle_conf(path: &Path, repairs: &mut Vec<String>) -> std::io::Result<()> {
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
    repairs.push("sled's settings file was damaged, and written anew".to_owned());
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
