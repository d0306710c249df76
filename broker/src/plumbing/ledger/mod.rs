//! Accounts for the memory that peers make the broker hold, per connection and in total, and decides how much more one
//! of them may hold.
//!
//! A connection counts what it holds in its [`Holdings`], in parts that leave the count when they are dropped
//! ([`Part`]), and reports to the [`Ledger`] once per turn ([`Account`]). All peers together may hold a fixed share of
//! the memory watermark; a single one may hold twice what is left of it. So a single connection can get two thirds,
//! several share, and there is always some room for the next, without counting connections.

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

/// Keeps frequently written fields off the cache lines of frequently read ones.
#[derive(Debug, Default)]
#[repr(align(128))]
struct CachePadded<T>(T);

/// The memory that all peers together hold.
#[derive(Debug)]
pub struct Ledger {
    alarms: Arc<Alarms>,
    /// See [`Ledger::waiting_mark`].
    waiting_mark: AtomicUsize,
    connections: AtomicU64,
    deliveries: CachePadded<AtomicU64>,
    requests: CachePadded<AtomicU64>,
    /// What was read for stream consumers and not delivered yet.
    read_ahead: Budget,
}

impl Default for Ledger {
    /// Creates the ledger of a broker that is never short of memory.
    fn default() -> Self {
        Ledger::new(Arc::default())
    }
}

impl Ledger {
    /// Creates an empty ledger that follows these alarms' watermark and state.
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

    /// Creates a ledger with this budget for reading streams ahead.
    #[cfg(test)]
    pub fn with_read_ahead(max: u64) -> Self {
        Ledger {
            read_ahead: Budget::new(max),
            ..Ledger::default()
        }
    }

    /// Returns the budget for what was read for stream consumers and could not be delivered.
    pub fn read_ahead(&self) -> &Budget {
        &self.read_ahead
    }

    /// Returns the bytes of unacknowledged deliveries that a connection may hold.
    pub fn deliveries_limit(&self) -> u64 {
        self.limit(Pool::Deliveries)
    }

    /// Returns the bytes that a connection may hold of what it sent: unfinished and uncommitted
    /// messages.
    pub fn requests_limit(&self) -> u64 {
        self.limit(Pool::Requests)
    }

    /// Returns the bytes of deliveries that may wait in a mailbox, and again in an output, for a peer to read them. A
    /// single load of a rarely written value, for once per delivery.
    pub fn waiting_mark(&self) -> usize {
        self.waiting_mark.load(Ordering::Relaxed)
    }

    /// Returns the bytes that all peers together hold, as last reported.
    pub fn total(&self) -> u64 {
        Pool::ALL.iter().map(|pool| self.held(*pool)).sum()
    }

    /// Updates the limits from the memory watermark and whether memory is tight.
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

    /// Records that `now` bytes of deliveries wait in a mailbox where `before` were counted.
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
