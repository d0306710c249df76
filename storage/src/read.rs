//! Reads a queue's live messages in order, from sled and from the log that is not folded yet.
//!
//! Sources (chunks and spans) are nearly in order, but publishes may be slightly out of order, so neighbouring sources
//! can overlap. Sources are read by their first position; a message may be returned once no unread source can contain
//! an earlier one.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    block::BLOCK_HEADER,
    catalogue::{Catalogue, QueueEntry, Span},
    error::StorageError,
    messages,
    record::{self, PUBLISH_OVERHEAD, Parsed, REFERENCE, Record},
    schema::Chunk,
    segment::{self, Segment},
    types::{Position, QueueId},
    volumes::Volumes,
};

/// The sources of a read.
pub(crate) struct Reader<'a> {
    pub(crate) volumes: &'a Volumes,
    pub(crate) catalogue: &'a Mutex<Catalogue>,
    pub(crate) log_dir: &'a Path,
}

/// Which messages to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadRequest {
    pub(crate) queue: QueueId,
    pub(crate) from: Position,
    pub(crate) max_messages: usize,
    pub(crate) max_bytes: usize,
}

enum Source {
    Chunk(u64, Chunk),
    Span(Span),
}

impl Source {
    fn first(&self) -> u64 {
        match self {
            Source::Chunk(first, _) => *first,
            Source::Span(span) => span.first,
        }
    }
}

/// Messages in order, and the position to continue from if there may be more.
type Partial = (Loaded, Option<u64>);

/// Messages in order. They are added nearly in order: only overlapping sources need sorting.
#[derive(Debug, Default)]
struct Loaded(Vec<(u64, Bytes)>);

impl Loaded {
    fn add(&mut self, messages: impl Iterator<Item = (u64, Bytes)>) {
        let before = self.0.len();
        self.0.extend(messages);
        let from = before.saturating_sub(1);
        if self.0[from..].is_sorted_by(|(one, _), (other, _)| one < other) {
            return;
        }
        self.0.sort_by_key(|(position, _)| *position);
        self.0.dedup_by_key(|(position, _)| *position);
    }

    /// Returns the messages before a position.
    fn before(&self, position: u64) -> &[(u64, Bytes)] {
        &self.0[..self.0.partition_point(|(at, _)| *at < position)]
    }
}

/// The number of sources looked up at once: at 64 KiB each, more than a read usually needs.
const MAX_SOURCES: usize = 32;

impl Reader<'_> {
    /// Returns the live messages of a queue from a position on, in order: as many as requested, and at least one if
    /// there is one.
    ///
    /// # Errors
    /// A source is damaged or cannot be read.
    pub(crate) fn read(
        &self,
        wanted: &ReadRequest,
    ) -> Result<Vec<(Position, Bytes)>, StorageError> {
        let mut out = Vec::new();
        let mut room = wanted.max_bytes;
        let mut from = wanted.from.0;
        while out.len() < wanted.max_messages {
            let (messages, next) =
                match self.read_part(wanted.queue, from, wanted.max_messages - out.len(), room) {
                    Ok(Some(part)) => part,
                    Ok(None) => continue,
                    // The next read starts at the damage and reports it.
                    Err(_) if !out.is_empty() => return Ok(out),
                    Err(error) => return Err(error),
                };
            for (position, message) in messages.0 {
                if out.len() >= wanted.max_messages || (message.len() > room && !out.is_empty()) {
                    return Ok(out);
                }
                room = room.saturating_sub(message.len());
                out.push((Position(position), message));
            }
            match next {
                Some(next) if room > 0 || out.is_empty() => from = next,
                Some(_) | None => break,
            }
        }
        Ok(out)
    }

    /// Returns messages from `from` on, and where to continue if there may be more. Returns `None` if a checkpoint
    /// finished in between: the caller tries again.
    fn read_part(
        &self,
        queue: QueueId,
        from: u64,
        max_messages: usize,
        max_bytes: usize,
    ) -> Result<Option<Partial>, StorageError> {
        let (sources, mut horizon, generation) = {
            let catalogue = self.catalogue.lock();
            let Some(entry) = catalogue.queues.get(&queue) else {
                return Ok(Some((Loaded::default(), None)));
            };
            let (sources, horizon) = plan(entry, from);
            (sources, horizon, catalogue.generation)
        };
        let (mut loaded, mut bytes) = (Loaded::default(), 0);
        for source in &sources {
            if loaded.0.len() >= max_messages || bytes >= max_bytes {
                let ready = loaded.before(source.first());
                let ready_bytes = ready
                    .iter()
                    .map(|(_, message)| message.len())
                    .sum::<usize>();
                let enough = ready.len() >= max_messages || ready_bytes >= max_bytes;
                if !ready.is_empty() && enough {
                    horizon = Some(source.first());
                    break;
                }
            }
            match self.load(queue, source) {
                Ok(Some(messages)) => {
                    let wanted = messages.into_iter().filter(|(at, _)| *at >= from);
                    loaded.add(wanted.inspect(|(_, message)| bytes += message.len()));
                }
                Ok(None) | Err(_) if self.catalogue.lock().generation != generation => {
                    return Ok(None);
                }
                // What comes before the damage is returned; the next read starts at it and reports it.
                Ok(None) | Err(_) if !loaded.before(source.first()).is_empty() => {
                    horizon = Some(source.first());
                    break;
                }
                Ok(None) => return Err(damaged(queue, source)),
                Err(error) => return Err(error),
            }
        }
        if let Some(horizon) = horizon {
            loaded.0.truncate(loaded.before(horizon).len());
        }
        let catalogue = self.catalogue.lock();
        if catalogue.generation != generation {
            return Ok(None);
        }
        let Some(entry) = catalogue.queues.get(&queue) else {
            return Ok(Some((Loaded::default(), None)));
        };
        let ends = loaded.0.first().zip(loaded.0.last());
        if ends.is_some_and(|((first, _), (last, _))| entry.has_acked(*first, *last)) {
            loaded.0.retain(|(position, _)| !is_acked(entry, *position));
        }
        Ok(Some((loaded, horizon)))
    }

    fn load(
        &self,
        queue: QueueId,
        source: &Source,
    ) -> Result<Option<Vec<(u64, Bytes)>>, StorageError> {
        match source {
            Source::Chunk(first, chunk) => {
                messages::read(self.volumes, queue, Position(*first), chunk)
            }
            Source::Span(span) => load_span(self.log_dir, queue, span).map(Some),
        }
    }
}

