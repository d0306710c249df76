//! The in-memory index of the store: for each queue, its chunks in sled and where in the log its newer messages are.
//!
//! Nothing here is per message: a chunk's entry covers up to 64 KiB of messages, a span up to 64 KiB of a log segment,
//! and acknowledged positions are kept as ranges.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::{
    chunk_entry::ChunkEntry,
    log::Placed,
    ranges::RangeSet,
    schema::{Chunk, QueueMarks},
    stats::Extent,
    types::{Position, QueueId},
    usage::UsageDelta,
};

/// The most bytes of a segment that one span covers.
const SPAN_BYTES: u64 = 64 * 1024;

/// A part of a log segment that contains publishes of one queue, possibly interleaved with records of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) segment: u64,
    /// The lowest and highest position in it.
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Where its first record starts and its last one ends. If both are equal, this is the start of a single record
    /// that shares its message with another queue (see [`Span::is_reference`]).
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Span {
    /// Returns whether this span is a reference to a large message in an earlier record. Such a span is never joined
    /// with others, because the message is much larger than the reference.
    pub(crate) fn is_reference(&self) -> bool {
        self.start == self.end
    }

    /// Absorbs the next span of the queue if the result is small enough. Returns whether it did.
    pub(crate) fn join(&mut self, next: &Span) -> bool {
        let fits = self.segment == next.segment
            && !self.is_reference()
            && !next.is_reference()
            && next.end - self.start <= SPAN_BYTES;
        if fits {
            self.first = self.first.min(next.first);
            self.last = self.last.max(next.last);
            self.end = next.end;
        }
        fits
    }
}

/// A change made by a commit. Changes are in the order of its batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Publishes of one queue, as in [`Span`], with offsets relative to the start of the block.
    Published {
        queue: QueueId,
        first: u64,
        last: u64,
        start: u64,
        end: u64,
    },
    /// Messages that were acknowledged, before or after they were written.
    Dead {
        queue: QueueId,
        ranges: RangeSet,
    },
    Deleted {
        queue: QueueId,
    },
}

/// What the catalogue holds for one queue.
#[derive(Debug, Default)]
pub(crate) struct QueueEntry {
    /// Chunks by their first position.
    pub(crate) chunks: BTreeMap<u64, ChunkEntry>,
    /// The width of the widest chunk seen: a chunk that contains a position starts at most this far before it.
    widest: u64,
    pub(crate) spans: VecDeque<Span>,
    /// Positions acknowledged by segments that are not folded yet, oldest segment first.
    dead: VecDeque<(u64, RangeSet)>,
    pub(crate) marks: QueueMarks,
}

impl QueueEntry {
    /// Returns the chunks that may contain positions in `from..=to`.
    pub(crate) fn chunks_over(
        &self,
        from: u64,
        to: u64,
    ) -> impl Iterator<Item = (u64, &ChunkEntry)> {
        let begin = from.saturating_sub(self.widest);
        self.chunks
            .range(begin..=to.max(begin))
            .filter(move |(first, entry)| entry.last(**first) >= from)
            .map(|(&first, entry)| (first, entry))
    }

    /// Returns the chunks, ordered by first position.
    pub(crate) fn all_chunks(&self) -> impl Iterator<Item = Chunk> {
        self.chunks.iter().map(|(&first, entry)| entry.chunk(first))
    }

    pub(crate) fn add_chunk(&mut self, first: u64, chunk: Chunk) {
        self.widest = self.widest.max(chunk.last - first);
        self.chunks.insert(first, ChunkEntry::new(first, chunk));
    }

    /// Returns whether the unfolded log acknowledges the message.
    pub(crate) fn is_dead(&self, position: u64) -> bool {
        self.dead
            .iter()
            .any(|(_, ranges)| ranges.contains(position))
    }

    /// Returns whether any position in `first..=last` may be acknowledged.
    pub(crate) fn has_acked(&self, first: u64, last: u64) -> bool {
        let in_log = |(_, ranges): &(u64, RangeSet)| ranges.within(first, last).next().is_some();
        self.dead.iter().any(in_log)
            || self
                .chunks_over(first, last)
                .any(|(_, entry)| entry.may_have_acked())
    }

    /// Returns every position that the unfolded log acknowledges.
    pub(crate) fn all_dead(&self) -> RangeSet {
        let mut all = RangeSet::default();
        for (_, ranges) in &self.dead {
            all.merge(ranges);
        }
        all
    }

    fn add_span(&mut self, span: Span) {
        if self.spans.back_mut().is_some_and(|last| last.join(&span)) {
            return;
        }
        self.spans.push_back(span);
    }
}

/// What a fold changed in sled; applied to the catalogue in one step once it is durable.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub(crate) segment: u64,
    /// How volume usage changed.
    pub(crate) usage: UsageDelta,
    pub(crate) written: Vec<(QueueId, u64, Chunk)>,
    pub(crate) removed: Vec<(QueueId, u64)>,
    pub(crate) marks: Vec<(QueueId, QueueMarks)>,
}

/// The catalogue of all queues.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) queues: HashMap<QueueId, QueueEntry>,
    /// For each deleted queue, the last unfolded segment that deletes it.
    deleted: HashMap<QueueId, u64>,
    /// Incremented with each fold: a reader that sees it change must look again.
    pub(crate) generation: u64,
}

