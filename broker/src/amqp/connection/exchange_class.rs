//! exchange.*

use super::Connection;
use crate::domain::auth::Access;
use crate::domain::vhost::SYSTEM_PREFIX;
use crate::engine::exchange::{
    Binding, Destination, ExchangeKind, ExchangeSpec, alternate_exchange, ignored_arguments,
};
use crate::text::names::without_line_ends;
use leveret_protocol::classes::{AMQPClass, exchange};
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::{AmqpError, ChannelId, ExchangeName};

impl Connection {
    pub(super) fn exchange_method(
        &mut self,
        id: ChannelId,
        method: exchange::AMQPMethod,
    ) -> Result<(), AmqpError> {
        use exchange::AMQPMethod as M;
        match method {
            M::Declare(declare) => self.declare_exchange(id, declare),
            M::Delete(delete) => self.delete_exchange(id, &delete),
            M::Bind(bind) => self.bind_exchange(id, bind),
            M::Unbind(unbind) => self.unbind_exchange(id, unbind),
            _ => Err(leveret_protocol::texts::unimplemented_method()),
        }
    }

    /// The order of the checks is RabbitMQ's.
    fn declare_exchange(
        &mut self,
        id: ChannelId,
        declare: exchange::Declare,
    ) -> Result<(), AmqpError> {
        let name = ExchangeName::from(&*without_line_ends(declare.exchange.as_str()));
        let vhost = self.vhost()?.clone();
        let ok = AMQPClass::Exchange(exchange::AMQPMethod::DeclareOk(exchange::DeclareOk {}));
        let ok = (!declare.nowait).then_some(ok);
        if declare.passive {
            if name.is_empty() {
                return Err(texts::default_exchange());
            }
            let existing = vhost.exchange(name.as_str());
            existing.ok_or_else(|| texts::no_exchange(&name, vhost.name()))?;
            return self.reply_when_stored(id, ok, false);
        }
        let kind = ExchangeKind::parse(declare.kind.as_str())
            .ok_or_else(|| texts::unknown_exchange_type(declare.kind.as_str()))?;
        if name.is_empty() {
            return Err(texts::default_exchange());
        }
        self.check_access(Access::Configure, Entity::Exchange(&name))?;
        let spec = ExchangeSpec {
            name,
            kind,
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
            arguments: declare.arguments,
        };
        if vhost.exchange(spec.name.as_str()).is_none() {
            self.check_new_exchange(&spec)?;
            self.check_room_for(Entity::Exchange(&spec.name))?;
        }
        let broker = self.broker.clone();
        let new_exchange = |spec| broker.new_exchange(vhost.name(), spec);
        self.log_ignored("exchange", spec.name.as_str(), ignored_arguments(&spec));
        let (exchange, _) = vhost.declare_exchange(spec, new_exchange, &mut self.fx)?;
        self.reply_when_stored(id, ok, exchange.spec.durable)
    }

    /// Checks that a client does not use a reserved name and has the permissions for an alternate
    /// exchange: messages are read from the one and written to the other.
    fn check_new_exchange(&self, spec: &ExchangeSpec) -> Result<(), AmqpError> {
        if spec.name.as_str().starts_with(SYSTEM_PREFIX) {
            return Err(texts::reserved_name("exchange", spec.name.as_str()));
        }
        self.check_declared_arguments(&spec.arguments)?;
        if let Some(alternate) = alternate_exchange(spec, self.vhost()?.name())? {
            self.check_access(Access::Read, Entity::Exchange(&spec.name))?;
            self.check_access(Access::Write, Entity::Exchange(&alternate))?;
        }
        Ok(())
    }

    fn delete_exchange(
        &mut self,
        id: ChannelId,
        delete: &exchange::Delete,
    ) -> Result<(), AmqpError> {
        let name = ExchangeName::from(&*without_line_ends(delete.exchange.as_str()));
        if name.is_empty() {
            return Err(texts::default_exchange());
        }
        let vhost = self.vhost()?.clone();
        if name.as_str().starts_with(SYSTEM_PREFIX) {
            return Err(texts::system_exchange(&name, vhost.name()));
        }
        self.check_access(Access::Configure, Entity::Exchange(&name))?;
        let stored = vhost
            .exchange(name.as_str())
            .is_some_and(|exchange| exchange.spec.durable);
        vhost.delete_exchange(&name, delete.if_unused, &mut self.fx)?;
        let ok = AMQPClass::Exchange(exchange::AMQPMethod::DeleteOk(exchange::DeleteOk {}));
        self.reply_when_stored(id, (!delete.nowait).then_some(ok), stored)
    }

    fn bind_exchange(&mut self, id: ChannelId, bind: exchange::Bind) -> Result<(), AmqpError> {
        let (source, destination) = self.exchange_ends(
            bind.source.as_str(),
            bind.destination.as_str(),
            bind.routing_key.as_str(),
        )?;
        let vhost = self.vhost()?.clone();
        let find = |name: &ExchangeName| {
            let found = vhost.exchange(name.as_str());
            found.ok_or_else(|| texts::no_exchange(name, vhost.name()))
        };
        let source = find(&source)?;
        self.check_declared_arguments(&bind.arguments)?;
        let binding = Binding {
            destination: Destination::Exchange(find(&destination)?),
            key: bind.routing_key.as_str().into(),
            arguments: bind.arguments,
        };
        if !source.is_bound_by(&binding) {
            self.check_room_for(Entity::Exchange(source.name()))?;
        }
        self.log_ignored_in_binding(&source, &binding);
        let stored = vhost.bind(&source, binding, &mut self.fx)?;
        let ok = AMQPClass::Exchange(exchange::AMQPMethod::BindOk(exchange::BindOk {}));
        self.reply_when_stored(id, (!bind.nowait).then_some(ok), stored)
    }

    /// Unbinding succeeds even if any part of the binding does not exist.
    fn unbind_exchange(
        &mut self,
        id: ChannelId,
        unbind: exchange::Unbind,
    ) -> Result<(), AmqpError> {
        let (source, destination) = self.exchange_ends(
            unbind.source.as_str(),
            unbind.destination.as_str(),
            unbind.routing_key.as_str(),
        )?;
        let vhost = self.vhost()?.clone();
        let mut stored = false;
        if let Some(source) = vhost.exchange(source.as_str())
            && let Some(destination) = vhost.exchange(destination.as_str())
        {
            let binding = Binding {
                destination: Destination::Exchange(destination),
                key: unbind.routing_key.as_str().into(),
                arguments: unbind.arguments,
            };
            stored = vhost.unbind(&source, &binding, &mut self.fx);
        }
        let ok = AMQPClass::Exchange(exchange::AMQPMethod::UnbindOk(exchange::UnbindOk {}));
        self.reply_when_stored(id, (!unbind.nowait).then_some(ok), stored)
    }

    /// Returns the source and destination of exchange.bind and exchange.unbind after checking
    /// permissions. Whether they exist is checked later.
    fn exchange_ends(
        &self,
        source: &str,
        destination: &str,
        key: &str,
    ) -> Result<(ExchangeName, ExchangeName), AmqpError> {
        let source = ExchangeName::from(&*without_line_ends(source));
        let destination = ExchangeName::from(&*without_line_ends(destination));
        if source.is_empty() || destination.is_empty() {
            return Err(texts::default_exchange());
        }
        self.check_access(Access::Write, Entity::Exchange(&destination))?;
        self.check_access(Access::Read, Entity::Exchange(&source))?;
        self.check_topic_read(&source, key)?;
        Ok((source, destination))
    }
}
