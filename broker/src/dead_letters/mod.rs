//! Sending dead letters on: each is routed by the exchange that its queue names, and is in the
//! queues that this leads to and gone from the one it leaves in one and the same batch of the
//! store. It waits for nobody: what a queue turns away on this road is lost to it, as in RabbitMQ,
//! unless the queue that it leaves loses none; then it goes back there.

mod death;

use crate::exchange::{Delays, Directory, Exchange, Held, Placed, Postponed, Routable, Route};
use crate::message::SharedMessage;
use crate::queue::{DeadLetter, Effects, Origin, Queue, Reason, Transfer};
use crate::vhost::{Vhost, Vhosts};
use death::Death;
use smallvec::SmallVec;
use std::sync::Arc;

/// Octets for the store after which a batch is complete, about.
const BATCH_OCTETS: usize = 8 << 20;
/// Dead letters in a batch at most.
const BATCH_LETTERS: usize = 4096;

/// Dead letters that come of one at once (it goes to queues that are full and have dead letters
/// themselves) and are sent on in any case ...
const CHAIN_MIN: usize = 4096;
/// ... and so many more for each that it began with.
const CHAIN_FACTOR: usize = 16;

/// How many dead letters one batch may lead to, one coming of the other. Among ten queues of
/// `x-max-length` 0 whose dead letters go to all ten, a single message would make ten million, as
/// none of them goes where it was before but may take any way through the others.
#[derive(Debug, Default)]
pub struct Chain {
    /// How many more; none before it began.
    left: Option<usize>,
}

impl Chain {
    /// How many of the next so many are sent on.
    pub fn room_for(&mut self, letters: usize) -> usize {
        let Some(left) = &mut self.left else {
            self.left = Some(CHAIN_MIN.saturating_add(letters.saturating_mul(CHAIN_FACTOR)));
            return letters;
        };
        let sent = letters.min(*left);
        *left -= sent;
        sent
    }
}

/// Ends a chain of dead letters that is too long: they are lost, but for those whose queue loses none,
/// which go back there.
pub fn give_up(letters: &[DeadLetter], vhosts: &Vhosts, fx: &mut Effects) {
    let Some(first) = letters.first() else {
        return;
    };
    tracing::warn!(
        queue = %first.origin.queue,
        lost = letters.len(),
        "dead letters lead to more and more dead letters: the last of them are dropped"
    );
    let same = |a: &DeadLetter, b: &DeadLetter| Arc::ptr_eq(&a.origin, &b.origin);
    for run in letters.chunk_by(same) {
        let origin = &run[0].origin;
        match home_of(origin, vhosts).filter(|_| origin.loses_none) {
            Some(queue) => queue.keep_undelivered(run.to_vec(), fx),
            None => run.iter().for_each(|letter| letter.leave(fx)),
        }
    }
}

/// Sends dead letters on, in their order. The first batch holds what `fx` has collected before.
pub fn send(letters: &[DeadLetter], vhosts: &Vhosts, fx: &mut Effects) {
    let now = fx.now();
    let mut sorter = Sorter {
        seconds: fx.clock().wall_millis(now) / 1000,
        ..Sorter::default()
    };
    let same = |a: &DeadLetter, b: &DeadLetter| Arc::ptr_eq(&a.origin, &b.origin);
    let mut left: Vec<&DeadLetter> = Vec::new();
    for run in letters.chunk_by(same) {
        let origin = &run[0].origin;
        let way = Way::of(origin, vhosts);
        let mut stuck = Vec::new();
        for letter in run {
            let sent = way.as_ref().is_some_and(|way| sorter.sort(letter, way));
            if !sent && origin.loses_none {
                stuck.push(letter.clone());
                continue;
            }
            left.push(letter);
            if sorter.transfer.octets() >= BATCH_OCTETS || left.len() >= BATCH_LETTERS {
                sorter.carry_out(&mut left, fx);
            }
        }
        if let Some(queue) = home_of(origin, vhosts).filter(|_| !stuck.is_empty()) {
            queue.keep_undelivered(stuck, fx);
        }
    }
    sorter.carry_out(&mut left, fx);
}

/// The queue that dead letters come from, while it is there.
fn home_of(origin: &Origin, vhosts: &Vhosts) -> Option<Arc<Queue>> {
    let queue = vhosts
        .get(origin.vhost.as_str())?
        .queue(origin.queue.as_str())?;
    (queue.id == origin.id).then_some(queue)
}

