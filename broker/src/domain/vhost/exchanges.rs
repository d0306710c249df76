//! Declaring and deleting exchanges.

use super::Vhost;
use super::bindings::Sources;
use super::equivalence::{same_argument, same_properties};
use crate::domain::durable::Definition;
use crate::engine::exchange::{
    ALTERNATE_EXCHANGE, DestinationName, Exchange, ExchangeSpec, check_declaration,
};
use crate::engine::queue::Effects;
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::{AmqpError, ExchangeName};
use std::sync::Arc;

impl Vhost {
    /// Declares an exchange, which `new_exchange` creates from its specification. Returns it, and whether it is
    /// new.
    ///
    /// # Errors
    /// 406 if it exists with other properties, or if its type does not accept its arguments.
    pub fn declare_exchange(
        &self,
        spec: ExchangeSpec,
        new_exchange: impl FnOnce(ExchangeSpec) -> Exchange,
        fx: &mut Effects,
    ) -> Result<(Arc<Exchange>, bool), AmqpError> {
        let _changing = self.sources.lock();
        if let Some(existing) = self.exchange(spec.name.as_str()) {
            self.same_exchange(&existing.spec, &spec)?;
            return Ok((existing, false));
        }
        check_declaration(&spec, &self.name)?;
        let exchange = Arc::new(new_exchange(spec));
        if exchange.spec.durable {
            fx.store(Definition::exchange(&self.name, &exchange).put());
            fx.submit();
        }
        self.insert_exchange(exchange.clone());
        Ok((exchange, true))
    }

    /// Adds an exchange without storing it, as at startup.
    pub fn insert_exchange(&self, exchange: Arc<Exchange>) {
        self.configure_exchange(&exchange);
        self.exchanges
            .write()
            .insert(exchange.name().clone(), exchange);
        self.changed();
    }

    fn same_exchange(
        &self,
        current: &ExchangeSpec,
        wanted: &ExchangeSpec,
    ) -> Result<(), AmqpError> {
        let entity = Entity::Exchange(&wanted.name);
        if current.kind != wanted.kind {
            let (received, current) = (wanted.kind, current.kind);
            return Err(texts::inequivalent_property(
                "type", entity, &self.name, received, current,
            ));
        }
        let properties = [
            ("durable", wanted.durable, current.durable),
            ("auto_delete", wanted.auto_delete, current.auto_delete),
            ("internal", wanted.internal, current.internal),
        ];
        same_properties(&properties, entity, &self.name)?;
        let wanted = wanted.arguments.inner().get(ALTERNATE_EXCHANGE);
        let current = current.arguments.inner().get(ALTERNATE_EXCHANGE);
        same_argument(ALTERNATE_EXCHANGE, wanted, current, entity, &self.name)
    }

    /// Deletes an exchange with its bindings. Returns false if it does not exist.
    ///
    /// # Errors
    /// 406 if it is in use and `if_unused` is set.
    pub fn delete_exchange(
        &self,
        name: &ExchangeName,
        if_unused: bool,
        fx: &mut Effects,
    ) -> Result<bool, AmqpError> {
        let mut sources = self.sources.lock();
        let Some(exchange) = self.exchange(name.as_str()) else {
            return Ok(false);
        };
        if if_unused && !exchange.is_unbound() {
            return Err(texts::in_use(Entity::Exchange(name), &self.name));
        }
        self.remove_exchanges(vec![exchange], &mut sources, fx);
        fx.submit();
        Ok(true)
    }

    /// Removes exchanges with their bindings, then the auto-delete exchanges that have no bindings left, and so
    /// on. A loop rather than recursion, because clients may chain any number of exchanges.
    pub(super) fn remove_exchanges(
        &self,
        mut to_remove: Vec<Arc<Exchange>>,
        sources: &mut Sources,
        fx: &mut Effects,
    ) {
        while let Some(exchange) = to_remove.pop() {
            let name = exchange.name();
            if self.exchanges.write().remove(name).is_none() {
                continue;
            }
            for binding in exchange.clear() {
                self.forget_binding(&exchange, &binding, sources, fx);
            }
            if exchange.spec.durable {
                fx.store(Definition::exchange(&self.name, &exchange).delete());
            }
            if let Some(delays) = exchange.delays() {
                delays.end(fx);
            }
            self.changed();
            let to = DestinationName::Exchange(name.clone());
            to_remove.extend(self.remove_bindings_to(&to, sources, fx));
        }
    }
}
