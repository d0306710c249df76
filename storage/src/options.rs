//! Options of a store.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::progress::Progress;

const MIB: u64 = 1024 * 1024;

/// Computes the weight of a message from its encoded bytes.
pub type Weigh = fn(&[u8]) -> u64;

/// Returns the free bytes on the disk that holds a path, or `None` if unknown.
pub type FreeSpace = fn(&Path) -> Option<u64>;

/// How to open a store. The broker uses `Options::new(path)`; the rest is for tests and unusual machines.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory of the store; created if missing.
    pub path: PathBuf,
    /// The size at which a log segment is closed and handed to the checkpoint.
    pub segment_size: u64,
    /// How many log bytes may wait for the checkpoint. At this limit commits wait, and publishers are slowed down.
    pub log_bound: u64,
    /// How many bytes of closed log segments wait before they are folded: what is acknowledged in the meantime need not
    /// be written to sled. 0: no segment waits.
    pub fold_delay_bytes: u64,
    /// The longest time that a segment waits.
    pub fold_delay: Duration,
    /// The most bytes in one commit, unless a single batch is larger.
    pub commit_size: usize,
    /// If the last write and sync of the log took no longer than this, the caller of [`crate::Store::commit`] may
    /// commit directly. Zero: never.
    pub fast_sync: Duration,
    /// The backlog in bytes above which [`crate::Store::backlog_over_mark`] returns true.
    pub backlog_high: usize,
    /// The backlog in bytes at which [`crate::Store::wake_when_below`] wakes its callers.
    pub backlog_low: usize,
    /// The size at which a volume of messages is full and the next one begins.
    pub volume_size: u64,
    /// How many bytes sled's files may waste before they are compacted.
    pub waste: u64,
    /// The log rate, in bytes per second, above which publishers count as busy: emptying volumes is then deferred,
    /// unless they waste 512 MiB more than they may otherwise.
    pub busy: u64,
    /// How long acknowledgements may wait for their log segment to fill up before the segment is folded as it is. Only
    /// folding it frees disk space.
    pub roll_after: Duration,
    /// The size of sled's page cache in bytes. Small on purpose: hot messages are kept by the broker.
    pub cache_capacity: u64,
    /// Start even if part of the log is damaged, and report what was lost. By default, opening the store fails.
    pub accept_losses: bool,
    /// The function whose sum is the `weight` of messages in [`crate::RecoveredQueue`] and [`crate::Extent`]. Weights
    /// are stored, so a store must always be opened with the same function. By default every weight is 0.
    pub weigh: Weigh,
    /// Returns the free disk space: the checkpoint copies only what fits.
    pub free_space: FreeSpace,
    /// Where opening notes how far it is.
    pub progress: Arc<Progress>,
}

impl Options {
    /// Returns the defaults for a store at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Options {
        Options {
            path: path.into(),
            ..Options::default()
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            path: PathBuf::from("store"),
            segment_size: 64 * MIB,
            log_bound: 1024 * MIB,
            fold_delay_bytes: 256 * MIB,
            fold_delay: Duration::from_secs(10),
            commit_size: 4 << 20,
            fast_sync: Duration::from_micros(400),
            backlog_high: 32 << 20,
            backlog_low: 8 << 20,
            volume_size: 256 * MIB,
            waste: 32 * MIB,
            busy: 48 * MIB,
            roll_after: Duration::from_secs(10),
            cache_capacity: 8 * MIB,
            accept_losses: false,
            weigh: |_| 0,
            free_space,
            progress: Arc::default(),
        }
    }
}

/// Returns how many bytes can still be written below `path`, or `None` if unknown.
pub fn free_space(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}
