//! Authentication and authorization: users, their passwords, and RabbitMQ's permissions (three regular
//! expressions per user and virtual host, two more per topic exchange).
//!
//! Everything here is in memory. The broker loads the stored records into [`Users`] at startup; each call
//! that changes something returns what to store.
//!
//! How credentials arrive (SASL, HTTP Basic) does not belong here, nor what a user may do to a certain queue or exchange
//! (`operations`).

mod attempts;
pub mod backend;
pub mod http_backend;
mod mechanism;
pub mod oauth2;
mod outcome;
mod password;
mod pattern;
mod plain;
mod record;
mod slowed;
pub mod tags;
mod topic;
mod users;

#[cfg(test)]
mod tests;

pub use attempts::{AttemptCounts, AttemptSource, LoginAttempts, LoginProtocol};
pub use mechanism::Mechanisms;
pub use outcome::{AccountId, AuthError, Change, Identity, KnownBy, Login, LoginRefused};
pub(crate) use password::HASH_MEMORY;
pub use password::{HashingAlgorithm, PasswordHash};
pub use pattern::Pattern;
pub use plain::{Credentials, parse_plain};
pub use record::{Access, Permission, TopicPermission, User};
pub(crate) use slowed::network;
pub use slowed::{FailedLogins, Waiting};
pub use topic::TopicAccess;
pub use users::{PasswordMark, PasswordPolicy, Users};
