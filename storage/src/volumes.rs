//! Volumes: the sleds that hold messages, each for a while.
//!
//! A sled never returns the space it once took, needs memory for every page however cold, and after a restart reads
//! everything written since it was last opened. So messages are not kept in one sled but in a series: checkpoints fold
//! into the current volume, and when that is full the next one begins. Nothing is ever removed from a volume. When the
//! main sled's catalogue shows no live messages in it, its directory is deleted; when it shows few, those are first
//! copied to the current volume (see [`crate::housekeeping`]).
//!
//! Only the current volume is open as a sled. Other volumes are opened only to be read, without sled (see
//! [`crate::volume_file`]), only a few at a time, and only while they are read: neither startup time nor memory depends
//! on how much is stored.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    backup::copy_tree,
    error::StorageError,
    io::sync_parent,
    sled_store::{Found, SledStore},
    usage::{Shared, Usage, UsageDelta},
    volume_file::VolumeFile,
};

/// How many volumes besides the current one stay open for readers.
const OPEN: usize = 4;
/// How long a volume must be unread before opening another one closes it: a reader that reached its end does not come
/// back. Each open volume keeps its index, about 1 MiB, in memory.
const IDLE: Duration = Duration::from_secs(1);

/// Prevents volumes from being deleted until it is dropped.
#[derive(Debug)]
pub(crate) struct Pin<'a>(&'a Volumes);

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        self.0.pins.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The volumes of a store.
#[derive(Debug)]
pub(crate) struct Volumes {
    dir: PathBuf,
    cache: u64,
    state: Mutex<State>,
    /// The number of live pins, each of which prevents deletion.
    pins: AtomicUsize,
    #[cfg(test)]
    pub(crate) fail_after: Arc<std::sync::atomic::AtomicI64>,
}

#[derive(Debug, Default)]
struct State {
    /// The volumes that are or were open.
    slots: HashMap<u32, Arc<Slot>>,
    /// The volumes open for readers and when each was last read, most recently opened last.
    recent: Vec<(u32, Instant)>,
    usage: BTreeMap<u32, Usage>,
    shared: Shared,
    current: Option<u32>,
}

/// A volume in memory. Its lock is held while it is opened, closed or deleted.
#[derive(Debug, Default)]
struct Slot(Mutex<Option<Opened>>);

#[derive(Debug, Clone)]
enum Opened {
    /// The current volume.
    Sled(Arc<SledStore>),
    /// A full volume.
    File(Arc<VolumeFile>),
}

impl State {
    /// Records that a volume is being read. Returns the volumes to close in exchange.
    fn read(&mut self, number: u32, now: Instant) -> Vec<u32> {
        if self.current == Some(number) {
            return Vec::new();
        }
        if let Some((_, last)) = self.recent.iter_mut().find(|(at, _)| *at == number) {
            *last = now;
            return Vec::new();
        }
        let mut close = self.idle(now);
        while self.recent.len() >= OPEN {
            let longest = self.recent.iter().min_by_key(|(_, last)| *last);
            let Some(&(longest, _)) = longest else { break };
            self.recent.retain(|(number, _)| *number != longest);
            close.push(longest);
        }
        self.recent.push((number, now));
        close
    }

    /// Removes and returns those that have not been read for a while.
    fn idle(&mut self, now: Instant) -> Vec<u32> {
        let is_idle = |last: Instant| now.saturating_duration_since(last) >= IDLE;
        let idle = self.recent.iter().filter(|(_, last)| is_idle(*last));
        let idle = idle.map(|(number, _)| *number).collect();
        self.recent.retain(|(_, last)| !is_idle(*last));
        idle
    }
}

