//! The stored records of users and permissions, with the field names of RabbitMQ's definition files.

use serde::{Deserialize, Serialize};

use super::password::PasswordHash;
use super::tags;
use crate::domain::limits::UserLimits;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The name, unique in the broker.
    pub name: String,
    /// The password, hashed, and the algorithm of the hash.
    #[serde(flatten)]
    pub password: PasswordHash,
    /// Tags such as `administrator`, which only matter to management tools.
    #[serde(default, deserialize_with = "tags::deserialize")]
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

/// What a user may publish to a topic exchange, and bind to it, by routing key. Without such a record the
/// permissions in the virtual host are enough (RabbitMQ: Access Control, "Topic Authorisation").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicPermission {
    /// The user.
    pub user: String,
    /// The virtual host.
    pub vhost: String,
    /// The topic exchange.
    pub exchange: String,
    /// Routing keys that may be published with.
    pub write: String,
    /// Routing keys that may be bound with.
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
