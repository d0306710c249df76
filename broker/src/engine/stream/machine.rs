//! The rules of a stream, without sockets, clock or I/O.
//!
//! Messages get their offsets here, and their records go to the store in that order. Committed
//! messages may be delivered; cursors that have reached the end wait here for more.

use super::committed::Committed;
use super::cursor::Cursor;
use super::record::Record;
use super::start::StartAt;
use super::tail::Tail;
use super::tail::{Change, Counted};
use super::units::{Retention, Unit, Units};
use crate::engine::message::SharedMessage;
use crate::engine::queue::{Consumer, ConsumerId, Counts, Effects, Settings};
use leveret_storage::{Op, Position, QueueId, Token};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// One stream.
#[derive(Debug)]
pub struct Machine {
    id: QueueId,
    retention: Retention,
    units: Units,
    tail: Tail,
    counted: Counted,
    /// The offset of the next message.
    next: u64,
    committed: Committed,
    /// When the last message arrived: milliseconds since the epoch. This never decreases.
    now: u64,
    cursors: BTreeMap<ConsumerId, Arc<Cursor>>,
    /// Consumers that have reached the end.
    waiting: BTreeSet<ConsumerId>,
    deleted: bool,
}

/// Where a cursor finds the next messages.
#[derive(Debug)]
pub enum NextMessages {
    /// Here.
    Tail(Vec<(u64, Arc<Record>)>),
    /// In the store.
    Stored {
        /// The first offset.
        from: u64,
        /// Where to stop, exclusive.
        end: u64,
    },
    /// There are none yet: the cursor waits.
    Nothing,
}

/// Where a stream begins and ends, and how it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The offset of the first message; that of the next one if there is none.
    pub first: u64,
    /// The offset after the last committed message.
    pub next: u64,
    /// The number of parts that are dropped as a whole.
    pub units: usize,
    /// Bytes of the messages as they are stored.
    pub bytes: u64,
}

/// Where a consumer starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartPosition {
    /// The first offset that it may see.
    pub offset: u64,
    /// Messages that arrived before this are skipped: milliseconds since the epoch.
    pub not_before: u64,
}

impl Machine {
    /// Creates an empty stream whose first message will have offset `next`.
    pub fn new(id: QueueId, settings: &Settings, next: u64) -> Self {
        Machine {
            id,
            retention: Retention::of(settings),
            units: Units::default(),
            tail: Tail::new(next),
            counted: Counted::default(),
            next,
            committed: Committed::through(next),
            now: 0,
            cursors: BTreeMap::new(),
            waiting: BTreeSet::new(),
            deleted: false,
        }
    }

    /// Restores what the store kept across a restart.
    pub fn restore(&mut self, units: Vec<Unit>) {
        self.now = units.last().map_or(0, |unit| unit.last_time);
        self.units = Units::restore(units);
    }

    /// Applies new settings.
    pub fn configure(&mut self, settings: &Settings, now: u64, fx: &mut Effects) {
        self.retention = Retention::of(settings);
        self.retain(now, fx);
    }

    /// Returns the size of a unit in bytes.
    pub fn unit_bytes(&self) -> u64 {
        self.retention.unit_bytes
    }

    /// Adds messages that arrive at `now` (milliseconds since the epoch) and records them; the
    /// store returns their tokens. Returns their offsets, an empty range if the stream was deleted.
    pub fn append(
        &mut self,
        messages: impl IntoIterator<Item = (SharedMessage, Option<Token>)>,
        now: u64,
        fx: &mut Effects,
    ) -> Range<u64> {
        self.now = self.now.max(now);
        let first = self.next;
        let mut unit_ended = false;
        for (message, token) in messages {
            if self.deleted {
                if let Some(token) = token {
                    fx.store(Op::Notify { token });
                }
                continue;
            }
            let record = Arc::new(Record {
                time: self.now,
                message,
            });
            let bytes = record.bytes() as u64;
            let unit_bytes = self.retention.unit_bytes;
            unit_ended |= self.units.add(self.next, self.now, bytes, unit_bytes);
            self.tail.push(record.clone());
            fx.store(Op::Publish {
                queue: self.id,
                position: Position(self.next),
                message: record,
                token,
            });
            self.next += 1;
        }
        if unit_ended {
            self.retain(self.now, fx);
        }
        first..self.next
    }

    /// Returns the change of the tail's size since it was counted, if it is worth counting.
    pub fn tail_change(&mut self) -> Option<Change> {
        self.counted.change(self.tail.bytes())
    }

    /// Drops the tail: its messages are read from the store from now on.
    pub fn drop_tail(&mut self) {
        self.tail.clear(self.next);
    }

    /// Drops what is too much or too old.
    pub fn retain(&mut self, now: u64, fx: &mut Effects) {
        let committed = self.committed.end();
        if let Some((first, end)) = self.units.retain(&self.retention, now, committed) {
            fx.store(Op::Ack {
                queue: self.id,
                first: Position(first),
                last: Position(end - 1),
            });
        }
    }

