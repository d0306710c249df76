//! Volumes: sleds that hold messages, each for a while.
//!
//! A sled never gives back the room it once took, needs memory for every page in it however cold, and after a restart
//! reads whatever was written since it was opened last. So messages are not in one sled for ever but in one after the
//! other: the current volume takes what checkpoints fold, and when it is full the next one begins. Nothing is ever
//! removed from a volume; when nothing in it lives any more, which the main sled's catalogue says, its directory is
//! deleted, and when little does, that is copied to the current one first (see [`crate::housekeeping`]).
//!
//! Only the current volume is open as a sled. Another one is opened when something is read from it, past sled (see
//! [`crate::volume_file`]), only a few are open at a time, and for no longer than they are read: neither start nor memory
//! depends on how much is stored.

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
    usage::{Changed, Shared, Usage},
    volume_file::VolumeFile,
};

/// Volumes that stay open for readers, besides the current one.
const OPEN: usize = 4;
/// After so long a volume is closed when another one is opened: whoever has read it to its end does not come back. In
/// memory is its index, about 1 MiB.
const IDLE: Duration = Duration::from_secs(1);

/// No volume is deleted while it lives.
#[derive(Debug)]
pub(crate) struct Pin<'a>(&'a Volumes);

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        self.0.pins.fetch_sub(1, Ordering::SeqCst);
    }
}

/// All volumes of a store.
#[derive(Debug)]
pub(crate) struct Volumes {
    dir: PathBuf,
    cache: u64,
    state: Mutex<State>,
    /// Whoever wants no volume to be deleted.
    pins: AtomicUsize,
    #[cfg(test)]
    pub(crate) fail_after: Arc<std::sync::atomic::AtomicI64>,
}

#[derive(Debug, Default)]
struct State {
    /// Those of which something is in memory.
    slots: HashMap<u32, Arc<Slot>>,
    /// Open for readers, and when they were read last; the latest opened last.
    recent: Vec<(u32, Instant)>,
    usage: BTreeMap<u32, Usage>,
    shared: Shared,
    current: Option<u32>,
}

/// A volume's place in memory; its lock is held while it is opened, closed or deleted.
#[derive(Debug, Default)]
struct Slot(Mutex<Option<Opened>>);

#[derive(Debug, Clone)]
enum Opened {
    /// The current one.
    Sled(Arc<SledStore>),
    /// One that nothing is written to any more.
    File(Arc<VolumeFile>),
}

impl State {
    /// Notes that a volume is read now. Returns those that are to be closed for it.
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

    /// Takes out those that have not been read for a while.
    fn idle(&mut self, now: Instant) -> Vec<u32> {
        let is_idle = |last: Instant| now.saturating_duration_since(last) >= IDLE;
        let idle = self.recent.iter().filter(|(_, last)| is_idle(*last));
        let idle = idle.map(|(number, _)| *number).collect();
        self.recent.retain(|(_, last)| !is_idle(*last));
        idle
    }
}

impl Volumes {
    /// The volumes in a directory; none is opened. `usage` says what the catalogue knows of.
    ///
    /// # Errors
    /// The directory cannot be read or made, or a volume that is in use is not there: `Ok(Err(number))`.
    pub(crate) fn find(
        dir: &Path,
        cache: u64,
        usage: &Changed,
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

    /// Those that are open as sleds.
    pub(crate) fn sleds(&self) -> Vec<Arc<SledStore>> {
        let slots: Vec<_> = self.state.lock().slots.values().cloned().collect();
        let opened = slots.iter().filter_map(|slot| slot.0.lock().clone());
        let sled = |opened| match opened {
            Opened::Sled(sled) => Some(sled),
            Opened::File(_) => None,
        };
        opened.filter_map(sled).collect()
    }

    /// What stands under `key` in a volume; nothing when there is no such volume. Where sled itself finds its file damaged,
    /// so is the value: whoever waited for it would wait for ever.
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

    /// The volume that takes new messages.
    ///
    /// # Errors
    /// It cannot be opened or made.
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

    /// Ends the current volume if its file has grown to this size, and makes its index: whoever reads it later need not
    /// wait for that.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn end_if_full(&self, size: u64) -> Result<(), StorageError> {
        let full = {
            let state = self.state.lock();
            state.current.filter(|&current| self.size(current) >= size)
        };
        if full.is_some()
            && let Some(number) = self.end_current()
        {
            drop(self.open(number)?);
            // Whoever reads it next may come much later.
            self.close(number);
        }
        Ok(())
    }

    /// Closes what nobody has read for a while.
    pub(crate) fn close_idle(&self) {
        let idle = self.state.lock().idle(Instant::now());
        for number in idle {
            self.close(number);
        }
    }

    /// Notes how much more or less of volumes is used.
    pub(crate) fn changed(&self, by: &Changed) {
        let state = &mut *self.state.lock();
        by.apply(&mut state.usage, &mut state.shared);
    }

    /// Replaces what is known of the use of volumes.
    pub(crate) fn recount(&self, usage: &Changed) {
        let mut state = self.state.lock();
        for usage in state.usage.values_mut() {
            *usage = Usage::default();
        }
        state.shared.clear();
        drop(state);
        self.changed(usage);
    }

    /// Every volume with what of it lives and the bytes it takes on disk.
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
    /// Its directory cannot be deleted.
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

    /// Keeps all volumes where they are until it is dropped.
    pub(crate) fn pin(&self) -> Pin<'_> {
        self.pins.fetch_add(1, Ordering::SeqCst);
        Pin(self)
    }

    pub(crate) fn is_pinned(&self) -> bool {
        self.pins.load(Ordering::SeqCst) > 0
    }

    /// Copies a volume that is not the current one into a directory, durably. Readers wait meanwhile.
    ///
    /// # Errors
    /// It cannot be read, or the copy not be written.
    pub(crate) fn copy(&self, number: u32, to: &Path) -> io::Result<()> {
        let slot = Arc::clone(self.state.lock().slots.entry(number).or_default());
        let mut store = slot.0.lock();
        drop(store.take());
        let path = self.path(number);
        // sled lets go of its lock when the last of its threads is through.
        let db = File::open(path.join("db"))?;
        db.lock()?;
        let copied = copy_tree(&path, &to.join(directory_name(number)));
        db.unlock()?;
        copied
    }

    /// A volume, opened if need be; `None` when there is none of that number.
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
        // Closing takes a moment: under no lock but the volume's own.
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

    /// Bytes that a volume takes on disk; 0 when that cannot be told.
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
