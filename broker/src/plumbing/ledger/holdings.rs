//! The memory that one connection holds, by kind.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A reason why memory is held for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Unacknowledged deliveries, including acknowledgements that are not committed.
    Unacknowledged,
    /// Output for a peer that does not read.
    Output,
    /// Messages whose frames have not all arrived.
    Unfinished,
    /// Messages of uncommitted transactions.
    Uncommitted,
    /// Frames deferred on channels that wait for the store.
    Deferred,
    /// Channels and consumers.
    Declared,
    /// Input that is not a complete frame yet.
    Input,
}

impl Kind {
    /// All kinds, in the order of the counters.
    pub const ALL: [Kind; 7] = [
        Kind::Unacknowledged,
        Kind::Output,
        Kind::Unfinished,
        Kind::Uncommitted,
        Kind::Deferred,
        Kind::Declared,
        Kind::Input,
    ];
    /// The kinds that a connection reports as deliveries.
    pub(super) const DELIVERIES: &[Kind] = &[Kind::Unacknowledged, Kind::Output];
    /// The kinds that it reports as requests.
    pub const REQUESTS: &[Kind] = &[
        Kind::Unfinished,
        Kind::Uncommitted,
        Kind::Deferred,
        Kind::Declared,
    ];
}

impl fmt::Display for Kind {
    /// Names what is held, to follow "bytes of".
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

/// The bytes that a connection holds. Only its own task writes the counters; anybody may read them.
#[derive(Debug, Default)]
pub struct Holdings {
    bytes: [AtomicU64; Kind::ALL.len()],
    /// The update_limits at which it last finished some request.
    finished: AtomicU64,
}

impl Holdings {
    /// Returns the bytes of one kind.
    pub fn of(&self, kind: Kind) -> u64 {
        self.bytes[kind as usize].load(Ordering::Relaxed)
    }

    /// Returns the sum for some kinds.
    pub fn sum(&self, kinds: &[Kind]) -> u64 {
        kinds.iter().map(|kind| self.of(*kind)).sum()
    }

    /// The update_limits at which it last finished some request; see [`Ledger::is_idle`](super::Ledger::is_idle).
    pub(super) fn finished(&self) -> &AtomicU64 {
        &self.finished
    }

    /// Sets the bytes of one kind, where the total is known.
    pub fn set(&self, kind: Kind, bytes: u64) {
        // There is one writer, so a plain store is enough; an atomic addition would cost more.
        self.bytes[kind as usize].store(bytes, Ordering::Relaxed);
    }
}

/// The bytes of one kind held by one part of a connection. They leave the connection's sum when it is dropped.
#[derive(Debug, Default)]
pub struct Part {
    home: Option<(Arc<Holdings>, Kind)>,
    bytes: u64,
}

impl Part {
    /// Creates a part that holds nothing yet.
    pub fn new(holdings: &Arc<Holdings>, kind: Kind) -> Self {
        Part {
            home: Some((holdings.clone(), kind)),
            bytes: 0,
        }
    }

    /// Returns the bytes it holds.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: u64) {
        self.set(self.bytes + bytes);
    }

    /// Removes bytes.
    pub fn remove(&mut self, bytes: u64) {
        self.set(self.bytes - bytes);
    }

    /// Sets the bytes it holds.
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
