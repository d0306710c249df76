//! Cursors: a consumer's position in a stream, and how it advances.
//!
//! A cursor takes turns on the threads of [`StreamReaders`], one at a time. In a turn it delivers
//! what it has read ahead while its consumer has credit, and reads on. It stops when there is no
//! more credit (the connection resumes it), at the end of the stream (the stream resumes it), or
//! after its share of the disk (it goes to the end of the queue).
//!
//! Nothing is read that may not be delivered. What was read beyond that, since a read yields many messages, is kept for
//! the next turn if the shared budget of all cursors has room for it, and otherwise dropped and read again.

use super::budget::Budget;
use super::filter::Filter;
use super::handle::Stream;
use super::machine::{NextMessages, StartPosition};
use super::record::{Record, Stored};
use super::tails::Tails;
use crate::engine::message::SharedMessage;
use crate::engine::queue::{Consumer, Entry};
use bytes::Bytes;
use leveret_storage::{Position, StorageError};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Messages read at a time.
const READ_MESSAGES: usize = 512;
/// Bytes read at a time, unless one message is more.
pub(super) const READ_BYTES: usize = 256 * 1024;
/// Messages read at a time by a cursor that had to drop what it had read.
const READ_FEW: usize = 8;
/// The maximum number of reads in one turn.
const READS: usize = 8;
/// Deliveries between two checks whether the consumer is still wanted.
const BURST: usize = 64;

/// A consumer's position in a stream.
#[derive(Debug)]
pub struct Cursor {
    /// Its consumer.
    pub consumer: Arc<Consumer>,
    filter: Filter,
    /// Held for a whole turn, which reads from the disk: never locked elsewhere.
    progress: Mutex<Progress>,
    /// Whether the consumer was cancelled. Locked while messages are put into the mailbox, so that
    /// none follows the cancellation.
    closed: Mutex<bool>,
    /// The offset of the next message for the consumer, as of its last turn: readable during a turn.
    at: AtomicU64,
    pub(crate) schedule: Schedule,
}

#[derive(Debug)]
struct Progress {
    /// The first offset not examined yet.
    next: u64,
    /// Earlier messages are skipped: milliseconds since the epoch.
    not_before: u64,
    /// Messages read and not delivered: at most one read.
    ahead: VecDeque<Entry>,
    /// Bytes that `ahead` takes.
    ahead_bytes: u64,
    /// Bytes of the shared budget that it takes between turns.
    budgeted: u64,
    /// There was no room for them recently: less is read at a time.
    scarce: bool,
    /// The credit for one delivery was taken from the consumer and not used yet.
    has_turn: bool,
    /// Messages delivered and read from disk in this turn.
    delivered: u64,
    read: u64,
}

/// The threads that give cursors their turns.
pub trait StreamReaders: Send + Sync {
    /// Gives a cursor a turn.
    fn call(&self, cursor: Arc<Cursor>);

    /// Returns the tails of all streams that are read here.
    fn tails(&self) -> &Tails;
}

/// The result of a read: messages in order, or `None` without a store.
pub(super) type Read = Result<Option<Vec<(Position, Bytes)>>, StorageError>;

/// A source that a stream is read from.
pub trait Source {
    /// Returns messages from an offset on: at most `max`, and at least one if there are any.
    ///
    /// # Errors
    /// See [`leveret_storage::Store::read`].
    fn read(&self, from: u64, max: usize) -> Read;
}

/// What follows a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterTurn {
    /// Another turn.
    Again,
    /// Nothing, until it is called.
    Idle,
}

/// Why delivering stopped.
enum Stopped {
    Empty,
    Refused,
    Closed,
}

impl Cursor {
    pub(super) fn new(consumer: Arc<Consumer>, place: StartPosition) -> Self {
        Cursor {
            filter: Filter::of(&consumer.arguments.table()),
            consumer,
            progress: Mutex::new(Progress {
                next: place.offset,
                not_before: place.not_before,
                ahead: VecDeque::new(),
                ahead_bytes: 0,
                budgeted: 0,
                scarce: false,
                has_turn: false,
                delivered: 0,
                read: 0,
            }),
            closed: Mutex::new(false),
            at: AtomicU64::new(place.offset),
            schedule: Schedule::default(),
        }
    }

    /// Closes the cursor: nothing is delivered from now on.
    pub fn close(&self) {
        *self.closed.lock() = true;
    }

