//! The sleds of a store: the main one, which holds everything but messages, and the volumes, which hold those.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::RwLock;

use crate::{
    directory::{Directory, Marker},
    error::StorageError,
    io::sync_parent,
    sled_store::SledStore,
    volumes::Volumes,
};

/// The part of a store that is not the log.
#[derive(Debug)]
pub(crate) struct Sleds {
    directory: Directory,
    identity: u64,
    cache: u64,
    main: RwLock<Main>,
    pub(crate) volumes: Volumes,
}

#[derive(Debug)]
struct Main {
    store: Arc<SledStore>,
    /// How often it was rebuilt; part of its directory name.
    generation: u64,
    /// The size of its files just after it was rebuilt.
    initial_size: u64,
}

impl Sleds {
    pub(crate) fn new(
        directory: &Directory,
        marker: Marker,
        cache: u64,
        main: SledStore,
        volumes: Volumes,
    ) -> Sleds {
        #[allow(unused_mut)]
        let mut main = main;
        #[cfg(test)]
        {
            main.fail_after = Arc::clone(&volumes.fail_after);
        }
        Sleds {
            directory: directory.clone(),
            identity: marker.identity,
            cache,
            main: RwLock::new(Main {
                store: Arc::new(main),
                generation: marker.generation,
                initial_size: 0,
            }),
            volumes,
        }
    }

    /// Returns the main sled. Only the checkpoint thread changes its contents.
    pub(crate) fn main(&self) -> Arc<SledStore> {
        Arc::clone(&self.main.read().store)
    }

    /// Returns the size of the files of all sleds.
    pub(crate) fn size(&self) -> u64 {
        let volumes = self.volumes.all();
        self.main().size() + volumes.iter().map(|(_, _, size)| size).sum::<u64>()
    }

    /// Returns whether the main sled is so much larger than its live contents that rebuilding it pays.
    pub(crate) fn main_is_wasteful(&self, waste: u64) -> bool {
        let main = self.main.read();
        main.store.size() > main.initial_size.saturating_mul(4).saturating_add(waste)
    }

    /// Copies the live contents of the main sled to a new one that replaces it. The marker file decides which of the
    /// two is current: it is replaced atomically when the copy is complete and synced. The next start deletes whatever
    /// a crash leaves of the other.
    ///
    /// # Errors
    /// sled or the disk failed, or `check_running` did. The old sled stays in use then.
    pub(crate) fn rebuild_main(
        &self,
        check_running: impl Fn() -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let (old, generation) = {
            let main = self.main.read();
            (Arc::clone(&main.store), main.generation + 1)
        };
        let path = self.directory.main(generation);
        // A failed attempt may have left something.
        self.directory.remove_tree(&path)?;
        let new = self.copy_main(&path, check_running)?;
        self.directory.write_marker(self.identity, generation)?;
        let gone = self.directory.main(generation - 1);
        {
            let mut main = self.main.write();
            main.initial_size = new.size();
            main.generation = generation;
            main.store = Arc::new(new);
        }
        drop(old);
        self.directory.remove_tree(&gone)
    }

    /// Copies the live contents of the main sled to a new one, durably.
    ///
    /// # Errors
    /// sled or the disk failed, or `check_running` did.
    pub(crate) fn copy_main(
        &self,
        path: &Path,
        check_running: impl Fn() -> Result<(), StorageError>,
    ) -> Result<SledStore, StorageError> {
        #[allow(unused_mut)]
        let mut new = SledStore::open(path, self.cache, &mut Vec::new())?;
        #[cfg(test)]
        {
            new.fail_after = Arc::clone(&self.volumes.fail_after);
        }
        let mut out = new.changes();
        self.main().scan(&[], |key, value| {
            check_running()?;
            let value = value.ok_or_else(|| StorageError::DamagedRecord {
                what: format!("record {key:02x?}"),
            })?;
            out.put(key, value);
            out.apply_if_large()
        })?;
        out.apply()?;
        drop(out);
        new.flush_synced()?;
        for path in [&path.join("db"), path] {
            sync_parent(path).map_err(|e| self.directory.error("sync", e))?;
        }
        Ok(new)
    }

    pub(crate) fn identity(&self) -> u64 {
        self.identity
    }

    /// Returns the store's directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path.clone()
    }
}
