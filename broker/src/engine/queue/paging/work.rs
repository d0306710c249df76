//! What has to be done for a page, and what became of it.

use super::codec;
use super::page::{Outline, PageId, Shelf, Source};
use super::pager::Records;
use super::sorted::RankedPage;
use crate::engine::clock::Clock;
use crate::engine::queue::Effects;
use crate::engine::queue::entry::Entry;
use crate::engine::queue::stored;
use leveret_storage::{Position, QueueId, Spill, Spilled, StorageError};
use std::fmt;
use std::io;
use std::sync::Arc;

/// Bytes that are asked of the store at a time, at least.
const READ_BYTES: u64 = 64 << 10;

/// Who has pages: a queue or a delayed exchange.
pub trait Owner: Send + Sync {
    /// Under which the store keeps its messages.
    fn id(&self) -> QueueId;

    /// What it is called, for the log.
    fn name(&self) -> &str;

    /// Whether it was deleted, and wants no page any more.
    fn has_ended(&self) -> bool;

    /// Takes in what became of a page.
    fn paged(self: Arc<Self>, shelf: Shelf, page: PageId, done: Done, fx: &mut Effects);
}

/// What a page needs.
#[derive(Debug)]
pub enum Work {
    /// To be written, where a restart empties.
    Write(Arc<Vec<Entry>>),
    /// Likewise, messages with their ranks.
    WriteSorted(Arc<RankedPage>),
    /// To be read.
    Read(Source, Outline),
    /// Likewise, messages with their ranks.
    ReadSorted(Arc<Spilled>),
}

/// Work for a page.
pub struct Job {
    /// Whose page it is.
    pub owner: Arc<dyn Owner>,
    /// What of it the page belongs to.
    pub shelf: Shelf,
    /// The page.
    pub page: PageId,
    /// The work.
    pub work: Work,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (owner, shelf, page) = (self.owner.id(), self.shelf, self.page);
        f.debug_tuple("Job")
            .field(&owner)
            .field(&shelf)
            .field(&page)
            .finish()
    }
}

/// What became of it.
#[derive(Debug)]
pub enum Done {
    /// It was written, or could not be.
    Written(io::Result<Arc<Spilled>>),
    /// It was read, but for a rest that would take too much memory at once, and for what is missing. Whether that is lost
    /// is for the queue to say, which knows whether it still waits for the page.
    Read(Vec<Entry>, Option<Outline>, Option<Missing>),
    /// It was read; what is missing is lost.
    ReadSorted(RankedPage),
    /// It cannot be read at present.
    NotRead,
}

/// A page that was not found whole in the store, though nothing there is damaged.
#[derive(Clone, Copy, Debug)]
pub struct Missing {
    outline: Outline,
    found: usize,
}

impl Missing {
    /// Says so in the log.
    pub(super) fn tell(&self, queue: &str) {
        let (first, last) = (self.outline.first.0, self.outline.last.0);
        tracing::error!(
            %queue,
            expected = self.outline.messages,
            found = self.found,
            "messages between {first} and {last} are missing from the store"
        );
    }
}

/// Where pages are.
pub struct Shelves<'a> {
    /// The store; none for a broker that keeps everything in memory.
    pub records: Option<&'a dyn Records>,
    /// The place that a restart empties.
    pub spill: &'a Spill,
    /// The broker's time.
    pub clock: Clock,
    /// Bytes that a page should take in memory.
    pub page: u64,
}

impl Job {
    /// Does it. Blocks on the disk.
    pub fn carry_out(&self, shelves: &Shelves<'_>) -> Done {
        match &self.work {
            Work::Write(entries) => {
                Done::Written(codec::write(shelves.spill, entries).map(Arc::new))
            }
            Work::WriteSorted(entries) => {
                Done::Written(codec::write_sorted(shelves.spill, entries).map(Arc::new))
            }
            Work::Read(Source::Spilled(page), _) => {
                self.spilled(codec::read(page), |entries| Done::Read(entries, None, None))
            }
            Work::ReadSorted(page) => self.spilled(codec::read_sorted(page), Done::ReadSorted),
            Work::Read(Source::Stored, outline) => match shelves.records {
                Some(records) => self.read_stored(records, outline, shelves),
                None => Done::NotRead,
            },
        }
    }

