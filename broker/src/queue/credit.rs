//! Prefetch (RabbitMQ: "Consumer Prefetch"): how many deliveries may be unacknowledged, counted
//! for one consumer or for a whole channel.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A prefetch count with what is used of it.
///
/// Queues take from it under their own locks, the connection gives back. Whoever is refused
/// leaves a mark, so that giving back knows whether anyone waits.
#[derive(Debug, Default)]
pub struct Credit {
    /// Deliveries allowed at a time; 0 for no limit.
    limit: AtomicU32,
    used: AtomicU32,
    refused: AtomicBool,
}

impl Credit {
    /// Credit for `limit` deliveries; 0 for no limit.
    pub fn new(limit: u32) -> Self {
        Credit {
            limit: AtomicU32::new(limit),
            ..Credit::default()
        }
    }

    /// Takes one. `false` leaves the mark that somebody was refused.
    pub fn take(&self) -> bool {
        if self.try_take() {
            return true;
        }
        self.refused.store(true, Ordering::SeqCst);
        // What was given back before the mark stood was given without a look at it.
        self.try_take()
    }

    fn try_take(&self) -> bool {
        let limit = self.limit.load(Ordering::SeqCst);
        if limit == 0 {
            self.used.fetch_add(1, Ordering::SeqCst);
            return true;
        }
        let below = |used| (used < limit).then_some(used + 1);
        self.used
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, below)
            .is_ok()
    }

    /// Gives `count` back. `true` when somebody was refused since the last time.
    #[must_use = "whoever was refused waits to be told"]
    pub fn give_back(&self, count: u32) -> bool {
        let less = |used: u32| Some(used.saturating_sub(count));
        // The closure always answers Some.
        let _ = self
            .used
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        self.refused.load(Ordering::SeqCst) && self.refused.swap(false, Ordering::SeqCst)
    }

    /// Sets another limit; 0 for none. What is out already stays out.
    pub fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Ordering::SeqCst);
    }

    /// The limit; 0 for none.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::SeqCst)
    }

    /// Deliveries that count against it now.
    pub fn used(&self) -> u32 {
        self.used.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_never_exceeded_and_a_refusal_is_remembered_once() {
        let credit = Credit::new(2);
        assert!(credit.take() && credit.take());
        assert!(!credit.take());
        assert!(credit.give_back(1));
        assert!(credit.take());
        assert!(!credit.give_back(1));
    }

    #[test]
    fn zero_means_no_limit_but_is_counted() {
        let credit = Credit::new(0);
        for _ in 0..100 {
            assert!(credit.take());
        }
        assert_eq!(credit.used(), 100);
        credit.set_limit(5);
        assert!(!credit.take());
    }
}
