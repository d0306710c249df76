//! Binding and unbinding.

use super::Vhost;
use crate::domain::durable::Definition;
use crate::engine::exchange::{Binding, Destination, DestinationName, Exchange, check_binding};
use crate::engine::queue::Effects;
use leveret_protocol::{AmqpError, ExchangeName, texts};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The exchanges that have bindings to a destination.
pub(super) type Sources = HashMap<DestinationName, HashSet<ExchangeName>>;

impl Vhost {
    /// Removes the bindings to a destination that is being deleted. Returns the auto-delete exchanges that have
    /// no bindings left.
    pub(super) fn remove_bindings_to(
        &self,
        to: &DestinationName,
        sources: &mut Sources,
        fx: &mut Effects,
    ) -> Vec<Arc<Exchange>> {
        let mut unbound = Vec::new();
        for source in sources.remove(to).unwrap_or_default() {
            let Some(exchange) = self.exchange(source.as_str()) else {
                continue;
            };
            for binding in exchange.unbind_all(to) {
                self.forget_binding(&exchange, &binding, sources, fx);
            }
            if exchange.spec.auto_delete && exchange.is_unbound() {
                unbound.push(exchange);
            }
        }
        unbound
    }

    pub(super) fn forget_binding(
        &self,
        source: &Exchange,
        binding: &Binding,
        sources: &mut Sources,
        fx: &mut Effects,
    ) {
        let to = binding.destination.name();
        if let Some(exchanges) = sources.get_mut(&to)
            && !source.is_bound_to(&to)
        {
            exchanges.remove(source.name());
            if exchanges.is_empty() {
                sources.remove(&to);
            }
        }
        if is_stored(source, binding) {
            fx.store(Definition::binding(&self.name, source.name(), binding).delete());
        }
    }

    /// Binds a queue or an exchange to an exchange, unless it is already bound in the same way. Returns whether
    /// the binding is stored. Both ends must still exist once the change lock is held.
    ///
    /// # Errors
    /// 404 if one of them was deleted meanwhile, 406 if the exchange's type does not accept the binding.
    pub fn bind(
        &self,
        source: &Exchange,
        binding: Binding,
        fx: &mut Effects,
    ) -> Result<bool, AmqpError> {
        let mut sources = self.sources.lock();
        if self.exchange(source.name().as_str()).is_none() {
            return Err(texts::no_exchange(source.name(), &self.name));
        }
        match &binding.destination {
            Destination::Queue(queue) if self.queue(queue.name().as_str()).is_none() => {
                return Err(texts::no_queue(queue.name().as_str(), &self.name));
            }
            Destination::Exchange(exchange)
                if self.exchange(exchange.name().as_str()).is_none() =>
            {
                return Err(texts::no_exchange(exchange.name(), &self.name));
            }
            _ => {}
        }
        check_binding(source.spec.routed_by(), &binding)?;
        let stored = is_stored(source, &binding);
        if source.bind(binding.clone()) {
            let to = binding.destination.name();
            sources.entry(to).or_default().insert(source.name().clone());
            if stored {
                fx.store(Definition::binding(&self.name, source.name(), &binding).put());
            }
            self.changed();
            fx.submit();
        }
        Ok(stored)
    }

    /// Restores a binding at startup.
    pub fn restore_binding(&self, source: &Exchange, binding: Binding) {
        let to = binding.destination.name();
        if source.bind(binding) {
            self.sources
                .lock()
                .entry(to)
                .or_default()
                .insert(source.name().clone());
        }
    }

    /// Removes a binding; it is not an error if it does not exist. Returns whether it was stored.
    pub fn unbind(&self, source: &Exchange, binding: &Binding, fx: &mut Effects) -> bool {
        let mut sources = self.sources.lock();
        let to = binding.destination.name();
        if !source.unbind(&to, &binding.key, &binding.arguments) {
            return false;
        }
        self.forget_binding(source, binding, &mut sources, fx);
        if source.spec.auto_delete && source.is_unbound() {
            let unbound = Vec::from_iter(self.exchange(source.name().as_str()));
            self.remove_exchanges(unbound, &mut sources, fx);
        }
        self.changed();
        fx.submit();
        is_stored(source, binding)
    }
}

/// Returns whether a binding is stored: it is if both its ends are.
fn is_stored(source: &Exchange, binding: &Binding) -> bool {
    let stored = match &binding.destination {
        Destination::Queue(queue) => queue.spec.is_stored(),
        Destination::Exchange(_) => binding.destination.is_durable(),
    };
    source.spec.durable && stored
}
