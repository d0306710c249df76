//! Publishing, consuming and getting messages: which exchange or queue may be used, and how.

use super::Caller;
use crate::domain::auth::{Access, TopicAccess};
use crate::engine::exchange::Exchange;
use crate::engine::queue::{Queue, QueueKind, arguments};
use leveret_protocol::content::{PropertyIndex, parse_expiration};
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::values::FieldTable;
use leveret_protocol::{AmqpError, ExchangeName, QueueName};
use std::sync::Arc;

/// An exchange that the caller may publish to.
#[derive(Clone, Debug)]
pub struct PermittedExchange {
    /// `None` for the default exchange.
    pub exchange: Option<Arc<Exchange>>,
    /// Which routing keys the caller may publish with; `None` for all.
    pub topics: Option<Arc<TopicAccess>>,
}

impl PermittedExchange {
    /// Checks that the caller may publish with this routing key.
    ///
    /// # Errors
    /// 403.
    #[inline]
    pub fn check_key(&self, routing_key: &[u8]) -> Result<(), AmqpError> {
        match &self.topics {
            None => Ok(()),
            Some(topics) => topics.check_write(routing_key),
        }
    }
}

/// How a caller wants to consume from a queue.
#[derive(Clone, Copy, Debug)]
pub struct Subscription<'a> {
    /// basic.consume's arguments.
    pub arguments: &'a FieldTable,
    /// It does not acknowledge.
    pub no_ack: bool,
    /// It has a prefetch of its own.
    pub has_prefetch: bool,
    /// The channel has a prefetch that its consumers share.
    pub has_channel_limit: bool,
}

/// Checks the properties of a message and the size of its body.
///
/// # Errors
/// 406 if the body is larger than `max` bytes, or the `expiration` is no time.
pub fn check_properties(
    index: &PropertyIndex,
    properties: &[u8],
    body_size: u64,
    max: u64,
) -> Result<(), AmqpError> {
    if body_size > max {
        return Err(texts::message_too_large(body_size, max));
    }
    if let Some(expiration) = index.expiration.clone() {
        let expiration = &properties[expiration];
        parse_expiration(expiration).map_err(|reason| {
            texts::invalid_expiration(&String::from_utf8_lossy(expiration), reason)
        })?;
    }
    Ok(())
}

impl Caller {
    /// Returns the exchange to publish to, which needs the write permission. The answer
    /// is valid until something is declared or deleted, or permissions change.
    ///
    /// # Errors
    /// 403 without the permission or if the exchange is internal, 404 if it does not exist.
    pub fn exchange_to_publish_to(
        &self,
        name: &ExchangeName,
    ) -> Result<PermittedExchange, AmqpError> {
        // Before the look-up: clients without permission must not learn whether it exists.
        self.check_access(Access::Write, Entity::Exchange(name))?;
        if name.is_empty() {
            return Ok(PermittedExchange {
                exchange: None,
                topics: None,
            });
        }
        let exchange = self.existing_exchange(name)?;
        if exchange.spec.internal {
            return Err(texts::internal_exchange(name, self.vhost().name()));
        }
        Ok(PermittedExchange {
            topics: self.topic_access(&exchange),
            exchange: Some(exchange),
        })
    }

    /// Returns the caller's topic permission for an exchange, if it has one.
    pub(super) fn topic_access(&self, exchange: &Exchange) -> Option<Arc<TopicAccess>> {
        let users = &self.broker.users;
        users.topic_access(self.user(), self.vhost().name(), exchange)
    }

    /// Checks the `user_id` property of a message that the caller publishes.
    ///
    /// # Errors
    /// 406 if it is not the caller's name, who is not allowed to impersonate others.
    pub fn check_user_id(&self, claimed: &[u8]) -> Result<(), AmqpError> {
        let user = &self.user().name;
        if claimed == user.as_str().as_bytes() || self.impersonates {
            return Ok(());
        }
        Err(texts::wrong_user_id(
            &String::from_utf8_lossy(claimed),
            user,
        ))
    }

    /// Returns the queue to get a message from with basic.get, which needs the read permission.
    ///
    /// # Errors
    /// 403 without the permission, 404 if the queue does not exist, 405 if it is exclusive to another connection, or is a
    /// quorum queue with a single active consumer, 540 if it is a stream.
    pub fn queue_to_get_from(&self, name: &QueueName) -> Result<Arc<Queue>, AmqpError> {
        self.check_access(Access::Read, Entity::Queue(name))?;
        let queue = self.usable_queue(name)?;
        let vhost = self.vhost().name();
        if queue.stream().is_some() {
            return Err(texts::not_by_streams("basic.get", name, vhost));
        }
        if queue.kind == QueueKind::Quorum && queue.settings().single_active_consumer {
            return Err(texts::no_get_beside_single_active(name, vhost));
        }
        Ok(queue)
    }

    /// Returns the queue to consume from. The caller has checked the read permission.
    ///
    /// # Errors
    /// 404 if the queue does not exist, 405 if it is exclusive to another connection, 406 or 540 if its type does not
    /// support such a consumer.
    pub fn queue_to_consume_from(
        &self,
        name: &QueueName,
        subscription: &Subscription<'_>,
    ) -> Result<Arc<Queue>, AmqpError> {
        let queue = self.usable_queue(name)?;
        let vhost = self.vhost().name();
        arguments::check_consumer(subscription.arguments, queue.spec.kind(), name, vhost)?;
        if queue.stream().is_some() {
            // Only acknowledgements let a stream's consumer go on (`rabbit_stream_queue:consume`).
            if !subscription.has_prefetch {
                return Err(texts::no_prefetch(name, vhost));
            }
            if subscription.no_ack {
                return Err(texts::no_automatic_ack(name, vhost));
            }
        }
        // `rabbit_quorum_queue:consume`, `rabbit_stream_queue:consume`.
        if queue.kind != QueueKind::Classic && subscription.has_channel_limit {
            return Err(texts::no_global_qos(name, vhost));
        }
        Ok(queue)
    }
}
