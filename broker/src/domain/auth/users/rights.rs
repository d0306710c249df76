//! What a user may do: by its permissions, or as whoever knows it says.

use super::{Account, Users};
use crate::domain::auth::backend::Resource;
use crate::domain::auth::{Access, AccountId, Identity, KnownBy};
use std::collections::BTreeMap;

/// The name under which RabbitMQ checks the default exchange.
const DEFAULT_EXCHANGE: &str = "amq.default";

impl Users {
    /// Returns a number that changes whenever the user's rights may have changed: a cached decision is valid while it
    /// stays the same.
    #[inline]
    pub fn rights_generation(&self, user: &Identity) -> u64 {
        match &user.known_by {
            KnownBy::Account(_) => self.generation(),
            KnownBy::Backend(authority) => authority.generation(),
        }
    }

    /// Returns whether the user may open the virtual host: any permission there is enough (RabbitMQ: Access
    /// Control, "How Authorisation Works").
    pub fn may_enter(&self, user: &Identity, vhost: &str) -> bool {
        match &user.known_by {
            KnownBy::Account(id) => {
                let accounts = self.accounts.read();
                account_of(&accounts, user, *id)
                    .is_some_and(|account| account.permissions.contains_key(vhost))
            }
            KnownBy::Backend(authority) => authority.may_enter(vhost),
        }
    }

    /// Returns whether the user has this access to a queue or an exchange. The default exchange, whose name is empty, is
    /// checked as `amq.default`.
    pub fn permits(&self, user: &Identity, access: Access, resource: Resource<'_>) -> bool {
        let name = match resource.name {
            "" => DEFAULT_EXCHANGE,
            name => name,
        };
        let id = match &user.known_by {
            KnownBy::Account(id) => *id,
            KnownBy::Backend(authority) => {
                return authority.permits(access, Resource { name, ..resource });
            }
        };
        let accounts = self.accounts.read();
        let account = account_of(&accounts, user, id);
        let Some(granted) = account.and_then(|account| account.permissions.get(resource.vhost))
        else {
            return false;
        };
        granted.pattern(access).matches(name)
    }

    /// Returns whether there may be a queue or an exchange to which the user has this access: false if its pattern allows
    /// nothing. Backends are not asked about every name, so there may always be one.
    pub fn permits_some(&self, user: &Identity, access: Access, vhost: &str) -> bool {
        let KnownBy::Account(id) = &user.known_by else {
            return self.may_enter(user, vhost);
        };
        let accounts = self.accounts.read();
        let account = account_of(&accounts, user, *id);
        let granted = account.and_then(|account| account.permissions.get(vhost));
        let pattern = granted.map(|granted| granted.written(access));
        pattern.is_some_and(|pattern| !matches!(pattern, "" | "^$"))
    }
}

/// Returns the account that a connection is logged in to, unless it was deleted.
pub(super) fn account_of<'a>(
    accounts: &'a BTreeMap<String, Account>,
    user: &Identity,
    id: AccountId,
) -> Option<&'a Account> {
    let account = accounts.get(user.name.as_str())?;
    (account.id == id).then_some(account)
}
