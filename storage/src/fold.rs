//! Folding one log segment into sled.
//!
//! Order, so that a crash at any point costs nothing: changes first, tagged with the segment; flushed and synced; then
//! `folded through`, flushed and synced; then the catalogue in memory switches over; then the segment may be deleted.
//! A fold that did not come to its end leaves chunks with a tag above `folded through`: they are removed
//! before the segment is folded again. Everything else a fold does is the same when done twice.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::{
    catalogue::{Catalogue, ChunkEntry, Folded},
    contents::{Contents, QueueContents},
    definitions,
    error::StorageError,
    log::LogState,
    messages::{self, Packer},
    options::Weigh,
    ranges::RangeSet,
    record::{self, Record},
    schema::{self, Chunk, QueueMarks},
    segment::{Segment, Window},
    sled_store::{Found, SledStore},
    types::{Position, QueueId},
};

/// Bytes read at once around a message that lives on.
const READ_AROUND: usize = 16 * 1024;

/// What a fold works on.
pub(crate) struct Fold<'a> {
    pub(crate) store: &'a SledStore,
    pub(crate) catalogue: &'a Mutex<Catalogue>,
    pub(crate) log: &'a LogState,
    pub(crate) segment: Arc<Segment>,
    pub(crate) weigh: Weigh,
}

impl Fold<'_> {
    /// Brings what the segment says into sled, durably, and switches the catalogue.
    ///
    /// # Errors
    /// sled or the disk failed, or the store is stopping: then nothing has changed for readers.
    pub(crate) fn run(&self, contents: &Contents) -> Result<(), StorageError> {
        let seq = self.segment.header.seq;
        let mut folded = Folded {
            segment: seq,
            ..Folded::default()
        };
        for &queue in &contents.deleted {
            self.delete_queue(queue)?;
        }
        for (&queue, queue_contents) in &contents.queues {
            if self.catalogue.lock().deleted_after(queue, seq) {
                continue;
            }
            self.fold_acks(queue, &queue_contents.acked, &mut folded)?;
            self.fold_messages(queue, queue_contents, &mut folded)?;
            self.fold_marks(queue, &queue_contents.marks, &mut folded)?;
        }
        let mut out = self.store.changes();
        definitions::fold(self.store, &contents.definitions, &mut out)?;
        out.apply()?;
        self.store.flush_synced()?;
        set_folded_through(self.store, seq)?;
        self.catalogue.lock().fold(folded);
        Ok(())
    }

    fn delete_queue(&self, queue: QueueId) -> Result<(), StorageError> {
        let mut out = self.store.changes();
        self.store
            .scan(&schema::catalogue_prefix(queue), |key, value| {
                self.go_on()?;
                if let Some((queue, first)) = schema::parse_catalogue_key(key) {
                    let parts = value.and_then(Chunk::decode).map_or(0, |chunk| chunk.parts);
                    messages::remove(&mut out, queue, first, parts);
                }
                out.breathe()
            })?;
        out.remove(&schema::queue_key(queue));
        out.apply()
    }

    /// Acks of messages in older chunks.
    fn fold_acks(
        &self,
        queue: QueueId,
        acked: &RangeSet,
        folded: &mut Folded,
    ) -> Result<(), StorageError> {
        let (mut gone, mut kept) = (Vec::new(), Vec::new());
        for (first, entry) in self.touched(queue, acked) {
            self.go_on()?;
            let chunk = entry.chunk(first);
            if entry.leaving {
                // An attempt of this fold that failed later took it out already.
                gone.push((queue, first, chunk.parts));
                continue;
            }
            let first_position = Position(first);
            match messages::acknowledge(
                self.store,
                queue,
                first_position,
                &chunk,
                acked,
                self.weigh,
            )? {
                Some(chunk) => kept.push((queue, first, chunk)),
                None => gone.push((queue, first, chunk.parts)),
            }
        }
        let removed: Vec<_> = gone
            .iter()
            .map(|&(queue, first, _)| (queue, first))
            .collect();
        self.catalogue.lock().leaving(&removed);
        let mut out = self.store.changes();
        for (queue, first, parts) in gone {
            messages::remove(&mut out, queue, Position(first), parts);
            out.breathe()?;
        }
        for (queue, first, chunk) in &kept {
            out.put(
                &schema::catalogue_key(*queue, Position(*first)),
                &chunk.encode(),
            );
            out.breathe()?;
        }
        out.apply()?;
        folded.removed.extend(removed);
        folded.written.extend(kept);
        Ok(())
    }

    fn touched(&self, queue: QueueId, acked: &RangeSet) -> Vec<(u64, ChunkEntry)> {
        let catalogue = self.catalogue.lock();
        let Some(entry) = catalogue.queues.get(&queue) else {
            return Vec::new();
        };
        let mut touched = Vec::new();
        for (from, to) in acked.iter() {
            for (first, chunk) in entry.chunks_over(from, to) {
                touched.push((first, chunk.clone()));
            }
        }
        // Two ranges may touch one chunk.
        touched.sort_by_key(|(first, _)| *first);
        touched.dedup_by_key(|(first, _)| *first);
        touched
    }

    /// Messages that still live, as new chunks.
    fn fold_messages(
        &self,
        queue: QueueId,
        contents: &QueueContents,
        folded: &mut Folded,
    ) -> Result<(), StorageError> {
        // Later segments may already say that some are done with; those are synced, so it may be believed.
        let dead = self.catalogue.lock().dead(queue);
        let mut window = self.segment.window(READ_AROUND);
        let mut packer = Packer::new(queue, self.segment.header.seq, self.weigh);
        let mut out = self.store.changes();
        for message in contents
            .published
            .iter()
            .filter(|message| !dead.contains(message.position))
        {
            self.go_on()?;
            let bytes = self.message(
                &mut window,
                queue,
                message.position,
                message.offset,
                message.record_len(),
            )?;
            packer.push(message.position, bytes, &mut out)?;
        }
        let chunks = packer.finish(&mut out)?;
        out.apply()?;
        folded.written.extend(
            chunks
                .into_iter()
                .map(|(first, chunk)| (queue, first, chunk)),
        );
        Ok(())
    }

    /// One message, its checksum checked again: it was read some time after the first pass.
    fn message<'w>(
        &self,
        window: &'w mut Window,
        queue: QueueId,
        position: u64,
        offset: u64,
        len: usize,
    ) -> Result<&'w [u8], StorageError> {
        match record::parse(window.get(offset, len)?) {
            Some((
                Record::Publish {
                    queue: q,
                    position: p,
                    message,
                },
                _,
            )) if q == queue && p.0 == position => Ok(message),
            Some(_) | None => Err(StorageError::DamagedMessages {
                queue,
                first: Position(position),
                last: Position(position),
            }),
        }
    }

    fn fold_marks(
        &self,
        queue: QueueId,
        new: &QueueMarks,
        folded: &mut Folded,
    ) -> Result<(), StorageError> {
        let key = schema::queue_key(queue);
        let mut marks = match self.store.get(&key)? {
            Found::Value(value) => QueueMarks::decode(&value).unwrap_or_default(),
            // A damaged one was refused at open; damaged since, what memory knows replaces it.
            Found::Damaged => self
                .catalogue
                .lock()
                .queues
                .get(&queue)
                .map(|entry| entry.marks)
                .unwrap_or_default(),
            Found::Nothing => QueueMarks::default(),
        };
        marks.raise(new);
        let mut out = self.store.changes();
        out.put(&key, &marks.encode());
        out.apply()?;
        folded.marks.push((queue, marks));
        Ok(())
    }

    /// A store that closes does not wait for a long fold; what it did so far is discarded at the next start.
    fn go_on(&self) -> Result<(), StorageError> {
        if self.log.is_stopped() {
            Err(StorageError::Closed)
        } else {
            Ok(())
        }
    }
}

