//! What a broker counts as a whole, and where its objects report that they move.

use super::churn::Churn;
use super::dead_letters::SharedDeadLetters;
use super::history::{History, Retention};
use super::message_sizes::SharedMessageSizes;
use super::message_stats::MessageStats;
use super::queue_sums::{QueueSums, SharedQueueSums};
use super::ring::RingMemory;
use super::tracked::{Moved, Tracked};
use super::traffic::{ExchangeCounts, SharedTraffic, Traffic};
use crate::engine::queue::QueueKind;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// The memory for the samples of all objects, in bytes: some thousand busy queues. What moves beyond that has a rate and
/// no history.
const RING_MEMORY: u64 = 64 << 20;
/// The time between two samples, in milliseconds, unless it is configured (RabbitMQ: `collect_statistics_interval`).
const DEFAULT_INTERVAL: u64 = 5000;

/// The statistics of a broker.
#[derive(Debug)]
pub struct Statistics {
    /// What comes and goes.
    pub churn: Churn,
    /// What died.
    pub dead_letters: SharedDeadLetters,
    /// The sizes of what was published.
    pub message_sizes: SharedMessageSizes,
    /// The channels that have published.
    pub publishers: AtomicU64,
    /// The history of the broker as a whole.
    pub broker: Tracked,
    /// The history of what the process uses.
    pub node: Tracked,
    moved: Mutex<Vec<Moved>>,
    /// What was visited since the last sample.
    unsampled: Mutex<Vec<Moved>>,
    visiting: Mutex<()>,
    memory: Arc<RingMemory>,
    interval: AtomicU64,
    /// When the last two samples were taken, in milliseconds since the epoch.
    ticks: [AtomicI64; 2],
    retired: Mutex<Retired>,
}

/// The virtual hosts that were deleted.
#[derive(Debug, Default)]
struct Retired {
    /// Those that connections may still add to.
    ending: Vec<Arc<VhostStatistics>>,
    /// The sum of the others.
    sum: VhostSums,
}

impl Default for Statistics {
    fn default() -> Self {
        Statistics {
            churn: Churn::default(),
            dead_letters: SharedDeadLetters::default(),
            message_sizes: SharedMessageSizes::default(),
            publishers: AtomicU64::new(0),
            broker: Tracked::default(),
            node: Tracked::default(),
            moved: Mutex::default(),
            unsampled: Mutex::default(),
            visiting: Mutex::default(),
            memory: Arc::new(RingMemory::new(RING_MEMORY)),
            interval: AtomicU64::new(DEFAULT_INTERVAL),
            ticks: [const { AtomicI64::new(0) }; 2],
            retired: Mutex::default(),
        }
    }
}

impl Statistics {
    /// Returns the time between two samples, in milliseconds.
    pub fn interval(&self) -> u64 {
        self.interval.load(Ordering::Relaxed)
    }

    /// Sets the time between two samples. Existing histories keep the resolution that they have.
    pub fn set_interval(&self, interval: Duration) {
        let milliseconds = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        self.interval.store(milliseconds.max(1), Ordering::Relaxed);
    }

    /// Adds an object that has moved for the first time since the last visit; see [`Tracked::mark`].
    pub fn has_moved(&self, object: Moved) {
        self.moved.lock().push(object);
    }

    /// Returns the objects that have moved since this was last called.
    pub fn take_moved(&self) -> Vec<Moved> {
        std::mem::take(&mut *self.moved.lock())
    }

