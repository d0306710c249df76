//! What a connection has told the ledger.

use super::limits::Pool;
use super::{Holdings, Kind, Ledger};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A difference that is told at once, not at the end of the turn.
const MUCH: u64 = 64 << 10;

/// A connection's entry in the ledger, which goes with it.
#[derive(Debug)]
pub struct Account {
    ledger: Arc<Ledger>,
    holdings: Arc<Holdings>,
    deliveries: u64,
    requests: u64,
}

impl Account {
    /// Counts a connection in.
    pub fn open(ledger: &Arc<Ledger>, holdings: &Arc<Holdings>) -> Self {
        ledger.connections.fetch_add(1, Ordering::Relaxed);
        Account {
            ledger: ledger.clone(),
            holdings: holdings.clone(),
            deliveries: 0,
            requests: 0,
        }
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What the connection holds.
    pub fn holdings(&self) -> &Arc<Holdings> {
        &self.holdings
    }

    /// Bytes that it holds of what it has sent.
    pub fn requests(&self) -> u64 {
        self.holdings.sum(Kind::REQUESTS)
    }

    /// Tells what the connection holds now.
    pub fn tell(&mut self) {
        let (deliveries, requests) = (self.holdings.sum(Kind::DELIVERIES), self.requests());
        self.ledger
            .change(Pool::Deliveries, self.deliveries, deliveries);
        self.ledger.change(Pool::Requests, self.requests, requests);
        if requests < self.requests || requests != 0 && self.requests == 0 {
            let now = self.ledger.looks.load(Ordering::Relaxed);
            self.holdings.finished().store(now, Ordering::Relaxed);
        }
        (self.deliveries, self.requests) = (deliveries, requests);
    }

    /// Tells it if it is much more than was told last: for what grows within a turn.
    pub fn tell_growth(&mut self) {
        let deliveries = self.holdings.sum(Kind::DELIVERIES);
        if deliveries > self.deliveries + MUCH || self.requests() > self.requests + MUCH {
            self.tell();
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.ledger.change(Pool::Deliveries, self.deliveries, 0);
        self.ledger.change(Pool::Requests, self.requests, 0);
        self.ledger.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