/// The exchange that a queue's dead letters go to. It may come and go; without it they are lost.
struct Way {
    vhost: Arc<Vhost>,
    /// None for the default exchange.
    exchange: Option<Arc<Exchange>>,
}

impl Way {
    fn of(origin: &Origin, vhosts: &Vhosts) -> Option<Way> {
        let vhost = vhosts.get(origin.vhost.as_str())?;
        let exchange = match origin.exchange.as_str() {
            "" => None,
            name => Some(vhost.exchange(name)?),
        };
        Some(Way { vhost, exchange })
    }

    fn find(&self, message: &Routable<'_>, route: &mut Route) {
        if let Some(exchange) = &self.exchange {
            route.find(exchange, message, &*self.vhost as &dyn Directory);
            return;
        }
        let named = |key: &&[u8]| self.vhost.queue(std::str::from_utf8(key).ok()?);
        route.kept_by.clear();
        route.queues.clear();
        route
            .queues
            .extend(message.routing_keys.iter().filter_map(named));
        route.queues.sort_unstable_by_key(|queue| queue.id);
        route.queues.dedup_by_key(|queue| queue.id);
    }
}

/// Finds out where letters go, and collects them until they are carried there.
#[derive(Default)]
struct Sorter {
    /// The wall clock's time, in seconds.
    seconds: u64,
    route: Route,
    transfer: Transfer,
    postponed: Vec<(Arc<Delays>, Postponed)>,
}

impl Sorter {
    /// Says whether the letter goes anywhere.
    fn sort(&mut self, letter: &DeadLetter, way: &Way) -> bool {
        let (message, origin) = (&letter.message, &letter.origin);
        let death = Death::new(letter, self.seconds);
        let keys = match &origin.routing_key {
            Some(key) => SmallVec::from_slice(&[&key[..]]),
            None => death.routing_keys.clone(),
        };
        let (properties, deaths) = death.note_in(message.properties());
        let routable = Routable {
            routing_keys: &keys,
            properties: &properties,
        };
        way.find(&routable, &mut self.route);
        if letter.reason != Reason::Rejected {
            let goes_round = |queue: &Arc<Queue>| deaths.would_go_round(queue.name().as_str());
            self.route.queues.retain(|queue| !goes_round(queue));
        }
        let (queues, kept_by) = (&self.route.queues, &self.route.kept_by);
        if queues.is_empty() && kept_by.is_empty() {
            return false;
        }
        let stored = queues
            .iter()
            .filter(|queue| queue.stores(message.persistent()));
        // A routing key is a short string, whatever it was given as.
        let key = keys.first().copied().unwrap_or_default();
        let key = &key[..key.len().min(usize::from(u8::MAX))];
        let exchange = origin.exchange.as_str().as_bytes();
        let cancellable = stored.count() == 1 && kept_by.is_empty();
        let sent = message.forwarded(exchange, key, &properties, cancellable);
        let sent: SharedMessage = Arc::new(sent);
        if origin.loses_none {
            if !self.transfer.add_if_room(&sent, queues) {
                return false;
            }
        } else {
            self.transfer.add(&sent, queues);
        }
        let delay = routable.delay().unwrap_or_default();
        let postponed = kept_by.iter().map(|delays| {
            let held = Held {
                message: sent.clone(),
                more_keys: keys[1..].iter().map(|key| (*key).into()).collect(),
            };
            let token = None;
            (delays.clone(), Postponed { held, delay, token })
        });
        self.postponed.extend(postponed);
        true
    }

    /// Carries out what was collected; `left` says which letters have left their queues by that.
    fn carry_out(&mut self, left: &mut Vec<&DeadLetter>, fx: &mut Effects) {
        let postponed = std::mem::take(&mut self.postponed);
        let mut placed: Vec<(Arc<Delays>, Vec<Placed>)> = Vec::new();
        let leave = |fx: &mut Effects| {
            let now = fx.now();
            let now = fx.clock().instant(now);
            for (delays, postponed) in postponed {
                let places = delays.place([postponed], now, fx);
                placed.push((delays, places));
            }
            for letter in left.drain(..) {
                letter.leave(fx);
            }
        };
        self.transfer.perform(leave, fx);
        for (delays, placed) in placed {
            delays.keep(placed, fx);
        }
    }
}
