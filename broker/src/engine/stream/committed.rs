//! How far a stream's log is committed without gaps: only that part is delivered, so that what a
//! consumer has seen survives a crash.
//!
//! Batches become durable in the order in which they were submitted, which is the order of offsets
//! except for transactions, which reserve their offsets before they are submitted. So what is
//! durable after a gap waits for the gap to close.

use std::collections::BTreeMap;

/// The committed offsets.
#[derive(Debug, Default)]
pub struct Committed {
    /// Everything before this offset.
    end: u64,
    /// Ranges after a gap: the first offset, and the one after the last.
    beyond: BTreeMap<u64, u64>,
}

impl Committed {
    /// Creates the state in which everything before `end` is committed.
    pub fn through(end: u64) -> Self {
        Committed {
            end,
            beyond: BTreeMap::new(),
        }
    }

    /// Returns the first offset that is not committed.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Records that offsets `first` to `end` (exclusive) are committed; each range comes once.
    /// Returns whether the log is now complete up to a later offset.
    pub fn add(&mut self, first: u64, end: u64) -> bool {
        if first > self.end {
            self.beyond.insert(first, end);
            return false;
        }
        let before = self.end;
        self.end = self.end.max(end);
        while let Some((_, end)) = self
            .beyond
            .first_entry()
            .filter(|entry| *entry.key() <= self.end)
            .map(|entry| entry.remove_entry())
        {
            self.end = self.end.max(end);
        }
        self.end > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_a_gap_waits_for_it_to_close() {
        let mut committed = Committed::through(5);
        assert!(committed.add(5, 7));
        assert!(!committed.add(9, 12));
        assert!(!committed.add(14, 15));
        assert_eq!(committed.end(), 7);
        assert!(committed.add(7, 9));
        assert_eq!(committed.end(), 12);
        assert!(committed.add(12, 14));
        assert_eq!(committed.end(), 15);
        assert!(committed.beyond.is_empty());
    }
}
