//! Binding and unbinding queues and exchanges.

use super::Caller;
use crate::domain::auth::Access;
use crate::engine::exchange::{Binding, Destination, DestinationName};
use crate::engine::queue::Effects;
use crate::text::names::without_line_ends;
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::values::FieldTable;
use leveret_protocol::{AmqpError, ExchangeName, RoutingKey};

/// A binding between names, which may not exist.
#[derive(Debug)]
pub struct BindingSpec {
    /// The exchange that messages come from.
    pub source: ExchangeName,
    /// Where they go.
    pub destination: DestinationName,
    /// The key.
    pub key: RoutingKey,
    /// The arguments.
    pub arguments: FieldTable,
}

impl BindingSpec {
    /// Returns the binding of a queue to an exchange.
    pub fn of_queue(source: &str, queue: &str, key: RoutingKey, arguments: FieldTable) -> Self {
        let queue = without_line_ends(queue);
        let destination = DestinationName::Queue((&*queue).into());
        BindingSpec::between(source, destination, key, arguments)
    }

    /// Returns the binding of an exchange to another.
    pub fn of_exchange(
        source: &str,
        destination: &str,
        key: RoutingKey,
        arguments: FieldTable,
    ) -> Self {
        let destination = without_line_ends(destination);
        let destination = DestinationName::Exchange((&*destination).into());
        BindingSpec::between(source, destination, key, arguments)
    }

    fn between(
        source: &str,
        destination: DestinationName,
        key: RoutingKey,
        arguments: FieldTable,
    ) -> Self {
        BindingSpec {
            source: (&*without_line_ends(source)).into(),
            destination,
            key,
            arguments,
        }
    }
}

impl Caller {
    /// Binds a queue or an exchange to an exchange. Returns whether the binding is stored.
    ///
    /// # Errors
    /// 403 for the default exchange or without the permissions, 404 if one of the ends does not exist, 405 if the queue is
    /// exclusive to another connection, 406 if the exchange's type, the arguments or a limit do not allow it.
    pub fn bind(&mut self, spec: BindingSpec, fx: &mut Effects) -> Result<bool, AmqpError> {
        self.check_binding(&spec)?;
        let source = self.existing_exchange(&spec.source)?;
        let destination = match &spec.destination {
            DestinationName::Queue(name) => {
                let queue = self.usable_queue(name)?;
                self.check_declared_arguments(&spec.arguments)?;
                Destination::Queue(queue)
            }
            DestinationName::Exchange(name) => {
                self.check_declared_arguments(&spec.arguments)?;
                Destination::Exchange(self.existing_exchange(name)?)
            }
        };
        let binding = Binding {
            destination,
            key: spec.key,
            arguments: spec.arguments,
        };
        if !source.is_bound_by(&binding) {
            self.check_room_for(Entity::Exchange(source.name()))?;
        }
        self.log_ignored_in_binding(&source, &binding);
        self.vhost().bind(&source, binding, fx)
    }

    /// Removes a binding. It is not an error if any part of it does not exist; so a queue that is exclusive to another
    /// connection matters only if the binding exists. Returns whether it was stored.
    ///
    /// # Errors
    /// 403 for the default exchange or without the permissions, 405 if the queue is exclusive to another connection.
    pub fn unbind(&self, spec: BindingSpec, fx: &mut Effects) -> Result<bool, AmqpError> {
        self.check_binding(&spec)?;
        let vhost = self.vhost();
        let Some(source) = vhost.exchange(spec.source.as_str()) else {
            return Ok(false);
        };
        let destination = match &spec.destination {
            DestinationName::Queue(name) => vhost.queue(name.as_str()).map(Destination::Queue),
            DestinationName::Exchange(name) => {
                vhost.exchange(name.as_str()).map(Destination::Exchange)
            }
        };
        let Some(destination) = destination else {
            return Ok(false);
        };
        let binding = Binding {
            destination,
            key: spec.key,
            arguments: spec.arguments,
        };
        if let Destination::Queue(queue) = &binding.destination
            && source.is_bound_by(&binding)
        {
            self.check_exclusive(queue)?;
        }
        Ok(vhost.unbind(&source, &binding, fx))
    }

    /// Checks whether the caller may add or remove a binding between these names with this key: messages are written to
    /// the destination and read from the source, which may not exist; the operations check that later.
    ///
    /// # Errors
    /// 403 for the default exchange or without the permissions.
    fn check_binding(&self, spec: &BindingSpec) -> Result<(), AmqpError> {
        let destination = match &spec.destination {
            DestinationName::Exchange(name) if name.is_empty() => {
                return Err(texts::default_exchange());
            }
            DestinationName::Exchange(name) => Entity::Exchange(name),
            DestinationName::Queue(name) => Entity::Queue(name),
        };
        if spec.source.is_empty() {
            return Err(texts::default_exchange());
        }
        self.check_access(Access::Write, destination)?;
        self.check_access(Access::Read, Entity::Exchange(&spec.source))?;
        let source = self.vhost().exchange(spec.source.as_str());
        match source.and_then(|source| self.topic_access(&source)) {
            None => Ok(()),
            Some(topics) => topics.check_read(spec.key.as_str().as_bytes()),
        }
    }
}
