//! Figures about a store: what it found at open, and how it is doing.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;

use crate::types::{Position, QueueId};

/// What [`crate::Store::open`] found and did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The directory was empty and a store was made in it.
    pub created: bool,
    /// The last close was a clean one.
    pub clean: bool,
    /// Log bytes read back; they are folded into sled later.
    pub replayed_bytes: u64,
    /// Log segments read back.
    pub replayed_segments: u64,
    /// Bytes at the end of the log that were no whole commit: never confirmed, dropped.
    pub torn_bytes: u64,
    /// What is lost, in words (only with [`crate::Options::accept_losses`]).
    pub losses: Vec<String>,
    /// What had to be put right, in words.
    pub repairs: Vec<String>,
    /// How long it all took.
    pub elapsed: Duration,
}

/// A queue the store has records of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredQueue {
    /// Its id.
    pub queue: QueueId,
    /// Live messages.
    pub messages: u64,
    /// Their encoded bytes.
    pub bytes: u64,
    /// The sum of what [`crate::Options::weigh`] says of them.
    pub weight: u64,
    /// The first live message's position.
    pub first: Option<Position>,
    /// The last live message's position.
    pub last: Option<Position>,
    /// Everything up to here has been delivered at least once.
    pub delivered_through: Option<Position>,
    /// Above every position that occurs anywhere in the store.
    pub next_position: Position,
}

/// A run of live messages of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first live message's position.
    pub first: Position,
    /// The last live message's position.
    pub last: Position,
    /// Live messages from the one to the other.
    pub messages: u64,
    /// The encoded bytes of all of them.
    pub bytes: u64,
    /// The sum of what [`crate::Options::weigh`] says of them.
    pub weight: u64,
}

/// What is wrong at present, if anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Why the log cannot be written.
    pub write: Option<String>,
    /// Why the log cannot be folded into sled.
    pub checkpoint: Option<String>,
}

impl Health {
    /// Nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.write.is_none() && self.checkpoint.is_none()
    }
}

/// How the store is doing.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Commits that were written and synced.
    pub commits: u64,
    /// Bytes written to the log.
    pub bytes_written: u64,
    /// Messages acknowledged before they were written, and so never written.
    pub cancelled_writes: u64,
    /// Log bytes not folded yet.
    pub log_bytes: u64,
    /// Segments folded into sled since open.
    pub folded_segments: u64,
    /// Bytes of sled's files.
    pub sled_bytes: u64,
    /// Submitted and not yet committed bytes.
    pub backlog_bytes: u64,
    /// How long the last write and sync of the log took.
    pub last_sync: Duration,
    /// What is wrong at present.
    pub health: Health,
}

/// The live counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    pub(crate) cancelled_writes: AtomicU64,
    pub(crate) folded_segments: AtomicU64,
    pub(crate) last_sync_nanos: AtomicU64,
    health: Mutex<Health>,
}

impl Counters {
    /// Notes whether the log can be written; logged once per change.
    pub(crate) fn write_health(&self, problem: Option<String>) {
        let mut health = self.health.lock();
        report_change("writing the commit log", &health.write, &problem);
        health.write = problem;
    }

    /// Notes whether the log can be folded; logged once per change.
    pub(crate) fn checkpoint_health(&self, problem: Option<String>) {
        let mut health = self.health.lock();
        report_change("the checkpoint into sled", &health.checkpoint, &problem);
        health.checkpoint = problem;
    }

    pub(crate) fn health(&self) -> Health {
        self.health.lock().clone()
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
