//! Connection slots of an interface that serves one request at a time and connection, and whose connection is closed
//! when all are taken.
//!
//! A connection whose request is running keeps its slot. One that has sent no request, or does not read
//! its response, can be evicted: the one that has been idle for longest first.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long a client that has sent no request is safe from eviction.
const REQUEST_GRACE: Duration = Duration::from_millis(250);
/// How long a client that does not read its response is safe from eviction.
const RESPONSE_GRACE: Duration = Duration::from_secs(10);

/// What a client's connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    /// Waiting for a request.
    AwaitingRequest,
    /// Running a request.
    RunningRequest,
    /// Sending a response.
    SendingResponse,
}

#[derive(Debug)]
struct Client {
    activity: Activity,
    since: Instant,
    evict: Arc<Notify>,
}

/// All slots.
#[derive(Debug)]
pub struct ConnectionSlots {
    max: usize,
    clients: Mutex<Clients>,
    /// Notified when a slot becomes free, or a client may have become evictable.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Clients {
    by_id: BTreeMap<u64, Client>,
    last_id: u64,
}

impl Clients {
    /// Returns the client to evict now; or else how long to wait, unless something changes, until one
    /// may be evicted.
    fn evictable(&self, now: Instant) -> Result<u64, Duration> {
        let evictable_from = |client: &Client| match client.activity {
            Activity::AwaitingRequest => Some(client.since + REQUEST_GRACE),
            Activity::SendingResponse => Some(client.since + RESPONSE_GRACE),
            Activity::RunningRequest => None,
        };
        let first = self
            .by_id
            .iter()
            .filter_map(|(id, client)| Some((evictable_from(client)?, id)))
            .min();
        match first {
            Some((at, id)) if at <= now => Ok(*id),
            Some((at, _)) => Err(at - now),
            None => Err(RESPONSE_GRACE),
        }
    }
}

impl ConnectionSlots {
    /// Returns this many free slots.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(ConnectionSlots {
            max,
            clients: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Waits for a slot for another client.
    pub async fn take(self: &Arc<Self>) -> ConnectionSlot {
        loop {
            let wait = match self.try_take(Instant::now()) {
                Ok(slot) => return slot,
                Err(wait) => wait,
            };
            // Woken or not, look again.
            let _ = tokio::time::timeout(wait, self.changed.notified()).await;
        }
    }

    fn try_take(self: &Arc<Self>, now: Instant) -> Result<ConnectionSlot, Duration> {
        let mut clients = self.clients.lock();
        if clients.by_id.len() >= self.max {
            let id = clients.evictable(now)?;
            if let Some(client) = clients.by_id.remove(&id) {
                client.evict.notify_one();
            }
        }
        clients.last_id += 1;
        let (id, evict) = (clients.last_id, Arc::new(Notify::new()));
        let client = Client {
            activity: Activity::AwaitingRequest,
            since: now,
            evict: evict.clone(),
        };
        clients.by_id.insert(id, client);
        Ok(ConnectionSlot {
            slots: self.clone(),
            id,
            evict,
        })
    }
}

/// A client's slot, which becomes free when this is dropped.
#[derive(Debug)]
pub struct ConnectionSlot {
    slots: Arc<ConnectionSlots>,
    id: u64,
    evict: Arc<Notify>,
}

impl ConnectionSlot {
    /// Returns when the client is evicted.
    pub async fn evicted(&self) {
        self.evict.notified().await;
    }

    /// Notes that a request starts running. Returns false if the client has been evicted: then the
    /// request must not run.
    #[must_use]
    pub fn request_started(&self) -> bool {
        self.set_activity(Activity::RunningRequest)
    }

    /// Notes that another part of the response is being sent.
    pub fn sending_response(&self) {
        self.set_activity(Activity::SendingResponse);
    }

    /// Notes that the client has received its whole response.
    pub fn response_sent(&self) {
        self.set_activity(Activity::AwaitingRequest);
    }

    fn set_activity(&self, activity: Activity) -> bool {
        let mut clients = self.slots.clients.lock();
        let Some(client) = clients.by_id.get_mut(&self.id) else {
            return false;
        };
        (client.activity, client.since) = (activity, Instant::now());
        drop(clients);
        if activity != Activity::RunningRequest {
            self.slots.changed.notify_one();
        }
        true
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.slots.clients.lock().by_id.remove(&self.id);
        self.slots.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    const MAX_CLIENTS: usize = 64;

    fn is_evicted(slot: &ConnectionSlot) -> bool {
        let evicted = pin!(slot.evicted());
        evicted
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    fn full(slots: &Arc<ConnectionSlots>) -> Vec<ConnectionSlot> {
        let now = Instant::now();
        (0..MAX_CLIENTS)
            .map(|_| slots.try_take(now).unwrap())
            .collect()
    }

    #[test]
    fn the_longest_idle_client_is_evicted_and_none_with_a_running_request() {
        let slots = ConnectionSlots::new(MAX_CLIENTS);
        let clients = full(&slots);
        assert!(clients[0].request_started());
        let soon = Instant::now();
        assert!(
            slots.try_take(soon).unwrap_err() <= REQUEST_GRACE,
            "it may still send a request"
        );
        let next = slots.try_take(soon + REQUEST_GRACE).unwrap();
        assert!(is_evicted(&clients[1]));
        assert!(!clients[1].request_started(), "too late");
        assert!(!is_evicted(&clients[0]) && !is_evicted(&clients[2]) && !is_evicted(&next));
        assert_eq!(slots.clients.lock().by_id.len(), MAX_CLIENTS);
    }

    #[test]
    fn a_client_that_does_not_read_its_response_is_evicted_later() {
        let slots = ConnectionSlots::new(MAX_CLIENTS);
        let clients = full(&slots);
        assert!(clients.iter().all(ConnectionSlot::request_started));
        let now = Instant::now();
        assert_eq!(
            slots.try_take(now + RESPONSE_GRACE).unwrap_err(),
            RESPONSE_GRACE
        );
        clients[3].sending_response();
        assert!(slots.try_take(now + REQUEST_GRACE).is_err());
        assert!(slots.try_take(Instant::now() + RESPONSE_GRACE).is_ok());
        assert!(is_evicted(&clients[3]));
    }

    #[test]
    fn a_slot_is_free_again_when_its_client_disconnects() {
        let slots = ConnectionSlots::new(MAX_CLIENTS);
        let mut clients = full(&slots);
        assert!(clients.iter().all(ConnectionSlot::request_started));
        clients.pop();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let _slot = runtime.block_on(slots.take());
        drop(clients);
        assert_eq!(slots.clients.lock().by_id.len(), 1);
    }
}
