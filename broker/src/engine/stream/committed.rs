//! Up to where a stream's log is whole: only that much is delivered, so that what a consumer has
//! seen is there after a crash too.
//!
//! Batches become durable in the order in which they were submitted, and that is the order of
//! offsets but for transactions, which take their places before they are submitted. So what is
//! durable behind a gap waits for the gap to close.

use std::collections::BTreeMap;

/// What is committed.
#[derive(Debug, Default)]
pub struct Committed {
    /// Everything before this offset.
    end: u64,
    /// Ranges behind a gap: first offset, and the one behind the last.
    beyond: BTreeMap<u64, u64>,
}

impl Committed {
    /// Everything before `end`.
    pub fn through(end: u64) -> Self {
        Committed {
            end,
            beyond: BTreeMap::new(),
        }
    }

    /// The first offset that is not committed.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Offsets `first` up to, not including, `end` are committed; ranges come once each. `true`
    /// when the log is whole up to a later offset now.
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