    /// Returns the offset of the next message for the consumer, as of its last turn. Those before it were delivered, or
    /// passed over.
    pub fn offset(&self) -> u64 {
        self.at.load(Ordering::Relaxed)
    }

    /// Takes one turn.
    pub fn turn(&self, stream: &Stream, source: &impl Source) -> AfterTurn {
        let mut progress = self.progress.lock();
        let budget = self.consumer.mailbox.read_ahead();
        progress.leave(budget);
        let after = self.advance(&mut progress, stream, source);
        self.at.store(progress.undelivered(), Ordering::Relaxed);
        progress.keep(budget);
        if std::mem::take(&mut progress.has_turn) {
            self.consumer.give_back_turn();
        }
        let counts = (
            std::mem::take(&mut progress.delivered),
            std::mem::take(&mut progress.read),
        );
        stream.count_delivered(&self.consumer, counts);
        after
    }

    fn advance(&self, progress: &mut Progress, stream: &Stream, source: &impl Source) -> AfterTurn {
        for _ in 0..READS {
            match self.deliver(progress) {
                Stopped::Empty => {}
                Stopped::Refused | Stopped::Closed => return AfterTurn::Idle,
            }
            if !self.take_turn(progress) {
                return AfterTurn::Idle;
            }
            let max = if progress.scarce {
                READ_FEW
            } else {
                READ_MESSAGES
            };
            match stream.ahead(self.consumer.id, progress.next, max) {
                NextMessages::Nothing => return AfterTurn::Idle,
                NextMessages::Tail(records) => self.take_records(progress, records),
                NextMessages::Stored { from, end } => {
                    progress.next = progress.next.max(from);
                    if !self.take_read(stream, progress, source.read(from, max), end) {
                        return AfterTurn::Idle;
                    }
                }
            }
        }
        AfterTurn::Again
    }

    /// Returns whether the consumer may get a message, or its credit was taken before.
    fn take_turn(&self, progress: &mut Progress) -> bool {
        progress.has_turn = progress.has_turn || self.consumer.take_turn_or_block();
        progress.has_turn
    }

    /// Puts what was read into the consumer's mailbox.
    fn deliver(&self, progress: &mut Progress) -> Stopped {
        let mailbox = &self.consumer.mailbox;
        let mut wake = false;
        let stopped = loop {
            let closed = self.closed.lock();
            if *closed {
                progress.clear();
                break Stopped::Closed;
            }
            match self.burst(progress, &mut wake) {
                Some(stopped) => break stopped,
                None => drop(closed),
            }
        };
        if wake {
            mailbox.wake();
        }
        stopped
    }

    fn burst(&self, progress: &mut Progress, wake: &mut bool) -> Option<Stopped> {
        for _ in 0..BURST {
            if progress.ahead.is_empty() {
                return Some(Stopped::Empty);
            }
            if !self.take_turn(progress) {
                return Some(Stopped::Refused);
            }
            progress.has_turn = false;
            let entry = progress.pop()?;
            match self.consumer.mailbox.deliver(&self.consumer, entry) {
                Ok(owed) => {
                    progress.delivered += 1;
                    *wake |= owed;
                }
                Err(_) => return Some(Stopped::Closed),
            }
        }
        None
    }

    fn take_records(&self, progress: &mut Progress, records: Vec<(u64, Arc<Record>)>) {
        for (offset, record) in records {
            progress.next = offset + 1;
            if progress.is_wanted(record.time)
                && let Some(message) = record.deliverable(offset, &self.filter)
            {
                progress.push(offset, message);
            }
        }
    }

    /// Processes what was read from the store; returns false if the read failed.
    fn take_read(&self, stream: &Stream, progress: &mut Progress, read: Read, end: u64) -> bool {
        match read {
            Ok(Some(stored)) => {
                self.take_stored(stream, progress, stored, end);
                true
            }
            Ok(None) => {
                progress.next = stream.skip_lost();
                true
            }
            Err(StorageError::DamagedMessages { first, last, .. }) => {
                tracing::error!(
                    stream = %self.consumer.queue.name(), first = first.0, last = last.0,
                    "skipping messages of a stream that are damaged on disk"
                );
                progress.next = progress.next.max(last.0 + 1);
                true
            }
            Err(StorageError::Closed) => false,
            Err(error) => {
                tracing::error!(stream = %self.consumer.queue.name(), %error, "cannot read a stream from the store, retrying");
                stream.wait(self.consumer.id);
                false
            }
        }
    }

