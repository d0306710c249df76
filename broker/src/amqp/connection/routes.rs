//! A cache of the last few routes of a connection: publishers repeat themselves, and those that do
//! not usually alternate between a few exchanges and keys. Routes are found by the bytes of the
//! method as they are in its frame, without decoding them.

use crate::engine::exchange::Exchange;
use crate::engine::queue::Queue;
use leveret_protocol::method::Publish;
use std::ops::Range;
use std::sync::Arc;

/// The routes in one set: those with the same part of their hash.
const WAYS: usize = 4;
/// The maximum number of sets; there is one at first, and their number doubles when one overflows.
const SETS_MAX: usize = 32;
/// Offset of the exchange's name: after the method's ids, the ticket, and the name's length.
const EXCHANGE_AT: usize = 7;

/// The cached routes.
#[derive(Default)]
pub(super) struct CachedRoutes {
    /// A power of two of sets, each of [`WAYS`] routes.
    routes: Vec<CachedRoute>,
    /// The most recently found route.
    last: usize,
    /// Which route of a full set is replaced next.
    turn: usize,
    /// Routes of publishes that are not reported yet.
    counted: Vec<usize>,
}

/// The route of a basic.publish with certain arguments.
#[derive(Clone, Default)]
pub(super) struct CachedRoute {
    hash: u64,
    /// The method frame's payload; empty for an unused entry.
    payload: Vec<u8>,
    /// Where the exchange's name and the routing key are in it.
    names: [Range<usize>; 2],
    pub(super) mandatory: bool,
    /// `None` for the default exchange.
    pub(super) exchange: Option<Arc<Exchange>>,
    /// The queues; `None` if they depend on the message's properties.
    pub(super) queues: Option<Arc<[Arc<Queue>]>>,
    /// A hint: the queue's place in the run.
    pub(super) place: usize,
    /// Publishes that are not reported yet.
    published: u64,
    /// How many queues they were routed to, where that depends on each message.
    routed: u64,
}

impl CachedRoute {
    pub(super) fn exchange_name(&self) -> &[u8] {
        &self.payload[self.names[0].clone()]
    }

    pub(super) fn routing_key(&self) -> &[u8] {
        &self.payload[self.names[1].clone()]
    }
}

impl CachedRoutes {
    /// Returns the index of the route for a method frame with this payload.
    #[inline]
    pub(super) fn find(&mut self, payload: &[u8]) -> Option<usize> {
        let last = self.routes.get(self.last)?;
        if last.payload == payload {
            return Some(self.last);
        }
        let hash = hash(payload);
        let set = self.set_of(hash);
        let is_it = |route: &CachedRoute| route.hash == hash && route.payload == payload;
        let at = set.start + self.routes[set].iter().position(is_it)?;
        self.last = at;
        Some(at)
    }

    /// Counts a publish by a route, to this many queues if that depends on the message.
    #[inline]
    pub(super) fn count(&mut self, at: usize, queues: usize) {
        let route = &mut self.routes[at];
        if route.published == 0 {
            self.counted.push(at);
        }
        route.published += 1;
        if route.queues.is_none() {
            route.routed += queues as u64;
        }
    }

    /// Takes the publishes by one of the routes that have some: their exchange, their number, and how many queues they
    /// were routed to.
    pub(super) fn take_counted(&mut self) -> Option<(Option<Arc<Exchange>>, u64, u64)> {
        let route = &mut self.routes[self.counted.pop()?];
        let published = std::mem::take(&mut route.published);
        let routed = match &route.queues {
            Some(queues) => published * queues.len() as u64,
            None => std::mem::take(&mut route.routed),
        };
        Some((route.exchange.clone(), published, routed))
    }

    /// Caches the route of this payload, and returns its index. What was counted must have been taken.
    pub(super) fn insert(
        &mut self,
        payload: &[u8],
        publish: &Publish<'_>,
        exchange: Option<Arc<Exchange>>,
        queues: Option<Arc<[Arc<Queue>]>>,
    ) -> usize {
        let hash = hash(payload);
        let at = self.free(hash);
        let key_at = EXCHANGE_AT + publish.exchange.len() + 1;
        let route = &mut self.routes[at];
        route.hash = hash;
        route.payload.clear();
        route.payload.extend_from_slice(payload);
        route.names = [
            EXCHANGE_AT..key_at - 1,
            key_at..key_at + publish.routing_key.len(),
        ];
        route.mandatory = publish.mandatory;
        route.exchange = exchange;
        route.queues = queues;
        route.place = 0;
        self.last = at;
        at
    }

