//! Routing a published message to its queues, with a cache of recent routes: publishers tend to
//! repeat themselves.

use super::Connection;
use super::content::Target;
use super::routes::{CachedRoute, CachedRoutes};
use crate::domain::operations::PermittedExchange;
use crate::engine::exchange::{Delays, Directory, Exchange, Routable, Route};
use crate::engine::message::MessageBuilder;
use crate::engine::queue::Queue;
use leveret_protocol::{AmqpError, ChannelId};
use smallvec::SmallVec;
use std::sync::Arc;

/// The number of exchanges that are cached.
const EXCHANGES_MAX: usize = 8;

/// The most recently used exchanges and routes, valid until something is declared, deleted, bound
/// or permitted.
#[derive(Default)]
pub(super) struct RouteCache {
    pub(super) generation: u64,
    pub(super) users_generation: u64,
    /// Whether the virtual host is traced: then every publish takes the slow path.
    pub(super) is_traced: bool,
    /// Exchanges that may be published to, under the names that were used.
    exchanges: Vec<(Vec<u8>, PermittedExchange)>,
    /// The exchange and the routing key that lead to `queues`; `None` if they alone do not decide.
    last: Option<(Option<Arc<Exchange>>, Vec<u8>)>,
    queues: Arc<[Arc<Queue>]>,
    /// The last look-up, kept to reuse its memory.
    found: Route,
    /// The routes of publishes on the fast path.
    pub(super) cached: CachedRoutes,
}

/// The queues that a message goes to, without duplicates, and the delayed exchanges that keep it.
pub(super) type Destinations = (Arc<[Arc<Queue>]>, Vec<Arc<Delays>>);

impl RouteCache {
    /// Creates an empty cache for these generations of declarations and permissions.
    pub(super) fn of(generation: u64, users_generation: u64, is_traced: bool) -> Self {
        RouteCache {
            generation,
            users_generation,
            is_traced,
            ..RouteCache::default()
        }
    }

    /// Returns the exchange with this name, if a publish to it was allowed before.
    pub(super) fn exchange_named(&self, name: &[u8]) -> Option<&PermittedExchange> {
        let known = self.exchanges.iter().find(|(known, _)| known == name);
        known.map(|(_, exchange)| exchange)
    }

    /// Caches an exchange that may be published to.
    pub(super) fn note_exchange(&mut self, name: &[u8], exchange: PermittedExchange) {
        self.exchanges.truncate(EXCHANGES_MAX - 1);
        self.exchanges.insert(0, (name.to_vec(), exchange));
    }

    /// Shares the queues that were found, reusing the previous list if it is the same.
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

    /// Returns whether the cached queues are those for this exchange and key.
    fn leads(&self, exchange: Option<&Arc<Exchange>>, key: &[u8]) -> bool {
        let Some((known, known_key)) = &self.last else {
            return false;
        };
        let same = match (known, exchange) {
            (Some(known), Some(wanted)) => Arc::ptr_eq(known, wanted),
            (None, None) => true,
            _ => false,
        };
        same && known_key == key
    }

    /// Returns the queues that were looked up last.
    pub(super) fn queues(&self) -> &Arc<[Arc<Queue>]> {
        &self.queues
    }

    /// Returns a cached route, and the queues that were looked up last.
    pub(super) fn at(&mut self, at: usize) -> (&mut CachedRoute, &Arc<[Arc<Queue>]>) {
        (self.cached.get_mut(at), &self.queues)
    }

    /// Looks up the queues of a message whose cached route depends on more than its key. Returns whether a delayed
    /// exchange keeps it.
    pub(super) fn route_by_headers(
        &mut self,
        at: usize,
        properties: &[u8],
        directory: &dyn Directory,
    ) -> bool {
        let route = self.cached.get(at);
        let Some(exchange) = &route.exchange else {
            return false;
        };
        let message = Routable {
            routing_keys: &[route.routing_key()],
            properties,
        };
        self.last = None;
        self.found.find(exchange, &message, directory);
        self.share();
        let kept = !self.found.kept_by.is_empty();
        self.found.kept_by.clear();
        kept
    }

    /// Drops the cache, which can be rebuilt.
    pub(super) fn release_memory(&mut self) {
        self.cached = CachedRoutes::default();
        self.found = Route::default();
    }
}

impl Connection {
    /// Returns where a message goes. Its routing key is in the channel.
    pub(super) fn route_to(
        &mut self,
        id: ChannelId,
        target: &Target,
        builder: &MessageBuilder,
    ) -> Result<Destinations, AmqpError> {
        let current = self.route.generation == self.vhost()?.generation();
        let key = std::mem::take(&mut self.open_channel(id)?.routing_key);
        let alone = target.copies.is_empty();
        let exchange = target.to.exchange.as_ref();
        let hit = current && alone && self.route.leads(exchange, &key);
        if !hit {
            let copies = target.copies.iter().map(|key| &key[..]);
            let keys: SmallVec<[&[u8]; 4]> = std::iter::once(&key[..]).chain(copies).collect();
            let by_key_alone = self.look_up(&keys, exchange, builder.properties())?;
            if by_key_alone && alone && current {
                self.route.last = Some((target.to.exchange.clone(), key.clone()));
            }
        }
        // The channel gets its allocation back.
        self.open_channel(id)?.routing_key = key;
        // Empty unless it was looked up just now: for a delayed exchange the key alone never decides.
        let kept_by = std::mem::take(&mut self.route.found.kept_by);
        Ok((self.route.queues.clone(), kept_by))
    }

    /// Returns whether one of the delayed exchanges that keep a message would route it to a queue
    /// if it were due now.
    pub(super) fn leads_on(
        &mut self,
        id: ChannelId,
        kept_by: &[Arc<Delays>],
        target: &Target,
        builder: &MessageBuilder,
    ) -> Result<bool, AmqpError> {
        let (vhost, channel) = (self.vhost()?.clone(), self.open_channel(id)?);
        let copies = target.copies.iter().map(|key| &key[..]);
        let keys: SmallVec<[&[u8]; 4]> = std::iter::once(&channel.routing_key[..])
            .chain(copies)
            .collect();
        let leads = |delays: &Arc<Delays>| delays.leads_on(&keys, builder.properties(), &*vhost);
        Ok(kept_by.iter().any(leads))
    }

    /// Looks up the queues for a message with these properties and leaves them in the cache;
    /// returns whether the first key alone decided.
    pub(super) fn look_up(
        &mut self,
        keys: &[&[u8]],
        exchange: Option<&Arc<Exchange>>,
        properties: &[u8],
    ) -> Result<bool, AmqpError> {
        let vhost = self.vhost()?.clone();
        self.route.last = None;
        let found = &mut self.route.found;
        if let Some(exchange) = exchange {
            let message = Routable {
                routing_keys: keys,
                properties,
            };
            found.find(exchange, &message, vhost.as_ref());
        } else {
            vhost.queues_named(keys, &mut found.queues);
            found.by_key_alone = true;
        }
        self.route.share();
        Ok(self.route.found.by_key_alone)
    }
}
