//! Connection slots of an interface that serves one request at a time and connection, and whose connection is closed
//! when all are taken.
//!
//! A connection whose request is running keeps its slot. One that has sent no request or only part of it, or does not
//! read its response, can be evicted: the one that has been idle for longest first. What has arrived and was not read yet
//! is not the client's fault: then it stays.

use parking_lot::Mutex;
use rustix::io::ioctl_fionread;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long a new client may take to send its request before it can be evicted.
const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(2);
/// The same for one whose last request has been answered.
const REQUEST_GRACE: Duration = Duration::from_millis(250);
/// How long a client that sends nothing more of its request's body is safe from eviction.
const BODY_GRACE: Duration = Duration::from_secs(2);
/// The bytes of a body that a client has to send per second: with less it counts as idle in between.
const BODY_RATE: u32 = 16 << 10;
/// How long a client that does not read its response is safe from eviction.
const RESPONSE_GRACE: Duration = Duration::from_secs(10);
/// The pause before looking again while everybody who could be evicted has sent something that was not read yet.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a client's connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    /// Waiting for the first request.
    AwaitingFirstRequest,
    /// Waiting for a request.
    AwaitingRequest,
    /// Waiting for the body of a request.
    AwaitingBody,
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
    /// Its socket; `None` if the system has no more descriptors.
    socket: Option<OwnedFd>,
}

impl Client {
    /// Returns from when on it may be evicted.
    fn evictable_from(&self) -> Option<Instant> {
        let grace = match self.activity {
            Activity::AwaitingFirstRequest => FIRST_REQUEST_GRACE,
            Activity::AwaitingRequest => REQUEST_GRACE,
            Activity::AwaitingBody => BODY_GRACE,
            Activity::SendingResponse => RESPONSE_GRACE,
            Activity::RunningRequest => return None,
        };
        Some(self.since + grace)
    }

    /// Returns whether the next step is not the client's but the broker's.
    fn has_sent(&self) -> bool {
        let arrived = || self.socket.as_ref().and_then(|fd| ioctl_fionread(fd).ok());
        self.activity != Activity::SendingResponse && arrived().unwrap_or(0) > 0
    }
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
        let clients = self.by_id.iter();
        let mut evictable: Vec<_> = clients
            .filter_map(|(id, client)| Some((client.evictable_from()?, *id, client)))
            .collect();
        evictable.sort_unstable_by_key(|(at, id, _)| (*at, *id));
        let mut wait = RESPONSE_GRACE;
        for (at, id, client) in evictable {
            if at > now {
                return Err(wait.min(at - now));
            }
            if !client.has_sent() {
                return Ok(id);
            }
            wait = LOOK_AGAIN;
        }
        Err(wait)
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

    /// Waits for a slot for another client with this socket.
    pub async fn take(self: &Arc<Self>, socket: impl AsFd) -> ConnectionSlot {
        loop {
            let wait = match self.try_take(Instant::now(), &socket) {
                Ok(slot) => return slot,
                Err(wait) => wait,
            };
            // Woken or not, look again.
            let _ = tokio::time::timeout(wait, self.changed.notified()).await;
        }
    }

