//! Who is connected to the admin socket, and who has to go when there is no place for the next one.
//!
//! Whoever has a request under way keeps its place. Whoever has said nothing yet, or does not take its
//! answer, makes room: the one that has done so for longest first.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Clients at a time.
pub(super) const MAX_CLIENTS: usize = 64;
/// How long a client may take to say what it wants before it has to make room.
const GRACE: Duration = Duration::from_millis(250);
/// How long it may leave its answer unread before it has to.
const STALLED: Duration = Duration::from_secs(10);

/// What a client is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// It was not asked for anything since.
    Waiting,
    /// Its request is under way.
    Working,
    /// It has an answer to take.
    Answering,
}

#[derive(Debug)]
struct Client {
    doing: Doing,
    since: Instant,
    leave: Arc<Notify>,
}

/// All places.
#[derive(Debug, Default)]
pub(super) struct Seats {
    taken: Mutex<Taken>,
    /// A place is free, or somebody may have to make room.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    clients: BTreeMap<u64, Client>,
    next: u64,
}

impl Taken {
    /// Who has to make room now; or how long until somebody may have to, unless something changes.
    fn leaver(&self, now: Instant) -> Result<u64, Duration> {
        let ready = |client: &Client| match client.doing {
            Doing::Waiting => Some(client.since + GRACE),
            Doing::Answering => Some(client.since + STALLED),
            Doing::Working => None,
        };
        let first = self
            .clients
            .iter()
            .filter_map(|(id, client)| Some((ready(client)?, id)))
            .min();
        match first {
            Some((at, id)) if at <= now => Ok(*id),
            Some((at, _)) => Err(at - now),
            None => Err(STALLED),
        }
    }
}

impl Seats {
    /// A place for another client, as soon as there is one.
    pub(super) async fn take(self: &Arc<Self>) -> Seat {
        loop {
            let patience = match self.try_take(Instant::now()) {
                Ok(seat) => return seat,
                Err(patience) => patience,
            };
            // Woken or not: it is looked again.
            let _ = tokio::time::timeout(patience, self.changed.notified()).await;
        }
    }

    fn try_take(self: &Arc<Self>, now: Instant) -> Result<Seat, Duration> {
        let mut taken = self.taken.lock();
        if taken.clients.len() >= MAX_CLIENTS {
            let id = taken.leaver(now)?;
            if let Some(client) = taken.clients.remove(&id) {
                client.leave.notify_one();
            }
        }
        taken.next += 1;
        let (id, leave) = (taken.next, Arc::new(Notify::new()));
        let client = Client {
            doing: Doing::Waiting,
            since: now,
            leave: leave.clone(),
        };
        taken.clients.insert(id, client);
        Ok(Seat {
            seats: self.clone(),
            id,
            leave,
        })
    }
}

/// A client's place, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    id: u64,
    leave: Arc<Notify>,
}

impl Seat {
    /// Returns when the client has to make room.
    pub(super) async fn is_wanted(&self) {
        self.leave.notified().await;
    }

    /// Its request is under way. `false`: it has to make room, and nothing may be done for it.
    #[must_use]
    pub(super) fn works(&self) -> bool {
        self.does(Doing::Working)
    }

    /// It has another part of its answer to take.
    pub(super) fn answers(&self) {
        self.does(Doing::Answering);
    }

    /// It has its answer.
    pub(super) fn waits(&self) {
        self.does(Doing::Waiting);
    }

    fn does(&self, doing: Doing) -> bool {
        let mut taken = self.seats.taken.lock();
        let Some(client) = taken.clients.get_mut(&self.id) else {
            return false;
        };
        (client.doing, client.since) = (doing, Instant::now());
        drop(taken);
        if doing != Doing::Working {
            self.seats.changed.notify_one();
        }
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken.lock().clients.remove(&self.id);
        self.seats.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn is_told(seat: &Seat) -> bool {
        let told = pin!(seat.is_wanted());
        told.poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    fn full(seats: &Arc<Seats>) -> Vec<Seat> {
        let now = Instant::now();
        (0..MAX_CLIENTS)
            .map(|_| seats.try_take(now).unwrap())
            .collect()
    }

    #[test]
    fn the_oldest_that_waits_makes_room_and_none_that_works() {
        let seats = Arc::new(Seats::default());
        let clients = full(&seats);
        assert!(clients[0].works());
        let soon = Instant::now();
        assert!(
            seats.try_take(soon).unwrap_err() <= GRACE,
            "it may still say something"
        );
        let next = seats.try_take(soon + GRACE).unwrap();
        assert!(is_told(&clients[1]));
        assert!(!clients[1].works(), "too late");
        assert!(!is_told(&clients[0]) && !is_told(&clients[2]) && !is_told(&next));
        assert_eq!(seats.taken.lock().clients.len(), MAX_CLIENTS);
    }

    #[test]
    fn who_does_not_take_its_answer_makes_room_later() {
        let seats = Arc::new(Seats::default());
        let clients = full(&seats);
        assert!(clients.iter().all(Seat::works));
        let now = Instant::now();
        assert_eq!(seats.try_take(now + STALLED).unwrap_err(), STALLED);
        clients[3].answers();
        assert!(seats.try_take(now + GRACE).is_err());
        assert!(seats.try_take(Instant::now() + STALLED).is_ok());
        assert!(is_told(&clients[3]));
    }

    #[test]
    fn a_place_is_free_again_when_its_client_goes() {
        let seats = Arc::new(Seats::default());
        let mut clients = full(&seats);
        assert!(clients.iter().all(Seat::works));
        clients.pop();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let _seat = runtime.block_on(seats.take());
        drop(clients);
        assert_eq!(seats.taken.lock().clients.len(), 1);
    }
}
