//! A limit on lines that anybody can cause.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// Lines that are logged at once.
const BURST: u32 = 20;
/// How often one more is.
const INTERVAL: Duration = Duration::from_secs(1);

/// Lets through some lines of one kind at once and then one a second, and counts the others: together they cannot fill a
/// disk.
#[derive(Debug, Default)]
pub struct LineLimit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How many lines were let through of which the pause is not over.
    recent: u32,
    /// When the last pause began.
    since: Option<Instant>,
    suppressed: u64,
}

impl LineLimit {
    /// Returns whether a line may be logged now: the number of those that were not, since the last one.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        let since = *state.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since).as_secs() / INTERVAL.as_secs();
        let over = u32::try_from(passed).unwrap_or(u32::MAX).min(state.recent);
        state.recent -= over;
        state.since = match state.recent {
            0 => Some(now),
            _ => Some(since + INTERVAL * over),
        };
        if state.recent >= BURST {
            state.suppressed += 1;
            return None;
        }
        state.recent += 1;
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_one_a_second() {
        let (limit, start) = (LineLimit::default(), Instant::now());
        let at = |tenths: u64| start + Duration::from_millis(100 * tenths);
        let admitted: Vec<_> = (0..100).filter_map(|_| limit.admit(start)).collect();
        assert_eq!(admitted, [0; BURST as usize]);
        assert_eq!(limit.admit(at(9)), None);
        assert_eq!(limit.admit(at(11)), Some(81));
        assert_eq!(limit.admit(at(12)), None);
        assert_eq!(limit.admit(at(21)), Some(1));
        let later = (0..100).filter(|_| limit.admit(at(10_000)).is_some());
        assert_eq!(later.count(), BURST as usize);
    }
}
