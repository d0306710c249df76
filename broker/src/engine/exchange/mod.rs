//! Exchanges: from a message's exchange, routing keys and headers to its queues. Pure look-ups over
//! indexes; one file per index.
//!
//! Declaring exchanges, storing them and permissions do not belong here, nor what a queue does with a message.

mod binding;
mod bindings;
mod consistent_hash;
mod copies;
mod delayed;
mod direct;
mod explain;
mod headers;
mod kind;
mod one_of;
mod route;
mod rules;
mod targets;
mod topic;
mod words;

pub use binding::{Binding, Destination, DestinationName};
pub use copies::{Copies, asks_for_copies};
pub use delayed::{DelayedMessage, Delays, Placed, Postponed};
pub use explain::{ExplainedBinding, Explanation, Reached, Step};
pub use kind::ExchangeKind;
pub use route::{Directory, Route};
pub use rules::{
    alternate_exchange, check_binding, check_declaration, delayed_type, ignored_arguments,
    ignored_in_binding,
};

use crate::engine::applied_policy::AppliedPolicy;
use crate::engine::statistics::{ExchangeCounts, Moved};
use bindings::Bindings;
use leveret_protocol::content::{Property, property};
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_protocol::{ExchangeName, RoutingKey};
use parking_lot::RwLock;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The argument that names the exchange for messages that match no binding.
pub const ALTERNATE_EXCHANGE: &str = "alternate-exchange";

/// An exchange as it was declared.
#[derive(Clone, Debug)]
pub struct ExchangeSpec {
    /// Returns its name.
    pub name: ExchangeName,
    /// Its type.
    pub kind: ExchangeKind,
    /// It survives a restart.
    pub durable: bool,
    /// It is deleted with its last binding.
    pub auto_delete: bool,
    /// Clients cannot publish to it.
    pub internal: bool,
    /// exchange.declare's arguments.
    pub arguments: FieldTable,
}

/// An exchange.
pub struct Exchange {
    /// Its declaration.
    pub spec: ExchangeSpec,
    alternate: Option<ExchangeName>,
    bindings: RwLock<Bindings>,
    policy: RwLock<Option<Arc<dyn AppliedPolicy>>>,
    /// The messages of a delayed exchange; `None` for others.
    delays: Option<Arc<Delays>>,
    /// What was published to it.
    pub counts: ExchangeCounts,
}

impl ExchangeSpec {
    /// Returns the type that selects among the bindings: its own, or the one that a delayed
    /// exchange was declared with.
    pub fn routed_by(&self) -> ExchangeKind {
        match self.kind {
            // Checked at declaration.
            ExchangeKind::DelayedMessage => {
                delayed_type(&self.arguments).unwrap_or(ExchangeKind::Direct)
            }
            kind => kind,
        }
    }
}

/// What routing needs to know about a message.
#[derive(Clone, Copy, Debug)]
pub struct Routable<'a> {
    /// The routing keys: the one it was published with, then those of its CC and BCC headers
    /// (RabbitMQ: "Sender-selected Distribution"). Never empty.
    pub routing_keys: &'a [&'a [u8]],
    /// The raw properties of its content header, flags first.
    pub properties: &'a [u8],
}

impl<'a> Routable<'a> {
    /// Returns the key it was published with.
    pub fn routing_key(&self) -> &'a [u8] {
        self.routing_keys.first().copied().unwrap_or_default()
    }

    /// Returns the headers table with its length prefix; empty if there is none.
    pub fn headers(&self) -> &'a [u8] {
        property(self.properties, Property::Headers).unwrap_or_default()
    }

    /// Returns how long a delayed exchange keeps it before it is routed.
    pub fn delay(&self) -> Option<Duration> {
        delayed::delay_of(self.headers())
    }
}

/// Only the spec: bindings lead to exchanges that may lead back.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Exchange").field(&self.spec).finish()
    }
}

