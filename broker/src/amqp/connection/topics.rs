//! Topic permissions: which routing keys the user may publish with, and bind a topic exchange with.

use super::Connection;
use super::content::Target;
use crate::domain::auth::TopicAccess;
use crate::engine::exchange::Exchange;
use leveret_protocol::{AmqpError, ExchangeName};
use std::sync::Arc;

impl Connection {
    /// Returns the user's topic permission for an exchange, if it has one.
    pub(super) fn topic_access(&self, exchange: &Exchange) -> Option<Arc<TopicAccess>> {
        let login = self.login.as_ref()?;
        let users = &self.broker.users;
        users.topic_access(&login.user, login.vhost.name(), exchange)
    }

    /// Checks that an exchange may be bound with this routing key, as the source. Whether it exists is checked later.
    pub(super) fn check_topic_read(
        &self,
        source: &ExchangeName,
        routing_key: &str,
    ) -> Result<(), AmqpError> {
        let exchange = self.vhost()?.exchange(source.as_str());
        let topics = exchange.and_then(|exchange| self.topic_access(&exchange));
        topics.map_or(Ok(()), |topics| topics.check_read(routing_key.as_bytes()))
    }
}

impl Target {
    /// Checks that the user may publish with this routing key and the further ones.
    ///
    /// # Errors
    /// 403.
    pub(super) fn check_keys(
        &self,
        topics: &TopicAccess,
        routing_key: &[u8],
    ) -> Result<(), AmqpError> {
        topics.check_write(routing_key)?;
        self.copies
            .iter()
            .try_for_each(|key| topics.check_write(key))
    }
}
