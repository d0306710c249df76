//! Reclaims disk space, on the checkpoint thread, between folds.
//!
//! Volumes without live messages are deleted. While all volumes together take far more space than their live messages,
//! the one with the smallest live share has its live messages copied to the current volume, and is then deleted. The
//! main sled, which is small, is rebuilt when it has grown far beyond its live contents.
//!
//! A copy is synced in the new volume before the main sled's catalogue refers to it, and the old volume is deleted only
//! after the catalogue is synced too. A crash at any point leaves unreferenced messages in one of the two volumes and
//! loses none.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::{
    catalogue::Catalogue,
    disk_space::DiskSpace,
    error::StorageError,
    log::LogState,
    pulse::{Beat, Doing},
    schema::{self, BodyKey, Chunk},
    sled_store::{Changes, Found},
    sleds::Sleds,
    types::{Position, QueueId},
    usage::UsageDelta,
    volumes::Volumes,
};

/// The size of a newly created sled, with some margin.
const FRESH_SIZE: u64 = 8 << 20;

/// How many more bytes volumes may waste while publishers are busy.
const BUSY_ALLOWANCE: u64 = 512 << 20;

/// Everything housekeeping works with.
pub(crate) struct Housekeeping<'a> {
    pub(crate) sleds: &'a Sleds,
    pub(crate) catalogue: &'a Mutex<Catalogue>,
    pub(crate) log: &'a LogState,
    /// Where the checkpoint notes that it gets on.
    pub(crate) beat: &'a Beat,
    pub(crate) disk_space: &'a DiskSpace,
    /// The size at which a volume is full.
    pub(crate) volume_size: u64,
    /// How many bytes the volumes, and the main sled, may waste.
    pub(crate) waste: u64,
    /// Publishers need the disk and the processor: copying waits unless too much is wasted.
    pub(crate) busy: bool,
}

