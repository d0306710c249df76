//! A binding, its destination and its identity: what the bindings of an exchange and their indexes have in common.

use super::Exchange;
use crate::engine::queue::Queue;
use leveret_protocol::values::FieldTable;
use leveret_protocol::{ExchangeName, QueueName, RoutingKey, table};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The destination of a binding.
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

    /// Returns its address in memory, which distinguishes it from all others that exist at the same
    /// time.
    pub(super) fn identity(&self) -> usize {
        match self {
            Destination::Queue(queue) => Arc::as_ptr(queue).addr(),
            Destination::Exchange(exchange) => Arc::as_ptr(exchange).addr(),
        }
    }

    /// Returns whether it survives a restart.
    pub fn is_durable(&self) -> bool {
        match self {
            Destination::Queue(queue) => queue.spec.durable,
            Destination::Exchange(exchange) => exchange.spec.durable,
        }
    }
}

/// A binding; the exchange that holds it is its source.
#[derive(Clone, Debug)]
pub struct Binding {
    /// Its destination.
    pub destination: Destination,
    /// Its key.
    pub key: RoutingKey,
    /// Its arguments.
    pub arguments: FieldTable,
}

/// The identity of a binding of an exchange (spec 1.7.2.3, RabbitMQ: arguments count).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BindingId {
    destination: DestinationName,
    key: RoutingKey,
    /// Encoded, because tables have no order.
    arguments: Box<[u8]>,
}

impl BindingId {
    pub(super) fn new(
        destination: DestinationName,
        key: &RoutingKey,
        arguments: &FieldTable,
    ) -> Self {
        BindingId {
            destination,
            key: key.clone(),
            arguments: encoded(arguments),
        }
    }

    pub(super) fn of(binding: &Binding) -> Self {
        BindingId::new(binding.destination.name(), &binding.key, &binding.arguments)
    }

    /// Returns how many bytes the arguments have, encoded.
    pub(super) fn arguments_len(&self) -> usize {
        self.arguments.len()
    }
}

/// Encodes arguments, into nothing if there are none.
pub(super) fn encoded(arguments: &FieldTable) -> Box<[u8]> {
    if arguments.inner().is_empty() {
        return Box::default();
    }
    table::encode(arguments).into()
}

/// All bindings of an exchange, by destination first.
pub(super) type AllBindings = BTreeMap<BindingId, Binding>;

/// The bindings that lead to one destination.
pub(super) fn leading_to<'a>(
    all: &'a AllBindings,
    to: &'a DestinationName,
) -> impl Iterator<Item = (&'a BindingId, &'a Binding)> {
    let first = BindingId::new(to.clone(), &"".into(), &FieldTable::default());
    all.range(first..)
        .take_while(move |(id, _)| id.destination == *to)
}
