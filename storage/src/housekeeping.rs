//! Giving space back, on the checkpoint's thread, between folds.
//!
//! Volumes in which nothing lives are deleted. While all volumes together take much more room than what lives in them,
//! the one with the least share of life has that copied to the current volume, and is deleted then. The main sled, which
//! is small, is made anew when it has grown far beyond what lives in it.
//!
//! A copy is in the new volume, synced, before the main sled's catalogue names that one, and the old volume goes only after
//! that is synced too: a crash anywhere leaves messages that nobody knows of in one of the two, and loses none.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::{
    catalogue::Catalogue,
    error::StorageError,
    log::LogState,
    room::Room,
    schema::{self, BodyKey, Chunk},
    sled_store::{Changes, Found},
    sleds::Sleds,
    types::{Position, QueueId},
    usage::Changed,
    volumes::Volumes,
};

/// Bytes of a sled that was just made, and a little more.
const FRESH: u64 = 8 << 20;

/// Bytes that volumes may take for nothing beyond what they may otherwise, while publishers are busy.
const LATER: u64 = 512 << 20;

/// What housekeeping works on.
pub(crate) struct Housekeeping<'a> {
    pub(crate) sleds: &'a Sleds,
    pub(crate) catalogue: &'a Mutex<Catalogue>,
    pub(crate) log: &'a LogState,
    pub(crate) room: &'a Room,
    /// Bytes after which a volume is full.
    pub(crate) volume_size: u64,
    /// Bytes that volumes, and the main sled, may take for nothing.
    pub(crate) waste: u64,
    /// Publishers need the disk and the processor: what is to be copied waits, if it is not too much.
    pub(crate) busy: bool,
}

impl Housekeeping<'_> {
    /// Does what there is to do; while segments wait to be folded, only what is quick. Says whether something is left for
    /// when publishers are not busy any more.
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
        // Deleting large files keeps the disk from syncing the log, so they go one by one, if there is time for that.
        let most = match self.busy && self.room.is_there_for(LATER) {
            true => 1,
            false => usize::MAX,
        };
        let emptied = delete_empty(volumes, self.catalogue, most)?;
        while !self.log.is_behind()
            && let Some((sparse, live)) = self.sparsest(if self.busy { LATER } else { 0 })
            && self.room.is_there_for(live)
        {
            if !self.relocate(sparse)? {
                break;
            }
            delete_empty(volumes, self.catalogue, most)?;
        }
        if !self.log.is_behind()
            && self.sleds.main_is_wasteful(self.waste)
            && self.room.is_there_for(self.sleds.main().size())
        {
            self.sleds.renew_main(|| self.go_on())?;
        }
        Ok(self.busy && (emptied == most || self.sparsest(0).is_some()))
    }

    /// The volume that is the first to be emptied, if volumes take up much more than they should, and so much on top;
    /// and the bytes that live in it.
    fn sparsest(&self, on_top: u64) -> Option<(u32, u64)> {
        let volumes = &self.sleds.volumes;
        let all = volumes.all();
        let size: u64 = all.iter().map(|(_, _, size)| size).sum();
        let live: u64 = all.iter().map(|(_, usage, _)| usage.bytes).sum();
        let bound = live.saturating_mul(3).saturating_add(self.waste);
        if size <= bound.saturating_add(on_top) {
            return None;
        }
        // What a sled takes with hardly anything in it; moving that to a new volume would win nothing.
        let is_fresh = |number, size| volumes.is_current(number) && size <= FRESH;
        let share = |bytes: u64, size: u64| bytes.saturating_mul(1000) / size.max(1);
        all.iter()
            .filter(|(_, usage, size)| usage.chunks > 0 && usage.bytes < size / 3)
            .filter(|(number, _, size)| !is_fresh(*number, *size))
            .min_by_key(|(_, usage, size)| share(usage.bytes, *size))
            .map(|(number, usage, _)| (*number, usage.bytes))
    }

    /// Moves what lives in a volume to the current one. `false`: it could not be emptied now, because something
    /// in it is damaged, or of a queue whose deletion is not folded yet.
    fn relocate(&self, from: u32) -> Result<bool, StorageError> {
        let volumes = &self.sleds.volumes;
        if volumes.is_current(from) {
            volumes.end_current();
        }
        let chunks = self.catalogue.lock().chunks_in(from);
        let (to, store) = volumes.current()?;
        let mut bodies = store.changes();
        let (mut moved, mut entries) = (Vec::new(), Vec::new());
        let (mut left, mut came) = (Changed::default(), Changed::default());
        let mut copied = HashMap::new();
        for &(queue, first) in &chunks {
            self.go_on()?;
            let Some(mut chunk) = self.catalogue.lock().chunk(queue, first) else {
                continue;
            };
            let position = Position(first);
            // A message of several queues moves with the first of them, or with none.
            let known = chunk.shared.and_then(|body| copied.get(&body).copied());
            let is_whole = match known {
                Some(is_whole) => is_whole,
                None => self.copy(from, &chunk, chunk.body(queue, position), &mut bodies)?,
            };
            copied.extend(chunk.shared.map(|body| (body, is_whole)));
            if !is_whole {
                // Whoever reads it says so.
                continue;
            }
            left.remove(&chunk);
            chunk.volume = to;
            came.add(&chunk);
            moved.push((queue, first));
            entries.push((schema::catalogue_key(queue, position), chunk.encode()));
        }
        bodies.apply()?;
        store.flush_synced()?;
        // First what came: should the rest fail, the main sled may name the new volume for some all the same.
        volumes.changed(&came);
        self.switch(to, &moved, &entries)?;
        volumes.changed(&left);
        Ok(!chunks.is_empty() && moved.len() == chunks.len())
    }

    /// Copies the values of a chunk out of a volume; `false`: they are not all there.
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
        to.breathe()?;
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
            out.breathe()?;
        }
        out.apply()?;
        main.flush_synced()?;
        self.catalogue.lock().moved(moved, to);
        Ok(())
    }

    fn go_on(&self) -> Result<(), StorageError> {
        if self.log.is_stopped() {
            Err(StorageError::Closed)
        } else {
            Ok(())
        }
    }
}

/// Deletes volumes in which nothing lives, so many at most, unless somebody wants them all to stay. Returns how many.
///
/// # Errors
/// One cannot be deleted.
pub(crate) fn delete_empty(
    volumes: &Volumes,
    catalogue: &Mutex<Catalogue>,
    most: usize,
) -> Result<usize, StorageError> {
    let mut deleted = 0;
    if volumes.is_pinned() {
        return Ok(deleted);
    }
    for (number, usage, size) in volumes.all() {
        if deleted == most {
            break;
        }
        // A small current volume is as well filled as deleted.
        let kept = volumes.is_current(number) && size < FRESH;
        if usage.chunks == 0 && !kept && catalogue.lock().chunks_in(number).is_empty() {
            volumes.delete(number)?;
            deleted += 1;
        }
    }
    Ok(deleted)
}
