//! The counters that all threads share: messages, and the time that each of them took.

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The longest time that is recorded exactly, in nanoseconds: an hour.
const MAX_TIME: u64 = 3_600_000_000_000;
/// The number of significant digits with which times are recorded.
const DIGITS: u8 = 3;

/// Returns nanoseconds of the system's monotonic clock, which is the same for all processes of a
/// machine.
pub(super) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The shared counters, and the flags that stop the threads.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) published: AtomicU64,
    pub(super) confirmed: AtomicU64,
    /// Rejected with basic.nack.
    pub(super) refused: AtomicU64,
    /// Returned with basic.return.
    pub(super) returned: AtomicU64,
    pub(super) consumed: AtomicU64,
    /// Cycles of the churn modes.
    pub(super) cycles: AtomicU64,
    pub(super) stop_publishing: AtomicBool,
    pub(super) stop: AtomicBool,
    /// A thread ended with an error.
    failed: AtomicBool,
    /// The time from publishing to delivery, or of a cycle.
    pub(super) latency: Latencies,
    pub(super) confirm_latency: Latencies,
}

/// All counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) published: u64,
    pub(super) confirmed: u64,
    pub(super) refused: u64,
    pub(super) returned: u64,
    pub(super) consumed: u64,
    pub(super) cycles: u64,
}

impl Shared {
    pub(super) fn counts(&self) -> Counts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            published: of(&self.published),
            confirmed: of(&self.confirmed),
            refused: of(&self.refused),
            returned: of(&self.returned),
            consumed: of(&self.consumed),
            cycles: of(&self.cycles),
        }
    }

    pub(super) fn publishing_is_over(&self) -> bool {
        self.stop_publishing.load(Ordering::Relaxed)
    }

    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Runs the work of a thread. If it fails, the run fails and the other threads end.
    pub(super) fn fail_on_error(&self, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        work().inspect_err(|_| self.fail())
    }

    /// Fails the run: all threads end.
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
        crate::client::interrupt::fail();
        self.end();
    }

    pub(super) fn end(&self) {
        self.stop_publishing.store(true, Ordering::Relaxed);
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Latency histograms: since the last progress line, and over the whole run.
#[derive(Debug)]
pub(super) struct Latencies(Mutex<Histograms>);

#[derive(Debug)]
struct Histograms {
    total: Histogram<u64>,
    interval: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        // The bounds are valid constants; an auto-resizing histogram is a fallback that is never
        // used.
        let empty =
            || Histogram::new_with_bounds(1, MAX_TIME, DIGITS).unwrap_or_else(|_| automatic());
        Latencies(Mutex::new(Histograms {
            total: empty(),
            interval: empty(),
        }))
    }
}

fn automatic() -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "fails only for more than 5 digits")]
    Histogram::new(DIGITS).expect("3 digits")
}

impl Latencies {
    /// Records times in nanoseconds, each with the number of messages that took it. Called once per
    /// batch, because it takes a lock.
    pub(super) fn record(&self, times: &[(u64, u64)]) {
        if times.is_empty() {
            return;
        }
        let mut histograms = self.0.lock();
        for &(nanoseconds, messages) in times {
            histograms
                .interval
                .saturating_record_n(nanoseconds.max(1), messages);
        }
    }

    /// Returns the times since the last call, or `None` if there are none.
    pub(super) fn interval(&self) -> Option<Percentiles> {
        let mut histograms = self.0.lock();
        let percentiles = Percentiles::of(&histograms.interval);
        let Histograms { total, interval } = &mut *histograms;
        // This cannot fail, because both have the same bounds.
        let _ = total.add(&*interval);
        interval.reset();
        percentiles
    }

    /// Returns the times of the whole run, or `None` if there are none.
    pub(super) fn total(&self) -> Option<Percentiles> {
        self.interval();
        Percentiles::of(&self.0.lock().total)
    }
}

/// Percentiles of times, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentiles {
    /// The number of messages.
    pub count: u64,
    /// The shortest time.
    pub min: u64,
    /// The median.
    pub p50: u64,
    /// The 75th percentile.
    pub p75: u64,
    /// The 95th percentile.
    pub p95: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The 99.9th percentile.
    pub p999: u64,
    /// The longest time.
    pub max: u64,
}

impl Percentiles {
    fn of(times: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| times.value_at_quantile(quantile);
        (!times.is_empty()).then(|| Percentiles {
            count: times.len(),
            min: times.min(),
            p50: at(0.5),
            p75: at(0.75),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: times.max(),
        })
    }

    /// Returns each percentile with its name.
    pub fn named(&self) -> [(&'static str, u64); 7] {
        [
            ("min", self.min),
            ("p50", self.p50),
            ("p75", self.p75),
            ("p95", self.p95),
            ("p99", self.p99),
            ("p99.9", self.p999),
            ("max", self.max),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_add_up_to_the_whole() {
        let latencies = Latencies::default();
        assert_eq!(latencies.total(), None);
        latencies.record(&[(1_000, 90)]);
        let first = latencies.interval().expect("times");
        assert_eq!((first.count, first.min, first.p99), (90, 1_000, 1_000));
        assert_eq!(latencies.interval(), None);
        latencies.record(&[(5_000_000, 10)]);
        let total = latencies.total().expect("times");
        assert_eq!((total.count, total.p50, total.min), (100, 1_000, 1_000));
        // Three digits.
        assert!((5_000_000..5_010_000).contains(&total.p99), "{total:?}");
    }

    #[test]
    fn a_time_that_is_too_long_counts_as_the_longest() {
        let latencies = Latencies::default();
        latencies.record(&[(u64::MAX, 1), (0, 1)]);
        let total = latencies.total().expect("times");
        assert_eq!((total.count, total.min), (2, 1));
        assert!(total.max >= MAX_TIME);
    }
}
