//! Who may log in, and what they may touch: users, their passwords, and RabbitMQ's permissions
//! (three regular expressions per user and virtual host).
//!
//! Everything here is memory. The broker loads the records of its definitions into [`Users`] at
//! the start; afterwards each call that changes something returns what to persist.

mod mechanism;
mod outcome;
mod password;
mod pattern;
mod plain;
mod record;
mod users;

#[cfg(test)]
mod tests;

pub use mechanism::Mechanisms;
pub use outcome::{AccountId, AuthError, Change, Identity, Login, LoginRefused};
pub use password::{HashingAlgorithm, PasswordHash};
pub use pattern::{Expression, Pattern, PatternError};
pub use plain::{Credentials, parse_plain};
pub use record::{Access, Permission, User};
pub use users::Users;