    /// Returns the index for a new route: an unused entry, after doubling the sets if necessary, or
    /// the next one to replace.
    fn free(&mut self, hash: u64) -> usize {
        if self.routes.is_empty() {
            self.routes.resize_with(WAYS, CachedRoute::default);
        }
        let set = self.set_of(hash);
        let mut routes = self.routes[set.clone()].iter();
        if let Some(free) = routes.position(|route| route.payload.is_empty()) {
            return set.start + free;
        }
        let sets = self.routes.len() / WAYS;
        if sets < SETS_MAX {
            // Everything is looked up again.
            self.routes.clear();
            self.routes
                .resize_with(sets * 2 * WAYS, CachedRoute::default);
            return self.set_of(hash).start;
        }
        self.turn = (self.turn + 1) % WAYS;
        set.start + self.turn
    }

    fn set_of(&self, hash: u64) -> Range<usize> {
        // The upper bits depend on every input byte.
        let sets = (self.routes.len() / WAYS) as u64;
        let start = ((hash >> 32) & (sets - 1)) as usize * WAYS;
        start..start + WAYS
    }

    /// Returns a route by the index from [`CachedRoutes::find`] or [`CachedRoutes::insert`].
    #[inline]
    pub(super) fn get(&self, at: usize) -> &CachedRoute {
        &self.routes[at]
    }

    /// Like [`CachedRoutes::get`], mutably.
    #[inline]
    pub(super) fn get_mut(&mut self, at: usize) -> &mut CachedRoute {
        &mut self.routes[at]
    }

    /// Returns the number of cached routes.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.routes
            .iter()
            .filter(|route| !route.payload.is_empty())
            .count()
    }
}

/// Cheap: a peer that forces collisions only slows itself down.
fn hash(payload: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(29) ^ word).wrapping_mul(FACTOR);
    let (words, rest) = payload.as_chunks::<8>();
    let mut hash = payload.len() as u64;
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(hash, u64::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(exchange: &str, key: &str) -> Vec<u8> {
        let mut payload = vec![0, 60, 0, 40, 0, 0, exchange.len() as u8];
        payload.extend_from_slice(exchange.as_bytes());
        payload.push(key.len() as u8);
        payload.extend_from_slice(key.as_bytes());
        payload.push(1);
        payload
    }

    fn insert(known: &mut CachedRoutes, exchange: &str, key: &str) {
        let publish = Publish {
            exchange: exchange.as_bytes(),
            routing_key: key.as_bytes(),
            mandatory: true,
            immediate: false,
        };
        known.insert(&payload(exchange, key), &publish, None, None);
    }

    #[test]
    fn what_is_found_is_what_was_put_in_and_there_is_an_end_to_it() {
        let mut known = CachedRoutes::default();
        for n in 0..10_000 {
            let (exchange, key) = (format!("x{}", n % 7), format!("key.{n}"));
            let payload = payload(&exchange, &key);
            assert_eq!(known.find(&payload), None);
            insert(&mut known, &exchange, &key);
            let at = known.find(&payload).expect("it was put in");
            let route = known.get(at);
            assert_eq!(route.exchange_name(), exchange.as_bytes());
            assert_eq!(route.routing_key(), key.as_bytes());
            assert!(known.len() <= WAYS * SETS_MAX);
        }
        assert!(
            known.len() > WAYS * SETS_MAX / 2,
            "they are spread over the sets"
        );
    }

    #[test]
    fn a_few_keys_that_take_turns_stay_known() {
        let mut known = CachedRoutes::default();
        let keys: Vec<String> = (0..16).map(|n| format!("a.{n}.c")).collect();
        let mut missed = 0;
        for n in 0..1000 {
            let key = &keys[n % keys.len()];
            if known.find(&payload("x", key)).is_none() {
                missed += 1;
                insert(&mut known, "x", key);
            }
        }
        assert!(
            missed < 16 * 6,
            "{missed}: each time when there were more sets, no more"
        );
    }
}
