//! Sums that many connections add to: of a virtual host, and of an exchange.

use super::message_stats::{MessageStats, SharedMessageStats};
use super::tracked::Tracked;
use crate::engine::queue::QueueKind;
use std::sync::atomic::{AtomicU64, Ordering};

const KINDS: usize = QueueKind::ALL.len();

/// What a connection has counted in a batch, or many have together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// What channels count of publishes.
    pub published: MessageStats,
    /// The publishes among them on channels in confirm mode.
    pub with_confirm: u64,
    /// What channels count of deliveries, by the kind of the queue.
    pub by_kind: [MessageStats; KINDS],
}

impl Traffic {
    /// Returns the counters of deliveries from queues of this kind.
    #[inline]
    pub fn of(&mut self, kind: QueueKind) -> &mut MessageStats {
        &mut self.by_kind[kind as usize]
    }

    /// Returns the sum.
    pub fn all(&self) -> MessageStats {
        let by_kind = self.by_kind.into_iter();
        by_kind.fold(self.published, |sum, stats| sum + stats)
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Traffic) {
        self.published += other.published;
        self.with_confirm += other.with_confirm;
        for (sum, stats) in self.by_kind.iter_mut().zip(other.by_kind) {
            *sum += stats;
        }
    }
}

/// The same, counted by many at a time.
#[derive(Debug, Default)]
pub struct SharedTraffic {
    published: SharedMessageStats,
    with_confirm: AtomicU64,
    by_kind: [SharedMessageStats; KINDS],
}

impl SharedTraffic {
    /// Adds what was counted in a batch.
    pub fn add(&self, batch: &Traffic) {
        self.published.add(&batch.published);
        if batch.with_confirm != 0 {
            self.with_confirm
                .fetch_add(batch.with_confirm, Ordering::Relaxed);
        }
        for (sum, stats) in self.by_kind.iter().zip(&batch.by_kind) {
            sum.add(stats);
        }
    }

    /// Returns the sums.
    pub fn get(&self) -> Traffic {
        Traffic {
            published: self.published.get(),
            with_confirm: self.with_confirm.load(Ordering::Relaxed),
            by_kind: std::array::from_fn(|kind| self.by_kind[kind].get()),
        }
    }
}

/// What was published to an exchange, and what was routed from there.
#[derive(Debug, Default)]
pub struct ExchangeCounts {
    publish_in: AtomicU64,
    publish_out: AtomicU64,
    /// Whether it has moved, and its history.
    pub tracked: Tracked,
}

impl ExchangeCounts {
    /// The names of the counters, in the order of [`ExchangeCounts::values`].
    pub const NAMES: [&str; 2] = ["publish_in", "publish_out"];

    /// Adds a batch. Returns true if this is the first change since the last sample.
    pub fn add(&self, published: u64, routed: u64) -> bool {
        self.publish_in.fetch_add(published, Ordering::Relaxed);
        self.publish_out.fetch_add(routed, Ordering::Relaxed);
        self.tracked.mark()
    }

    /// Returns the counters.
    pub fn values(&self) -> [u64; 2] {
        [&self.publish_in, &self.publish_out].map(|count| count.load(Ordering::Relaxed))
    }

    /// Returns the counters as `message_stats`.
    pub fn get(&self) -> MessageStats {
        let [publish_in, publish_out] = self.values();
        MessageStats {
            publish_in,
            publish_out,
            ..MessageStats::default()
        }
    }
}
