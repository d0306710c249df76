//! The class exchange: declare, delete, bind, unbind.

use super::Connection;
use crate::domain::operations::{BindingSpec, ExchangeDeclaration};
use leveret_protocol::classes::{AMQPClass, exchange};
use leveret_protocol::{AmqpError, ChannelId};

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

    fn declare_exchange(
        &mut self,
        id: ChannelId,
        declare: exchange::Declare,
    ) -> Result<(), AmqpError> {
        let ok = AMQPClass::Exchange(exchange::AMQPMethod::DeclareOk(exchange::DeclareOk {}));
        let ok = (!declare.nowait).then_some(ok);
        let name = declare.exchange.as_str();
        let (caller, fx) = self.caller_and_effects()?;
        if declare.passive {
            caller.declare_exchange_passively(name)?;
            return self.reply_when_stored(id, ok, false);
        }
        let declaration = ExchangeDeclaration {
            name,
            kind: declare.kind.as_str(),
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
            arguments: declare.arguments,
        };
        let exchange = caller.declare_exchange(declaration, fx)?;
        self.reply_when_stored(id, ok, exchange.spec.durable)
    }

    fn delete_exchange(
        &mut self,
        id: ChannelId,
        delete: &exchange::Delete,
    ) -> Result<(), AmqpError> {
        let (caller, fx) = self.caller_and_effects()?;
        let stored = caller.delete_exchange(delete.exchange.as_str(), delete.if_unused, fx)?;
        let ok = AMQPClass::Exchange(exchange::AMQPMethod::DeleteOk(exchange::DeleteOk {}));
        self.reply_when_stored(id, (!delete.nowait).then_some(ok), stored)
    }

    fn bind_exchange(&mut self, id: ChannelId, bind: exchange::Bind) -> Result<(), AmqpError> {
        let spec = BindingSpec::of_exchange(
            bind.source.as_str(),
            bind.destination.as_str(),
            bind.routing_key.as_str().into(),
            bind.arguments,
        );
        let (caller, fx) = self.caller_and_effects()?;
        let stored = caller.bind(spec, fx)?;
        let ok = AMQPClass::Exchange(exchange::AMQPMethod::BindOk(exchange::BindOk {}));
        self.reply_when_stored(id, (!bind.nowait).then_some(ok), stored)
    }

    fn unbind_exchange(
        &mut self,
        id: ChannelId,
        unbind: exchange::Unbind,
    ) -> Result<(), AmqpError> {
        let spec = BindingSpec::of_exchange(
            unbind.source.as_str(),
            unbind.destination.as_str(),
            unbind.routing_key.as_str().into(),
            unbind.arguments,
        );
        let (caller, fx) = self.caller_and_effects()?;
        let stored = caller.unbind(spec, fx)?;
        let ok = AMQPClass::Exchange(exchange::AMQPMethod::UnbindOk(exchange::UnbindOk {}));
        self.reply_when_stored(id, (!unbind.nowait).then_some(ok), stored)
    }
}
