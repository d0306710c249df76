//! What the store knows in memory: per queue the chunks in sled, and where in the log its younger messages stand.
//!
//! Nothing here is per message: a chunk's entry covers up to 64 KiB of messages, a span up to 64 KiB of a log segment,
//! and what is done with is kept as ranges.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::{
    chunk_entry::ChunkEntry,
    log::Placed,
    ranges::RangeSet,
    schema::{Chunk, QueueMarks},
    stats::Extent,
    types::{Position, QueueId},
    usage::Changed,
};

/// Bytes of a segment that one span may cover.
const SPAN_BYTES: u64 = 64 * 1024;

/// A stretch of a log segment with publishes of one queue in it; records of others may stand between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) segment: u64,
    /// Lowest and highest position in it.
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Where its first record starts and its last one ends; the same twice is where a single record starts that shares its
    /// message with another queue's (see [`Span::is_reference`]).
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Span {
    /// It is one large message that stands in a record further up. Such a span is never joined with others: what it stands
    /// for is much more than its bytes.
    pub(crate) fn is_reference(&self) -> bool {
        self.start == self.end
    }

    /// Takes in the publishes of another one of the queue, which follows in the log, if together they are small enough.
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

/// What a commit changed, in the order of its batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Publishes of one queue, as in [`Span`]; offsets count from the block's start.
    Published {
        queue: QueueId,
        first: u64,
        last: u64,
        start: u64,
        end: u64,
    },
    /// Acknowledged, or never written and done with.
    Dead {
        queue: QueueId,
        ranges: RangeSet,
    },
    Deleted {
        queue: QueueId,
    },
}

/// One queue.
#[derive(Debug, Default)]
pub(crate) struct QueueEntry {
    /// By first position.
    pub(crate) chunks: BTreeMap<u64, ChunkEntry>,
    /// The widest chunk ever seen: how far before a position a chunk that holds it may start.
    widest: u64,
    pub(crate) spans: VecDeque<Span>,
    /// What segments not folded yet say is dead, oldest segment first.
    dead: VecDeque<(u64, RangeSet)>,
    pub(crate) marks: QueueMarks,
}

impl QueueEntry {
    /// Chunks that may hold positions of `from..=to`.
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

    /// The chunks, by first position.
    pub(crate) fn all_chunks(&self) -> impl Iterator<Item = Chunk> {
        self.chunks.iter().map(|(&first, entry)| entry.chunk(first))
    }

    pub(crate) fn add_chunk(&mut self, first: u64, chunk: Chunk) {
        self.widest = self.widest.max(chunk.last - first);
        self.chunks.insert(first, ChunkEntry::new(first, chunk));
    }

    /// Whether the log, as far as it is not folded, says the message is done with.
    pub(crate) fn is_dead(&self, position: u64) -> bool {
        self.dead
            .iter()
            .any(|(_, ranges)| ranges.contains(position))
    }

    /// Whether anything of `first..=last` may be done with.
    pub(crate) fn has_acked(&self, first: u64, last: u64) -> bool {
        let in_log = |(_, ranges): &(u64, RangeSet)| ranges.within(first, last).next().is_some();
        self.dead.iter().any(in_log)
            || self
                .chunks_over(first, last)
                .any(|(_, entry)| entry.may_have_acked())
    }

    /// Everything the log says is done with.
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

/// What a fold did to sled, to be made known at once when it is durable.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub(crate) segment: u64,
    /// How the volumes' use changed.
    pub(crate) usage: Changed,
    pub(crate) written: Vec<(QueueId, u64, Chunk)>,
    pub(crate) removed: Vec<(QueueId, u64)>,
    pub(crate) marks: Vec<(QueueId, QueueMarks)>,
}

/// All queues.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) queues: HashMap<QueueId, QueueEntry>,
    /// The last unfolded segment that deletes the queue.
    deleted: HashMap<QueueId, u64>,
    /// Grows with each fold: whoever read from disk in between looks again.
    pub(crate) generation: u64,
}

impl Catalogue {
    /// Takes over what a synced commit changed.
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
                Effect::Dead { queue, ranges } => self.bury(queue, &ranges, placed.seq),
                Effect::Deleted { queue } => self.delete(queue, placed.seq),
            }
        }
    }

    /// Adds what unfolded segments say of a queue.
    pub(crate) fn replayed(
        &mut self,
        queue: QueueId,
        spans: VecDeque<Span>,
        dead: VecDeque<(u64, RangeSet)>,
        marks: &QueueMarks,
    ) {
        let entry = self.queues.entry(queue).or_default();
        entry.spans = spans;
        // Of a queue with nothing in it, nothing can be dead.
        if !(entry.spans.is_empty() && entry.chunks.is_empty()) {
            entry.dead = dead;
        }
        entry.marks.raise(marks);
    }

    /// Notes what is done with, as said by segment `seq`.
    fn bury(&mut self, queue: QueueId, ranges: &RangeSet, seq: u64) {
        // Of a queue with nothing in it, nothing can be dead; a deleted one must not come back by this.
        let Some(QueueEntry { dead, .. }) = self.queues.get_mut(&queue) else {
            return;
        };
        match dead.back_mut() {
            Some((last, set)) if *last == seq => set.merge(ranges),
            Some(_) | None => dead.push_back((seq, ranges.clone())),
        }
    }

    /// Forgets a queue that segment `seq` deletes.
    pub(crate) fn delete(&mut self, queue: QueueId, seq: u64) {
        self.queues.remove(&queue);
        self.deleted.insert(queue, seq);
    }

    /// Whether a segment after `seq` deletes the queue: then nothing `seq` says about it matters any more.
    pub(crate) fn deleted_after(&self, queue: QueueId, seq: u64) -> bool {
        self.deleted
            .get(&queue)
            .is_some_and(|&deleted| deleted > seq)
    }

    /// Everything of the queue that the log says is done with.
    pub(crate) fn dead(&self, queue: QueueId) -> RangeSet {
        self.queues
            .get(&queue)
            .map(QueueEntry::all_dead)
            .unwrap_or_default()
    }

    /// Switches from the log segment to what its fold put into sled.
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

    /// Whether the log says of messages in sled that they are done with.
    pub(crate) fn has_dead_chunks(&self) -> bool {
        let mut queues = self.queues.values();
        queues.any(|entry| !entry.dead.is_empty() && !entry.chunks.is_empty())
            || !self.deleted.is_empty()
    }

    /// All chunks whose messages are in a volume.
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

    /// The chunk that begins here.
    pub(crate) fn chunk(&self, queue: QueueId, first: u64) -> Option<Chunk> {
        let entry = self.queues.get(&queue)?.chunks.get(&first)?;
        Some(entry.chunk(first))
    }

    /// Messages of these chunks are in another volume now.
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
    /// What lives of it.
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
