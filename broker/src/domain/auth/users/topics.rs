//! The users' topic permissions.

use super::rights::account_of;
use super::{Account, Arc, AuthError, Change, Identity, KnownBy, TopicAccess, Users, find};
use crate::domain::auth::TopicPermission;
use crate::domain::auth::pattern::Origin;
use crate::engine::exchange::{Exchange, ExchangeKind};
use crate::text::names::check_length;
use leveret_protocol::VhostName;

impl Account {
    /// Removes the topic permissions in a virtual host, those of one exchange if it is given, and returns what to
    /// store.
    pub(super) fn remove_topics(&mut self, vhost: &str, exchange: Option<&str>) -> Vec<Change> {
        let mut changes = Vec::new();
        self.topics.retain(|(in_vhost, on), access| {
            let stays = in_vhost != vhost || exchange.is_some_and(|exchange| on != exchange);
            if !stays {
                changes.push(removal(access));
            }
            stays
        });
        changes
    }
}

/// Returns the change that removes a topic permission.
pub(super) fn removal(access: &Arc<TopicAccess>) -> Change {
    Change::RemoveTopicPermission(access.record.clone())
}

impl Users {
    /// Adds the topic permissions from the store. Leaves out those of users that do not exist, and logs them.
    ///
    /// # Errors
    /// When a pattern does not compile: leaving it out would permit what it forbids.
    pub fn restore_topic_permissions(
        &self,
        permissions: impl IntoIterator<Item = TopicPermission>,
    ) -> Result<(), AuthError> {
        let mut accounts = self.accounts.write();
        for permission in permissions {
            let TopicPermission {
                user,
                vhost,
                exchange,
                ..
            } = permission.clone();
            let Some(account) = accounts.get_mut(&user) else {
                let what = "ignoring a stored topic permission: its user does not exist";
                tracing::error!(%user, %vhost, %exchange, "{what}");
                continue;
            };
            let access = TopicAccess::compile(permission, Origin::Stored);
            let access = access.map_err(|reason| AuthError::Stored {
                permission: format!(
                    "topic permission of user '{user}' on exchange '{exchange}' in vhost '{vhost}'"
                ),
                reason,
            })?;
            account.topics.insert((vhost, exchange), Arc::new(access));
        }
        self.changed();
        Ok(())
    }

    /// Returns what the user may do with an exchange by routing key; `None` if that is no topic exchange or the user has
    /// no topic permission there, so that every routing key is allowed. The answer is valid until the [generation](Users::generation) changes.
    pub fn topic_access(
        &self,
        user: &Identity,
        vhost: &VhostName,
        exchange: &Exchange,
    ) -> Option<Arc<TopicAccess>> {
        if exchange.spec.kind != ExchangeKind::Topic {
            return None;
        }
        let id = match &user.known_by {
            KnownBy::Account(id) => *id,
            KnownBy::Backend(authority) => {
                let (vhost, exchange) = (vhost.to_string(), exchange.name().to_string());
                let access = TopicAccess::asking(authority.clone(), &user.name, vhost, exchange);
                return Some(Arc::new(access));
            }
        };
        let accounts = self.accounts.read();
        let topics = &account_of(&accounts, user, id)?.topics;
        if topics.is_empty() {
            return None;
        }
        let key = (vhost.to_string(), exchange.name().to_string());
        topics.get(&key).cloned()
    }

    /// Sets a topic permission, replacing the previous one. The caller checks that the virtual host exists.
    ///
    /// # Errors
    /// When the user does not exist, the name of the exchange is too long, or a pattern does not compile.
    pub fn set_topic_permission(&self, permission: TopicPermission) -> Result<Change, AuthError> {
        check_length("name of the exchange", &permission.exchange)?;
        let access = TopicAccess::compile(permission, Origin::Written)?;
        let mut accounts = self.accounts.write();
        let record = access.record.clone();
        let topics = &mut find(&mut accounts, &record.user)?.topics;
        let key = (record.vhost.clone(), record.exchange.clone());
        topics.insert(key, Arc::new(access));
        self.changed();
        Ok(Change::PutTopicPermission(record))
    }

    /// Removes a user's topic permissions in a virtual host, those of one exchange if it is given.
    ///
    /// # Errors
    /// When the user does not exist.
    pub fn clear_topic_permissions(
        &self,
        user: &str,
        vhost: &str,
        exchange: Option<&str>,
    ) -> Result<Vec<Change>, AuthError> {
        let mut accounts = self.accounts.write();
        let changes = find(&mut accounts, user)?.remove_topics(vhost, exchange);
        if !changes.is_empty() {
            self.changed();
        }
        Ok(changes)
    }

    /// Returns the topic permissions, those of one user or in one virtual host if they are given, in the order of
    /// users, virtual hosts and exchanges.
    ///
    /// # Errors
    /// When the given user does not exist.
    pub fn topic_permissions(
        &self,
        user: Option<&str>,
        vhost: Option<&str>,
    ) -> Result<Vec<TopicPermission>, AuthError> {
        let accounts = self.accounts.read();
        if let Some(user) = user
            && !accounts.contains_key(user)
        {
            return Err(AuthError::NoSuchUser(user.to_owned()));
        }
        let of_user = accounts
            .iter()
            .filter(|(name, _)| user.is_none_or(|user| *name == user));
        let records = of_user.flat_map(|(_, account)| account.topics.values());
        Ok(records
            .map(|access| &access.record)
            .filter(|record| vhost.is_none_or(|vhost| record.vhost == vhost))
            .cloned()
            .collect())
    }
}
