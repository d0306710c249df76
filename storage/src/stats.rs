//! Statistics of a store: what it found when it was opened, and how it is doing.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;

use crate::types::{Position, QueueId};

/// What [`crate::Store::open`] found and did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The directory was empty and a store was created in it.
    pub created: bool,
    /// The store was last closed cleanly.
    pub clean: bool,
    /// The number of log bytes read back; they are folded into sled later.
    pub replayed_bytes: u64,
    /// The number of log segments read back.
    pub replayed_segments: u64,
    /// The number of bytes at the end of the log that were not a complete commit: never confirmed, and dropped.
    pub torn_bytes: u64,
    /// Descriptions of what is lost (only with [`crate::Options::accept_losses`]).
    pub losses: Vec<String>,
    /// Descriptions of what was repaired.
    pub repairs: Vec<String>,
    /// How long opening took.
    pub elapsed: Duration,
}

/// A queue that the store has records of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredQueue {
    /// Its id.
    pub queue: QueueId,
    /// The number of live messages.
    pub messages: u64,
    /// Their encoded bytes.
    pub bytes: u64,
    /// The sum of what [`crate::Options::weigh`] says of them.
    pub weight: u64,
    /// The position of the first live message.
    pub first: Option<Position>,
    /// The position of the last live message.
    pub last: Option<Position>,
    /// Everything up to this position has been delivered at least once.
    pub delivered_through: Option<Position>,
    /// One more than every position that occurs anywhere in the store.
    pub next_position: Position,
}

/// A run of live messages of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first live message's position.
    pub first: Position,
    /// The last live message's position.
    pub last: Position,
    /// The number of live messages from the first to the last.
    pub messages: u64,
    /// Their encoded bytes.
    pub bytes: u64,
    /// The sum of what [`crate::Options::weigh`] says of them.
    pub weight: u64,
}

/// The current problems of the store, if any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Why the log cannot be written.
    pub write: Option<String>,
    /// Why the log cannot be folded into sled.
    pub checkpoint: Option<String>,
}

impl Health {
    /// Returns whether there is no problem.
    pub fn is_good(&self) -> bool {
        self.write.is_none() && self.checkpoint.is_none()
    }
}

/// How the store is doing.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// The number of commits written and synced.
    pub commits: u64,
    /// The number of bytes written to the log.
    pub bytes_written: u64,
    /// The number of messages acknowledged before they were written, and so never written.
    pub cancelled_writes: u64,
    /// The number of log bytes that are not folded yet.
    pub log_bytes: u64,
    /// The number of segments folded into sled since the store was opened.
    pub folded_segments: u64,
    /// The size of sled's files.
    pub sled_bytes: u64,
    /// The number of bytes submitted and not committed yet.
    pub backlog_bytes: u64,
    /// How long the last write and sync of the log took.
    pub last_sync: Duration,
    /// How long each of them took, in classes.
    pub latency: Latency,
    /// The current problems.
    pub health: Health,
}

/// How long commits took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// The number of commits in each class; the last has those above every bound.
    pub classes: [u64; Latency::BOUNDS.len() + 1],
    /// The sum of their times.
    pub sum: Duration,
}

impl Latency {
    /// The upper bounds of the classes but the last, in seconds.
    pub const BOUNDS: [f64; 12] = [
        0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    ];
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    pub(crate) cancelled_writes: AtomicU64,
    pub(crate) folded_segments: AtomicU64,
    last_sync_nanos: AtomicU64,
    latency: [AtomicU64; Latency::BOUNDS.len() + 1],
    latency_nanos: AtomicU64,
    health: Mutex<Health>,
}

impl Counters {
    /// Records whether the log can be written; changes are logged.
    pub(crate) fn write_health(&self, problem: Option<String>) {
        let mut health = self.health.lock();
        report_change("writing the commit log", &health.write, &problem);
        health.write = problem;
    }

    /// Records whether the log can be folded; changes are logged.
    pub(crate) fn checkpoint_health(&self, problem: Option<String>) {
        let mut health = self.health.lock();
        report_change("the checkpoint into sled", &health.checkpoint, &problem);
        health.checkpoint = problem;
    }

    pub(crate) fn health(&self) -> Health {
        self.health.lock().clone()
    }

    /// Records how long a commit took.
    pub(crate) fn committed_in(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.last_sync_nanos.store(nanos, Ordering::Relaxed);
        let seconds = time.as_secs_f64();
        let class = Latency::BOUNDS.iter().take_while(|bound| seconds > **bound);
        self.latency[class.count()].fetch_add(1, Ordering::Relaxed);
        self.latency_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn latency(&self) -> Latency {
        let nanos = self.latency_nanos.load(Ordering::Relaxed);
        Latency {
            classes: self
                .latency
                .each_ref()
                .map(|class| class.load(Ordering::Relaxed)),
            sum: Duration::from_nanos(nanos),
        }
    }

    pub(crate) fn last_sync(&self) -> Duration {
        Duration::from_nanos(self.last_sync_nanos.load(Ordering::Relaxed))
    }
}

fn report_change(what: &str, before: &Option<String>, now: &Option<String>) {
    match (before, now) {
        (None, Some(problem)) => tracing::error!("{what} fails, retrying: {problem}"),
        (Some(_), None) => tracing::info!("{what} works again"),
        (None, None) | (Some(_), Some(_)) => {}
    }
}
