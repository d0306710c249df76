//! What may be set about a store.

use std::{path::PathBuf, time::Duration};

use crate::room::{self, FreeSpace};

const MIB: u64 = 1024 * 1024;

/// What a message weighs, told from its encoded bytes.
pub type Weigh = fn(&[u8]) -> u64;

/// How to open a store. `Options::new(path)` is what the broker uses; the rest is there for tests and odd machines.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory that holds everything of the store; created if missing.
    pub path: PathBuf,
    /// Bytes after which a log segment is closed and handed to the checkpoint.
    pub segment_size: u64,
    /// Bytes of log that may wait for the checkpoint. At the bound, commits wait, and publishers are slowed.
    pub log_bound: u64,
    /// Bytes of closed log segments that wait to be folded all the same, as what is acknowledged meanwhile needs no place
    /// in sled. 0: none waits.
    pub fold_later: u64,
    /// How long a segment waits at most.
    pub fold_after: Duration,
    /// Bytes one commit may hold, unless a single batch is larger.
    pub commit_size: usize,
    /// A write and sync of the log that takes no longer than this may be done by whoever calls [`crate::Store::commit`].
    /// Zero: never.
    pub fast_sync: Duration,
    /// Backlog in bytes above which [`crate::Store::backlog_over_mark`] says so.
    pub backlog_high: usize,
    /// Backlog in bytes at which those who wait in [`crate::Store::wake_when_below`] are woken.
    pub backlog_low: usize,
    /// Bytes after which a volume of messages is full and the next one begins.
    pub volume_size: u64,
    /// Bytes that sled's files may take for nothing before something is done about it.
    pub waste: u64,
    /// Bytes of log per second from which on publishers are busy: then volumes that are to be emptied wait, unless they
    /// take 512 MiB more than they may otherwise.
    pub busy: u64,
    /// How long what is acknowledged may wait for its log segment to be full before the segment is folded as it is: only
    /// then is room on disk given back.
    pub roll_after: Duration,
    /// sled's page cache in bytes. Small on purpose: hot messages live in the broker, not here.
    pub cache_capacity: u64,
    /// Start although part of the log is damaged, and report what was lost, where the default is to refuse.
    pub accept_losses: bool,
    /// What is summed up as the `weight` of messages in [`crate::RecoveredQueue`] and [`crate::Extent`]. It is stored with
    /// them, so the same function belongs to a store always. By default nothing weighs anything.
    pub weigh: Weigh,
    /// Tells how much is free on the disk: what the checkpoint copies waits until there is room for it.
    pub free_space: FreeSpace,
}

impl Options {
    /// The defaults, for a store at `path`.
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
            fold_later: 256 * MIB,
            fold_after: Duration::from_secs(10),
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
            free_space: room::free_space,
        }
    }
}
