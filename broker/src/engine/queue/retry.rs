//! Delayed retry: how long messages that come back wait until they are ready again
//! (`x-delayed-retry-*`; RabbitMQ: "Delayed Retry", `rabbit_fifo:should_delay`).

use super::entry::{Return, Returns};
use leveret_protocol::content::MAX_EXPIRY_MS;
use std::fmt;
use std::time::Duration;

/// Which messages wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryKind {
    /// All that come back.
    All,
    /// Those whose delivery failed.
    Failed,
    /// Those that the client released otherwise.
    Returned,
}

impl RetryKind {
    /// The values of `x-delayed-retry-type`, including the one for none.
    pub const NAMES: [&'static str; 4] = ["all", "failed", "returned", "disabled"];

    /// Returns the kind with this name; `None` if nothing waits.
    pub fn of(name: &str) -> Option<RetryKind> {
        match name {
            "all" => Some(RetryKind::All),
            "failed" => Some(RetryKind::Failed),
            "returned" => Some(RetryKind::Returned),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            RetryKind::All => "all",
            RetryKind::Failed => "failed",
            RetryKind::Returned => "returned",
        }
    }

    fn includes(self, how: Return) -> bool {
        match how {
            Return::Unseen => false,
            Return::Released => self != RetryKind::Failed,
            Return::Failed => self != RetryKind::Returned,
        }
    }
}

/// The retry settings of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Which messages wait.
    pub kind: RetryKind,
    /// Milliseconds per failed delivery, and for a message that has none.
    pub min: u64,
    /// The maximum in milliseconds, even if it is less than `min`.
    pub max: u64,
}

impl Retry {
    /// Returns how long a message that comes back waits; `returns` includes this time. `None` if it is ready at once.
    pub fn delay(&self, how: Return, returns: Returns) -> Option<Duration> {
        let failures = u64::from(returns.failed.max(1));
        let millis = self.min.saturating_mul(failures).min(self.max);
        let wait = Duration::from_millis(millis.min(MAX_EXPIRY_MS));
        self.kind.includes(how).then_some(wait)
    }
}

/// As listings show it.
impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Retry { kind, min, max } = self;
        write!(f, "{} (min: {min}ms, max: {max}ms)", kind.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(kind: RetryKind, min: u64, max: u64) -> Retry {
        Retry { kind, min, max }
    }

    fn returns(failed: u16, released: u16) -> Returns {
        Returns { failed, released }
    }

    #[test]
    fn the_delay_grows_with_failures_alone_and_has_a_bound() {
        let retry = retry(RetryKind::All, 1000, 3500);
        let millis = |how, failed, released| {
            let delay = retry.delay(how, returns(failed, released));
            delay.map(|delay| delay.as_millis())
        };
        assert_eq!(millis(Return::Released, 0, 1), Some(1000));
        assert_eq!(millis(Return::Released, 0, 9), Some(1000));
        for (failed, expected) in [(1, 1000), (2, 2000), (3, 3000), (4, 3500), (2047, 3500)] {
            assert_eq!(millis(Return::Failed, failed, 0), Some(expected));
            assert_eq!(millis(Return::Released, failed, 1), Some(expected));
        }
        assert_eq!(millis(Return::Unseen, 1, 0), None);
    }

    #[test]
    fn the_kind_says_who_waits() {
        let waits = |kind, how| retry(kind, 1, 1).delay(how, returns(1, 1)).is_some();
        for (kind, released, failed) in [
            (RetryKind::All, true, true),
            (RetryKind::Failed, false, true),
            (RetryKind::Returned, true, false),
        ] {
            assert_eq!(waits(kind, Return::Released), released);
            assert_eq!(waits(kind, Return::Failed), failed);
            assert_eq!(RetryKind::of(kind.as_str()), Some(kind));
            assert!(RetryKind::NAMES.contains(&kind.as_str()));
        }
        assert_eq!(RetryKind::of("disabled"), None);
    }

    #[test]
    fn a_bound_below_the_least_delay_counts_and_no_delay_is_beyond_all_bounds() {
        let short = retry(RetryKind::All, 5000, 10).delay(Return::Failed, returns(1, 0));
        assert_eq!(short, Some(Duration::from_millis(10)));
        let long = retry(RetryKind::All, u64::MAX, u64::MAX).delay(Return::Failed, returns(2, 0));
        assert_eq!(long, Some(Duration::from_millis(MAX_EXPIRY_MS)));
    }

    #[test]
    fn it_is_shown_in_rabbitmqs_form() {
        let shown = retry(RetryKind::Failed, 1000, 30_000).to_string();
        assert_eq!(shown, "failed (min: 1000ms, max: 30000ms)");
    }
}