impl Exchange {
    /// Creates an exchange without bindings.
    pub fn new(spec: ExchangeSpec) -> Self {
        let alternate = match spec.arguments.inner().get(ALTERNATE_EXCHANGE) {
            Some(AMQPValue::LongString(name)) => {
                Some(String::from_utf8_lossy(name.as_bytes()).as_ref().into())
            }
            _ => None,
        };
        let bindings = RwLock::new(Bindings::new(&spec));
        Exchange {
            spec,
            alternate,
            bindings,
            policy: RwLock::default(),
            delays: None,
            counts: ExchangeCounts::default(),
        }
    }

    /// Creates a delayed exchange without bindings.
    pub fn delayed(spec: ExchangeSpec, delays: Arc<Delays>) -> Self {
        Exchange {
            delays: Some(delays),
            ..Exchange::new(spec)
        }
    }

    /// Counts messages that were published to it, and how many queues they were routed to. Returns the exchange if
    /// it moves for the first time since the last sample, for the sampler.
    pub fn count(self: &Arc<Self>, published: u64, routed: u64) -> Option<Moved> {
        let news = self.counts.add(published, routed);
        news.then(|| Moved::Exchange(Arc::downgrade(self)))
    }

    /// Returns the messages it keeps, if it is a delayed exchange.
    pub fn delays(&self) -> Option<&Arc<Delays>> {
        self.delays.as_ref()
    }

    /// Returns its name.
    pub fn name(&self) -> &ExchangeName {
        &self.spec.name
    }

    /// Returns the exchange for messages that match no binding (RabbitMQ: "Alternate Exchanges");
    /// it may not exist. An argument takes precedence over a policy.
    pub fn alternate(&self) -> Option<ExchangeName> {
        self.alternate.clone().or_else(|| {
            let policy = self.policy.read();
            let alternate = policy.as_ref()?.text(ALTERNATE_EXCHANGE)?;
            Some(alternate.into())
        })
    }

    /// Returns the policies that apply to it.
    pub fn policy(&self) -> Option<Arc<dyn AppliedPolicy>> {
        self.policy.read().clone()
    }

    /// Sets the policies that apply from now on. Caches of routes must be invalidated.
    pub fn set_policy(&self, policy: Option<Arc<dyn AppliedPolicy>>) {
        *self.policy.write() = policy;
    }

    /// Adds a binding; returns false if it existed.
    pub fn bind(&self, binding: Binding) -> bool {
        self.bindings.write().add(binding)
    }

    /// Removes a binding; returns false if it did not exist.
    pub fn unbind(&self, to: &DestinationName, key: &RoutingKey, arguments: &FieldTable) -> bool {
        self.bindings.write().remove(to, key, arguments)
    }

    /// Returns whether it has exactly this binding.
    pub fn is_bound_by(&self, binding: &Binding) -> bool {
        self.bindings.read().has(binding)
    }

    /// Removes all bindings to a destination and returns them.
    pub fn unbind_all(&self, to: &DestinationName) -> Vec<Binding> {
        self.bindings.write().remove_destination(to)
    }

    /// Removes all bindings and returns them.
    pub fn clear(&self) -> Vec<Binding> {
        let mut bindings = self.bindings.write();
        let cleared = std::mem::replace(&mut *bindings, Bindings::new(&self.spec));
        cleared.into_all().collect()
    }

    /// Returns its bindings, sorted by destination and key.
    pub fn bindings(&self) -> Vec<Binding> {
        self.bindings.read().all().cloned().collect()
    }

    /// Returns how many bindings it has.
    pub fn binding_count(&self) -> usize {
        self.bindings.read().len()
    }

    /// Shows each of its bindings, in the same order, without copying them. No binding can be added meanwhile.
    pub fn each_binding(&self, mut look: impl FnMut(&Binding)) {
        self.bindings.read().all().for_each(&mut look);
    }

    /// Returns whether any binding leads to a destination.
    pub fn is_bound_to(&self, to: &DestinationName) -> bool {
        self.bindings.read().leads_to(to)
    }

    /// Returns whether it has no bindings.
    pub fn is_unbound(&self) -> bool {
        self.bindings.read().is_empty()
    }
}

#[cfg(test)]
mod tests;
