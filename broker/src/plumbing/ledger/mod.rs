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
pub use limits::{ALWAYS, WAITING, WAITING_WHEN_SHORT};

use crate::engine::stream::Budget;
use crate::plumbing::alarms::Alarms;
use limits::{Pool, READ_AHEAD, STOPPED};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Keeps what is written all the time off the cache lines of what is read all the time.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// What all peers together hold.
#[derive(Debug)]
pub struct Ledger {
    alarms: Arc<Alarms>,
    /// See [`Ledger::waiting_mark`].
    waiting_mark: AtomicUsize,
    connections: AtomicU64,
    deliveries: Apart<AtomicU64>,
    requests: Apart<AtomicU64>,
    /// What consumers of streams have read and were not delivered.
    read_ahead: Budget,
    /// How often [`Ledger::look`] was called by whoever looks once a second.
    looks: AtomicU64,
    /// Bytes of requests that are idle, as of the last look; see [`Ledger::is_idle`].
    idle: AtomicU64,
}

/// Looks after which what a connection has sent, and finished nothing of, is idle.
const IDLE: u64 = 3;

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
            deliveries: Apart::default(),
            requests: Apart::default(),
            read_ahead: Budget::new(READ_AHEAD),
            looks: AtomicU64::new(0),
            idle: AtomicU64::new(0),
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

    /// Whether no more deliveries are to be sent at all: memory is low, and they have much of it. Whoever holds most is
    /// closed then, so it does not last.
    pub fn deliveries_are_stopped(&self) -> bool {
        self.waiting_mark() == STOPPED
    }

    /// Whether half of what peers may have sent and not finished is taken: then it counts who is [idle](Ledger::is_idle).
    pub fn requests_are_many(&self) -> bool {
        self.held(Pool::Requests) > self.size(Pool::Requests) / 2
    }

    /// Bytes by which requests exceed their part of the watermark: so many of those that are idle are in the way.
    pub fn requests_excess(&self) -> u64 {
        let held = self.held(Pool::Requests);
        held.saturating_sub(self.size(Pool::Requests))
    }

    /// Whether a connection has finished nothing of what it has sent for some looks. What is idle does not count against
    /// others: who parks memory and goes silent must not keep them from publishing.
    pub fn is_idle(&self, holdings: &Holdings) -> bool {
        let since = holdings.finished().load(Ordering::Relaxed);
        self.looks.load(Ordering::Relaxed).saturating_sub(since) >= IDLE
    }

    /// Another second is over; so many bytes of requests are idle.
    pub fn count_idle(&self, bytes: u64) {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.idle.store(bytes, Ordering::Relaxed);
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

    /// Deliveries wait in a mailbox: `now` bytes where `before` were counted.
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
            self.look();
        }
    }
}

#[cfg(test)]
mod tests;