    /// Records that these offsets are committed. Returns the cursors that can continue.
    pub fn committed(&mut self, offsets: Range<u64>) -> Vec<Arc<Cursor>> {
        if self.deleted || !self.committed.add(offsets.start, offsets.end) {
            return Vec::new();
        }
        let waiting = std::mem::take(&mut self.waiting);
        let found = waiting.iter().filter_map(|id| self.cursors.get(id));
        found.cloned().collect()
    }

    /// Returns where a consumer with this request starts.
    pub fn place(&self, start: StartAt) -> StartPosition {
        let (first, end) = (self.first(), self.committed.end());
        let at = |offset| (offset, 0);
        let (offset, not_before) = match start {
            StartAt::First => at(first),
            StartAt::Last => at(end.saturating_sub(1).max(first)),
            StartAt::Next => at(end),
            StartAt::Offset(offset) => at(offset.max(first)),
            // Consumers do not wait for a future time.
            StartAt::Time(time) => self.units.at_time(time).map_or((end, 0), |at| (at, time)),
        };
        StartPosition { offset, not_before }
    }

    /// Adds a consumer; returns `None` if the stream was deleted.
    pub fn consume(&mut self, consumer: Arc<Consumer>, start: StartAt) -> Option<Arc<Cursor>> {
        if self.deleted {
            return None;
        }
        let cursor = Arc::new(Cursor::new(consumer, self.place(start)));
        self.cursors.insert(cursor.consumer.id, cursor.clone());
        Some(cursor)
    }

    /// Removes a consumer.
    pub fn cancel(&mut self, id: ConsumerId) -> Option<Arc<Cursor>> {
        self.waiting.remove(&id);
        self.cursors.remove(&id)
    }

    /// Returns the cursors of these consumers.
    pub fn cursors(&self, ids: impl IntoIterator<Item = ConsumerId>) -> Vec<Arc<Cursor>> {
        let known = ids.into_iter().filter_map(|id| self.cursors.get(&id));
        known.cloned().collect()
    }

    /// Returns what comes next for a consumer from `from` on, at most `max` messages. If that is
    /// nothing, [`Machine::committed`] returns the consumer later.
    pub fn ahead(&mut self, id: ConsumerId, from: u64, max: usize) -> NextMessages {
        let from = from.max(self.first());
        let end = self.committed.end();
        if self.deleted || !self.cursors.contains_key(&id) {
            return NextMessages::Nothing;
        }
        if from >= end {
            self.wait(id);
            return NextMessages::Nothing;
        }
        if from >= self.tail.first() {
            return NextMessages::Tail(self.tail.read(from, end, max));
        }
        NextMessages::Stored { from, end }
    }

    /// Lets a consumer wait for more messages.
    pub fn wait(&mut self, id: ConsumerId) {
        if self.cursors.contains_key(&id) {
            self.waiting.insert(id);
        }
    }

    /// Returns the first offset in memory: without a store, all that is left.
    pub fn tail_first(&self) -> u64 {
        self.tail.first()
    }

    /// Returns the first offset that is kept; the next one if there is none.
    pub fn first(&self) -> u64 {
        self.units.first().unwrap_or(self.next)
    }

    /// Deletes the stream and returns its cursors. `None` if it was deleted before.
    pub fn delete(&mut self, fx: &mut Effects) -> Option<Vec<Arc<Cursor>>> {
        if self.deleted {
            return None;
        }
        self.deleted = true;
        self.units.clear();
        self.tail.clear(self.next);
        self.waiting.clear();
        fx.store(Op::DeleteQueue { queue: self.id });
        Some(std::mem::take(&mut self.cursors).into_values().collect())
    }

    /// Returns whether the stream was deleted while others still hold it.
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Returns counts for listings: everything that is kept counts as ready and persistent, and
    /// nothing is ever unacknowledged.
    pub fn counts(&self) -> Counts {
        let messages = self.committed.end().saturating_sub(self.first());
        let bytes = self.units.bytes();
        Counts {
            ready: messages,
            persistent: messages,
            persistent_bytes: bytes,
            ready_bytes: bytes,
            consumers: self.cursors.len() as u64,
            ..Counts::default()
        }
    }

    /// Returns where it begins and ends, and in how many parts it is kept.
    pub fn extent(&self) -> Extent {
        Extent {
            first: self.first(),
            next: self.committed.end().max(self.first()),
            units: self.units.len(),
            bytes: self.units.bytes(),
        }
    }

    /// Returns the cursors of all consumers.
    pub fn all_cursors(&self) -> Vec<Arc<Cursor>> {
        self.cursors.values().cloned().collect()
    }

    /// Returns whether messages are on their way to the store.
    pub fn awaits_commit(&self) -> bool {
        !self.deleted && self.committed.end() < self.next
    }

    /// Iterates over the consumers.
    pub fn consumers(&self) -> impl Iterator<Item = &Arc<Consumer>> {
        self.cursors.values().map(|cursor| &cursor.consumer)
    }
}
