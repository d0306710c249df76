//! The results of logins and changes.

use super::backend::{Authority, Known};
use super::{Permission, TopicPermission, User};
use crate::text::names::NameTooLong;
use crate::text::pattern::PatternError;
use leveret_protocol::UserName;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Why a change was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The user does not exist.
    #[error("User \"{0}\" does not exist")]
    NoSuchUser(String),
    /// The user already exists.
    #[error("User \"{0}\" already exists")]
    UserExists(String),
    /// A permission's pattern does not compile.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The pattern of a stored permission does not compile.
    #[error("{permission}: {reason}")]
    Stored {
        /// Whose permission, and where.
        permission: String,
        /// What is wrong with it.
        reason: PatternError,
    },
    /// The name of the user, or that of an exchange, is too long.
    #[error(transparent)]
    Name(#[from] NameTooLong),
    /// The user name is empty.
    #[error("user name must not be empty")]
    EmptyName,
}

/// A change to store. Several changes are stored in the order in which they are returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Store this user, replacing one with the same name.
    PutUser(User),
    /// Remove the user with this name.
    RemoveUser(String),
    /// Store this permission, replacing one of the same user and virtual host.
    PutPermission(Permission),
    /// Remove a permission.
    RemovePermission {
        /// The user.
        user: String,
        /// The virtual host.
        vhost: String,
    },
    /// Store this topic permission, replacing one of the same user, virtual host and exchange.
    PutTopicPermission(TopicPermission),
    /// Remove this topic permission.
    RemoveTopicPermission(TopicPermission),
}

/// Identifies an account while the broker runs. A user that is deleted and added again has another id, so
/// that old logins do not get the permissions of the new user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountId(pub(super) u64);

/// Who knows a user, and therefore decides what it may do.
#[derive(Clone, Debug)]
pub enum KnownBy {
    /// The broker: the account that the password belonged to.
    Account(AccountId),
    /// A [backend](super::backend).
    Backend(Arc<dyn Authority>),
}

/// The user of a connection.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user's name.
    pub name: UserName,
    /// Who knows it.
    pub known_by: KnownBy,
}

impl Identity {
    /// Returns whether this is the user of an account.
    pub fn is_of(&self, account: AccountId) -> bool {
        matches!(self.known_by, KnownBy::Account(own) if own == account)
    }
}

/// A login that succeeded.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user.
    pub identity: Identity,
    /// The user's tags at the time of the login.
    pub tags: Vec<String>,
}

/// Longer lives are endless: a clock could not count them.
const EXPIRY_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

impl Login {
    /// Returns how long the login lasts, if it ends by itself.
    pub fn expires_in(&self) -> Option<Duration> {
        let KnownBy::Backend(authority) = &self.identity.known_by else {
            return None;
        };
        let left = authority.expires_at()?.duration_since(SystemTime::now());
        let left = left.unwrap_or_default();
        (left < EXPIRY_MAX).then_some(left)
    }
}

impl From<Known> for Login {
    fn from(known: Known) -> Self {
        let identity = Identity {
            name: known.name,
            known_by: KnownBy::Backend(known.authority),
        };
        Login {
            identity,
            tags: known.tags,
        }
    }
}

/// Why a login was refused, for the log. The client is sent the same text for all reasons.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefused {
    /// The user does not exist or the password is wrong. Even the log does not say which, because users may
    /// type a password as the name.
    #[error("user '{0}' - invalid credentials")]
    InvalidCredentials(String),
    /// A backend refused it, and no other accepts it.
    #[error("user '{user}' - refused by backend {backend}: {reason}")]
    Backend {
        /// The name that the client gave.
        user: String,
        /// The backend that was asked last.
        backend: &'static str,
        /// Its reason.
        reason: String,
    },
    /// Too many logins wait to be checked.
    #[error("user '{0}' - too many logins are waiting to be checked")]
    Busy(String),
    /// The password is right, but the user may not log in from that address.
    #[error("user '{0}' can only connect via localhost")]
    LoopbackOnly(String),
    /// The client's certificate names nobody.
    #[error("{0}")]
    Certificate(&'static str),
}
