//! A message's route from the exchange it is published to, through exchange-to-exchange bindings
//! and alternate exchanges, to queues (RabbitMQ: "Exchange to Exchange Bindings", "Alternate
//! Exchanges").

use super::binding::Destination;
use super::bindings::Bindings;
use super::{Delays, Exchange, Routable};
use crate::engine::queue::Queue;
use leveret_protocol::ExchangeName;
use std::collections::HashSet;
use std::sync::Arc;

/// Exchanges by name: an alternate exchange is looked up when it is needed, because it may come and
/// go.
pub trait Directory {
    /// Returns the exchange with this name.
    fn exchange(&self, name: &str) -> Option<Arc<Exchange>>;
}

/// Sees how a route is found, exchange by exchange, in order to explain it.
pub(super) trait Observer {
    /// What is kept of an exchange's bindings until its lock is released.
    type Copied;

    /// Copies the bindings of the exchange that is asked, which lead to these queues and exchanges.
    fn copy(
        &mut self,
        bindings: &Bindings,
        queues: &[Arc<Queue>],
        exchanges: &[Arc<Exchange>],
    ) -> Self::Copied;

    /// The bindings of an exchange lead to these queues and exchanges.
    fn asked(
        &mut self,
        exchange: &Arc<Exchange>,
        bindings: Self::Copied,
        queues: &[Arc<Queue>],
        exchanges: &[Arc<Exchange>],
    );

    /// They lead nowhere, and this is the alternate exchange, if it exists.
    fn turned_to(&mut self, name: &ExchangeName, alternate: Option<&Arc<Exchange>>);

    /// A delayed exchange keeps the message.
    fn kept_by(&mut self, exchange: &Arc<Exchange>);
}

/// Nobody wants to know: this costs publishes nothing.
struct Unobserved;

impl Observer for Unobserved {
    type Copied = ();

    fn copy(&mut self, _: &Bindings, _: &[Arc<Queue>], _: &[Arc<Exchange>]) {}

    fn asked(&mut self, _: &Arc<Exchange>, (): (), _: &[Arc<Queue>], _: &[Arc<Exchange>]) {}

    fn turned_to(&mut self, _: &ExchangeName, _: Option<&Arc<Exchange>>) {}

    fn kept_by(&mut self, _: &Arc<Exchange>) {}
}

/// Where a message goes. Reused for the next one.
#[derive(Debug, Default)]
pub struct Route {
    /// The queues, without duplicates.
    pub queues: Vec<Arc<Queue>>,
    /// The delayed exchanges that keep it, and route it when it is due.
    pub kept_by: Vec<Arc<Delays>>,
    /// Whether every message with the same routing key takes this route, until something is
    /// declared, deleted or bound.
    pub by_key_alone: bool,
}

impl Route {
    /// Finds the queues that a message goes to.
    ///
    /// Each exchange is visited once, so cycles of bindings do no harm. An exchange whose bindings
    /// match nothing passes the message to its alternate exchange, wherever on the route it is; one
    /// with a matching binding does not, even if that leads nowhere in the end.
    pub fn find(
        &mut self,
        start: &Arc<Exchange>,
        message: &Routable<'_>,
        directory: &dyn Directory,
    ) {
        self.find_observed(start, message, directory, &mut Unobserved);
    }

    /// Like [`Route::find`], while somebody looks.
    pub(super) fn find_observed<O: Observer>(
        &mut self,
        start: &Arc<Exchange>,
        message: &Routable<'_>,
        directory: &dyn Directory,
        observer: &mut O,
    ) {
        self.queues.clear();
        self.kept_by.clear();
        self.by_key_alone = true;
        let mut next: Vec<Arc<Exchange>> = Vec::new();
        self.ask(start, message, directory, &mut next, observer);
        if !next.is_empty() {
            let mut seen = HashSet::from([Arc::as_ptr(start)]);
            while let Some(exchange) = next.pop() {
                if seen.insert(Arc::as_ptr(&exchange)) {
                    self.ask(&exchange, message, directory, &mut next, observer);
                }
            }
        }
        if self.queues.len() > 1 {
            self.queues.sort_unstable_by_key(|queue| queue.id);
            self.queues.dedup_by_key(|queue| queue.id);
        }
    }

    /// Adds the destinations of one exchange's bindings, or the exchange itself if it keeps the
    /// message.
    fn ask<O: Observer>(
        &mut self,
        exchange: &Arc<Exchange>,
        message: &Routable<'_>,
        directory: &dyn Directory,
        next: &mut Vec<Arc<Exchange>>,
        observer: &mut O,
    ) {
        if let Some(delays) = exchange.delays() {
            // It depends on a header.
            self.by_key_alone = false;
            if message.delay().is_some() {
                self.kept_by.push(delays.clone());
                observer.kept_by(exchange);
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
        let (queues, exchanges) = (&self.queues[before.0..], &next[before.1..]);
        let copied = observer.copy(&bindings, queues, exchanges);
        drop(bindings);
        observer.asked(exchange, copied, queues, exchanges);
        if (self.queues.len(), next.len()) == before
            && let Some(alternate) = exchange.alternate()
        {
            let found = directory.exchange(alternate.as_str());
            observer.turned_to(&alternate, found.as_ref());
            next.extend(found);
        }
    }
}