    fn take_stored(
        &self,
        stream: &Stream,
        progress: &mut Progress,
        stored: Vec<(Position, Bytes)>,
        end: u64,
    ) {
        if stored.is_empty() {
            // These are missing: they were never written, or are gone.
            progress.next = end;
        }
        progress.read += stored.len() as u64;
        for (position, bytes) in stored {
            if position.0 >= end {
                progress.next = end;
                return;
            }
            progress.next = position.0 + 1;
            let message = Stored::new(bytes).map(|stored| {
                if progress.is_wanted(stored.time) {
                    stored.deliverable(position.0, &self.filter)
                } else {
                    Ok(None)
                }
            });
            match message {
                Some(Ok(Some(message))) => progress.push(position.0, message),
                Some(Ok(None)) => {}
                Some(Err(_)) | None => stream.complain(position.0, &self.consumer.queue),
            }
        }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        let budget = self.consumer.mailbox.read_ahead();
        self.progress.get_mut().leave(budget);
    }
}

impl Progress {
    /// Returns the first offset that was not delivered, and may have to be.
    fn undelivered(&self) -> u64 {
        let first = self.ahead.front();
        first.map_or(self.next, |entry| entry.position.0)
    }

    fn is_wanted(&mut self, time: u64) -> bool {
        let wanted = time >= self.not_before;
        if wanted {
            // All that follow are later.
            self.not_before = 0;
        }
        wanted
    }

    fn push(&mut self, offset: u64, message: SharedMessage) {
        let entry = Entry::new(Position(offset), message);
        self.ahead_bytes += entry.weight();
        self.ahead.push_back(entry);
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.ahead.pop_front()?;
        self.ahead_bytes -= entry.weight();
        Some(entry)
    }

    fn clear(&mut self) {
        self.ahead = VecDeque::new();
        self.ahead_bytes = 0;
    }

    /// Begins a turn: what was kept is at most one read, which every thread may have.
    fn leave(&mut self, budget: &Budget) {
        budget.give_back(std::mem::take(&mut self.budgeted));
    }

    /// Ends a turn: undelivered messages are kept if there is room for them, and otherwise read
    /// again.
    fn keep(&mut self, budget: &Budget) {
        let Some(first) = self.ahead.front() else {
            self.scarce &= budget.is_short();
            return;
        };
        self.scarce = !budget.take(self.ahead_bytes);
        if self.scarce {
            self.next = first.position.0;
            self.clear();
        } else {
            self.budgeted = self.ahead_bytes;
        }
    }
}

/// Whether a cursor has a turn or waits for one: it is in one place at a time.
#[derive(Debug, Default)]
pub struct Schedule(AtomicU8);

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
const RUNNING_CALLED_AGAIN: u8 = 3;

impl Schedule {
    /// Requests a turn. Returns true if the caller has to queue the cursor.
    pub fn call(&self) -> bool {
        let called = |state| match state {
            IDLE => Some(QUEUED),
            RUNNING => Some(RUNNING_CALLED_AGAIN),
            _ => None,
        };
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, called)
            == Ok(IDLE)
    }

    /// Begins a turn: the cursor was dequeued.
    pub fn begin(&self) {
        self.0.store(RUNNING, Ordering::Release);
    }

    /// Ends a turn. Returns true if the caller has to queue the cursor again.
    pub fn end(&self, after: AfterTurn) -> bool {
        let ended = |state| match (state, after) {
            (RUNNING, AfterTurn::Idle) => Some(IDLE),
            _ => Some(QUEUED),
        };
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, ended)
            .is_ok_and(|before| before != RUNNING || after == AfterTurn::Again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_during_a_turn_means_another() {
        let schedule = Schedule::default();
        assert!(schedule.call() && !schedule.call());
        schedule.begin();
        assert!(!schedule.end(AfterTurn::Idle));
        assert!(schedule.call());
        schedule.begin();
        assert!(!schedule.call());
        assert!(schedule.end(AfterTurn::Idle));
        schedule.begin();
        assert!(schedule.end(AfterTurn::Again));
        assert!(!schedule.call());
    }
}
