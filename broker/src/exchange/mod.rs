//! Exchanges: what a message's exchange, routing key and headers say about the queues it goes to.
//! Pure look-ups over indexes; one file per way of indexing.

mod bindings;
mod direct;
mod headers;
mod topic;

pub use bindings::{Binding, Destination, DestinationName};
pub use headers::is_valid_match;

use crate::queue::Queue;
use bindings::Bindings;
use leveret_protocol::values::FieldTable;
use leveret_protocol::{ExchangeName, RoutingKey};
use parking_lot::RwLock;
use std::fmt;
use std::sync::Arc;

/// The exchange types of AMQP 0-9-1 (spec 3.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeKind {
    /// Routing key equals binding key.
    Direct,
    /// Every binding matches.
    Fanout,
    /// Binding keys are patterns over words.
    Topic,
    /// Binding arguments are compared with the message's headers.
    Headers,
}

impl ExchangeKind {
    /// The type that a client names.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "direct" => ExchangeKind::Direct,
            "fanout" => ExchangeKind::Fanout,
            "topic" => ExchangeKind::Topic,
            "headers" => ExchangeKind::Headers,
            _ => return None,
        })
    }

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            ExchangeKind::Direct => "direct",
            ExchangeKind::Fanout => "fanout",
            ExchangeKind::Topic => "topic",
            ExchangeKind::Headers => "headers",
        }
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an exchange was declared as.
#[derive(Clone, Debug)]
pub struct ExchangeSpec {
    /// Its name.
    pub name: ExchangeName,
    /// Its type.
    pub kind: ExchangeKind,
    /// It survives a restart.
    pub durable: bool,
    /// It goes with its last binding.
    pub auto_delete: bool,
    /// Clients cannot publish to it.
    pub internal: bool,
    /// exchange.declare's arguments.
    pub arguments: FieldTable,
}

/// An exchange.
#[derive(Debug)]
pub struct Exchange {
    /// What it was declared as.
    pub spec: ExchangeSpec,
    bindings: RwLock<Bindings>,
}

/// What is known of a message when it is routed; its headers are decoded only when asked for.
pub trait Routable {
    /// The routing key.
    fn routing_key(&self) -> &[u8];
    /// The headers, empty when there are none.
    fn headers(&self) -> FieldTable;
}

impl Exchange {
    /// An exchange without bindings.
    pub fn new(spec: ExchangeSpec) -> Self {
        let bindings = RwLock::new(Bindings::new(spec.kind));
        Exchange { spec, bindings }
    }

    /// Its name.
    pub fn name(&self) -> &ExchangeName {
        &self.spec.name
    }

    /// Whether messages with equal routing keys go to the same queues.
    pub fn routes_by_key_alone(&self) -> bool {
        self.spec.kind != ExchangeKind::Headers && !self.bindings.read().leads_to_exchanges()
    }

    /// Adds a binding; `false` when it was there.
    pub fn bind(&self, binding: Binding) -> bool {
        self.bindings.write().add(binding)
    }

    /// Removes a binding; `false` when it was not there.
    pub fn unbind(&self, to: &DestinationName, key: &RoutingKey, arguments: &FieldTable) -> bool {
        self.bindings.write().remove(to, key, arguments)
    }

    /// Removes all bindings to a destination and returns them.
    pub fn unbind_all(&self, to: &DestinationName) -> Vec<Binding> {
        self.bindings.write().remove_destination(to)
    }

    /// Its bindings, in no order that means anything.
    pub fn bindings(&self) -> Vec<Binding> {
        self.bindings.read().all().cloned().collect()
    }

    /// Whether any binding leads to a destination.
    pub fn is_bound_to(&self, to: &DestinationName) -> bool {
        self.bindings.read().leads_to(to)
    }

    /// Whether it has no bindings.
    pub fn is_unbound(&self) -> bool {
        self.bindings.read().is_empty()
    }

    /// The queues that a message goes to, each once, through other exchanges too.
    pub fn route(self: &Arc<Self>, message: &dyn Routable) -> Vec<Arc<Queue>> {
        let mut queues: Vec<Arc<Queue>> = Vec::new();
        let mut seen: Vec<Arc<Exchange>> = Vec::new();
        let mut next = vec![self.clone()];
        while let Some(exchange) = next.pop() {
            exchange
                .bindings
                .read()
                .matching(message, &mut |destination| match destination {
                    Destination::Queue(queue) => queues.push(queue.clone()),
                    Destination::Exchange(exchange) => next.push(exchange.clone()),
                });
            seen.push(exchange);
            next.retain(|exchange| !seen.iter().any(|s| Arc::ptr_eq(s, exchange)));
        }
        if queues.len() > 1 {
            queues.sort_unstable_by_key(|queue| queue.id);
            queues.dedup_by_key(|queue| queue.id);
        }
        queues
    }
}

#[cfg(test)]
mod tests;