impl Volumes {
    /// Finds the volumes in a directory and opens none. `usage` is what the catalogue refers to.
    ///
    /// # Errors
    /// The directory cannot be read or created. If a volume in use is missing, returns `Ok(Err(number))`.
    pub(crate) fn find(
        dir: &Path,
        cache: u64,
        usage: &UsageDelta,
    ) -> Result<Result<Volumes, u32>, StorageError> {
        let fail = |source| StorageError::Directory {
            action: "read",
            path: dir.to_owned(),
            source,
        };
        fs::create_dir_all(dir).map_err(fail)?;
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(dir).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            if let Some(number) = name.to_str().and_then(|name| name.parse().ok()) {
                found.insert(number, Usage::default());
            }
        }
        for number in usage.volumes() {
            if !dir.join(directory_name(number)).join("db").exists() {
                return Ok(Err(number));
            }
        }
        let volumes = Volumes {
            dir: dir.to_owned(),
            cache,
            state: Mutex::new(State {
                usage: found,
                ..State::default()
            }),
            pins: AtomicUsize::new(0),
            #[cfg(test)]
            fail_after: Arc::new(i64::MAX.into()),
        };
        volumes.changed(usage);
        Ok(Ok(volumes))
    }

    /// Returns the volumes that are open as sleds.
    pub(crate) fn sleds(&self) -> Vec<Arc<SledStore>> {
        let slots: Vec<_> = self.state.lock().slots.values().cloned().collect();
        let opened = slots.iter().filter_map(|slot| slot.0.lock().clone());
        let sled = |opened| match opened {
            Opened::Sled(sled) => Some(sled),
            Opened::File(_) => None,
        };
        opened.filter_map(sled).collect()
    }

    /// Returns the value under `key` in a volume, or nothing if there is no such volume. If sled itself finds its file
    /// damaged, the value counts as damaged: retrying would never help.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn get(&self, volume: u32, key: &[u8]) -> Result<Found, StorageError> {
        match self.look_up(volume, key) {
            Err(StorageError::Database { damage: true, .. }) => Ok(Found::Damaged),
            found => found,
        }
    }

    fn look_up(&self, volume: u32, key: &[u8]) -> Result<Found, StorageError> {
        match self.open(volume)? {
            Some(Opened::Sled(store)) => {
                store.touch(key);
                store.get(key)
            }
            Some(Opened::File(file)) => file.get(key),
            None => Ok(Found::Nothing),
        }
    }

    /// Returns the volume that takes new messages.
    ///
    /// # Errors
    /// The volume cannot be opened or created.
    pub(crate) fn current(&self) -> Result<(u32, Arc<SledStore>), StorageError> {
        let current = self.state.lock().current;
        if let Some(number) = current
            && let Some(Opened::Sled(store)) = self.open(number)?
        {
            return Ok((number, store));
        }
        let number = {
            let state = self.state.lock();
            state.usage.keys().next_back().map_or(1, |last| last + 1)
        };
        let path = self.path(number);
        let store = Arc::new(self.open_sled(&path)?);
        for path in [path.join("db"), path.clone(), self.dir.clone()] {
            sync_parent(&path).map_err(|e| self.error("sync", &path, e))?;
        }
        let slot = Slot(Mutex::new(Some(Opened::Sled(Arc::clone(&store)))));
        let mut state = self.state.lock();
        state.slots.insert(number, Arc::new(slot));
        state.usage.entry(number).or_default();
        state.current = Some(number);
        Ok((number, store))
    }

    /// Ends the current volume: the next message goes to a new one.
    pub(crate) fn end_current(&self) -> Option<u32> {
        let number = self.state.lock().current.take()?;
        self.close(number);
        Some(number)
    }

    /// Ends the current volume if its file has reached this size, and builds its index so that the next reader need not
    /// wait for that.
    ///
    /// # Errors
    /// The volume cannot be opened.
    pub(crate) fn end_if_full(&self, size: u64) -> Result<(), StorageError> {
        let full = {
            let state = self.state.lock();
            state.current.filter(|&current| self.size(current) >= size)
        };
        if full.is_some()
            && let Some(number) = self.end_current()
        {
            drop(self.open(number)?);
            // The next reader may come much later.
            self.close(number);
        }
        Ok(())
    }

    /// Closes volumes that nobody has read for a while.
    pub(crate) fn close_idle(&self) {
        let idle = self.state.lock().idle(Instant::now());
        for number in idle {
            self.close(number);
        }
    }

    /// Applies a change in usage.
    pub(crate) fn changed(&self, by: &UsageDelta) {
        let state = &mut *self.state.lock();
        by.apply(&mut state.usage, &mut state.shared);
    }

    /// Replaces the recorded usage.
    pub(crate) fn recount(&self, usage: &UsageDelta) {
        let mut state = self.state.lock();
        for usage in state.usage.values_mut() {
            *usage = Usage::default();
        }
        state.shared.clear();
        drop(state);
        self.changed(usage);
    }

    /// Returns every volume with its usage and its size on disk.
    pub(crate) fn all(&self) -> Vec<(u32, Usage, u64)> {
        let usage = self.state.lock().usage.clone();
        usage
            .into_iter()
            .map(|(number, usage)| (number, usage, self.size(number)))
            .collect()
    }

    pub(crate) fn is_current(&self, number: u32) -> bool {
        self.state.lock().current == Some(number)
    }

    /// Deletes a volume. Readers that still look for something in it find nothing.
    ///
    /// # Errors
    /// The directory cannot be deleted.
    pub(crate) fn delete(&self, number: u32) -> Result<(), StorageError> {
        let slot = {
            let mut state = self.state.lock();
            state.current = state.current.filter(|current| *current != number);
            state.recent.retain(|(recent, _)| *recent != number);
            Arc::clone(state.slots.entry(number).or_default())
        };
        let mut store = slot.0.lock();
        drop(store.take());
        let path = self.path(number);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.error("delete", &path, error));
            }
            Ok(()) | Err(_) => {}
        }
        drop(store);
        let mut state = self.state.lock();
        state.slots.remove(&number);
        state.usage.remove(&number);
        state.shared.remove(&number);
        Ok(())
    }

    /// Prevents volumes from being deleted until the returned value is dropped.
    pub(crate) fn pin(&self) -> Pin<'_> {
        self.pins.fetch_add(1, Ordering::SeqCst);
        Pin(self)
    }

    pub(crate) fn is_pinned(&self) -> bool {
        self.pins.load(Ordering::SeqCst) > 0
    }

    /// Copies a volume other than the current one into a directory, durably. Readers wait meanwhile.
    ///
    /// # Errors
    /// The volume cannot be read, or the copy cannot be written.
    pub(crate) fn copy(&self, number: u32, to: &Path) -> io::Result<()> {
        let slot = Arc::clone(self.state.lock().slots.entry(number).or_default());
        let mut store = slot.0.lock();
        drop(store.take());
        let path = self.path(number);
        // sled releases its lock when the last of its threads is done.
        let db = File::open(path.join("db"))?;
        db.lock()?;
        let copied = copy_tree(&path, &to.join(directory_name(number)));
        db.unlock()?;
        copied
    }

    /// Opens a volume if necessary and returns it, or `None` if there is none of that number.
    fn open(&self, number: u32) -> Result<Option<Opened>, StorageError> {
        let (slot, close) = {
            let mut state = self.state.lock();
            let close = state.read(number, Instant::now());
            (Arc::clone(state.slots.entry(number).or_default()), close)
        };
        for other in close {
            self.close(other);
        }
        let mut store = slot.0.lock();
        if store.is_none() {
            let path = self.path(number);
            if !path.join("db").exists() {
                return Ok(None);
            }
            *store = Some(Opened::File(Arc::new(VolumeFile::open(&path)?)));
        }
        Ok(store.clone())
    }

    fn close(&self, number: u32) {
        let slot = self.state.lock().slots.get(&number).cloned();
        // Closing takes a moment, so only the lock of the volume itself is held.
        if let Some(slot) = slot {
            drop(slot.0.lock().take());
        }
    }

    fn open_sled(&self, path: &Path) -> Result<SledStore, StorageError> {
        let mut repairs = Vec::new();
        #[allow(unused_mut)]
        let mut store = SledStore::open(path, self.cache, &mut repairs)?;
        for repair in repairs {
            tracing::warn!("volume {}: {repair}", path.display());
        }
        #[cfg(test)]
        {
            store.fail_after = Arc::clone(&self.fail_after);
        }
        Ok(store)
    }

    /// Returns the size of a volume on disk, or 0 if unknown.
    fn size(&self, number: u32) -> u64 {
        let meta = fs::metadata(self.path(number).join("db"));
        meta.map_or(0, |meta| meta.blocks() * 512)
    }

    fn path(&self, number: u32) -> PathBuf {
        self.dir.join(directory_name(number))
    }

    fn error(&self, action: &'static str, path: &Path, source: io::Error) -> StorageError {
        StorageError::Directory {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

fn directory_name(number: u32) -> String {
    format!("{number:010}")
}
