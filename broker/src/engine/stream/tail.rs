//! The last messages of a stream, in memory: consumers at its end need no disk.

use super::record::Record;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes that a tail may hold, unless its last message alone is more.
const BYTES_MAX: usize = 256 * 1024;
/// Messages that a tail may hold.
const MESSAGES_MAX: usize = 1024;

/// Consecutive offsets up to the last one taken.
#[derive(Debug)]
pub struct Tail {
    first: u64,
    records: VecDeque<Arc<Record>>,
    bytes: usize,
}

impl Tail {
    /// An empty tail; the next message has offset `next`.
    pub fn new(next: u64) -> Self {
        Tail {
            first: next,
            records: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Bytes that it takes in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The offset of the first message that is here; of the next that comes when none is.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Adds the message of the next offset; the oldest may have to go.
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

    /// Drops everything: the next message has offset `next`.
    pub fn clear(&mut self, next: u64) {
        *self = Tail::new(next);
    }

    /// Messages from `from` to before `end`, at most `max` of them; `from` must not be before
    /// [`Tail::first`].
    pub fn read(&self, from: u64, end: u64, max: usize) -> Vec<(u64, Arc<Record>)> {
        let skip = usize::try_from(from - self.first).unwrap_or(usize::MAX);
        let offsets = from..end;
        let records = self.records.iter().skip(skip).take(max);
        offsets.zip(records.cloned()).collect()
    }
}
