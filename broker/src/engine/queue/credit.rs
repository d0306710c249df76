//! Prefetch (RabbitMQ: "Consumer Prefetch"): how many deliveries may be unacknowledged, for one
//! consumer or for a whole channel.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A prefetch count and how much of it is used.
///
/// Queues take credit under their own locks, the connection releases it. A refused queue leaves a
/// mark, so that the connection knows whether anyone waits.
///
/// A channel's credit is taken by several queues. While any of them waits, the connection releases
/// only what it hands to the one whose turn it is: [`Credit::hold_rest`].
#[derive(Debug, Default)]
pub struct Credit {
    /// The number of unacknowledged deliveries allowed; 0 for no limit.
    limit: AtomicU32,
    used: AtomicU32,
    /// A taker was refused.
    awaited: AtomicBool,
}

impl Credit {
    /// Creates credit for `limit` deliveries; 0 for no limit.
    pub fn new(limit: u32) -> Self {
        Credit {
            limit: AtomicU32::new(limit),
            ..Credit::default()
        }
    }

    /// Takes one. If refused, leaves the mark and returns false.
    pub fn take(&self) -> bool {
        self.or_mark(Credit::try_take)
    }

    /// Returns whether one could be taken, for a delivery that takes none. If not, leaves the mark.
    pub fn has_room(&self) -> bool {
        self.or_mark(|credit| !credit.is_full())
    }

    fn or_mark(&self, attempt: impl Fn(&Self) -> bool) -> bool {
        if attempt(self) {
            return true;
        }
        self.awaited.store(true, Ordering::SeqCst);
        // Credit released before the mark was set was released without checking it.
        attempt(self)
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

    /// Returns whether none is left.
    pub fn is_full(&self) -> bool {
        let limit = self.limit.load(Ordering::SeqCst);
        limit > 0 && self.used.load(Ordering::SeqCst) >= limit
    }

    /// Releases `count`. Returns whether a taker was refused since the last time.
    #[must_use = "whoever was refused waits to be told"]
    pub fn give_back(&self, count: u32) -> bool {
        self.put_back(count);
        self.is_awaited() && self.awaited.swap(false, Ordering::SeqCst)
    }

    /// Releases `count` without touching the mark.
    pub fn put_back(&self, count: u32) {
        let less = |used: u32| Some(used.saturating_sub(count));
        // The closure always returns Some.
        let _ = self
            .used
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
    }

    /// Returns whether a taker was refused and has not been resumed yet.
    pub fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::SeqCst)
    }

    /// Sets or clears the mark that somebody waits.
    pub fn set_awaited(&self, awaited: bool) {
        self.awaited.store(awaited, Ordering::SeqCst);
    }

    /// Releases `count`, then takes all that is left and returns how much that is, to be released
    /// piece by piece. Takes nothing if there is no limit.
    pub fn hold_rest(&self, count: u32) -> u32 {
        let limit = self.limit.load(Ordering::SeqCst);
        let all = |used: u32| Some(used.saturating_sub(count).max(limit));
        // The closure always returns Some.
        let (Ok(before) | Err(before)) =
            self.used
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, all);
        limit.saturating_sub(before.saturating_sub(count))
    }

    /// Sets the limit; 0 for none. Deliveries beyond it stay out.
    pub fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Ordering::SeqCst);
    }

    /// Returns the limit; 0 for none.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::SeqCst)
    }

    /// Returns the number of deliveries that count against it.
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
        assert_eq!((credit.hold_rest(1), credit.used()), (0, 99));
        assert!(credit.has_room());
        credit.set_limit(5);
        assert!(!credit.take() && !credit.has_room());
    }

    #[test]
    fn who_takes_nothing_is_refused_and_remembered_like_anybody() {
        let credit = Credit::new(1);
        assert!(credit.has_room() && credit.has_room() && credit.take());
        assert!(!credit.is_awaited());
        assert!(!credit.has_room());
        assert!(credit.give_back(1));
    }

    #[test]
    fn what_is_held_is_full_for_others_until_it_is_put_back() {
        let credit = Credit::new(3);
        assert!(credit.take());
        assert_eq!(credit.hold_rest(0), 2);
        assert!(credit.is_full() && credit.hold_rest(0) == 0);
        credit.set_limit(2);
        assert_eq!(
            (credit.hold_rest(1), credit.used()),
            (0, 2),
            "too much is out"
        );
        assert_eq!((credit.hold_rest(1), credit.used()), (1, 2));
        credit.set_limit(3);
        assert!(credit.take() && !credit.take());
        credit.put_back(1);
        assert!(credit.take() && credit.is_awaited());
    }
}