    /// Waits for the right to visit what has moved: whoever has it has everybody else's visits behind them.
    pub fn visiting(&self) -> MutexGuard<'_, ()> {
        self.visiting.lock()
    }

    /// Adds objects that were visited and have to be sampled.
    pub fn visited(&self, objects: Vec<Moved>) {
        let mut unsampled = self.unsampled.lock();
        match unsampled.is_empty() {
            true => *unsampled = objects,
            false => unsampled.extend(objects),
        }
    }

    /// Returns the objects that were visited since this was last called.
    pub fn take_unsampled(&self) -> Vec<Moved> {
        std::mem::take(&mut *self.unsampled.lock())
    }

    /// Returns the number of objects that were visited since the last sample.
    #[cfg(test)]
    pub fn unsampled(&self) -> usize {
        self.unsampled.lock().len()
    }

    /// Returns the number of objects that have moved.
    #[cfg(test)]
    pub fn moved(&self) -> usize {
        self.moved.lock().len()
    }

    /// Creates the history of an object with this many counters.
    pub fn new_history(&self, retention: Retention, width: usize) -> History {
        let base = vec![0; width];
        History::new(retention, self.interval(), &base, &self.memory)
    }

    /// Returns the memory that samples take, in bytes.
    pub fn memory(&self) -> u64 {
        self.memory.used()
    }

    /// Records that all samples of a time, in milliseconds since the epoch, have been taken.
    pub fn sampled(&self, time: i64) {
        let [last, before] = &self.ticks;
        before.store(last.swap(time, Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Returns the times of the last two samples, in milliseconds since the epoch, later one first; `None` if there
    /// are no two yet.
    pub fn last_ticks(&self) -> Option<(i64, i64)> {
        let [last, before] = &self.ticks;
        let ticks = (last.load(Ordering::SeqCst), before.load(Ordering::SeqCst));
        (ticks.1 != 0 && ticks.1 < ticks.0).then_some(ticks)
    }

    /// Keeps the sums of a virtual host that was deleted.
    pub fn retire(&self, vhost: Arc<VhostStatistics>) {
        self.retired.lock().ending.push(vhost);
    }

    /// Returns the sums of all virtual hosts that were deleted.
    pub fn retired(&self) -> VhostSums {
        let mut retired = self.retired.lock();
        let Retired { ending, sum } = &mut *retired;
        ending.retain(|vhost| {
            let ends = Arc::strong_count(vhost) == 1;
            if ends {
                sum.add(&vhost.sums());
            }
            !ends
        });
        let mut all = *sum;
        ending.iter().for_each(|vhost| all.add(&vhost.sums()));
        all
    }
}

/// The sums of a virtual host, which outlive its queues and connections.
#[derive(Debug, Default)]
pub struct VhostStatistics {
    /// What connections have counted.
    pub traffic: SharedTraffic,
    /// What was published to the default exchange.
    pub default_exchange: ExchangeCounts,
    /// Its history.
    pub tracked: Tracked,
    /// What its queues hold.
    pub queues: SharedQueueSums,
    bytes: [AtomicU64; 2],
}

/// The sums of a virtual host, or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VhostSums {
    /// What connections have counted.
    pub traffic: Traffic,
    /// What its queues hold, by their kind, as of the last visit.
    pub by_kind: [QueueSums; QueueKind::ALL.len()],
    /// Bytes received from clients and sent to them, as of the last sample.
    pub bytes: [u64; 2],
}

impl VhostStatistics {
    /// Corrects the sum of bytes when those of a connection have changed.
    pub fn change_bytes(&self, before: [u64; 2], now: [u64; 2]) {
        for (sum, (before, now)) in self.bytes.iter().zip(before.into_iter().zip(now)) {
            // Wraps, so that a difference below 0 can be added.
            sum.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
        }
    }

    /// Returns the sums.
    pub fn sums(&self) -> VhostSums {
        let get = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        VhostSums {
            traffic: self.traffic.get(),
            by_kind: self.queues.get(),
            bytes: self.bytes.each_ref().map(get),
        }
    }
}

impl VhostSums {
    /// Returns the counters of messages.
    pub fn stats(&self) -> MessageStats {
        let queues = self.queues();
        MessageStats {
            disk_reads: queues.disk_reads,
            disk_writes: queues.disk_writes,
            ..self.traffic.all()
        }
    }

    /// Returns what the queues of all kinds hold.
    pub fn queues(&self) -> QueueSums {
        let mut all = QueueSums::default();
        self.by_kind.into_iter().for_each(|sums| all += sums);
        all
    }

    /// Returns `messages`, `messages_ready` and `messages_unacknowledged`.
    pub fn lengths(&self) -> [u64; 3] {
        let counts = self.queues().counts;
        [counts.all().messages, counts.ready, counts.unacked]
    }

    /// Adds those of another virtual host.
    pub fn add(&mut self, other: &VhostSums) {
        self.traffic.add(&other.traffic);
        for (sum, more) in self.by_kind.iter_mut().zip(other.by_kind) {
            *sum += more;
        }
        for (sum, more) in self.bytes.iter_mut().zip(other.bytes) {
            *sum = sum.wrapping_add(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_of_a_deleted_virtual_host_stay_and_may_still_grow() {
        let statistics = Statistics::default();
        let vhost = Arc::new(VhostStatistics::default());
        let mut batch = Traffic::default();
        batch.published.publish = 3;
        vhost.traffic.add(&batch);
        statistics.retire(vhost.clone());
        assert_eq!(statistics.retired().stats().publish, 3);
        vhost.traffic.add(&batch);
        assert_eq!(statistics.retired().stats().publish, 6);
        drop(vhost);
        for _ in 0..2 {
            let sums = statistics.retired();
            assert_eq!((sums.stats().publish, sums.lengths()), (6, [0; 3]));
        }
        assert!(statistics.retired.lock().ending.is_empty());
    }

    #[test]
    fn there_is_no_rate_before_the_second_sample() {
        let statistics = Statistics::default();
        assert_eq!(statistics.last_ticks(), None);
        statistics.sampled(5000);
        assert_eq!(statistics.last_ticks(), None);
        statistics.sampled(10_000);
        assert_eq!(statistics.last_ticks(), Some((10_000, 5000)));
    }
}
