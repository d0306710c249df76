//! Who performs an operation, where, and what they may do.

use super::ignored::LoggedNames;
use crate::domain::auth::backend::{Resource, ResourceKind};
use crate::domain::auth::{Access, Identity, Login};
use crate::domain::broker::Broker;
use crate::domain::connections::ConnectionInfo;
use crate::domain::vhost::Vhost;
use crate::engine::exchange::Exchange;
use crate::engine::interfaces::ConnectionId;
use crate::engine::queue::Queue;
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::{AmqpError, ExchangeName, QueueName};
use std::sync::Arc;

/// The tag of users who may publish in the name of others (RabbitMQ: "Validated User ID").
const IMPERSONATOR: &str = "impersonator";

/// A user in a virtual host, on a connection or not.
///
/// Operations are its methods. Permissions are those at the time of the operation, not those at the time of the login.
pub struct Caller {
    pub(super) broker: Arc<Broker>,
    vhost: Arc<Vhost>,
    pub(super) user: Identity,
    pub(super) impersonates: bool,
    /// The connection that its exclusive queues belong to; without one it has none.
    pub(super) connection: Option<Arc<ConnectionInfo>>,
    /// The ignored arguments that have been logged.
    pub(super) logged: LoggedNames,
}

impl Caller {
    /// Returns a caller in a virtual host, which the user may enter.
    pub fn new(
        broker: Arc<Broker>,
        vhost: Arc<Vhost>,
        login: &Login,
        connection: Option<Arc<ConnectionInfo>>,
    ) -> Self {
        Caller {
            broker,
            vhost,
            user: login.identity.clone(),
            impersonates: impersonates(login),
            connection,
            logged: LoggedNames::default(),
        }
    }

    /// Replaces what the user may do.
    pub fn renew(&mut self, login: &Login) {
        self.user = login.identity.clone();
        self.impersonates = impersonates(login);
    }

    /// Returns the virtual host.
    #[inline]
    pub fn vhost(&self) -> &Arc<Vhost> {
        &self.vhost
    }

    /// Returns the user.
    #[inline]
    pub fn user(&self) -> &Identity {
        &self.user
    }

    /// Returns a number that changes whenever the user's rights may have changed.
    #[inline]
    pub fn rights_generation(&self) -> u64 {
        self.broker.users.rights_generation(&self.user)
    }

    /// Returns the connection that owns the exclusive queues that the caller declares.
    pub(super) fn connection_id(&self) -> Option<ConnectionId> {
        self.connection.as_ref().map(|connection| connection.id)
    }

    /// Checks a permission.
    ///
    /// # Errors
    /// 403 if the user does not have it.
    pub fn check_access(&self, access: Access, entity: Entity<'_>) -> Result<(), AmqpError> {
        let (vhost, user) = (self.vhost.name(), &self.user);
        // RabbitMQ checks the default exchange under this name.
        let default = ExchangeName::from("amq.default");
        let entity = match entity {
            Entity::Exchange(name) if name.is_empty() => Entity::Exchange(&default),
            other => other,
        };
        let (kind, name) = match entity {
            Entity::Queue(name) => (ResourceKind::Queue, name.as_str()),
            Entity::Exchange(name) => (ResourceKind::Exchange, name.as_str()),
        };
        let resource = Resource {
            vhost: vhost.as_str(),
            kind,
            name,
        };
        if self.broker.users.permits(user, access, resource) {
            return Ok(());
        }
        Err(texts::access_refused(
            access.as_str(),
            entity,
            vhost,
            &user.name,
        ))
    }

    /// Returns a queue that exists and is not exclusive to another connection.
    ///
    /// # Errors
    /// 404 if it does not exist, 405 if it is exclusive to another connection.
    pub(super) fn usable_queue(&self, name: &QueueName) -> Result<Arc<Queue>, AmqpError> {
        let vhost = self.vhost();
        let Some(queue) = vhost.queue(name.as_str()) else {
            return Err(texts::no_queue(name.as_str(), vhost.name()));
        };
        self.check_exclusive(&queue)?;
        Ok(queue)
    }

    /// Checks that a queue is not exclusive to another connection.
    ///
    /// # Errors
    /// 405 if it is.
    pub(super) fn check_exclusive(&self, queue: &Queue) -> Result<(), AmqpError> {
        match queue.is_locked_for(self.connection_id()) {
            true => Err(texts::locked_queue(queue.name(), self.vhost.name())),
            false => Ok(()),
        }
    }

    /// Returns an exchange that exists; the default exchange is not among them.
    ///
    /// # Errors
    /// 404 if it does not exist.
    pub(super) fn existing_exchange(
        &self,
        name: &ExchangeName,
    ) -> Result<Arc<Exchange>, AmqpError> {
        let found = self.vhost.exchange(name.as_str());
        found.ok_or_else(|| texts::no_exchange(name, self.vhost.name()))
    }
}

fn impersonates(login: &Login) -> bool {
    login.tags.iter().any(|tag| tag == IMPERSONATOR)
}