impl Housekeeping<'_> {
    /// Does all pending work, or only quick work while segments wait to be folded. Returns whether work was deferred
    /// until publishers are less busy.
    ///
    /// # Errors
    /// sled or the disk failed, or the store is stopping.
    pub(crate) fn run(&self) -> Result<bool, StorageError> {
        let volumes = &self.sleds.volumes;
        volumes.close_idle();
        volumes.end_if_full(self.volume_size)?;
        if volumes.is_pinned() {
            return Ok(false);
        }
        // Deleting large files delays syncs of the log, so they are deleted one at a time if space permits.
        let max = match self.busy && self.disk_space.fits(BUSY_ALLOWANCE) {
            true => 1,
            false => usize::MAX,
        };
        let emptied = delete_empty(volumes, self.catalogue, max)?;
        while !self.log.is_behind()
            && let Some((sparse, live)) = self.sparsest(if self.busy { BUSY_ALLOWANCE } else { 0 })
            && self.disk_space.fits(live)
        {
            if !self.relocate(sparse)? {
                break;
            }
            delete_empty(volumes, self.catalogue, max)?;
        }
        if !self.log.is_behind()
            && self.sleds.main_is_wasteful(self.waste)
            && self.disk_space.fits(self.sleds.main().size())
        {
            self.sleds.rebuild_main(|| self.check_running())?;
        }
        Ok(self.busy && (emptied == max || self.sparsest(0).is_some()))
    }

    /// Returns the volume to empty first and its live bytes, if volumes exceed their limit by more than `slack`.
    fn sparsest(&self, slack: u64) -> Option<(u32, u64)> {
        let volumes = &self.sleds.volumes;
        let all = volumes.all();
        let size: u64 = all.iter().map(|(_, _, size)| size).sum();
        let live: u64 = all.iter().map(|(_, usage, _)| usage.bytes).sum();
        let bound = live.saturating_mul(3).saturating_add(self.waste);
        if size <= bound.saturating_add(slack) {
            return None;
        }
        // Moving a nearly empty current volume to a new one would gain nothing.
        let is_fresh = |number, size| volumes.is_current(number) && size <= FRESH_SIZE;
        let share = |bytes: u64, size: u64| bytes.saturating_mul(1000) / size.max(1);
        all.iter()
            .filter(|(_, usage, size)| usage.chunks > 0 && usage.bytes < size / 3)
            .filter(|(number, _, size)| !is_fresh(*number, *size))
            .min_by_key(|(_, usage, size)| share(usage.bytes, *size))
            .map(|(number, usage, _)| (*number, usage.bytes))
    }

    /// Moves the live messages of a volume to the current one. Returns false if the volume cannot be emptied now,
    /// because something in it is damaged or belongs to a queue whose deletion is not folded yet.
    fn relocate(&self, from: u32) -> Result<bool, StorageError> {
        let volumes = &self.sleds.volumes;
        if volumes.is_current(from) {
            volumes.end_current();
        }
        let chunks = self.catalogue.lock().chunks_in(from);
        let (to, store) = volumes.current()?;
        let mut bodies = store.changes();
        let (mut moved, mut entries) = (Vec::new(), Vec::new());
        let (mut removed, mut added) = (UsageDelta::default(), UsageDelta::default());
        let mut copied = HashMap::new();
        for &(queue, first) in &chunks {
            self.check_running()?;
            let Some(mut chunk) = self.catalogue.lock().chunk(queue, first) else {
                continue;
            };
            let position = Position(first);
            // A shared message moves for all its queues or for none.
            let known = chunk.shared.and_then(|body| copied.get(&body).copied());
            let is_whole = match known {
                Some(is_whole) => is_whole,
                None => self.copy(from, &chunk, chunk.body(queue, position), &mut bodies)?,
            };
            copied.extend(chunk.shared.map(|body| (body, is_whole)));
            if !is_whole {
                // Reading it reports the damage.
                continue;
            }
            removed.remove(&chunk);
            chunk.volume = to;
            added.add(&chunk);
            moved.push((queue, first));
            entries.push((schema::catalogue_key(queue, position), chunk.encode()));
        }
        bodies.apply()?;
        store.flush_synced()?;
        // Usage of the new volume goes up first: if the rest fails, the main sled may already refer to it.
        volumes.changed(&added);
        self.switch(to, &moved, &entries)?;
        volumes.changed(&removed);
        Ok(!chunks.is_empty() && moved.len() == chunks.len())
    }

    /// Copies the values of a chunk from a volume. Returns false if some are missing or damaged.
    fn copy(
        &self,
        from: u32,
        chunk: &Chunk,
        body: BodyKey,
        to: &mut Changes<'_>,
    ) -> Result<bool, StorageError> {
        let keys = (0..chunk.parts).map(|part| body.part(part));
        let values = keys.map(|key| Ok((key, self.sleds.volumes.get(from, &key)?)));
        let values: Vec<_> = values.collect::<Result<_, StorageError>>()?;
        let is_whole = values
            .iter()
            .all(|(_, value)| matches!(value, Found::Value(_)));
        for (key, value) in values.iter().filter(|_| is_whole) {
            if let Found::Value(value) = value {
                to.put(key, value);
            }
        }
        to.apply_if_large()?;
        Ok(is_whole)
    }

    fn switch(
        &self,
        to: u32,
        moved: &[(QueueId, u64)],
        entries: &[([u8; 17], Vec<u8>)],
    ) -> Result<(), StorageError> {
        let main = self.sleds.main();
        let mut out = main.changes();
        for (key, entry) in entries {
            out.put(key, entry);
            out.apply_if_large()?;
        }
        out.apply()?;
        main.flush_synced()?;
        self.catalogue.lock().moved(moved, to);
        Ok(())
    }

    fn check_running(&self) -> Result<(), StorageError> {
        self.beat.note(Doing::Working);
        if self.log.is_stopped() {
            Err(StorageError::Closed)
        } else {
            Ok(())
        }
    }
}

/// Deletes up to `max` volumes without live messages, unless volumes are pinned. Returns how many it deleted.
///
/// # Errors
/// A volume cannot be deleted.
pub(crate) fn delete_empty(
    volumes: &Volumes,
    catalogue: &Mutex<Catalogue>,
    max: usize,
) -> Result<usize, StorageError> {
    let mut deleted = 0;
    if volumes.is_pinned() {
        return Ok(deleted);
    }
    for (number, usage, size) in volumes.all() {
        if deleted == max {
            break;
        }
        // A small current volume can be filled instead of being deleted.
        let kept = volumes.is_current(number) && size < FRESH_SIZE;
        if usage.chunks == 0 && !kept && catalogue.lock().chunks_in(number).is_empty() {
            volumes.delete(number)?;
            deleted += 1;
        }
    }
    Ok(deleted)
}
