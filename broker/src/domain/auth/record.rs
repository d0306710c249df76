//! What is persisted of users and permissions, with the field names of RabbitMQ's definition
//! files.

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
    /// How it is hashed.
    #[serde(default)]
    pub hashing_algorithm: HashingAlgorithm,
    /// Tags such as `administrator`; they give rights in management tools only.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What an operator allows the user.
    #[serde(default, skip_serializing_if = "UserLimits::is_empty")]
    pub limits: UserLimits,
}

/// What a user may touch in one virtual host. Having one, even of three empty patterns, is what
/// lets the user into the host at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// Whose.
    pub user: String,
    /// Where.
    pub vhost: String,
    /// Names that may be declared and deleted.
    pub configure: String,
    /// Names that may be published to or bound.
    pub write: String,
    /// Names that may be consumed, got, purged or bound to.
    pub read: String,
}

/// What somebody wants to do to a queue or an exchange.
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
    /// The word of RabbitMQ's refusal (`configure access to queue 'q' … refused`).
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
