//! The net contents of one log segment, gathered in one pass: publishes and acks inside it cancel out, the latest
//! version of a definition wins, and deleting a queue drops everything before it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    definitions,
    error::StorageError,
    ranges::RangeSet,
    record::{PUBLISH_OVERHEAD, Record},
    schema::QueueMarks,
    segment::{End, Scan, Segment},
    types::QueueId,
};

/// A publish. Takes 24 bytes per message while the segment is folded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    pub(crate) position: u64,
    /// Where the record that contains the message starts in the segment: its own record, or the one that it refers to.
    pub(crate) offset: u64,
    /// The length of the message, without its record header.
    pub(crate) len: u32,
    /// That record belongs to another queue.
    pub(crate) is_reference: bool,
}

impl Published {
    /// Returns the length of the record that contains the message.
    pub(crate) fn record_len(&self) -> usize {
        PUBLISH_OVERHEAD + self.len as usize
    }
}

/// What the segment says about one queue.
#[derive(Debug, Default)]
pub(crate) struct QueueContents {
    pub(crate) published: Vec<Published>,
    pub(crate) acked: RangeSet,
    pub(crate) marks: QueueMarks,
}

/// What the segment says.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) queues: HashMap<QueueId, QueueContents>,
    pub(crate) deleted: HashSet<QueueId>,
    pub(crate) definitions: definitions::Pending,
    /// The offsets of records whose messages were published to several queues.
    pub(crate) shared: HashSet<u64>,
}

impl Contents {
    /// Reads a whole segment.
    ///
    /// # Errors
    /// The segment cannot be read, or it is damaged and `accept_losses` is off.
    pub(crate) fn gather(
        segment: &Arc<Segment>,
        end: End,
        accept_losses: bool,
    ) -> Result<(Contents, Scan), StorageError> {
        let mut contents = Contents::default();
        let scan = segment.scan(end, accept_losses, |offset, record| {
            contents.add(offset, record);
            Ok(())
        })?;
        for queue in contents.queues.values_mut() {
            queue
                .published
                .retain(|message| !queue.acked.contains(message.position));
            queue.published.sort_by_key(|message| message.position);
        }
        Ok((contents, scan))
    }

    fn add(&mut self, offset: u64, record: Record<'_>) {
        match record {
            Record::Publish {
                queue,
                position,
                message,
                back,
            } => {
                let offset = offset - u64::from(back);
                if back > 0 {
                    self.shared.insert(offset);
                }
                let queue = self.queues.entry(queue).or_default();
                let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
                queue.published.push(Published {
                    position: position.0,
                    offset,
                    len,
                    is_reference: back > 0,
                });
                queue.raise(position.0, None);
            }
            Record::Ack { queue, first, last } => {
                let queue = self.queues.entry(queue).or_default();
                queue.acked.insert(first.0, last.0);
                queue.raise(last.0, None);
            }
            Record::DeleteQueue { queue } => {
                self.queues.remove(&queue);
                self.deleted.insert(queue);
            }
            Record::Delivered { queue, through } => {
                self.queues
                    .entry(queue)
                    .or_default()
                    .raise(through.0, Some(through.0));
            }
            Record::PutDefinition { key, value } => {
                self.definitions.insert(key.to_vec(), Some(value.to_vec()));
            }
            Record::DeleteDefinition { key } => {
                self.definitions.insert(key.to_vec(), None);
            }
        }
    }
}

impl QueueContents {
    fn raise(&mut self, position: u64, delivered: Option<u64>) {
        self.marks.raise(&QueueMarks {
            next: position.saturating_add(1),
            delivered,
        });
    }
}