impl Catalogue {
    /// Applies the changes of a synced commit.
    pub(crate) fn apply(&mut self, effects: impl Iterator<Item = Effect>, placed: Placed) {
        for effect in effects {
            match effect {
                Effect::Published {
                    queue,
                    first,
                    last,
                    start,
                    end,
                } => {
                    let (start, end) = (placed.offset + start, placed.offset + end);
                    self.queues.entry(queue).or_default().add_span(Span {
                        segment: placed.seq,
                        first,
                        last,
                        start,
                        end,
                    });
                }
                Effect::Dead { queue, ranges } => self.add_dead(queue, &ranges, placed.seq),
                Effect::Deleted { queue } => self.delete(queue, placed.seq),
            }
        }
    }

    /// Adds what the unfolded segments say about a queue.
    pub(crate) fn replayed(
        &mut self,
        queue: QueueId,
        spans: VecDeque<Span>,
        dead: VecDeque<(u64, RangeSet)>,
        marks: &QueueMarks,
    ) {
        let entry = self.queues.entry(queue).or_default();
        entry.spans = spans;
        // An empty queue has nothing to acknowledge.
        if !(entry.spans.is_empty() && entry.chunks.is_empty()) {
            entry.dead = dead;
        }
        entry.marks.raise(marks);
    }

    /// Marks positions as acknowledged by segment `seq`.
    fn add_dead(&mut self, queue: QueueId, ranges: &RangeSet, seq: u64) {
        // An empty queue has nothing to acknowledge, and a deleted one must not be recreated here.
        let Some(QueueEntry { dead, .. }) = self.queues.get_mut(&queue) else {
            return;
        };
        match dead.back_mut() {
            Some((last, set)) if *last == seq => set.merge(ranges),
            Some(_) | None => dead.push_back((seq, ranges.clone())),
        }
    }

    /// Removes a queue that segment `seq` deletes.
    pub(crate) fn delete(&mut self, queue: QueueId, seq: u64) {
        self.queues.remove(&queue);
        self.deleted.insert(queue, seq);
    }

    /// Returns whether a segment after `seq` deletes the queue, so that what `seq` says about it no longer matters.
    pub(crate) fn deleted_after(&self, queue: QueueId, seq: u64) -> bool {
        self.deleted
            .get(&queue)
            .is_some_and(|&deleted| deleted > seq)
    }

    /// Returns every position of the queue that the unfolded log acknowledges.
    pub(crate) fn dead(&self, queue: QueueId) -> RangeSet {
        self.queues
            .get(&queue)
            .map(QueueEntry::all_dead)
            .unwrap_or_default()
    }

    /// Replaces a log segment by the chunks that its fold put into sled.
    pub(crate) fn fold(&mut self, folded: Folded) {
        for entry in self.queues.values_mut() {
            while entry
                .spans
                .front()
                .is_some_and(|span| span.segment <= folded.segment)
            {
                entry.spans.pop_front();
            }
            while entry
                .dead
                .front()
                .is_some_and(|(segment, _)| *segment <= folded.segment)
            {
                entry.dead.pop_front();
            }
        }
        for (queue, first) in folded.removed {
            if let Some(entry) = self.queues.get_mut(&queue) {
                entry.chunks.remove(&first);
            }
        }
        for (queue, first, chunk) in folded.written {
            if !self.deleted_after(queue, folded.segment) {
                self.queues
                    .entry(queue)
                    .or_default()
                    .add_chunk(first, chunk);
            }
        }
        for (queue, marks) in folded.marks {
            if !self.deleted_after(queue, folded.segment) {
                self.queues.entry(queue).or_default().marks = marks;
            }
        }
        self.deleted.retain(|_, segment| *segment > folded.segment);
        self.generation += 1;
    }

    /// Returns whether the log acknowledges messages that are in sled.
    pub(crate) fn has_dead_chunks(&self) -> bool {
        let mut queues = self.queues.values();
        queues.any(|entry| !entry.dead.is_empty() && !entry.chunks.is_empty())
            || !self.deleted.is_empty()
    }

    /// Returns all chunks whose messages are in a volume.
    pub(crate) fn chunks_in(&self, volume: u32) -> Vec<(QueueId, u64)> {
        let mut found = Vec::new();
        for (&queue, entry) in &self.queues {
            let of_it = entry
                .chunks
                .iter()
                .filter(|(_, entry)| entry.volume() == volume);
            found.extend(of_it.map(|(&first, _)| (queue, first)));
        }
        found.sort_unstable();
        found
    }

    /// Returns the chunk that begins at this position.
    pub(crate) fn chunk(&self, queue: QueueId, first: u64) -> Option<Chunk> {
        let entry = self.queues.get(&queue)?.chunks.get(&first)?;
        Some(entry.chunk(first))
    }

    /// Records that the messages of these chunks have moved to another volume.
    pub(crate) fn moved(&mut self, chunks: &[(QueueId, u64)], volume: u32) {
        for (queue, first) in chunks {
            if let Some(entry) = self
                .queues
                .get_mut(queue)
                .and_then(|queue| queue.chunks.get_mut(first))
            {
                entry.set_volume(volume);
            }
        }
        self.generation += 1;
    }
}

impl Chunk {
    /// Returns the extent of its live messages.
    pub(crate) fn extent(&self) -> Extent {
        Extent {
            first: Position(self.first_live),
            last: Position(self.last_live),
            messages: self.live,
            bytes: self.bytes,
            weight: self.weight,
        }
    }
}