/// Notes, durably, that everything up to segment `seq` is in sled.
fn set_folded_through(store: &SledStore, seq: u64) -> Result<(), StorageError> {
    let mut out = store.changes();
    out.put(schema::KEY_FOLDED, &seq.to_be_bytes());
    out.apply()?;
    store.flush_synced()
}

/// Takes a failed fold of segment `seq` back, before it is tried again: the segment counts as not folded first, and only
/// then goes what the attempt left.
///
/// # Errors
/// sled failed; then the segment must not be folded again before this has succeeded.
pub(crate) fn unfold(store: &SledStore, seq: u64) -> Result<(), StorageError> {
    set_folded_through(store, seq.saturating_sub(1))?;
    discard_unfinished(store, seq.saturating_sub(1))
}

/// Removes chunks of folds that did not come to their end.
///
/// # Errors
/// sled failed.
fn discard_unfinished(store: &SledStore, folded_through: u64) -> Result<(), StorageError> {
    let mut out = store.changes();
    store.scan(&[schema::CATALOGUE], |key, value| {
        let chunk = value
            .and_then(Chunk::decode)
            .filter(|chunk| chunk.segment > folded_through);
        if let (Some((queue, first)), Some(chunk)) = (schema::parse_catalogue_key(key), chunk) {
            messages::remove(&mut out, queue, first, chunk.parts);
        }
        out.breathe()
    })?;
    out.apply()
}
