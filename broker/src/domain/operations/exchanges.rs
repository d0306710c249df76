//! Declaring and deleting exchanges.

use super::Caller;
use crate::domain::auth::Access;
use crate::domain::vhost::SYSTEM_PREFIX;
use crate::engine::exchange::{
    Exchange, ExchangeKind, ExchangeSpec, alternate_exchange, ignored_arguments,
};
use crate::engine::queue::Effects;
use crate::text::names::without_line_ends;
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::values::FieldTable;
use leveret_protocol::{AmqpError, ExchangeName};
use std::sync::Arc;

/// An exchange as a caller declares it.
#[derive(Debug)]
pub struct ExchangeDeclaration<'a> {
    /// Its name.
    pub name: &'a str,
    /// The name of its type.
    pub kind: &'a str,
    /// It survives a restart.
    pub durable: bool,
    /// It is deleted when its last binding is removed.
    pub auto_delete: bool,
    /// Clients cannot publish to it.
    pub internal: bool,
    /// Its arguments.
    pub arguments: FieldTable,
}

impl Caller {
    /// Declares an exchange, which needs the configure permission, and those for its alternate exchange. The order of the
    /// checks is RabbitMQ's.
    ///
    /// # Errors
    /// 403 for the default exchange, a reserved name or a missing permission, 406 if it exists with other properties, or if
    /// its type, its arguments or a limit do not allow it.
    pub fn declare_exchange(
        &mut self,
        declaration: ExchangeDeclaration<'_>,
        fx: &mut Effects,
    ) -> Result<Arc<Exchange>, AmqpError> {
        let kind = ExchangeKind::parse(declaration.kind)
            .ok_or_else(|| texts::unknown_exchange_type(declaration.kind))?;
        let spec = ExchangeSpec {
            name: not_default(declaration.name)?,
            kind,
            durable: declaration.durable,
            auto_delete: declaration.auto_delete,
            internal: declaration.internal,
            arguments: declaration.arguments,
        };
        self.check_access(Access::Configure, Entity::Exchange(&spec.name))?;
        if self.vhost().exchange(spec.name.as_str()).is_none() {
            self.check_new_exchange(&spec)?;
            self.check_room_for(Entity::Exchange(&spec.name))?;
        }
        self.log_ignored("exchange", spec.name.as_str(), ignored_arguments(&spec));
        let new_exchange = |spec| self.broker.new_exchange(self.vhost().name(), spec);
        let (exchange, _) = self.vhost().declare_exchange(spec, new_exchange, fx)?;
        Ok(exchange)
    }

    /// Checks that a client does not use a reserved name and has the permissions for an alternate
    /// exchange: messages are read from the one and written to the other.
    fn check_new_exchange(&self, spec: &ExchangeSpec) -> Result<(), AmqpError> {
        if spec.name.as_str().starts_with(SYSTEM_PREFIX) {
            return Err(texts::reserved_name("exchange", spec.name.as_str()));
        }
        self.check_declared_arguments(&spec.arguments)?;
        if let Some(alternate) = alternate_exchange(spec, self.vhost().name())? {
            self.check_access(Access::Read, Entity::Exchange(&spec.name))?;
            self.check_access(Access::Write, Entity::Exchange(&alternate))?;
        }
        Ok(())
    }

    /// Returns an exchange that is declared passively, which needs no permission.
    ///
    /// # Errors
    /// 403 for the default exchange, 404 if it does not exist.
    pub fn declare_exchange_passively(&self, name: &str) -> Result<Arc<Exchange>, AmqpError> {
        self.existing_exchange(&not_default(name)?)
    }

    /// Deletes an exchange with its bindings, which needs the configure permission; it is not an error if it does not
    /// exist. Returns whether it was stored.
    ///
    /// # Errors
    /// 403 for a system exchange or without the permission, 406 if it is in use and `if_unused` is set.
    pub fn delete_exchange(
        &self,
        name: &str,
        if_unused: bool,
        fx: &mut Effects,
    ) -> Result<bool, AmqpError> {
        let name = not_default(name)?;
        let vhost = self.vhost();
        if name.as_str().starts_with(SYSTEM_PREFIX) {
            return Err(texts::system_exchange(&name, vhost.name()));
        }
        self.check_access(Access::Configure, Entity::Exchange(&name))?;
        let stored = vhost
            .exchange(name.as_str())
            .is_some_and(|exchange| exchange.spec.durable);
        vhost.delete_exchange(&name, if_unused, fx)?;
        Ok(stored)
    }
}

/// Returns the name of an exchange that is declared or deleted.
///
/// # Errors
/// 403 for the default exchange.
fn not_default(name: &str) -> Result<ExchangeName, AmqpError> {
    match &*without_line_ends(name) {
        "" => Err(texts::default_exchange()),
        name => Ok(name.into()),
    }
}
