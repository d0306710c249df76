//! A connection's account with the ledger.

use super::limits::Pool;
use super::{Holdings, Kind, Ledger};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A growth that is reported immediately and not at the end of the turn.
const GROWTH_STEP: u64 = 64 << 10;

/// A connection's entry in the ledger, removed when it is dropped.
#[derive(Debug)]
pub struct Account {
    ledger: Arc<Ledger>,
    holdings: Arc<Holdings>,
    deliveries: u64,
    requests: u64,
}

impl Account {
    /// Opens an account for a connection.
    pub fn open(ledger: &Arc<Ledger>, holdings: &Arc<Holdings>) -> Self {
        ledger.connections.fetch_add(1, Ordering::Relaxed);
        Account {
            ledger: ledger.clone(),
            holdings: holdings.clone(),
            deliveries: 0,
            requests: 0,
        }
    }

    /// Returns the ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Returns what the connection holds.
    pub fn holdings(&self) -> &Arc<Holdings> {
        &self.holdings
    }

    /// Returns the bytes held for what the peer has sent.
    pub fn requests(&self) -> u64 {
        self.holdings.sum(Kind::REQUESTS)
    }

    /// Reports what the connection holds now.
    pub fn report(&mut self) {
        let (deliveries, requests) = (self.holdings.sum(Kind::DELIVERIES), self.requests());
        self.ledger
            .change(Pool::Deliveries, self.deliveries, deliveries);
        self.ledger.change(Pool::Requests, self.requests, requests);
        if requests < self.requests || requests != 0 && self.requests == 0 {
            let now = self.ledger.updates.load(Ordering::Relaxed);
            self.holdings.finished().store(now, Ordering::Relaxed);
        }
        (self.deliveries, self.requests) = (deliveries, requests);
    }

    /// Reports it if it is much more than last reported: for what grows within a turn.
    pub fn report_growth(&mut self) {
        let deliveries = self.holdings.sum(Kind::DELIVERIES);
        if deliveries > self.deliveries + GROWTH_STEP
            || self.requests() > self.requests + GROWTH_STEP
        {
            self.report();
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
