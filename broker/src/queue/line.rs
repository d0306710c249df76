//! Messages in the order of their positions.

use super::entry::Entry;
use leveret_storage::Position;
use std::collections::{BTreeMap, VecDeque};

/// Messages that never left stand in a plain queue; the few that were requeued stand in a map
/// beside it, so that a requeue keeps its position at the cost of a logarithm, not of a shift of
/// the whole backlog.
#[derive(Debug, Default)]
pub struct Line {
    fresh: VecDeque<Entry>,
    requeued: BTreeMap<Position, Entry>,
}

/// A queue that had a backlog keeps no more than this many empty places.
const KEPT_CAPACITY: usize = 256;

impl Line {
    /// Adds a message at its place: behind all that were ever added, as a rule, or where it was
    /// reserved before others came.
    pub fn insert(&mut self, entry: Entry) {
        match self.fresh.back() {
            Some(last) if last.position > entry.position => self.requeue(entry),
            _ => self.push(entry),
        }
    }

    /// Adds a message behind all that were ever added.
    pub fn push(&mut self, entry: Entry) {
        debug_assert!(
            self.fresh
                .back()
                .is_none_or(|last| last.position < entry.position)
        );
        self.fresh.push_back(entry);
    }

    /// Puts a message back where it was.
    pub fn requeue(&mut self, entry: Entry) {
        self.requeued.insert(entry.position, entry);
    }

    /// Takes the message with the lowest position.
    pub fn pop(&mut self) -> Option<Entry> {
        let requeued_first = match (self.requeued.first_key_value(), self.fresh.front()) {
            (Some((position, _)), Some(fresh)) => *position < fresh.position,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let entry = if requeued_first {
            self.requeued.pop_first().map(|(_, entry)| entry)
        } else {
            self.fresh.pop_front()
        }?;
        if self.fresh.is_empty() && self.fresh.capacity() > KEPT_CAPACITY {
            self.fresh.shrink_to(KEPT_CAPACITY);
        }
        Some(entry)
    }

    /// The message with the lowest position.
    pub fn first(&self) -> Option<&Entry> {
        match (self.requeued.first_key_value(), self.fresh.front()) {
            (Some((position, requeued)), Some(fresh)) if *position < fresh.position => {
                Some(requeued)
            }
            (Some((_, requeued)), None) => Some(requeued),
            (_, fresh) => fresh,
        }
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        self.fresh.len() + self.requeued.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.requeued.is_empty()
    }
}
