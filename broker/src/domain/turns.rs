//! Turns: how many logins from one address wait for the same threads at a time, so that no address keeps all others out.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Places = Arc<Mutex<HashMap<IpAddr, Arc<Semaphore>>>>;

/// The addresses from which somebody has a turn or waits for one.
#[derive(Debug)]
pub(super) struct Turns {
    share: usize,
    places: Places,
}

/// Somebody's turn; the next one from that address has it when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    permit: Option<OwnedSemaphorePermit>,
    /// That of `places`, and this one.
    semaphore: Option<Arc<Semaphore>>,
    address: IpAddr,
    places: Places,
}

impl Turns {
    /// Gives every address this many turns at a time.
    pub(super) fn new(share: usize) -> Self {
        Turns {
            share,
            places: Places::default(),
        }
    }

    /// Waits for a turn. Whoever drops the future gives it up.
    pub(super) async fn take(&self, address: IpAddr) -> Turn {
        let semaphore = {
            let mut places = self.places.lock();
            let share = || Arc::new(Semaphore::new(self.share));
            places.entry(address).or_insert_with(share).clone()
        };
        // Before the wait: whoever gives up has to leave, too.
        let mut turn = Turn {
            permit: None,
            semaphore: Some(semaphore.clone()),
            address,
            places: self.places.clone(),
        };
        // It is never closed.
        turn.permit = semaphore.acquire_owned().await.ok();
        turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut places = self.places.lock();
        (self.permit, self.semaphore) = (None, None);
        // Nobody else has one or waits: others clone it under the same lock.
        let is_last = |semaphore: &Arc<Semaphore>| Arc::strong_count(semaphore) == 1;
        if places.get(&self.address).is_some_and(is_last) {
            places.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::BROADCAST);

    fn taken(turns: &Turns, address: IpAddr) -> Option<Turn> {
        let take = pin!(turns.take(address));
        match take.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[test]
    fn an_address_waits_for_itself_only_and_is_forgotten() {
        let turns = Turns::new(2);
        let (first, second) = (taken(&turns, HERE), taken(&turns, HERE));
        assert!(first.is_some() && second.is_some());
        assert!(taken(&turns, HERE).is_none());
        assert!(taken(&turns, THERE).is_some());
        drop(first);
        assert!(taken(&turns, HERE).is_some());
        drop(second);
        assert!(turns.places.lock().is_empty());
    }

    #[test]
    fn whoever_gives_up_leaves() {
        let turns = Turns::new(1);
        let first = taken(&turns, HERE);
        {
            let mut waiting = pin!(turns.take(HERE));
            let mut context = Context::from_waker(Waker::noop());
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            drop(first);
        }
        assert!(turns.places.lock().is_empty());
        assert!(taken(&turns, HERE).is_some());
    }
}
