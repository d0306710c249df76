//! A message's way from the exchange it is published to, through bindings to other exchanges and
//! through alternate exchanges, to queues (RabbitMQ: "Exchange to Exchange Bindings", "Alternate
//! Exchanges").

use super::bindings::Destination;
use super::{Exchange, Routable};
use crate::queue::Queue;
use std::collections::HashSet;
use std::sync::Arc;

/// Exchanges by name: an alternate exchange is looked up when it is needed, it may come and go.
pub trait Directory {
    /// The exchange of a name.
    fn exchange(&self, name: &str) -> Option<Arc<Exchange>>;
}

/// Where a message goes.
#[derive(Debug)]
pub struct Route {
    /// The queues, each once.
    pub queues: Vec<Arc<Queue>>,
    /// Whether a message with the same routing key goes there as well, as long as nothing is
    /// declared, deleted or bound.
    pub by_key_alone: bool,
}

/// Finds the queues that a message goes to.
///
/// Each exchange is asked once, so bindings in a circle do no harm. One whose bindings match
/// nothing passes the message on to its alternate exchange, wherever on the way it is met; one of
/// whose bindings matches does not, even when that binding leads nowhere in the end.
pub fn route(start: &Arc<Exchange>, message: &Routable<'_>, directory: &dyn Directory) -> Route {
    let mut route = Route {
        queues: Vec::new(),
        by_key_alone: true,
    };
    let mut seen: HashSet<*const Exchange> = HashSet::new();
    let mut next: Vec<Arc<Exchange>> = Vec::new();
    let mut exchange = start.clone();
    loop {
        let (queues, exchanges) = (route.queues.len(), next.len());
        {
            let bindings = exchange.bindings.read();
            route.by_key_alone &= bindings.match_by_key_alone();
            bindings.matching(message, &mut |destination| match destination {
                Destination::Queue(queue) => route.queues.push(queue.clone()),
                Destination::Exchange(exchange) => next.push(exchange.clone()),
            });
        }
        if route.queues.len() == queues
            && next.len() == exchanges
            && let Some(alternate) = exchange.alternate()
        {
            next.extend(directory.exchange(alternate.as_str()));
        }
        if next.is_empty() {
            break;
        }
        seen.insert(Arc::as_ptr(&exchange));
        let unseen = std::iter::from_fn(|| next.pop()).find(|e| !seen.contains(&Arc::as_ptr(e)));
        let Some(unseen) = unseen else {
            break;
        };
        exchange = unseen;
    }
    if route.queues.len() > 1 {
        route.queues.sort_unstable_by_key(|queue| queue.id);
        route.queues.dedup_by_key(|queue| queue.id);
    }
    route
}
