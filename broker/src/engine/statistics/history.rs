//! How the counters of one object were some time ago.

use super::ring::{Ring, RingMemory};
use smallvec::SmallVec;
use std::sync::Arc;

/// Values of all counters of an object.
pub type Row = SmallVec<[u64; 16]>;

/// How long samples are kept, as `(seconds, interval in seconds)`: RabbitMQ's `sample_retention_policies`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// For the sums of the broker and its virtual hosts.
    Global,
    /// For everything else.
    Basic,
}

impl Retention {
    const fn rings(self) -> &'static [(i64, i64)] {
        match self {
            Retention::Global => &[(605, 5), (3660, 60), (29_400, 600), (86_400, 1800)],
            Retention::Basic => &[(605, 5), (3660, 60)],
        }
    }
}

/// The samples of one object.
#[derive(Debug)]
pub struct History {
    rings: SmallVec<[Ring; 2]>,
    memory: Arc<RingMemory>,
    last: Box<[u64]>,
    /// When it was last recorded, in milliseconds since the epoch.
    recorded_at: i64,
    /// There are no samples.
    is_empty: bool,
}

impl History {
    /// Creates the history of an object that has `base` until the first sample; `interval` is that of samples, in
    /// milliseconds.
    pub fn new(
        retention: Retention,
        interval: u64,
        base: &[u64],
        memory: &Arc<RingMemory>,
    ) -> Self {
        let interval = i64::try_from(interval).unwrap_or(i64::MAX).max(1);
        let rings = retention.rings().iter().enumerate();
        let rings = rings.map(|(at, (seconds, step))| {
            // The first has every sample, however often they are taken.
            let step_ms = match at {
                0 => interval,
                _ => interval.max(step * 1000),
            };
            Ring::new(step_ms, (seconds / step + 1) as usize, base.into())
        });
        History {
            rings: rings.collect(),
            memory: memory.clone(),
            last: base.into(),
            recorded_at: i64::MIN,
            is_empty: true,
        }
    }

    /// Records the counters at a time, in milliseconds since the epoch. Returns whether this is the first sample, or the
    /// first since they were dropped.
    pub fn record(&mut self, time: i64, values: &[u64]) -> bool {
        if *self.last == *values && self.recorded_at <= time {
            return false;
        }
        for ring in &mut self.rings {
            ring.record(time, values, &self.memory);
        }
        self.last.copy_from_slice(values);
        self.recorded_at = time;
        std::mem::take(&mut self.is_empty)
    }

    /// Returns the last recorded values.
    pub fn last(&self) -> &[u64] {
        &self.last
    }

    /// Returns the values at these times, oldest first; samples of the last `age` milliseconds are needed.
    pub fn rows(&self, age: i64, times: impl Iterator<Item = i64>) -> Vec<(i64, Row)> {
        let mut rings = self.rings.iter();
        let ring = rings
            .find(|ring| ring.covers() >= age)
            .or(self.rings.last());
        let row = |time| {
            (
                time,
                ring.map_or_else(Row::new, |ring| ring.at(time).collect()),
            )
        };
        times.map(row).collect()
    }

    /// Drops the samples if there were none for as long as they are kept. Returns whether there are none now.
    pub fn release_if_old(&mut self, now: i64) -> bool {
        let kept = self.rings.last().map_or(0, Ring::covers);
        let old = now.saturating_sub(self.recorded_at) > kept;
        if old {
            self.release();
        }
        old
    }

    fn release(&mut self) {
        self.is_empty = true;
        for ring in &mut self.rings {
            ring.release(&self.memory);
        }
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(retention: Retention) -> (History, Arc<RingMemory>) {
        let memory = Arc::new(RingMemory::new(1 << 30));
        (History::new(retention, 5000, &[0], &memory), memory)
    }

    fn at(history: &History, age: i64, time: i64) -> u64 {
        history.rows(age, [time].into_iter())[0].1[0]
    }

    #[test]
    fn recent_times_are_told_exactly_and_earlier_ones_by_the_minute() {
        let (mut history, memory) = history(Retention::Basic);
        for tick in 0..2000 {
            history.record(tick * 5000, &[tick as u64]);
        }
        let now = 1999 * 5000;
        for back in 0..=120 {
            let time = now - back * 5000;
            assert_eq!(at(&history, 600_000, time), (1999 - back) as u64);
        }
        for back in [0, 10, 50] {
            let time = (now / 60_000 - back) * 60_000 - 1;
            let found = at(&history, 3_600_000, time);
            assert_eq!(found, (time / 5000) as u64, "the last of that minute");
        }
        assert!(memory.used() < 4096, "{}", memory.used());
        drop(history);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn what_does_not_move_takes_no_samples_and_loses_them_in_the_end() {
        let (mut history, memory) = history(Retention::Basic);
        for tick in 0..20 {
            history.record(tick * 5000, &[tick as u64 + 1]);
        }
        let used = memory.used();
        for tick in 20..500 {
            history.record(tick * 5000, &[20]);
            assert!(!history.release_if_old(tick * 5000));
        }
        assert_eq!((memory.used(), at(&history, 600_000, 700_000)), (used, 20));
        assert!(history.release_if_old(95_000 + 3_800_000));
        assert_eq!((memory.used(), at(&history, 600_000, 0)), (0, 20));
        history.record(8_000_000, &[21]);
        assert_eq!(
            (at(&history, 0, 7_999_999), at(&history, 0, 8_000_000)),
            (20, 21)
        );
    }

    #[test]
    fn a_clock_that_is_set_back_drops_what_is_in_its_future() {
        let (mut history, _memory) = history(Retention::Global);
        history.record(1_000_000, &[1]);
        history.record(2_000_000, &[2]);
        history.record(1_500_000, &[2]);
        history.record(1_505_000, &[3]);
        let found = [1_000_000, 1_500_000, 1_505_000, 3_000_000].map(|t| at(&history, 0, t));
        assert_eq!(found, [1, 2, 3, 3]);
    }
}
