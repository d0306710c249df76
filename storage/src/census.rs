//! Counts the live messages of each queue at startup. Counts are exact; messages are read only where a chunk or span is
//! partly acknowledged.

use std::{collections::HashMap, path::Path};

use bytes::Bytes;

use crate::{
    catalogue::{Catalogue, QueueEntry, Span},
    error::StorageError,
    extents::Runs,
    messages,
    options::Weigh,
    progress::{Progress, Stage},
    ranges::RangeSet,
    read::load_span,
    replay::{Liveness, Published, liveness},
    schema::Chunk,
    stats::{Extent, RecoveredQueue},
    types::{Position, QueueId},
    volumes::Volumes,
};

/// The size in bytes of the runs in which live messages are remembered until the broker asks for them.
const RUN_BYTES: u64 = 64 * 1024;

/// Runs of live messages by queue.
pub(crate) type Extents = HashMap<QueueId, Vec<Extent>>;

/// The sources that a census reads.
pub(crate) struct Census<'a> {
    pub(crate) volumes: &'a Volumes,
    pub(crate) log: &'a Path,
    pub(crate) weigh: Weigh,
    pub(crate) progress: &'a Progress,
}

impl Census<'_> {
    /// Counts the messages of all queues.
    ///
    /// # Errors
    /// The disk failed. Damage is no error here: a damaged chunk counts as its catalogue entry says, and reading it
    /// reports what is lost.
    pub(crate) fn take(
        &self,
        catalogue: &Catalogue,
        published: &Published,
    ) -> Result<(Vec<RecoveredQueue>, Extents), StorageError> {
        let (mut queues, mut extents) = (Vec::new(), Extents::new());
        let count = catalogue.queues.len() as u64;
        self.progress.begin(Stage::Counting, count);
        for (&queue, entry) in &catalogue.queues {
            let spans = published.get(&queue).map_or(&[][..], Vec::as_slice);
            let live = self.queue(queue, entry, spans)?;
            queues.push(describe(queue, entry, &live));
            if !live.is_empty() {
                extents.insert(queue, live);
            }
            self.progress.add(1);
        }
        queues.sort_by_key(|queue| queue.queue);
        Ok((queues, extents))
    }

    fn queue(
        &self,
        queue: QueueId,
        entry: &QueueEntry,
        spans: &[(Span, Extent)],
    ) -> Result<Vec<Extent>, StorageError> {
        let dead = entry.all_dead();
        let mut live = Vec::new();
        for (&first, chunk) in &entry.chunks {
            live.extend(self.chunk(queue, Position(first), chunk.chunk(first), &dead)?);
        }
        for (span, extent) in spans {
            live.extend(self.span(queue, span, extent, &dead)?);
        }
        live.sort_unstable_by_key(|extent| extent.first);
        let mut runs = Runs::new(RUN_BYTES);
        for extent in live {
            runs.add(extent);
        }
        runs.extents.shrink_to_fit();
        Ok(runs.extents)
    }

    fn chunk(
        &self,
        queue: QueueId,
        first: Position,
        mut chunk: Chunk,
        dead: &RangeSet,
    ) -> Result<Option<Extent>, StorageError> {
        match liveness(dead, Position(chunk.first_live), Position(chunk.last_live)) {
            Liveness::All => return Ok(Some(chunk.extent())),
            Liveness::Nothing => return Ok(None),
            Liveness::Some => {}
        }
        let messages = match messages::read(self.volumes, queue, first, &chunk) {
            Ok(Some(messages)) => messages,
            Ok(None) | Err(StorageError::DamagedMessages { .. }) => {
                return Ok(Some(chunk.extent()));
            }
            Err(error) => return Err(error),
        };
        chunk.acked.merge(dead);
        Ok(chunk.count(&messages, self.weigh).then(|| chunk.extent()))
    }

    fn span(
        &self,
        queue: QueueId,
        span: &Span,
        extent: &Extent,
        dead: &RangeSet,
    ) -> Result<Option<Extent>, StorageError> {
        match liveness(dead, extent.first, extent.last) {
            Liveness::All => return Ok(Some(*extent)),
            Liveness::Nothing => return Ok(None),
            Liveness::Some => {}
        }
        let mut live: Option<Extent> = None;
        for (position, message) in load_span(self.log, queue, span)? {
            if !dead.contains(position) {
                let one = self.one(position, &message);
                live = Some(live.map_or(one, |live| live.joined(&one)));
            }
        }
        Ok(live)
    }

    fn one(&self, position: u64, message: &Bytes) -> Extent {
        Extent {
            first: Position(position),
            last: Position(position),
            messages: 1,
            bytes: message.len() as u64,
            weight: (self.weigh)(message),
        }
    }
}

fn describe(queue: QueueId, entry: &QueueEntry, live: &[Extent]) -> RecoveredQueue {
    let highest = entry.all_chunks().map(|chunk| chunk.last.saturating_add(1));
    RecoveredQueue {
        queue,
        messages: live.iter().map(|extent| extent.messages).sum(),
        bytes: live.iter().map(|extent| extent.bytes).sum(),
        weight: live.iter().map(|extent| extent.weight).sum(),
        first: live.first().map(|extent| extent.first),
        last: live.last().map(|extent| extent.last),
        delivered_through: entry.marks.delivered.map(Position),
        next_position: Position(entry.marks.next.max(highest.max().unwrap_or(0))),
    }
}
