//! What peers make the broker hold, counted for each connection and for all of them together, and how much more one of
//! them may.
//!
//! A connection counts what it holds in its [`Holdings`], in parts that leave the count when they are dropped
//! ([`Part`]), and tells the [`Ledger`] once per turn ([`Account`]). All peers together may hold so much of the memory
//! watermark; what one may hold is twice what is left of that. So a single connection comes to hold two thirds, several
//! share, and there is always some room for the next, without anybody having to know how many they are.

mod account;
mod holdings;
mod limits;

pub use account::Account;
pub use holdings::{Holdings, Kind, Part};
pub use limits::{ALWAYS, WAITING};

use crate::engine::stream::Budget;
use crate::plumbing::alarms::Alarms;
use limits::{Pool, READ_AHEAD, WAITING_WHEN_SHORT};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Keeps what is written all the time off the cache lines of what is read all the time.
#[derive(Debug, Default)]
#[repr(align(128))]
struct CachePadded<T>(T);

/// What all peers together hold.
#[derive(Debug)]
pub struct Ledger {
    alarms: Arc<Alarms>,
    /// See [`Ledger::waiting_mark`].
    waiting_mark: AtomicUsize,
    connections: AtomicU64,
    deliveries: CachePadded<AtomicU64>,
    requests: CachePadded<AtomicU64>,
    /// What consumers of streams have read and were not delivered.
    read_ahead: Budget,
}

impl Default for Ledger {
    /// The ledger of a broker that is never short of memory.
    fn default() -> Self {
        Ledger::new(Arc::default())
    }
}

impl Ledger {
    /// An empty ledger; the memory watermark and whether memory is low are the alarms' to say.
    pub fn new(alarms: Arc<Alarms>) -> Self {
        Ledger {
            alarms,
            waiting_mark: AtomicUsize::new(WAITING),
            connections: AtomicU64::new(0),
            deliveries: CachePadded::default(),
            requests: CachePadded::default(),
            read_ahead: Budget::new(READ_AHEAD),
        }
    }

    /// A ledger with so much room for what is read from streams.
    #[cfg(test)]
    pub fn with_read_ahead(max: u64) -> Self {
        Ledger {
            read_ahead: Budget::new(max),
            ..Ledger::default()
        }
    }

    /// What all consumers of streams together may keep of what was read for them and could not be delivered.
    pub fn read_ahead(&self) -> &Budget {
        &self.read_ahead
    }

    /// Bytes of deliveries that a connection may hold: those that it has not acknowledged.
    pub fn deliveries_limit(&self) -> u64 {
        self.limit(Pool::Deliveries)
    }

    /// Bytes that a connection may hold of what it sent: unfinished messages, uncommitted ones.
    pub fn requests_limit(&self) -> u64 {
        self.limit(Pool::Requests)
    }

    /// Bytes of deliveries that may wait in a mailbox, and as many in an output, for a peer to read them. One load of what
    /// is seldom written, for once per delivery.
    pub fn waiting_mark(&self) -> usize {
        self.waiting_mark.load(Ordering::Relaxed)
    }

    /// Bytes that all peers together hold, as of when they last told.
    pub fn total(&self) -> u64 {
        Pool::ALL.iter().map(|pool| self.held(*pool)).sum()
    }

    /// Looks again at the memory watermark and at whether memory is tight.
    pub fn look(&self) {
        let pool = Pool::Deliveries;
        let is_short = self.held(pool) > self.size(pool);
        let mark = if is_short {
            WAITING_WHEN_SHORT
        } else {
            WAITING
        };
        if self.waiting_mark() != mark {
            self.waiting_mark.store(mark, Ordering::Relaxed);
        }
    }

    /// Deliveries wait in a mailbox: `now` bytes where `before` were counted.
    pub fn change_waiting(&self, before: usize, now: usize) {
        self.change(Pool::Deliveries, before as u64, now as u64);
    }

    fn limit(&self, pool: Pool) -> u64 {
        let mark = self.alarms.memory_mark();
        let connections = self.connections.load(Ordering::Relaxed);
        limits::limit(self.size(pool), self.held(pool), mark, connections)
    }

    fn size(&self, pool: Pool) -> u64 {
        pool.size(self.alarms.memory_mark(), self.alarms.is_tight())
    }

    fn sum(&self, pool: Pool) -> &AtomicU64 {
        match pool {
            Pool::Deliveries => &self.deliveries.0,
            Pool::Requests => &self.requests.0,
        }
    }

    fn held(&self, pool: Pool) -> u64 {
        self.sum(pool).load(Ordering::Relaxed)
    }

    fn change(&self, pool: Pool, before: u64, now: u64) {
        if before != now {
            self.sum(pool)
                .fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
            self.look();
        }
    }
}

#[cfg(test)]
mod tests;
