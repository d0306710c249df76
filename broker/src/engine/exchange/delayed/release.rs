//! Releasing due messages: they are routed by the current bindings, and enter their queues and
//! leave the exchange in a single batch of the store.

use super::{DelayedMessage, Delays, header};
use crate::engine::exchange::{Directory, Exchange, Routable, Route};
use crate::engine::interfaces::{Timed, VirtualHosts};
use crate::engine::queue::{Effects, Transfer};
use leveret_storage::{Position, QueueId};
use std::sync::Arc;
use std::time::Instant;

/// Approximate bytes for the store after which a batch is complete: due messages may go to many
/// queues.
const BATCH_BYTES: usize = 8 << 20;

impl Timed for Delays {
    fn timer_id(&self) -> QueueId {
        self.id
    }

    fn on_time(
        self: Arc<Self>,
        vhosts: &dyn VirtualHosts,
        now: Instant,
        fx: &mut Effects,
    ) -> Option<Instant> {
        let vhost = vhosts.find(self.vhost.as_str())?;
        let exchange = vhost.exchange(self.exchange.as_str())?;
        // Another exchange of the same name has messages of its own.
        exchange.delays().filter(|own| Arc::ptr_eq(own, &self))?;
        self.release(&exchange, &*vhost, now, fx);
        self.next()
    }
}

impl Delays {
    /// Returns whether a message with these keys and properties would reach a queue if it were due
    /// now.
    pub fn leads_on(&self, keys: &[&[u8]], properties: &[u8], directory: &dyn Directory) -> bool {
        let Some(exchange) = directory.exchange(self.exchange.as_str()) else {
            return false;
        };
        let mut route = Route::default();
        let properties = header::waited(properties);
        let routable = Routable {
            routing_keys: keys,
            properties: &properties,
        };
        route.find(&exchange, &routable, directory);
        !route.queues.is_empty()
    }

    /// Releases a slice of the due messages.
    pub(super) fn release(
        self: &Arc<Self>,
        exchange: &Arc<Exchange>,
        directory: &dyn Directory,
        now: Instant,
        fx: &mut Effects,
    ) {
        let (mut transfer, mut route) = (Transfer::of_publishes(), Route::default());
        let mut routed = 0;
        let mut left: Vec<Position> = Vec::new();
        for (position, delayed) in self.take_due(now, fx) {
            send_off(&delayed, exchange, directory, &mut route, &mut transfer);
            routed += route.queues.len() as u64;
            if self.stores(&delayed.message) {
                left.push(position);
            }
            if transfer.bytes() >= BATCH_BYTES {
                self.carry_out(&mut transfer, &mut left, fx);
            }
        }
        self.carry_out(&mut transfer, &mut left, fx);
        if routed > 0
            && let Some(moved) = exchange.count(0, routed)
        {
            fx.has_moved(|| moved);
        }
    }

    fn carry_out(&self, transfer: &mut Transfer, left: &mut Vec<Position>, fx: &mut Effects) {
        let leave = |fx: &mut Effects| {
            for position in left.drain(..) {
                fx.store_ack(self.id, position);
            }
        };
        transfer.perform(leave, fx);
    }
}

/// Routes a message and adds it to the transfer.
fn send_off(
    delayed: &DelayedMessage,
    exchange: &Arc<Exchange>,
    directory: &dyn Directory,
    route: &mut Route,
    transfer: &mut Transfer,
) {
    let message = &delayed.message;
    let properties = header::waited(message.properties());
    let mut keys = vec![message.routing_key()];
    keys.extend(delayed.more_keys.iter().map(AsRef::as_ref));
    let routable = Routable {
        routing_keys: &keys,
        properties: &properties,
    };
    route.find(exchange, &routable, directory);
    let stored = route.queues.iter().filter(|queue| queue.spec.is_stored());
    let message = Arc::new(message.with_properties(&properties, stored.count() == 1));
    transfer.add(&message, &route.queues);
}
