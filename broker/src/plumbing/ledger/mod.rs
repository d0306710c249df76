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
pub use limits::{ALWAYS_ALLOWED, WAITING, WAITING_WHEN_SHORT};

use crate::engine::stream::Budget;
use crate::plumbing::alarms::Alarms;
use limits::{Pool, READ_AHEAD, STOPPED};
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
    /// What is used for logins.
    logins: AtomicU64,
    /// What was read for stream consumers and not delivered yet.
    read_ahead: Budget,
    /// The number of updates at idle requests, one a second.
    updates: AtomicU64,
    /// Bytes of idle requests as of the last update_limits; see [`Ledger::is_idle`].
    idle: AtomicU64,
}

/// Memory that is used for a login.
#[derive(Debug)]
pub struct HeldForHash {
    ledger: Arc<Ledger>,
    bytes: u64,
}

impl Drop for HeldForHash {
    fn drop(&mut self) {
        self.ledger.logins.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Looks without any finished request after which a connection's requests are idle.
const IDLE: u64 = 3;

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
            logins: AtomicU64::new(0),
            read_ahead: Budget::new(READ_AHEAD),
            updates: AtomicU64::new(0),
            idle: AtomicU64::new(0),
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

    /// Returns whether deliveries are stopped altogether: memory is low, and deliveries take their full part of it. It
    /// does not last, as the connections that hold most are closed then.
    pub fn deliveries_are_stopped(&self) -> bool {
        self.waiting_mark() == STOPPED
    }

    /// Returns whether requests take half of their part of the watermark, so that it matters which are
    /// [idle](Ledger::is_idle).
    pub fn requests_are_many(&self) -> bool {
        self.held(Pool::Requests) > self.size(Pool::Requests) / 2
    }

    /// Returns the bytes by which requests exceed their part of the watermark.
    pub fn requests_excess(&self) -> u64 {
        let held = self.held(Pool::Requests);
        held.saturating_sub(self.size(Pool::Requests))
    }

    /// Returns whether a connection has finished none of its requests for [`IDLE`] updates. Idle requests do not count
    /// against others: a client that parks memory and goes silent must not keep others from publishing.
    pub fn is_idle(&self, holdings: &Holdings) -> bool {
        let since = holdings.finished().load(Ordering::Relaxed);
        self.updates.load(Ordering::Relaxed).saturating_sub(since) >= IDLE
    }

    /// Records a update_limits, once a second, and the bytes of idle requests that it found.
    pub fn count_idle(&self, bytes: u64) {
        self.updates.fetch_add(1, Ordering::Relaxed);
        self.idle.store(bytes, Ordering::Relaxed);
    }

    /// Returns the bytes of deliveries that may wait in a mailbox, and again in an output, for a peer to read them. A
    /// single load of a rarely written value, for once per delivery.
    pub fn waiting_mark(&self) -> usize {
        self.waiting_mark.load(Ordering::Relaxed)
    }

    /// Returns the bytes that all peers together hold, as last reported, logins included.
    pub fn total(&self) -> u64 {
        let pools: u64 = Pool::ALL.iter().map(|pool| self.held(*pool)).sum();
        pools + self.logins.load(Ordering::Relaxed)
    }

    /// Counts memory that is used for a login, until the result is dropped. It is in no pool: who has not logged in yet
    /// must not take room from those who have.
    pub fn hold_for_hash(self: &Arc<Self>, bytes: u64) -> HeldForHash {
        self.logins.fetch_add(bytes, Ordering::Relaxed);
        HeldForHash {
            ledger: self.clone(),
            bytes,
        }
    }

    /// Updates the limits from the memory watermark and whether memory is tight.
    pub fn update_limits(&self) {
        let pool = Pool::Deliveries;
        let held = self.held(pool);
        let mark = if self.alarms.in_force().has_memory() && held > self.full_size(pool) {
            STOPPED
        } else if held > self.size(pool) {
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
        let idle = match pool {
            Pool::Requests => self.idle.load(Ordering::Relaxed),
            Pool::Deliveries => 0,
        };
        let held = self.held(pool).saturating_sub(idle);
        limits::limit(self.size(pool), held, mark, connections)
    }

    /// What a pool should have at most while memory is not tight.
    fn full_size(&self, pool: Pool) -> u64 {
        pool.size(self.alarms.memory_mark(), false)
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
            self.update_limits();
        }
    }
}

#[cfg(test)]
mod tests;