/// Returns the messages of a queue in a span of the log, including acknowledged ones.
///
/// # Errors
/// The segment cannot be read or is damaged there.
pub(crate) fn load_span(
    log: &Path,
    queue: QueueId,
    span: &Span,
) -> Result<Vec<(u64, Bytes)>, StorageError> {
    let segment = Segment::open(&log.join(segment::file_name(span.segment)))?;
    let damaged = || StorageError::DamagedMessages {
        queue,
        first: Position(span.first),
        last: Position(span.last),
    };
    if span.is_reference() {
        let message = load_shared(&segment, queue, span)?.ok_or_else(damaged)?;
        return Ok(vec![(span.first, message)]);
    }
    let len = usize::try_from(span.end - span.start).map_err(|_| damaged())?;
    let mut window = segment.window(len);
    let bytes = window.take(span.start, len)?;
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        // Block headers come between records and are recognised by their own checksums.
        if record::BlockHeader::decode(&bytes[at..], segment.header.salt, span.start + at as u64)
            .is_some()
        {
            at += BLOCK_HEADER;
            continue;
        }
        let (record, len) = record::parse(&bytes[at..]).ok_or_else(damaged)?;
        // A reference has its own span.
        if let Parsed::Record(Record::Publish {
            queue: of,
            position,
            message,
            ..
        }) = record
            && of == queue
        {
            // The message is the last part of its record.
            let end = at + len;
            found.push((
                position.0,
                messages::slice_or_copy(&bytes, end - message.len(), end),
            ));
        }
        at += len;
    }
    Ok(found)
}

/// Returns the message that a reference in the log stands for, or `None` if either is damaged.
///
/// # Errors
/// The segment cannot be read.
fn load_shared(
    segment: &Arc<Segment>,
    queue: QueueId,
    span: &Span,
) -> Result<Option<Bytes>, StorageError> {
    let mut window = segment.window(REFERENCE);
    let reference = match record::parse(window.get(span.start, REFERENCE)?) {
        Some((Parsed::Reference(it), _)) if (it.queue, it.position.0) == (queue, span.first) => it,
        Some(_) | None => return Ok(None),
    };
    let Some(start) = span.start.checked_sub(u64::from(reference.back)) else {
        return Ok(None);
    };
    let len = PUBLISH_OVERHEAD + reference.len as usize;
    let bytes = segment.window(len).take(start, len)?;
    Ok(match record::parse(&bytes) {
        Some((Parsed::Record(Record::Publish { message, .. }), end))
            if message.len() == reference.len as usize =>
        {
            Some(bytes.slice(end - message.len()..end))
        }
        Some(_) | None => None,
    })
}

/// Returns sources that may contain `from` or later positions, by first position, and where the remaining ones begin,
/// if any: always after `from`, so that every part makes progress.
fn plan(entry: &QueueEntry, from: u64) -> (Vec<Source>, Option<u64>) {
    let mut sources = Vec::new();
    let mut left_out: Option<u64> = None;
    for (first, entry) in entry.chunks_over(from, u64::MAX) {
        if sources.len() > MAX_SOURCES && first > from {
            left_out = Some(first);
            break;
        }
        sources.push(Source::Chunk(first, entry.chunk(first)));
    }
    // There may be thousands of spans, nearly in order: taking the first ones is enough, whichever they are, as long as
    // the rest begins after what is read.
    let (behind_chunks, mut spans) = (left_out, 0);
    for span in entry.spans.iter().filter(|span| span.last >= from) {
        if behind_chunks.is_some_and(|first| first <= span.first) {
            continue;
        }
        if spans <= MAX_SOURCES || span.first <= from {
            sources.push(Source::Span(*span));
            spans += 1;
        } else {
            left_out = Some(left_out.map_or(span.first, |first| first.min(span.first)));
        }
    }
    sources.sort_by_key(Source::first);
    let cut = (MAX_SOURCES..sources.len()).find(|&at| sources[at].first() > from);
    let horizon = cut.map(|at| sources[at].first()).into_iter();
    sources.truncate(cut.unwrap_or(sources.len()));
    (sources, horizon.chain(left_out).min())
}

fn is_acked(entry: &QueueEntry, position: u64) -> bool {
    entry.is_dead(position)
        || entry
            .chunks_over(position, position)
            .any(|(_, entry)| entry.is_acked(position))
}

fn damaged(queue: QueueId, source: &Source) -> StorageError {
    let (first, last) = match source {
        Source::Chunk(first, chunk) => (*first, chunk.last),
        Source::Span(span) => (span.first, span.last),
    };
    StorageError::DamagedMessages {
        queue,
        first: Position(first),
        last: Position(last),
    }
}
