//! The bindings of one exchange, twice: as they were declared, by destination, and indexed for
//! its type.

use super::direct::DirectIndex;
use super::headers::HeadersIndex;
use super::topic::TopicIndex;
use super::{Exchange, ExchangeKind, Routable};
use crate::queue::Queue;
use leveret_protocol::values::FieldTable;
use leveret_protocol::{ExchangeName, QueueName, RoutingKey};
use std::collections::HashMap;
use std::sync::Arc;

/// What a binding leads to.
#[derive(Clone, Debug)]
pub enum Destination {
    /// A queue.
    Queue(Arc<Queue>),
    /// Another exchange (RabbitMQ: "Exchange to Exchange Bindings").
    Exchange(Arc<Exchange>),
}

/// A destination by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DestinationName {
    /// A queue.
    Queue(QueueName),
    /// An exchange.
    Exchange(ExchangeName),
}

impl Destination {
    /// Its name.
    pub fn name(&self) -> DestinationName {
        match self {
            Destination::Queue(queue) => DestinationName::Queue(queue.name().clone()),
            Destination::Exchange(exchange) => DestinationName::Exchange(exchange.name().clone()),
        }
    }

    fn is(&self, other: &Destination) -> bool {
        match (self, other) {
            (Destination::Queue(a), Destination::Queue(b)) => Arc::ptr_eq(a, b),
            (Destination::Exchange(a), Destination::Exchange(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Whether it survives a restart.
    pub fn is_durable(&self) -> bool {
        match self {
            Destination::Queue(queue) => queue.spec.durable,
            Destination::Exchange(exchange) => exchange.spec.durable,
        }
    }
}

/// A binding; the exchange it starts from is the one that holds it.
#[derive(Clone, Debug)]
pub struct Binding {
    /// Where it leads.
    pub destination: Destination,
    /// Its key.
    pub key: RoutingKey,
    /// Its arguments.
    pub arguments: FieldTable,
}

/// Destinations under one key, each with the number of bindings that lead there (bindings may
/// differ in their arguments alone).
#[derive(Debug, Default)]
pub(super) struct Targets(Vec<(Destination, usize)>);

impl Targets {
    pub(super) fn add(&mut self, destination: &Destination) {
        match self.0.iter_mut().find(|(d, _)| d.is(destination)) {
            Some((_, count)) => *count += 1,
            None => self.0.push((destination.clone(), 1)),
        }
    }

    pub(super) fn remove(&mut self, destination: &Destination) {
        if let Some(at) = self.0.iter().position(|(d, _)| d.is(destination)) {
            self.0[at].1 -= 1;
            if self.0[at].1 == 0 {
                self.0.swap_remove(at);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn each(&self, found: &mut dyn FnMut(&Destination)) {
        for (destination, _) in &self.0 {
            found(destination);
        }
    }
}

#[derive(Debug)]
enum Index {
    Direct(DirectIndex),
    Fanout(Targets),
    Topic(TopicIndex),
    Headers(HeadersIndex),
}

/// The bindings of one exchange.
#[derive(Debug)]
pub(super) struct Bindings {
    by_destination: HashMap<DestinationName, Vec<Binding>>,
    to_exchanges: usize,
    index: Index,
}

impl Bindings {
    pub(super) fn new(kind: ExchangeKind) -> Self {
        let index = match kind {
            ExchangeKind::Direct => Index::Direct(DirectIndex::default()),
            ExchangeKind::Fanout => Index::Fanout(Targets::default()),
            ExchangeKind::Topic => Index::Topic(TopicIndex::default()),
            ExchangeKind::Headers => Index::Headers(HeadersIndex::default()),
        };
        Bindings {
            by_destination: HashMap::new(),
            to_exchanges: 0,
            index,
        }
    }

    pub(super) fn add(&mut self, binding: Binding) -> bool {
        let known = self
            .by_destination
            .entry(binding.destination.name())
            .or_default();
        if known
            .iter()
            .any(|b| b.key == binding.key && b.arguments == binding.arguments)
        {
            return false;
        }
        match &mut self.index {
            Index::Direct(index) => index.add(&binding),
            Index::Fanout(targets) => targets.add(&binding.destination),
            Index::Topic(index) => index.add(&binding),
            Index::Headers(index) => index.add(&binding),
        }
        self.to_exchanges += usize::from(matches!(binding.destination, Destination::Exchange(_)));
        known.push(binding);
        true
    }

    pub(super) fn remove(
        &mut self,
        to: &DestinationName,
        key: &RoutingKey,
        arguments: &FieldTable,
    ) -> bool {
        let Some(known) = self.by_destination.get_mut(to) else {
            return false;
        };
        let same = |b: &Binding| b.key == *key && b.arguments == *arguments;
        let Some(at) = known.iter().position(same) else {
            return false;
        };
        let binding = known.swap_remove(at);
        if known.is_empty() {
            self.by_destination.remove(to);
        }
        self.unindex(&binding);
        true
    }

    pub(super) fn remove_destination(&mut self, to: &DestinationName) -> Vec<Binding> {
        let removed = self.by_destination.remove(to).unwrap_or_default();
        for binding in &removed {
            self.unindex(binding);
        }
        removed
    }

    fn unindex(&mut self, binding: &Binding) {
        match &mut self.index {
            Index::Direct(index) => index.remove(binding),
            Index::Fanout(targets) => targets.remove(&binding.destination),
            Index::Topic(index) => index.remove(binding),
            Index::Headers(index) => index.remove(binding),
        }
        self.to_exchanges -= usize::from(matches!(binding.destination, Destination::Exchange(_)));
    }

    pub(super) fn matching(&self, message: &dyn Routable, found: &mut dyn FnMut(&Destination)) {
        match &self.index {
            Index::Direct(index) => index.matching(message.routing_key(), found),
            Index::Fanout(targets) => targets.each(found),
            Index::Topic(index) => index.matching(message.routing_key(), found),
            Index::Headers(index) => index.matching(&message.headers(), found),
        }
    }

    pub(super) fn leads_to(&self, to: &DestinationName) -> bool {
        self.by_destination.contains_key(to)
    }

    pub(super) fn leads_to_exchanges(&self) -> bool {
        self.to_exchanges > 0
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Binding> {
        self.by_destination.values().flatten()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_destination.is_empty()
    }
}
