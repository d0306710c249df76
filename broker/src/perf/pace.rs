//! A limit on messages per second.

use std::time::Duration;

const SECOND: u128 = 1_000_000_000;

/// Calculates when the next messages are due. Times are nanoseconds of [`super::meter::now`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The number of messages per second; 0 for no limit.
    rate: u64,
    start: u64,
    done: u64,
}

impl Pace {
    /// Creates the n-th of `of` limits that begin at `start`: their first messages are spread out
    /// instead of all being due at the same moment.
    pub(super) fn new(rate: Option<u64>, start: u64, (n, of): (u32, u32)) -> Self {
        let rate = rate.unwrap_or(0);
        let step = SECOND.checked_div(u128::from(rate)).unwrap_or(0);
        let offset = step * u128::from(n) / u128::from(of.max(1));
        Pace {
            rate,
            start: start + offset as u64,
            done: 0,
        }
    }

    pub(super) fn is_limited(&self) -> bool {
        self.rate > 0
    }

    /// Returns how many messages are due.
    pub(super) fn due(&self, now: u64) -> u64 {
        if self.rate == 0 {
            return u64::MAX;
        }
        let Some(elapsed) = now.checked_sub(self.start) else {
            return 0;
        };
        let until_now = u128::from(elapsed) * u128::from(self.rate) / SECOND + 1;
        (until_now as u64).saturating_sub(self.done)
    }

    /// Returns when the n-th of the remaining messages was or will be due.
    pub(super) fn due_at(&self, n: u64) -> u64 {
        let steps = u128::from(self.done + n) * SECOND;
        self.start + steps.div_ceil(u128::from(self.rate.max(1))) as u64
    }

    /// Returns how long nothing will be due.
    pub(super) fn wait(&self, now: u64) -> Duration {
        match self.rate {
            0 => Duration::ZERO,
            _ => Duration::from_nanos(self.due_at(0).saturating_sub(now)),
        }
    }

    /// Records messages as done.
    pub(super) fn advance(&mut self, messages: u64) {
        self.done += messages;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_everything_is_due() {
        let pace = Pace::new(None, 5, (0, 1));
        assert!(!pace.is_limited());
        assert_eq!((pace.due(5), pace.wait(5)), (u64::MAX, Duration::ZERO));
    }

    #[test]
    fn messages_are_due_one_after_the_other() {
        let mut pace = Pace::new(Some(1000), 7, (0, 1));
        assert_eq!(pace.due(7), 1);
        pace.advance(1);
        assert_eq!((pace.due(7), pace.wait(7)), (0, Duration::from_millis(1)));
        assert_eq!(pace.due(1_000_006), 0);
        assert_eq!(pace.due(1_000_007), 1);
        // After a delay of a second, all of them are due, each at its own time.
        assert_eq!(pace.due(1_000_000_007), 1000);
        assert_eq!(pace.due_at(999), 1_000_000_007);
    }

    #[test]
    fn when_something_is_due_agrees_with_how_much_is() {
        for rate in [1, 3, 7, 999, 1_000_003, 3_000_000_000] {
            let mut pace = Pace::new(Some(rate), 11, (0, 1));
            for _ in 0..1000 {
                let at = pace.due_at(0);
                assert!(pace.due(at) > 0, "{rate}: {pace:?}");
                assert!(
                    at == 11 || rate > 1_000_000_000 || pace.due(at - 1) == 0,
                    "{rate}: {pace:?}"
                );
                pace.advance(1);
            }
        }
    }

    #[test]
    fn publishers_do_not_begin_at_the_same_moment() {
        let second = Pace::new(Some(10), 0, (1, 4));
        assert_eq!((second.due(0), second.due(25_000_000)), (0, 1));
    }
}
