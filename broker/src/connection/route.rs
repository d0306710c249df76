//! From a published message to its queues, with the last answer kept: publishers tend to repeat
//! themselves.

use super::Connection;
use super::channel::Target;
use super::reply_to::is_address;
use crate::exchange::{Delays, Exchange, Routable, Route};
use crate::message::MessageBuilder;
use crate::queue::Queue;
use leveret_protocol::repeated::publish_payload;
use leveret_protocol::{AmqpError, ChannelId};
use smallvec::SmallVec;
use std::sync::Arc;

/// The last exchange and route that were looked up, good until something is declared, deleted,
/// bound or permitted.
#[derive(Default)]
pub(super) struct RouteCache {
    pub(super) generation: u64,
    pub(super) users_generation: u64,
    pub(super) exchange: Option<(Vec<u8>, Option<Arc<Exchange>>)>,
    /// The routing key that leads to `queues`; none when the key alone does not decide.
    pub(super) key: Option<Vec<u8>>,
    queues: Arc<[Arc<Queue>]>,
    /// What was looked up last, for its memory.
    found: Route,
    /// The payload of a basic.publish that leads to `queues`, once it has come twice in a row; see
    /// [`super::repeated`].
    repeated: Vec<u8>,
}

/// The queues that a message goes to, each once, and the delayed exchanges that keep it.
pub(super) type Destinations = (Arc<[Arc<Queue>]>, Vec<Arc<Delays>>);

impl RouteCache {
    /// Nothing looked up yet, in these generations of what is declared and permitted.
    pub(super) fn of(generation: u64, users_generation: u64) -> Self {
        RouteCache {
            generation,
            users_generation,
            ..RouteCache::default()
        }
    }

    /// Shares what was found: the same memory as last time when it is the same queues, so that
    /// messages with different keys for the same queues are one run.
    fn share(&mut self) {
        let found = &self.found.queues;
        let same = self.queues.len() == found.len()
            && self
                .queues
                .iter()
                .zip(found)
                .all(|(a, b)| Arc::ptr_eq(a, b));
        if !same {
            self.queues = found.as_slice().into();
        }
    }

    /// A publish came that is to where the one before it was.
    fn note_repeated(&mut self, mandatory: bool) {
        let (Some((exchange, _)), Some(key)) = (&self.exchange, &self.key) else {
            return;
        };
        // Who returns it or replies looks at it closer.
        if !self.queues.is_empty() && !is_address(key) {
            publish_payload(&mut self.repeated, exchange, key, mandatory);
        }
    }

    /// Nothing is known of where a message goes.
    pub(super) fn forget_key(&mut self) {
        self.key = None;
        self.repeated.clear();
    }

    /// The payload of a basic.publish that leads to [`RouteCache::queues`]; empty when none is
    /// known.
    pub(super) fn repeated(&self) -> &[u8] {
        &self.repeated
    }

    /// The exchange and the key of that basic.publish.
    pub(super) fn names(&self) -> Option<(&Vec<u8>, &Vec<u8>)> {
        Some((&self.exchange.as_ref()?.0, self.key.as_ref()?))
    }

    /// Where the last message went.
    pub(super) fn queues(&self) -> &Arc<[Arc<Queue>]> {
        &self.queues
    }
}

impl Connection {
    /// Where a message goes. Its routing key stands in the channel.
    pub(super) fn route_to(
        &mut self,
        id: ChannelId,
        target: &Target,
        builder: &MessageBuilder,
    ) -> Result<Destinations, AmqpError> {
        let generation = self.vhost()?.generation();
        let cached_exchange = match (&self.route.exchange, &target.exchange) {
            (Some((_, Some(known))), Some(wanted)) => Arc::ptr_eq(known, wanted),
            (Some((_, None)), None) => true,
            _ => false,
        };
        let current = cached_exchange && self.route.generation == generation;
        let key = std::mem::take(&mut self.open_channel(id)?.routing_key);
        let alone = target.copies.is_empty();
        let hit = current && alone && self.route.key.as_ref().is_some_and(|known| *known == key);
        if hit {
            self.route.note_repeated(target.mandatory);
        } else {
            self.route.repeated.clear();
            let by_key_alone = self.look_up(&key, target, builder)?;
            if by_key_alone && alone && current {
                let kept = self.route.key.get_or_insert_default();
                kept.clear();
                kept.extend_from_slice(&key);
            } else {
                self.route.key = None;
            }
        }
        // The allocation goes back to where it came from.
        self.open_channel(id)?.routing_key = key;
        // None unless it was looked up just now: for a delayed exchange the key alone never decides.
        let kept_by = std::mem::take(&mut self.route.found.kept_by);
        Ok((self.route.queues.clone(), kept_by))
    }

    /// Looks the queues up and leaves them in the cache; says whether the key alone decided.
    fn look_up(
        &mut self,
        key: &[u8],
        target: &Target,
        builder: &MessageBuilder,
    ) -> Result<bool, AmqpError> {
        let copies = target.copies.iter().map(|key| &key[..]);
        let keys: SmallVec<[&[u8]; 4]> = std::iter::once(key).chain(copies).collect();
        let vhost = self.vhost()?.clone();
        let found = &mut self.route.found;
        if let Some(exchange) = &target.exchange {
            let message = Routable {
                routing_keys: &keys,
                properties: builder.properties(),
            };
            found.find(exchange, &message, vhost.as_ref());
        } else {
            let named = |key: &&[u8]| std::str::from_utf8(key).ok().and_then(|n| vhost.queue(n));
            found.queues.clear();
            found.queues.extend(keys.iter().filter_map(named));
            found.queues.sort_unstable_by_key(|queue| queue.id);
            found.queues.dedup_by_key(|queue| queue.id);
            found.by_key_alone = true;
        }
        self.route.share();
        Ok(self.route.found.by_key_alone)
    }
}
