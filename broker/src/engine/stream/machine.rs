//! The rules of a stream, without sockets, clock or I/O.
//!
//! Messages get their offsets here, and their records go to the store in that order. What the
//! store says is committed may be delivered; cursors that have come to the end wait here for more.

use super::committed::Committed;
use super::cursor::Cursor;
use super::record::Record;
use super::start::StartAt;
use super::tail::Tail;
use super::tails::{Change, Counted};
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
    /// When the last message came: milliseconds since the epoch. Time does not run back here.
    now: u64,
    cursors: BTreeMap<ConsumerId, Arc<Cursor>>,
    /// Who has come to the end.
    waiting: BTreeSet<ConsumerId>,
    deleted: bool,
}

/// Where a cursor finds what comes next.
#[derive(Debug)]
pub enum Ahead {
    /// Here.
    Tail(Vec<(u64, Arc<Record>)>),
    /// In the store, up to this offset, itself not included.
    Stored {
        /// Where to begin.
        from: u64,
        /// Where to stop.
        end: u64,
    },
    /// Nowhere yet: the cursor waits.
    Nothing,
}

/// Where a consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The first offset that it may see.
    pub offset: u64,
    /// What came earlier than this it does not see: milliseconds since the epoch.
    pub not_before: u64,
}

impl Machine {
    /// An empty stream whose first message will have offset `next`.
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

    /// Takes over what the store kept across a restart.
    pub fn restore(&mut self, units: Vec<Unit>) {
        self.now = units.last().map_or(0, |unit| unit.last_time);
        self.units = Units::restore(units);
    }

    /// The stream is set to something else from now on.
    pub fn configure(&mut self, settings: &Settings, now: u64, fx: &mut Effects) {
        self.retention = Retention::of(settings);
        self.retain(now, fx);
    }

    /// Bytes that a unit has.
    pub fn unit_bytes(&self) -> u64 {
        self.retention.unit_bytes
    }

    /// Adds messages that come at `now` (milliseconds since the epoch) and records them; their
    /// tokens come back from the store. Returns their offsets; none when the stream was deleted.
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

    /// How much larger or smaller the tail is than was counted, where that is worth counting.
    pub fn tail_change(&mut self) -> Option<Change> {
        self.counted.change(self.tail.bytes())
    }

    /// Drops the tail: what is in it is read from the store from now on.
    pub fn drop_tail(&mut self) {
        self.tail.clear(self.next);
    }

    /// Forgets what has become too much or too old.
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

    /// The store has these offsets. Returns the cursors that can go on.
    pub fn committed(&mut self, offsets: Range<u64>) -> Vec<Arc<Cursor>> {
        if self.deleted || !self.committed.add(offsets.start, offsets.end) {
            return Vec::new();
        }
        let waiting = std::mem::take(&mut self.waiting);
        let found = waiting.iter().filter_map(|id| self.cursors.get(id));
        found.cloned().collect()
    }

    /// Where a consumer begins that asks for this.
    pub fn place(&self, start: StartAt) -> Place {
        let (first, end) = (self.first(), self.committed.end());
        let at = |offset| (offset, 0);
        let (offset, not_before) = match start {
            StartAt::First => at(first),
            StartAt::Last => at(end.saturating_sub(1).max(first)),
            StartAt::Next => at(end),
            StartAt::Offset(offset) => at(offset.max(first)),
            // A time to come is no time to wait for.
            StartAt::Time(time) => self.units.at_time(time).map_or((end, 0), |at| (at, time)),
        };
        Place { offset, not_before }
    }

    /// Adds a consumer; `None` when the stream was deleted.
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

    /// The cursors of these consumers.
    pub fn cursors(&self, ids: impl IntoIterator<Item = ConsumerId>) -> Vec<Arc<Cursor>> {
        let known = ids.into_iter().filter_map(|id| self.cursors.get(&id));
        known.cloned().collect()
    }

    /// What comes next for a consumer from `from` on, at most `max` messages of it. When that is
    /// nothing, the consumer is among those that [`Machine::committed`] returns later.
    pub fn ahead(&mut self, id: ConsumerId, from: u64, max: usize) -> Ahead {
        let from = from.max(self.first());
        let end = self.committed.end();
        if self.deleted || !self.cursors.contains_key(&id) {
            return Ahead::Nothing;
        }
        if from >= end {
            self.wait(id);
            return Ahead::Nothing;
        }
        if from >= self.tail.first() {
            return Ahead::Tail(self.tail.read(from, end, max));
        }
        Ahead::Stored { from, end }
    }

    /// A consumer cannot go on before something comes.
    pub fn wait(&mut self, id: ConsumerId) {
        if self.cursors.contains_key(&id) {
            self.waiting.insert(id);
        }
    }

    /// The first offset that is in the memory of this stream: without a store, all that is left.
    pub fn tail_first(&self) -> u64 {
        self.tail.first()
    }

    /// The first offset that is kept; the next one when there is nothing.
    pub fn first(&self) -> u64 {
        self.units.first().unwrap_or(self.next)
    }

    /// Ends the stream and lets its consumers go. `None` when it had ended.
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

    /// Whether the stream was deleted while somebody still held it.
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Numbers for listings: everything that is kept counts as ready and persistent, and nothing
    /// is ever unacknowledged.
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

    /// The consumers.
    pub fn consumers(&self) -> impl Iterator<Item = &Arc<Consumer>> {
        self.cursors.values().map(|cursor| &cursor.consumer)
    }
}
