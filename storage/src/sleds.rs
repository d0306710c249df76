//! The sleds of a store: the main one, which knows everything but messages, and the volumes, which hold those.

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

/// Everything of a store that is not the log.
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
    /// How often it was made anew: part of its directory's name.
    generation: u64,
    /// Bytes of its files when it was made anew.
    born: u64,
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
                born: 0,
            }),
            volumes,
        }
    }

    /// The main sled. Only the checkpoint thread changes what is in it.
    pub(crate) fn main(&self) -> Arc<SledStore> {
        Arc::clone(&self.main.read().store)
    }

    /// Bytes of all sleds' files.
    pub(crate) fn size(&self) -> u64 {
        let volumes = self.volumes.all();
        self.main().size() + volumes.iter().map(|(_, _, size)| size).sum::<u64>()
    }

    /// Whether the main sled takes so much more room than what lives in it that making it anew pays.
    pub(crate) fn main_is_wasteful(&self, waste: u64) -> bool {
        let main = self.main.read();
        main.store.size() > main.born.saturating_mul(4).saturating_add(waste)
    }

    /// Copies what lives in the main sled to a fresh one and puts that in its place. The marker file decides which of the
    /// two counts: it is replaced, as a whole, when the copy is complete and synced. What a crash leaves of the other is
    /// deleted at the next start.
    ///
    /// # Errors
    /// sled or the disk failed, or `go_on` said so: then the old one goes on being used.
    pub(crate) fn renew_main(
        &self,
        go_on: impl Fn() -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let (old, generation) = {
            let main = self.main.read();
            (Arc::clone(&main.store), main.generation + 1)
        };
        let path = self.directory.main(generation);
        // An attempt that failed may have left something.
        self.directory.remove_tree(&path)?;
        let new = self.copy_main(&path, go_on)?;
        self.directory.write_marker(self.identity, generation)?;
        let gone = self.directory.main(generation - 1);
        {
            let mut main = self.main.write();
            main.born = new.size();
            main.generation = generation;
            main.store = Arc::new(new);
        }
        drop(old);
        self.directory.remove_tree(&gone)
    }

    /// Copies what lives in the main sled to a fresh one, durably.
    ///
    /// # Errors
    /// sled or the disk failed, or `go_on` said so.
    pub(crate) fn copy_main(
        &self,
        path: &Path,
        go_on: impl Fn() -> Result<(), StorageError>,
    ) -> Result<SledStore, StorageError> {
        #[allow(unused_mut)]
        let mut new = SledStore::open(path, self.cache, &mut Vec::new())?;
        #[cfg(test)]
        {
            new.fail_after = Arc::clone(&self.volumes.fail_after);
        }
        let mut out = new.changes();
        self.main().scan(&[], |key, value| {
            go_on()?;
            let value = value.ok_or_else(|| StorageError::DamagedRecord {
                what: format!("record {key:02x?}"),
            })?;
            out.put(key, value);
            out.breathe()
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

    /// The store's directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path.clone()
    }
}
