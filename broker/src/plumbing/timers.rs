//! Timers: deadlines of delayed exchanges and queues, and the one task that waits for the earliest
//! of them. While there are no deadlines, nothing runs.

use super::stopped;
use crate::engine::interfaces::{Deadlines, Timed, VirtualHosts};
use crate::engine::queue::Effects;
use crate::engine::queue::Environment;
use leveret_storage::QueueId;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Instant;
use tokio::sync::{Notify, watch};

/// The earliest deadline of each owner.
#[derive(Default)]
pub struct Timers {
    state: Mutex<State>,
    /// Notified when the earliest deadline becomes earlier.
    earlier: Notify,
}

#[derive(Default)]
struct State {
    deadlines: BTreeSet<(Instant, QueueId)>,
    waiting: HashMap<QueueId, (Instant, Weak<dyn Timed>)>,
}

impl Deadlines for Timers {
    fn wake_at(&self, at: Instant, what: &Arc<dyn Timed>) {
        let id = what.timer_id();
        let mut state = self.state.lock();
        match state.waiting.get(&id) {
            Some((known, _)) if *known <= at => return,
            Some((known, _)) => {
                let known = (*known, id);
                state.deadlines.remove(&known);
            }
            None => {}
        }
        state.waiting.insert(id, (at, Arc::downgrade(what)));
        state.deadlines.insert((at, id));
        let is_first = state.deadlines.first() == Some(&(at, id));
        drop(state);
        if is_first {
            self.earlier.notify_one();
        }
    }

    fn cancel(&self, id: QueueId) {
        let mut state = self.state.lock();
        if let Some((at, _)) = state.waiting.remove(&id) {
            state.deadlines.remove(&(at, id));
        }
    }
}

impl Timers {
    /// Returns the earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.state.lock().deadlines.first().map(|(at, _)| *at)
    }

    /// Removes and returns the owner whose deadline has been due longest.
    pub fn take_due(&self, now: Instant) -> Option<Arc<dyn Timed>> {
        let mut state = self.state.lock();
        while let Some(&(at, id)) = state.deadlines.first().filter(|(at, _)| *at <= now) {
            state.deadlines.remove(&(at, id));
            let (_, what) = state.waiting.remove(&id)?;
            if let Some(what) = what.upgrade() {
                return Some(what);
            }
        }
        None
    }
}

/// Serves all timers until `stop` becomes true. Due work is performed in this environment.
pub async fn serve(
    timers: Arc<Timers>,
    vhosts: Arc<dyn VirtualHosts>,
    environment: Environment,
    stop: watch::Receiver<bool>,
) {
    loop {
        let (timers, vhosts) = (timers.clone(), vhosts.clone());
        let fx = Effects::on(environment.clone(), None);
        let stop = stop.clone();
        let task = tokio::spawn(async move { look_after(&timers, &*vhosts, fx, stop).await });
        match task.await {
            Ok(()) => return,
            // A bug in one queue must not stop the timers of all others.
            Err(error) => tracing::error!(%error, "timer task failed, restarting it"),
        }
    }
}

async fn look_after(
    timers: &Timers,
    vhosts: &dyn VirtualHosts,
    mut fx: Effects,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let next = timers.next();
        tokio::select! {
            () = stopped(&mut stop) => return,
            () = timers.earlier.notified() => continue,
            () = sleep_until(next) => {}
        }
        // The time is read again for each: while one has its turn, others become due.
        while let Some(what) = timers.take_due(Instant::now()) {
            room(&fx.environment).await;
            let again = what.clone().on_time(vhosts, Instant::now(), &mut fx);
            fx.perform();
            if let Some(at) = again {
                timers.wake_at(at, &what);
            }
            if *stop.borrow() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Waits while the store or the pager is over its mark: due messages must not pile up there, just as publishes must
/// not.
async fn room(environment: &Environment) {
    poll_fn(|cx| {
        if let Some(store) = environment
            .store
            .as_ref()
            .filter(|store| store.backlog_over_mark())
        {
            store.wake_when_below(cx.waker().clone());
            return Poll::Pending;
        }
        if let Some(pager) = environment.pager.as_ref().filter(|pager| pager.over_mark()) {
            pager.wake_when_below(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    struct Thing(u64);

    impl Timed for Thing {
        fn timer_id(&self) -> QueueId {
            QueueId(self.0)
        }

        fn on_time(
            self: Arc<Self>,
            _: &dyn VirtualHosts,
            _: Instant,
            _: &mut Effects,
        ) -> Option<Instant> {
            None
        }
    }

    fn thing(id: u64) -> Arc<dyn Timed> {
        Arc::new(Thing(id))
    }

    fn due(timers: &Timers, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| timers.take_due(now))
            .map(|what| what.timer_id().0)
            .collect()
    }

    #[test]
    fn deadlines_come_in_their_order_and_once() {
        let (timers, now) = (Timers::default(), Instant::now());
        let things = [thing(1), thing(2), thing(3)];
        for (thing, seconds) in things.iter().zip([3, 1, 2]) {
            timers.wake_at(now + Duration::from_secs(seconds), thing);
        }
        assert_eq!(timers.next(), Some(now + Duration::from_secs(1)));
        assert_eq!(due(&timers, now), [0; 0]);
        assert_eq!(due(&timers, now + Duration::from_secs(2)), [2, 3]);
        assert_eq!(due(&timers, now + Duration::from_secs(9)), [1]);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn each_keeps_its_earliest_deadline_only() {
        let (timers, now) = (Timers::default(), Instant::now());
        let thing = thing(1);
        for seconds in [5, 3, 4] {
            timers.wake_at(now + Duration::from_secs(seconds), &thing);
        }
        assert_eq!(timers.next(), Some(now + Duration::from_secs(3)));
        assert_eq!(due(&timers, now + Duration::from_secs(9)), [1]);
    }

    #[test]
    fn what_is_gone_leaves_nothing_behind() {
        let (timers, now) = (Timers::default(), Instant::now());
        let (dropped, cancelled) = (thing(1), thing(2));
        timers.wake_at(now, &dropped);
        timers.wake_at(now, &cancelled);
        timers.cancel(QueueId(2));
        drop(dropped);
        assert_eq!(due(&timers, now), [0; 0]);
        let state = timers.state.lock();
        assert!(state.waiting.is_empty() && state.deadlines.is_empty());
    }
}
