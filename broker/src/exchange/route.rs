//! A message's way from the exchange it is published to, through bindings to other exchanges and
//! through alternate exchanges, to queues (RabbitMQ: "Exchange to Exchange Bindings", "Alternate
//! Exchanges").

use super::bindings::Destination;
use super::{Delays, Exchange, Routable};
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
    /// The delayed exchanges that keep it, to be routed from there when it is due.
    pub kept_by: Vec<Arc<Delays>>,
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
        kept_by: Vec::new(),
        by_key_alone: true,
    };
    let mut seen: HashSet<*const Exchange> = HashSet::new();
    let mut next: Vec<Arc<Exchange>> = Vec::new();
    let mut exchange = start.clone();
    loop {
        route.pass(&exchange, message, directory, &mut next);
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

impl Route {
    /// Adds what one exchange says; the exchanges to be asked after it go to `next`.
    fn pass(
        &mut self,
        exchange: &Exchange,
        message: &Routable<'_>,
        directory: &dyn Directory,
        next: &mut Vec<Arc<Exchange>>,
    ) {
        if let Some(delays) = &exchange.delays {
            self.by_key_alone = false;
            if message.delay().is_some() {
                self.kept_by.push(delays.clone());
                return;
            }
        }
        let (queues, exchanges) = (self.queues.len(), next.len());
        {
            let bindings = exchange.bindings.read();
            self.by_key_alone &= bindings.match_by_key_alone();
            bindings.matching(message, &mut |destination| match destination {
                Destination::Queue(queue) => self.queues.push(queue.clone()),
                Destination::Exchange(exchange) => next.push(exchange.clone()),
            });
        }
        if self.queues.len() == queues
            && next.len() == exchanges
            && let Some(alternate) = exchange.alternate()
        {
            next.extend(directory.exchange(alternate.as_str()));
        }
    }
}
