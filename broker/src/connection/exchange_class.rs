//! exchange.*

use super::Connection;
use crate::auth::Access;
use crate::exchange::{Binding, Destination, Exchange, ExchangeKind, ExchangeSpec, is_valid_match};
use leveret_protocol::classes::{AMQPClass, exchange};
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::values::FieldTable;
use leveret_protocol::{AmqpError, ChannelId, ExchangeName, ReplyCode};
use std::sync::Arc;

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
            M::Bind(bind) => {
                let (source, destination) =
                    self.exchange_ends(bind.source.as_str(), bind.destination.as_str())?;
                check_binding_arguments(&source, &bind.arguments)?;
                let binding = Binding {
                    destination: Destination::Exchange(destination),
                    key: bind.routing_key.as_str().into(),
                    arguments: bind.arguments,
                };
                let vhost = self.vhost()?.clone();
                let stored = vhost.bind(&source, binding, &mut self.fx)?;
                let ok = AMQPClass::Exchange(M::BindOk(exchange::BindOk {}));
                self.reply_when_stored(id, (!bind.nowait).then_some(ok), stored)
            }
            M::Unbind(unbind) => {
                let (source, destination) =
                    self.exchange_ends(unbind.source.as_str(), unbind.destination.as_str())?;
                let destination = Destination::Exchange(destination);
                let key = unbind.routing_key.as_str().into();
                let vhost = self.vhost()?.clone();
                let stored =
                    vhost.unbind(&source, destination, &key, &unbind.arguments, &mut self.fx);
                let ok = AMQPClass::Exchange(M::UnbindOk(exchange::UnbindOk {}));
                self.reply_when_stored(id, (!unbind.nowait).then_some(ok), stored)
            }
            _ => Err(super::basic::unimplemented_method()),
        }
    }

    fn declare_exchange(
        &mut self,
        id: ChannelId,
        declare: exchange::Declare,
    ) -> Result<(), AmqpError> {
        let name = ExchangeName::from(declare.exchange.as_str());
        if name.is_empty() {
            return Err(texts::default_exchange());
        }
        let vhost = self.vhost()?.clone();
        let existing = vhost.exchange(name.as_str());
        let mut stored = false;
        if declare.passive {
            existing.ok_or_else(|| texts::no_exchange(&name, vhost.name()))?;
        } else {
            self.check_access(Access::Configure, Entity::Exchange(&name))?;
            let kind = ExchangeKind::parse(declare.kind.as_str())
                .ok_or_else(|| texts::unknown_exchange_type(declare.kind.as_str()))?;
            if existing.is_none() && name.as_str().starts_with("amq.") {
                return Err(texts::reserved_name("exchange", name.as_str()));
            }
            let spec = ExchangeSpec {
                name,
                kind,
                durable: declare.durable,
                auto_delete: declare.auto_delete,
                internal: declare.internal,
                arguments: declare.arguments,
            };
            let (exchange, is_new) = vhost.declare_exchange(spec, &mut self.fx)?;
            stored = exchange.spec.durable;
            if is_new && exchange.spec.arguments.contains_key("alternate-exchange") {
                tracing::warn!(exchange = %exchange.name(), argument = "alternate-exchange",
                    "argument has no effect in this version");
            }
        }
        let ok = AMQPClass::Exchange(exchange::AMQPMethod::DeclareOk(exchange::DeclareOk {}));
        self.reply_when_stored(id, (!declare.nowait).then_some(ok), stored)
    }

    fn delete_exchange(
        &mut self,
        id: ChannelId,
        delete: &exchange::Delete,
    ) -> Result<(), AmqpError> {
        let name = ExchangeName::from(delete.exchange.as_str());
        if name.is_empty() {
            return Err(texts::default_exchange());
        }
        self.check_access(Access::Configure, Entity::Exchange(&name))?;
        let vhost = self.vhost()?.clone();
        let stored = vhost
            .exchange(name.as_str())
            .is_some_and(|exchange| exchange.spec.durable);
        vhost.delete_exchange(&name, delete.if_unused, &mut self.fx)?;
        let ok = AMQPClass::Exchange(exchange::AMQPMethod::DeleteOk(exchange::DeleteOk {}));
        self.reply_when_stored(id, (!delete.nowait).then_some(ok), stored)
    }

    /// Both ends of exchange.bind and exchange.unbind, permitted.
    fn exchange_ends(
        &self,
        source: &str,
        destination: &str,
    ) -> Result<(Arc<Exchange>, Arc<Exchange>), AmqpError> {
        if source.is_empty() || destination.is_empty() {
            return Err(texts::default_exchange());
        }
        let vhost = self.vhost()?;
        self.check_access(Access::Write, Entity::Exchange(&destination.into()))?;
        self.check_access(Access::Read, Entity::Exchange(&source.into()))?;
        let find = |name: &str| {
            vhost
                .exchange(name)
                .ok_or_else(|| texts::no_exchange(name, vhost.name()))
        };
        Ok((find(source)?, find(destination)?))
    }
}

/// A headers exchange looks at its bindings' arguments, so they have to make sense.
pub(super) fn check_binding_arguments(
    exchange: &Exchange,
    arguments: &FieldTable,
) -> Result<(), AmqpError> {
    if exchange.spec.kind == ExchangeKind::Headers && !is_valid_match(arguments) {
        return Err(AmqpError::channel(
            ReplyCode::PreconditionFailed,
            "Invalid x-match field value; expected all, any, all-with-x or any-with-x",
        ));
    }
    Ok(())
}
