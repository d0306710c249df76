//! The last messages of a stream, in memory: consumers at its end do not need the disk.

use super::record::Record;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes that a tail may hold, unless its last message alone is larger.
const BYTES_MAX: usize = 256 * 1024;
/// Messages that a tail may hold.
const MESSAGES_MAX: usize = 1024;

/// Messages with consecutive offsets up to the last one added.
#[derive(Debug)]
pub struct Tail {
    first: u64,
    records: VecDeque<Arc<Record>>,
    bytes: usize,
}

impl Tail {
    /// Creates an empty tail; the next message has offset `next`.
    pub fn new(next: u64) -> Self {
        Tail {
            first: next,
            records: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Returns the bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the offset of its first message; of the next one to arrive if it is empty.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Adds the message with the next offset; the oldest may have to go.
    pub fn push(&mut self, record: Arc<Record>) {
        self.bytes += record.weight();
        self.records.push_back(record);
        while self.records.len() > 1
            && (self.bytes > BYTES_MAX || self.records.len() > MESSAGES_MAX)
        {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some(gone) = self.records.pop_front() {
            self.bytes -= gone.weight();
            self.first += 1;
        }
    }

    /// Drops everything; the next message has offset `next`.
    pub fn clear(&mut self, next: u64) {
        *self = Tail::new(next);
    }

    /// Returns at most `max` messages from `from` to `end` (exclusive); `from` must not be before
    /// [`Tail::first`].
    pub fn read(&self, from: u64, end: u64, max: usize) -> Vec<(u64, Arc<Record>)> {
        let skip = usize::try_from(from - self.first).unwrap_or(usize::MAX);
        let offsets = from..end;
        let records = self.records.iter().skip(skip).take(max);
        offsets.zip(records.cloned()).collect()
    }
}

/// The minimum change that is counted.
const STEP: usize = 4 << 10;

/// The counted size of a stream's tail.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted(usize);

impl Counted {
    /// Records that a tail has this size now. Returns the change, if it is large enough to be
    /// counted.
    pub fn change(&mut self, bytes: usize) -> Option<Change> {
        let is_small = bytes.abs_diff(self.0) < STEP;
        if is_small && bytes > 0 && self.0 > 0 {
            return None;
        }
        let before = std::mem::replace(&mut self.0, bytes);
        (before != bytes).then_some(Change { before, now: bytes })
    }
}

/// The growth or shrinkage of a tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it has to be counted"]
pub struct Change {
    pub(super) before: usize,
    pub(super) now: usize,
}
