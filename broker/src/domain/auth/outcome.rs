//! What comes of a login and of a change.

use super::pattern::PatternError;
use super::{Permission, User};
use leveret_protocol::UserName;

/// Why a change was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no such user.
    #[error("User \"{0}\" does not exist")]
    NoSuchUser(String),
    /// There is one already.
    #[error("User \"{0}\" already exists")]
    UserExists(String),
    /// A permission that does not compile.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// An empty user name.
    #[error("user name must not be empty")]
    EmptyName,
}

/// What a change means for the store, to be done in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Write this user, in place of one of the same name.
    PutUser(User),
    /// Remove the user of this name.
    RemoveUser(String),
    /// Write this permission, in place of one of the same user and virtual host.
    PutPermission(Permission),
    /// Remove the permission.
    RemovePermission {
        /// Whose.
        user: String,
        /// Where.
        vhost: String,
    },
}

/// One account for as long as the broker runs. A user that is deleted and added again has another, so
/// that what the old one was permitted is not the new one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountId(pub(super) u64);

/// Who is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's name.
    pub name: UserName,
    /// The account that the password was of.
    pub account: AccountId,
}

/// A login that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Who it is.
    pub identity: Identity,
    /// The user's tags at this moment.
    pub tags: Vec<String>,
}

/// Why a login was refused: for the log. The client hears one text for all of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefused {
    /// No user of that name, or another password. Which of the two is not told even to the log's
    /// readers, who may be given names typed as passwords and the reverse.
    #[error("user '{0}' - invalid credentials")]
    InvalidCredentials(String),
    /// The right password, from the wrong place.
    #[error("user '{0}' can only connect via localhost")]
    LoopbackOnly(String),
}