    fn try_take(
        self: &Arc<Self>,
        now: Instant,
        socket: &impl AsFd,
    ) -> Result<ConnectionSlot, Duration> {
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
            activity: Activity::AwaitingFirstRequest,
            since: now,
            evict: evict.clone(),
            socket: socket.as_fd().try_clone_to_owned().ok(),
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

    /// Notes that the running request needs more of its body than has arrived.
    pub fn awaiting_body(&self) {
        let mut clients = self.slots.clients.lock();
        let client = clients.by_id.get_mut(&self.id);
        let Some(client) = client.filter(|client| client.activity == Activity::RunningRequest)
        else {
            return;
        };
        (client.activity, client.since) = (Activity::AwaitingBody, Instant::now());
        drop(clients);
        self.slots.changed.notify_one();
    }

    /// Notes that this many bytes of the body have arrived, and more are expected.
    pub fn receiving_body(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let worth = Duration::from_secs(1) * bytes / BODY_RATE;
        let mut clients = self.slots.clients.lock();
        if let Some(client) = clients.by_id.get_mut(&self.id)
            && client.activity == Activity::AwaitingBody
        {
            client.since = (client.since + worth).min(Instant::now());
        }
    }

    /// Notes that the whole body has arrived, or what is missing is not wanted.
    pub fn body_received(&self) {
        let mut clients = self.slots.clients.lock();
        if let Some(client) = clients.by_id.get_mut(&self.id)
            && client.activity == Activity::AwaitingBody
        {
            client.activity = Activity::RunningRequest;
        }
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
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::pin::pin;
    use std::task::{Context, Waker};

    const MAX_CLIENTS: usize = 64;

    fn is_evicted(slot: &ConnectionSlot) -> bool {
        let evicted = pin!(slot.evicted());
        evicted
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    impl ConnectionSlots {
        /// Takes a slot for a client that has sent nothing.
        fn take_at(self: &Arc<Self>, now: Instant) -> Result<ConnectionSlot, Duration> {
            self.try_take(now, &UnixStream::pair().unwrap().0)
        }
    }

    fn full(slots: &Arc<ConnectionSlots>) -> Vec<ConnectionSlot> {
        let now = Instant::now();
        (0..MAX_CLIENTS)
            .map(|_| slots.take_at(now).unwrap())
            .collect()
    }

    #[test]
    fn the_longest_idle_client_is_evicted_and_none_with_a_running_request() {
        let slots = ConnectionSlots::new(MAX_CLIENTS);
        let clients = full(&slots);
        assert!(clients[0].request_started());
        let soon = Instant::now();
        assert!(
            slots.take_at(soon).unwrap_err() <= FIRST_REQUEST_GRACE,
            "it may still send a request"
        );
        let next = slots.take_at(soon + FIRST_REQUEST_GRACE).unwrap();
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
            slots.take_at(now + RESPONSE_GRACE).unwrap_err(),
            RESPONSE_GRACE
        );
        clients[3].sending_response();
        assert!(slots.take_at(now + REQUEST_GRACE).is_err());
        assert!(slots.take_at(Instant::now() + RESPONSE_GRACE).is_ok());
        assert!(is_evicted(&clients[3]));
    }

    #[test]
    fn who_does_not_go_on_sending_its_request_is_evicted() {
        let slots = ConnectionSlots::new(MAX_CLIENTS);
        let clients = full(&slots);
        assert!(clients.iter().all(ConnectionSlot::request_started));
        let (stuck, slow, quick) = (&clients[1], &clients[2], &clients[3]);
        for client in [stuck, slow, quick] {
            client.awaiting_body();
        }
        let later = Instant::now() + BODY_GRACE;
        assert!(slots.take_at(later - BODY_GRACE / 2).is_err(), "too early");
        // It says again that nothing has come, and nothing has.
        stuck.awaiting_body();
        // A few bytes now and then do not help.
        slow.receiving_body(1);
        let since = |slot: &ConnectionSlot| slots.clients.lock().by_id[&slot.id].since;
        assert!(since(slow) < since(stuck) + Duration::from_millis(1));
        quick.receiving_body(1 << 20);
        assert!(since(quick) <= Instant::now());
        quick.body_received();
        let later = later + Duration::from_millis(10);
        let mut others = Vec::new();
        for evicted in [stuck, slow] {
            let next = slots.take_at(later).unwrap();
            assert!(is_evicted(evicted) && next.request_started());
            others.push(next);
        }
        assert!(slots.take_at(later).is_err(), "the others run requests");
        assert!(!is_evicted(quick));
    }

    #[test]
    fn a_client_whose_request_has_arrived_stays() {
        let slots = ConnectionSlots::new(2);
        let (mut writer, reader) = UnixStream::pair().unwrap();
        let (now, first) = (Instant::now(), UnixStream::pair().unwrap());
        let sent = slots.try_take(now, &reader).unwrap();
        let idle = slots.try_take(now, &first.0).unwrap();
        writer.write_all(b"GET").unwrap();
        let later = now + FIRST_REQUEST_GRACE;
        let next = slots.take_at(later).unwrap();
        assert!(is_evicted(&idle) && !is_evicted(&sent));
        assert!(next.request_started());
        assert_eq!(slots.take_at(later).unwrap_err(), LOOK_AGAIN);
        drop(next);
        assert!(sent.request_started());
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
        let _slot = runtime.block_on(slots.take(UnixStream::pair().unwrap().0));
        drop(clients);
        assert_eq!(slots.clients.lock().by_id.len(), 1);
    }
}
