//! What has to be done for a page, and what became of it.

use super::codec;
use super::page::{Outline, PageId, Source};
use super::pager::Records;
use crate::clock::Clock;
use crate::queue::Queue;
use crate::queue::entry::Entry;
use crate::queue::stored;
use leveret_storage::{Position, Spill, Spilled, StorageError};
use std::io;
use std::sync::Arc;

/// Octets that are asked of the store at a time.
const READ_OCTETS: usize = 4 << 20;

/// What a page needs.
#[derive(Debug)]
pub enum Work {
    /// To be written, where a restart empties.
    Write(Arc<Vec<Entry>>),
    /// To be read.
    Read(Source, Outline),
}

/// Work for a page of a queue.
#[derive(Debug)]
pub struct Job {
    /// The queue.
    pub queue: Arc<Queue>,
    /// The line of its ready messages.
    pub line: usize,
    /// The page.
    pub page: PageId,
    /// The work.
    pub work: Work,
}

/// What became of it.
#[derive(Debug)]
pub enum Done {
    /// It was written, or could not be.
    Written(io::Result<Arc<Spilled>>),
    /// It was read. What is missing is lost; that was reported.
    Read(Vec<Entry>),
    /// It cannot be read at present.
    NotRead,
}

/// Where pages are.
pub struct Shelves<'a> {
    /// The store; none for a broker that keeps everything in memory.
    pub records: Option<&'a dyn Records>,
    /// The place that a restart empties.
    pub spill: &'a Spill,
    /// The broker's time.
    pub clock: Clock,
}

impl Job {
    /// Does it. Blocks on the disk.
    pub fn carry_out(&self, shelves: &Shelves<'_>) -> Done {
        match &self.work {
            Work::Write(entries) => {
                Done::Written(codec::write(shelves.spill, entries).map(Arc::new))
            }
            Work::Read(Source::Spilled(page), _) => self.read_spilled(page),
            Work::Read(Source::Stored, outline) => match shelves.records {
                Some(records) => self.read_stored(records, outline, shelves.clock),
                None => Done::NotRead,
            },
        }
    }

    fn read_spilled(&self, page: &Spilled) -> Done {
        let queue = self.queue.name();
        match codec::read(page) {
            Ok(entries) => Done::Read(entries),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::error!(%queue, %error, "messages that were paged out are lost");
                Done::Read(Vec::new())
            }
            Err(error) => {
                tracing::error!(%queue, %error, "cannot read messages that were paged out, trying again");
                Done::NotRead
            }
        }
    }

    fn read_stored(&self, records: &dyn Records, outline: &Outline, clock: Clock) -> Done {
        let mut reading = StoredReading {
            queue: &self.queue,
            records,
            outline,
            clock,
            entries: Vec::new(),
            damaged: false,
        };
        let result = reading.run().and_then(|()| {
            if reading.is_whole() {
                return Ok(());
            }
            // The store was given all of it, but may not have committed the last of it.
            records.flush()?;
            reading.entries.clear();
            reading.run()
        });
        if let Err(error) = result {
            let queue = self.queue.name();
            tracing::error!(%queue, %error, "cannot read messages from the store, trying again");
            return Done::NotRead;
        }
        if !reading.is_whole() {
            let (first, last) = (outline.first.0, outline.last.0);
            tracing::error!(
                queue = %self.queue.name(),
                expected = outline.messages,
                found = reading.entries.len(),
                "messages between {first} and {last} are missing from the store"
            );
        }
        Done::Read(reading.entries)
    }
}

/// A page on its way out of the store.
struct StoredReading<'a> {
    queue: &'a Queue,
    records: &'a dyn Records,
    outline: &'a Outline,
    clock: Clock,
    entries: Vec<Entry>,
    damaged: bool,
}

impl StoredReading<'_> {
    fn is_whole(&self) -> bool {
        self.damaged || self.entries.len() as u64 >= self.outline.messages
    }

    fn run(&mut self) -> Result<(), StorageError> {
        let expected = usize::try_from(self.outline.messages).unwrap_or(usize::MAX);
        let mut from = self.outline.first;
        while from <= self.outline.last && self.entries.len() < expected {
            let missing = expected - self.entries.len();
            match self.records.read(self.queue.id, from, missing, READ_OCTETS) {
                Ok(read) => {
                    let Some((last, _)) = read.last() else {
                        return Ok(());
                    };
                    from = Position(last.0 + 1);
                    self.take(read);
                }
                Err(StorageError::DamagedMessages { first, last, .. }) => {
                    self.lost(first.0, last.0, "damaged");
                    from = Position(last.0.max(from.0) + 1);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take(&mut self, read: Vec<(Position, bytes::Bytes)>) {
        for (position, octets) in read {
            if position > self.outline.last {
                return;
            }
            let Some((message, expiry)) = stored::decode(octets) else {
                self.lost(
                    position.0,
                    position.0,
                    "written by a newer version, it seems",
                );
                continue;
            };
            let mut entry = Entry::new(position, Arc::new(message));
            entry.set_expiry(expiry.map(|millis| self.clock.time_of_wall_millis(millis)));
            self.entries.push(entry);
        }
    }

    fn lost(&mut self, first: u64, last: u64, why: &str) {
        self.damaged = true;
        tracing::error!(
            queue = %self.queue.name(),
            "messages {first} to {last} in the store are {why}, and passed over"
        );
    }
}
