//! What one connection holds, by kind.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A reason why memory is held for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Deliveries that it has not acknowledged, or not yet committed that.
    Unacknowledged,
    /// What is to be written, to a peer that does not read.
    Output,
    /// Messages of which not all frames have come.
    Unfinished,
    /// Messages of transactions that are not committed.
    Uncommitted,
    /// Frames on channels that wait for the store.
    Deferred,
    /// Channels and consumers.
    Declared,
    /// What was read from the socket and is no whole frame yet.
    Input,
}

impl Kind {
    /// All of them, in the order of the counters.
    pub const ALL: [Kind; 7] = [
        Kind::Unacknowledged,
        Kind::Output,
        Kind::Unfinished,
        Kind::Uncommitted,
        Kind::Deferred,
        Kind::Declared,
        Kind::Input,
    ];
    /// What the connection itself tells of what it was sent.
    pub(super) const DELIVERIES: &[Kind] = &[Kind::Unacknowledged, Kind::Output];
    /// What it tells of what it has sent.
    pub const REQUESTS: &[Kind] = &[
        Kind::Unfinished,
        Kind::Uncommitted,
        Kind::Deferred,
        Kind::Declared,
    ];
}

impl fmt::Display for Kind {
    /// What is held, as it stands behind "bytes of".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Unacknowledged => "unacknowledged deliveries",
            Kind::Output => "deliveries and replies that it does not read",
            Kind::Unfinished => "unfinished messages",
            Kind::Uncommitted => "uncommitted messages",
            Kind::Deferred => "requests that wait",
            Kind::Declared => "channels and consumers",
            Kind::Input => "unfinished frames",
        })
    }
}

/// Bytes that a connection holds. Its own task alone writes the counters; anybody may read them.
#[derive(Debug, Default)]
pub struct Holdings {
    bytes: [AtomicU64; Kind::ALL.len()],
    /// When some of what it has sent was last finished, by the ledger's count of looks.
    finished: AtomicU64,
}

impl Holdings {
    /// Bytes of one kind.
    pub fn of(&self, kind: Kind) -> u64 {
        self.bytes[kind as usize].load(Ordering::Relaxed)
    }

    /// Bytes of all kinds.
    pub fn total(&self) -> u64 {
        self.sum(&Kind::ALL)
    }

    /// Bytes of some kinds.
    pub fn sum(&self, kinds: &[Kind]) -> u64 {
        kinds.iter().map(|kind| self.of(*kind)).sum()
    }

    /// See [`Ledger::is_idle`](super::Ledger::is_idle).
    pub(super) fn finished(&self) -> &AtomicU64 {
        &self.finished
    }

    /// Sets what is held of one kind, where that is known as a whole.
    pub fn set(&self, kind: Kind, bytes: u64) {
        // One writer: no atomic addition is needed, and none pays for one.
        self.bytes[kind as usize].store(bytes, Ordering::Relaxed);
    }
}

/// What one part of a connection holds of one kind. It leaves the connection's sum when it is dropped.
#[derive(Debug, Default)]
pub struct Part {
    home: Option<(Arc<Holdings>, Kind)>,
    bytes: u64,
}

impl Part {
    /// A part that holds nothing yet.
    pub fn new(holdings: &Arc<Holdings>, kind: Kind) -> Self {
        Part {
            home: Some((holdings.clone(), kind)),
            bytes: 0,
        }
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// It holds more.
    pub fn add(&mut self, bytes: u64) {
        self.set(self.bytes + bytes);
    }

    /// It holds less.
    pub fn remove(&mut self, bytes: u64) {
        self.set(self.bytes - bytes);
    }

    /// It holds so much.
    pub fn set(&mut self, bytes: u64) {
        if let Some((holdings, kind)) = &self.home {
            holdings.set(*kind, holdings.of(*kind) - self.bytes + bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.set(0);
    }
}
