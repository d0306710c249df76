//! Folds one log segment into sled.
//!
//! The order makes a crash at any point harmless. First, messages go into the current volume, flushed and synced; then
//! everything else goes into the main sled, chunks tagged with the segment, flushed and synced; then `folded through`
//! is raised, flushed and synced; then the in-memory catalogue switches over; then the segment may be deleted. A fold
//! that did not finish leaves chunks with a tag above `folded through`, which are removed before the segment is folded
//! again. The messages it left in a volume belong to nobody and are deleted with the volume. Everything else a fold
//! does is idempotent.
//!
//! A large message published to several queues is written for the first queue in which it is live; the other queues get
//! an entry that refers to it. Nothing is removed from a volume, so any of the queues may finish with it first.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::{
    catalogue::{Catalogue, Folded},
    chunk_entry::ChunkEntry,
    contents::{Contents, Published, QueueContents},
    definitions,
    error::StorageError,
    log::LogState,
    messages::{self, Large, Packer},
    options::Weigh,
    pulse::{Beat, Doing},
    ranges::RangeSet,
    record::{self, Parsed, Record},
    schema::{self, Chunk, QueueMarks, is_large},
    segment::{Segment, Window},
    sled_store::{Changes, Found, SledStore},
    sleds::Sleds,
    types::{Position, QueueId},
    usage::UsageDelta,
};

/// How many bytes are read at once around a live message.
const READ_AROUND: usize = 16 * 1024;

/// Everything a fold works with.
pub(crate) struct Fold<'a> {
    pub(crate) sleds: &'a Sleds,
    pub(crate) catalogue: &'a Mutex<Catalogue>,
    pub(crate) log: &'a LogState,
    /// Where the checkpoint notes that it gets on.
    pub(crate) beat: &'a Beat,
    pub(crate) segment: Arc<Segment>,
    pub(crate) weigh: Weigh,
    /// A previous attempt at this fold has failed.
    pub(crate) retrying: bool,
}

