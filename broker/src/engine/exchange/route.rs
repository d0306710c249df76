//! A message's way from the exchange it is published to, through bindings to other exchanges and
//! through alternate exchanges, to queues (RabbitMQ: "Exchange to Exchange Bindings", "Alternate
//! Exchanges").

use super::bindings::Destination;
use super::{Delays, Exchange, Routable};
use crate::engine::queue::Queue;
use std::collections::HashSet;
use std::sync::Arc;

/// Exchanges by name: an alternate exchange is looked up when it is needed, it may come and go.
pub trait Directory {
    /// The exchange of a name.
    fn exchange(&self, name: &str) -> Option<Arc<Exchange>>;
}

/// Where a message goes. Kept and filled again for the next one.
#[derive(Debug, Default)]
pub struct Route {
    /// The queues, each once.
    pub queues: Vec<Arc<Queue>>,
    /// The delayed exchanges that keep it, to be routed from there when it is due.
    pub kept_by: Vec<Arc<Delays>>,
    /// Whether a message with the same routing key goes there as well, as long as nothing is
    /// declared, deleted or bound.
    pub by_key_alone: bool,
}

impl Route {
    /// Finds the queues that a message goes to.
    ///
    /// Each exchange is asked once, so bindings in a circle do no harm. One whose bindings match
    /// nothing passes the message on to its alternate exchange, wherever on the way it is met; one
    /// of whose bindings matches does not, even when that binding leads nowhere in the end.
    pub fn find(
        &mut self,
        start: &Arc<Exchange>,
        message: &Routable<'_>,
        directory: &dyn Directory,
    ) {
        self.queues.clear();
        self.kept_by.clear();
        self.by_key_alone = true;
        let mut next: Vec<Arc<Exchange>> = Vec::new();
        self.ask(start, message, directory, &mut next);
        if !next.is_empty() {
            let mut seen = HashSet::from([Arc::as_ptr(start)]);
            while let Some(exchange) = next.pop() {
                if seen.insert(Arc::as_ptr(&exchange)) {
                    self.ask(&exchange, message, directory, &mut next);
                }
            }
        }
        if self.queues.len() > 1 {
            self.queues.sort_unstable_by_key(|queue| queue.id);
            self.queues.dedup_by_key(|queue| queue.id);
        }
    }

    /// Adds what one exchange's bindings lead to, or the exchange itself when it keeps the message.
    fn ask(
        &mut self,
        exchange: &Exchange,
        message: &Routable<'_>,
        directory: &dyn Directory,
        next: &mut Vec<Arc<Exchange>>,
    ) {
        if let Some(delays) = exchange.delays() {
            // It looks at a header.
            self.by_key_alone = false;
            if message.delay().is_some() {
                self.kept_by.push(delays.clone());
                return;
            }
        }
        let before = (self.queues.len(), next.len());
        let bindings = exchange.bindings.read();
        self.by_key_alone &= bindings.match_by_key_alone();
        bindings.matching(message, &mut |destination| match destination {
            Destination::Queue(queue) => self.queues.push(queue.clone()),
            Destination::Exchange(exchange) => next.push(exchange.clone()),
        });
        drop(bindings);
        if (self.queues.len(), next.len()) == before
            && let Some(alternate) = exchange.alternate()
        {
            next.extend(directory.exchange(alternate.as_str()));
        }
    }
}
