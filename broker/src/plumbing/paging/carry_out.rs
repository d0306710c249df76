//! Performing page jobs: on the disk, under no lock.

use super::codec;
use crate::engine::clock::Clock;
use crate::engine::queue::paging::{Job, JobResult, Missing, Outline, Owner, PageWork, Source};
use crate::engine::queue::{Entry, decode};
use leveret_storage::{Position, QueueId, Spill, StorageError, Store};
use std::io;
use std::sync::Arc;

/// The minimum number of bytes requested from the store at a time.
const READ_BYTES: u64 = 64 << 10;

/// The places where pages are stored.
pub struct PageStores<'a> {
    /// The store; `None` for a broker that keeps everything in memory.
    pub records: Option<&'a dyn Records>,
    /// The spill area, which is emptied on restart.
    pub spill: &'a Spill,
    /// The broker's time.
    pub clock: Clock,
    /// The intended memory size of a page, in bytes.
    pub page: u64,
}

impl Job {
    /// Performs the job. Blocks on the disk.
    pub(super) fn carry_out(&self, stores: &PageStores<'_>) -> JobResult {
        match &self.work {
            PageWork::Write(entries) => {
                JobResult::Written(codec::write(stores.spill, entries).map(Arc::new))
            }
            PageWork::WriteSorted(entries) => {
                JobResult::Written(codec::write_sorted(stores.spill, entries).map(Arc::new))
            }
            PageWork::Read(Source::Spilled(page), _) => self
                .spilled(codec::read(page), |entries| {
                    JobResult::Read(entries, None, None)
                }),
            PageWork::ReadSorted(page) => {
                self.spilled(codec::read_sorted(page), JobResult::ReadSorted)
            }
            PageWork::Read(Source::Stored, outline) => match stores.records {
                Some(records) => self.read_stored(records, outline, stores),
                None => JobResult::NotRead,
            },
        }
    }

    fn spilled<T: Default>(
        &self,
        read: io::Result<T>,
        done: impl FnOnce(T) -> JobResult,
    ) -> JobResult {
        let queue = self.owner.name();
        match read {
            Ok(entries) => done(entries),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::error!(%queue, %error, "messages that were paged out are damaged and lost");
                done(T::default())
            }
            Err(error) => {
                tracing::error!(%queue, %error, "cannot read messages that were paged out, retrying");
                JobResult::NotRead
            }
        }
    }

    fn read_stored(
        &self,
        records: &dyn Records,
        outline: &Outline,
        stores: &PageStores<'_>,
    ) -> JobResult {
        let mut reading = StoredReading {
            owner: &*self.owner,
            records,
            outline,
            clock: stores.clock,
            limit: 2 * stores.page,
            entries: Vec::new(),
            weight: 0,
            damaged: false,
            rest: None,
        };
        let result = reading.run().and_then(|()| {
            if reading.is_complete() {
                return Ok(());
            }
            // Everything was submitted to the store, but the last part may not be committed.
            records.flush()?;
            reading.begin_anew();
            reading.run()
        });
        if let Err(error) = result {
            let queue = self.owner.name();
            tracing::error!(%queue, %error, "cannot read messages from the store, retrying");
            return JobResult::NotRead;
        }
        let missing = (!reading.is_complete()).then_some(Missing {
            outline: *outline,
            found: reading.entries.len(),
        });
        JobResult::Read(reading.entries, reading.rest, missing)
    }
}

/// A page being read from the store.
struct StoredReading<'a> {
    owner: &'a dyn Owner,
    records: &'a dyn Records,
    outline: &'a Outline,
    clock: Clock,
    /// Memory in bytes at which the rest is left for later: the size of the properties of messages that were not read
    /// since a restart is unknown.
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

    /// Returns whether there is nothing more to read for now: not if messages are missing that were not reported as damaged.
    fn is_complete(&self) -> bool {
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
        let read = self.entries.len() as u64;
        Some(Outline {
            first,
            last: self.outline.last,
            messages: self.outline.messages.checked_sub(read).filter(|n| *n > 0)?,
            bytes: self
                .outline
                .bytes
                .saturating_sub(bodies.sum::<usize>() as u64),
        })
    }

    fn take(&mut self, read: Vec<(Position, bytes::Bytes)>) {
        for (position, bytes) in read {
            if position > self.outline.last {
                return;
            }
            let Some((message, expiry)) = decode(bytes) else {
                self.lost(
                    position.0,
                    position.0,
                    "not readable, perhaps because a newer version wrote them",
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
            "skipping stored messages {first} to {last}: they are {why}"
        );
    }
}

/// The read interface of the store; see [`leveret_storage::Store`].
pub trait Records: Send + Sync {
    /// See [`leveret_storage::Store::read`].
    ///
    /// # Errors
    /// See there.
    fn read(
        &self,
        queue: QueueId,
        from: Position,
        max_messages: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Position, bytes::Bytes)>, StorageError>;

    /// See [`leveret_storage::Store::flush`].
    ///
    /// # Errors
    /// See there.
    fn flush(&self) -> Result<(), StorageError>;
}

impl Records for Store {
    fn read(
        &self,
        queue: QueueId,
        from: Position,
        max_messages: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Position, bytes::Bytes)>, StorageError> {
        Store::read(self, queue, from, max_messages, max_bytes)
    }

    fn flush(&self) -> Result<(), StorageError> {
        Store::flush(self)
    }
}
