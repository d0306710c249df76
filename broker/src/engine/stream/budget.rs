//! A budget of bytes that readers share; a reader that gets nothing reads later.

use std::sync::atomic::{AtomicU64, Ordering};

/// A budget with a fixed maximum.
#[derive(Debug)]
pub struct Budget {
    max: u64,
    used: AtomicU64,
}

impl Budget {
    /// Creates a budget of this many bytes, none of them used.
    pub fn new(max: u64) -> Self {
        Budget {
            max,
            used: AtomicU64::new(0),
        }
    }

    /// Takes bytes, all or none; returns whether there was room for them.
    #[must_use = "without room nothing was taken"]
    pub fn take(&self, bytes: u64) -> bool {
        let room = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.max);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .is_ok()
    }

    /// Returns bytes that were taken.
    pub fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Returns whether more than half is taken.
    pub fn is_short(&self) -> bool {
        self.used() > self.max / 2
    }

    /// Returns the bytes taken.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_cannot_be_taken() {
        let budget = Budget::new(10);
        assert!(budget.take(4) && budget.take(6));
        assert!(!budget.take(1) && budget.take(0));
        budget.give_back(6);
        assert!(!budget.take(7) && !budget.take(u64::MAX) && budget.take(6));
        assert_eq!(budget.used(), 10);
    }
}
