//! Users. Their permissions are shown as they are stored ([`domain::auth`](crate::domain::auth)).

use crate::domain::auth;
use crate::domain::limits::UserLimits;
use serde::Serialize;
use utoipa::ToSchema;

/// A user.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct User {
    /// Its name.
    pub name: String,
    /// The salted hash of its password, in base64; empty if it cannot log in with a password.
    pub password_hash: String,
    /// The algorithm of the hash.
    #[schema(value_type = String)]
    pub hashing_algorithm: auth::HashingAlgorithm,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its limits.
    #[schema(value_type = Object)]
    pub limits: UserLimits,
}

impl From<auth::User> for User {
    fn from(user: auth::User) -> Self {
        User {
            password_hash: user.password.as_str().to_owned(),
            hashing_algorithm: user.password.algorithm(),
            name: user.name,
            tags: user.tags,
            limits: user.limits,
        }
    }
}
