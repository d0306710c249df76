//! The stored records of users and permissions, with the field names of RabbitMQ's definition files.

use serde::{Deserialize, Serialize};

use super::password::{HashingAlgorithm, PasswordHash};
use crate::domain::limits::UserLimits;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The name, unique in the broker.
    pub name: String,
    /// The password, hashed.
    pub password_hash: PasswordHash,
    /// The algorithm of the hash.
    #[serde(default)]
    pub hashing_algorithm: HashingAlgorithm,
    /// Tags such as `administrator`, which only matter to management tools.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The user's limits.
    #[serde(default, skip_serializing_if = "UserLimits::is_empty")]
    pub limits: UserLimits,
}

/// The permissions of a user in a virtual host. A user without a permission there, even one of three empty
/// patterns, may not open the virtual host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// The user.
    pub user: String,
    /// The virtual host.
    pub vhost: String,
    /// Names that may be declared and deleted.
    pub configure: String,
    /// Names that may be published to or bound.
    pub write: String,
    /// Names that may be consumed, got, purged or bound to.
    pub read: String,
}

/// A kind of access to a queue or an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Declare or delete it.
    Configure,
    /// Put messages in.
    Write,
    /// Take messages out.
    Read,
}

impl Access {
    /// Returns the word in RabbitMQ's refusal (`configure access to queue 'q' … refused`).
    pub fn as_str(self) -> &'static str {
        match self {
            Access::Configure => "configure",
            Access::Write => "write",
            Access::Read => "read",
        }
    }
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