impl Fold<'_> {
    /// Applies the segment to sled, durably, and switches the catalogue over.
    ///
    /// # Errors
    /// sled or the disk failed, or the store is stopping. Nothing has changed for readers then.
    pub(crate) fn run(&self, contents: &Contents) -> Result<(), StorageError> {
        let seq = self.segment.header.seq;
        let mut folded = Folded {
            segment: seq,
            ..Folded::default()
        };
        let queues: Vec<_> = {
            let catalogue = self.catalogue.lock();
            let live = |queue: &QueueId| !catalogue.deleted_after(*queue, seq);
            contents
                .queues
                .iter()
                .filter(|(queue, _)| live(queue))
                .collect()
        };
        self.fold_messages(&queues, contents, &mut folded)?;
        let main = self.sleds.main();
        let mut out = main.changes();
        for &queue in &contents.deleted {
            self.delete_queue(queue, &main, &mut out, &mut folded)?;
        }
        for (queue, first, chunk) in &folded.written {
            let key = schema::catalogue_key(*queue, Position(*first));
            out.put(&key, &chunk.encode());
            out.apply_if_large()?;
        }
        for &(&queue, contents) in &queues {
            self.fold_acks(queue, &contents.acked, &mut out, &mut folded)?;
            self.fold_marks(queue, &contents.marks, &main, &mut out, &mut folded)?;
        }
        definitions::fold(&main, &contents.definitions, &mut out)?;
        out.apply()?;
        main.flush_synced()?;
        set_folded_through(&main, seq)?;
        if self.retrying {
            // This attempt does not know what the failed ones did, but the main sled does.
            self.sleds.volumes.recount(&count_usage(&main)?);
        } else {
            self.sleds.volumes.changed(&folded.usage);
        }
        self.catalogue.lock().fold(folded);
        Ok(())
    }

    fn delete_queue(
        &self,
        queue: QueueId,
        main: &SledStore,
        out: &mut Changes<'_>,
        folded: &mut Folded,
    ) -> Result<(), StorageError> {
        main.scan(&schema::catalogue_prefix(queue), |key, value| {
            self.check_running()?;
            if let Some(chunk) = value.and_then(Chunk::decode) {
                folded.usage.remove(&chunk);
            }
            out.remove(key);
            out.apply_if_large()
        })?;
        out.remove(&schema::queue_key(queue));
        out.apply_if_large()
    }

    /// Applies acks of messages in older chunks.
    fn fold_acks(
        &self,
        queue: QueueId,
        acked: &RangeSet,
        out: &mut Changes<'_>,
        folded: &mut Folded,
    ) -> Result<(), StorageError> {
        for (first, entry) in self.touched(queue, acked) {
            self.check_running()?;
            let before = entry.chunk(first);
            let position = Position(first);
            let key = schema::catalogue_key(queue, position);
            folded.usage.remove(&before);
            let volumes = &self.sleds.volumes;
            match messages::acknowledge(volumes, queue, position, &before, acked, self.weigh)? {
                Some(chunk) => {
                    out.put(&key, &chunk.encode());
                    folded.usage.add(&chunk);
                    folded.written.push((queue, first, chunk));
                }
                None => {
                    out.remove(&key);
                    folded.removed.push((queue, first));
                }
            }
            out.apply_if_large()?;
        }
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
        // Two ranges may overlap one chunk.
        touched.sort_by_key(|(first, _)| *first);
        touched.dedup_by_key(|(first, _)| *first);
        touched
    }

    /// Writes the messages that are still live as new chunks to the current volume.
    fn fold_messages(
        &self,
        queues: &[(&QueueId, &QueueContents)],
        all: &Contents,
        folded: &mut Folded,
    ) -> Result<(), StorageError> {
        let mut window = self.segment.window(READ_AROUND);
        // Shared messages that this fold has already written to its volume, by their offset in the log.
        let mut written: HashMap<u64, Large> = HashMap::new();
        let mut volume = None;
        for (queue, contents) in queues {
            let queue = **queue;
            // Later segments are synced, so messages that they acknowledge can be skipped.
            let dead = self.catalogue.lock().dead(queue);
            let mut live = contents
                .published
                .iter()
                .filter(|message| !dead.contains(message.position))
                .peekable();
            if live.peek().is_none() {
                continue;
            }
            let (number, store) = match &mut volume {
                Some(volume) => volume,
                none => none.insert(self.sleds.volumes.current()?),
            };
            let mut out = store.changes();
            let mut packer = Packer::new(queue, self.segment.header.seq, *number, self.weigh);
            for message in live {
                self.check_running()?;
                let position = message.position;
                if let Some(large) = written.get(&message.offset) {
                    packer.push_written(position, large, &mut out)?;
                    continue;
                }
                let bytes = self.message(&mut window, queue, message)?;
                if all.shared.contains(&message.offset) && is_large(bytes.len()) {
                    let large = packer.push_shared(position, bytes, &mut out)?;
                    written.insert(message.offset, large);
                } else {
                    packer.push(position, bytes, &mut out)?;
                }
            }
            for (first, chunk) in packer.finish(&mut out)? {
                folded.usage.add(&chunk);
                folded.written.push((queue, first, chunk));
            }
            out.apply()?;
        }
        match volume {
            Some((_, store)) => store.flush_synced(),
            None => Ok(()),
        }
    }

    /// Reads one message and checks its checksum again, because the first pass was some time ago.
    fn message<'w>(
        &self,
        window: &'w mut Window,
        queue: QueueId,
        published: &Published,
    ) -> Result<&'w [u8], StorageError> {
        let position = Position(published.position);
        let is_it = |of, at, message: &[u8]| {
            let other = published.is_reference && message.len() == published.len as usize;
            other || (of, at) == (queue, position)
        };
        match record::parse(window.get(published.offset, published.record_len())?) {
            Some((
                Parsed::Record(Record::Publish {
                    queue: of,
                    position: at,
                    message,
                    ..
                }),
                _,
            )) if is_it(of, at, message) => Ok(message),
            Some(_) | None => Err(StorageError::DamagedMessages {
                queue,
                first: position,
                last: position,
            }),
        }
    }

    fn fold_marks(
        &self,
        queue: QueueId,
        new: &QueueMarks,
        main: &SledStore,
        out: &mut Changes<'_>,
        folded: &mut Folded,
    ) -> Result<(), StorageError> {
        let key = schema::queue_key(queue);
        let mut marks = match main.get(&key)? {
            Found::Value(value) => QueueMarks::decode(&value).unwrap_or_default(),
            // A damaged record is refused when the store opens. If it was damaged since, the copy in memory replaces
            // it.
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
        out.put(&key, &marks.encode());
        folded.marks.push((queue, marks));
        out.apply_if_large()
    }

    /// Fails if the store is closing, so that it need not wait for a long fold. The next start discards what was done
    /// so far.
    fn check_running(&self) -> Result<(), StorageError> {
        self.beat.note(Doing::Working);
        if self.log.is_stopped() {
            Err(StorageError::Closed)
        } else {
            Ok(())
        }
    }
}

/// Records durably that everything up to segment `seq` is in sled.
fn set_folded_through(store: &SledStore, seq: u64) -> Result<(), StorageError> {
    let mut out = store.changes();
    out.put(schema::KEY_FOLDED, &seq.to_be_bytes());
    out.apply()?;
    store.flush_synced()
}

/// Undoes a failed fold of segment `seq` before it is retried. The segment is first marked as not folded, and only then
/// is what the attempt left removed.
///
/// # Errors
/// sled failed. The segment must not be folded again before this has succeeded.
pub(crate) fn undo_fold(sleds: &Sleds, seq: u64) -> Result<(), StorageError> {
    let main = sleds.main();
    set_folded_through(&main, seq.saturating_sub(1))?;
    let mut out = main.changes();
    main.scan(&[schema::CATALOGUE], |key, value| {
        let chunk = value.and_then(Chunk::decode);
        if chunk.is_some_and(|chunk| chunk.segment >= seq) {
            out.remove(key);
        }
        out.apply_if_large()
    })?;
    out.apply()
}

/// Computes volume usage from the main sled's catalogue.
///
/// # Errors
/// sled failed.
fn count_usage(main: &SledStore) -> Result<UsageDelta, StorageError> {
    let mut usage = UsageDelta::default();
    main.scan(&[schema::CATALOGUE], |_, value| {
        if let Some(chunk) = value.and_then(Chunk::decode) {
            usage.add(&chunk);
        }
        Ok(())
    })?;
    Ok(usage)
}