    /// Bytes that wait to be written.
    pub fn writing(&self) -> u64 {
        match &self.work {
            Work::Write(entries) => entries.iter().map(Entry::weight).sum(),
            Work::WriteSorted(entries) => entries.iter().map(|(_, ranked)| ranked.weight()).sum(),
            Work::Read(..) | Work::ReadSorted(_) => 0,
        }
    }

    fn spilled<T: Default>(&self, read: io::Result<T>, done: impl FnOnce(T) -> Done) -> Done {
        let queue = self.owner.name();
        match read {
            Ok(entries) => done(entries),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::error!(%queue, %error, "messages that were paged out are lost");
                done(T::default())
            }
            Err(error) => {
                tracing::error!(%queue, %error, "cannot read messages that were paged out, trying again");
                Done::NotRead
            }
        }
    }

    fn read_stored(&self, records: &dyn Records, outline: &Outline, shelves: &Shelves<'_>) -> Done {
        let mut reading = StoredReading {
            owner: &*self.owner,
            records,
            outline,
            clock: shelves.clock,
            limit: 2 * shelves.page,
            entries: Vec::new(),
            weight: 0,
            damaged: false,
            rest: None,
        };
        let result = reading.run().and_then(|()| {
            if reading.is_whole() {
                return Ok(());
            }
            // The store was given all of it, but may not have committed the last of it.
            records.flush()?;
            reading.begin_anew();
            reading.run()
        });
        if let Err(error) = result {
            let queue = self.owner.name();
            tracing::error!(%queue, %error, "cannot read messages from the store, trying again");
            return Done::NotRead;
        }
        let missing = (!reading.is_whole()).then_some(Missing {
            outline: *outline,
            found: reading.entries.len(),
        });
        Done::Read(reading.entries, reading.rest, missing)
    }
}

/// A page on its way out of the store.
struct StoredReading<'a> {
    owner: &'a dyn Owner,
    records: &'a dyn Records,
    outline: &'a Outline,
    clock: Clock,
    /// Bytes in memory at which the rest waits for its turn: of what was not read since a restart it is not known how
    /// large its properties are.
    limit: u64,
    entries: Vec<Entry>,
    weight: u64,
    damaged: bool,
    rest: Option<Outline>,
}

impl StoredReading<'_> {
    fn begin_anew(&mut self) {
        self.entries.clear();
        self.weight = 0;
    }

    fn is_whole(&self) -> bool {
        self.damaged || self.rest.is_some() || self.entries.len() as u64 >= self.outline.messages
    }

    fn run(&mut self) -> Result<(), StorageError> {
        let expected = usize::try_from(self.outline.messages).unwrap_or(usize::MAX);
        let bytes = usize::try_from(self.limit.max(READ_BYTES)).unwrap_or(usize::MAX);
        let mut from = self.outline.first;
        while from <= self.outline.last && self.entries.len() < expected {
            if self.weight >= self.limit {
                self.rest = self.rest_from(from);
                return Ok(());
            }
            let missing = expected - self.entries.len();
            match self.records.read(self.owner.id(), from, missing, bytes) {
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

    fn rest_from(&self, first: Position) -> Option<Outline> {
        let bodies = self.entries.iter().map(|entry| entry.message.body().len());
        let taken = self.entries.len() as u64;
        Some(Outline {
            first,
            last: self.outline.last,
            messages: self
                .outline
                .messages
                .checked_sub(taken)
                .filter(|n| *n > 0)?,
            octets: self
                .outline
                .octets
                .saturating_sub(bodies.sum::<usize>() as u64),
        })
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
            self.weight += entry.weight();
            self.entries.push(entry);
        }
    }

    fn lost(&mut self, first: u64, last: u64, why: &str) {
        self.damaged = true;
        tracing::error!(
            queue = %self.owner.name(),
            "messages {first} to {last} in the store are {why}, and passed over"
        );
    }
}
