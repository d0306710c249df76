//! Reads back, at startup, the part of the log that is not in sled yet.
//!
//! Nothing is folded: one pass over the segments rebuilds what the storage thread knew when it wrote them, and the
//! checkpoint folds them later, alongside new work. Memory use is that of the catalogue: spans of 64 KiB and ranges of
//! acknowledged positions, nothing per message.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    catalogue::{Catalogue, Span},
    definitions,
    error::StorageError,
    log::SegmentEnd,
    options::Weigh,
    ranges::RangeSet,
    record::{PUBLISH_OVERHEAD, Record},
    schema::QueueMarks,
    segment::{End, Scan, Segment},
    stats::Extent,
    types::{Position, QueueId},
};

/// The contents of the unfolded log.
pub(crate) struct Replay {
    queues: HashMap<QueueId, Replayed>,
    /// The queues that it deletes, and the segments that do so.
    deleted: Vec<(QueueId, u64)>,
    pub(crate) definitions: definitions::Pending,
    /// The segments, in order.
    pub(crate) closed: Vec<SegmentEnd>,
    weigh: Weigh,
}

/// What the unfolded log says about one queue since its last deletion.
#[derive(Debug, Default)]
struct Replayed {
    spans: Vec<(Span, Extent)>,
    dead: VecDeque<(u64, RangeSet)>,
    marks: QueueMarks,
}

/// What was published in each span, live or not.
pub(crate) type Published = HashMap<QueueId, Vec<(Span, Extent)>>;

impl Replay {
    pub(crate) fn new(weigh: Weigh) -> Replay {
        Replay {
            queues: HashMap::new(),
            deleted: Vec::new(),
            definitions: definitions::Pending::new(),
            closed: Vec::new(),
            weigh,
        }
    }

    /// Reads a whole segment; segments must be read in order. Calls `reached` with the offset of every record.
    ///
    /// # Errors
    /// The segment cannot be read, or it is damaged and `accept_losses` is off.
    pub(crate) fn read(
        &mut self,
        segment: &Arc<Segment>,
        end: End,
        accept_losses: bool,
        reached: impl Fn(u64),
    ) -> Result<Scan, StorageError> {
        // A span must not contain lost bytes, because reading it would fail.
        let losses = if accept_losses {
            segment.scan(end, true, |_, _| Ok(()))?.losses
        } else {
            Vec::new()
        };
        let seq = segment.header.seq;
        let scan = segment.scan(end, accept_losses, |offset, record| {
            self.add(seq, offset, record, &losses);
            reached(offset);
            Ok(())
        })?;
        self.closed.push(SegmentEnd {
            seq,
            path: segment.path.clone(),
            end: scan.end,
        });
        Ok(scan)
    }

    fn add(&mut self, seq: u64, offset: u64, record: Record<'_>, losses: &[(u64, u64)]) {
        match record {
            Record::Publish {
                queue,
                position,
                message,
                back,
            } => {
                let len = match back {
                    0 => PUBLISH_OVERHEAD + message.len(),
                    _ => 0,
                };
                let extent = Extent {
                    first: position,
                    last: position,
                    messages: 1,
                    bytes: message.len() as u64,
                    weight: (self.weigh)(message),
                };
                let span = Span {
                    segment: seq,
                    first: position.0,
                    last: position.0,
                    start: offset,
                    end: offset + len as u64,
                };
                let queue = self.queues.entry(queue).or_default();
                queue.publish(span, extent, losses);
                queue.raise(position.0, None);
            }
            Record::Ack { queue, first, last } => {
                let queue = self.queues.entry(queue).or_default();
                queue.add_dead(seq, first.0, last.0);
                queue.raise(last.0, None);
            }
            Record::DeleteQueue { queue } => {
                self.queues.remove(&queue);
                self.deleted.push((queue, seq));
            }
            Record::Delivered { queue, through } => {
                let queue = self.queues.entry(queue).or_default();
                queue.raise(through.0, Some(through.0));
            }
            Record::PutDefinition { key, value } => {
                self.definitions.insert(key.to_vec(), Some(value.to_vec()));
            }
            Record::DeleteDefinition { key } => {
                self.definitions.insert(key.to_vec(), None);
            }
        }
    }

    /// Adds everything to the catalogue loaded from sled. Returns what was published in the spans, and the segments.
    pub(crate) fn into_catalogue(self, catalogue: &mut Catalogue) -> (Published, Vec<SegmentEnd>) {
        for (queue, seq) in self.deleted {
            catalogue.delete(queue, seq);
        }
        let mut published = HashMap::new();
        for (queue, replayed) in self.queues {
            let spans = replayed.spans.iter().map(|(span, _)| *span).collect();
            catalogue.replayed(queue, spans, replayed.dead, &replayed.marks);
            published.insert(queue, replayed.spans);
        }
        (published, self.closed)
    }
}

impl Replayed {
    fn publish(&mut self, span: Span, extent: Extent, losses: &[(u64, u64)]) {
        if let Some((last, published)) = self.spans.last_mut()
            && !losses
                .iter()
                .any(|(from, _)| last.start <= *from && *from < span.start)
            && last.join(&span)
        {
            *published = published.joined(&extent);
            return;
        }
        self.spans.push((span, extent));
    }

    fn add_dead(&mut self, seq: u64, first: u64, last: u64) {
        match self.dead.back_mut() {
            Some((segment, ranges)) if *segment == seq => ranges.insert(first, last),
            Some(_) | None => {
                let mut ranges = RangeSet::default();
                ranges.insert(first, last);
                self.dead.push_back((seq, ranges));
            }
        }
    }

    fn raise(&mut self, position: u64, delivered: Option<u64>) {
        self.marks.raise(&QueueMarks {
            next: position.saturating_add(1),
            delivered,
        });
    }
}

/// Which messages of a run are live.
pub(crate) enum Liveness {
    All,
    Nothing,
    /// Known only after reading the messages.
    Some,
}

/// Determines which messages are live without reading them.
pub(crate) fn liveness(dead: &RangeSet, first: Position, last: Position) -> Liveness {
    if dead.within(first.0, last.0).next().is_none() {
        Liveness::All
    } else if dead.covers(first.0, last.0) {
        Liveness::Nothing
    } else {
        Liveness::Some
    }
}
