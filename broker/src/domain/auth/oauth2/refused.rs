//! Why a token was refused.

use crate::text::shorten::shortened;

/// Why a token was refused: for the log, never for the client. No variant holds a part of the token that could be used
/// as one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// It is longer than any token should be.
    #[error("provided token is invalid: longer than {0} bytes")]
    TooLong(usize),
    /// It is no JSON Web Token. RabbitMQ's text.
    #[error("provided token is invalid")]
    Malformed,
    /// Its algorithm is unknown, `none`, or not among those that are allowed.
    #[error("algorithm '{0}' is not accepted")]
    Algorithm(String),
    /// There is no key with its id.
    #[error("signing key {} not found", quoted(.0.as_deref()))]
    UnknownKey(Option<String>),
    /// The keys have not been had from their URL yet.
    #[error("signing key {} not found: there are no keys from {url} yet", quoted(.id.as_deref()))]
    NoKeysYet {
        /// The id of the key.
        id: Option<String>,
        /// Where they should come from.
        url: String,
    },
    /// The algorithm needs another type of key.
    #[error("algorithm '{0}' does not fit its signing key")]
    OtherKeyType(String),
    /// RabbitMQ's text.
    #[error("signature_invalid")]
    Signature,
    /// It does not say for whom it is.
    #[error("no_aud_found")]
    NoAudience,
    /// It is for somebody else.
    #[error("no_matching_aud_found: its audience is not '{0}'")]
    OtherAudience(String),
    /// Somebody else made it.
    #[error("its issuer is not '{0}'")]
    OtherIssuer(String),
    /// It has expired. RabbitMQ's text.
    #[error("Provided JWT token has expired at timestamp {at} (validated at {now})")]
    Expired {
        /// When, in seconds since 1970.
        at: i64,
        /// When this was checked.
        now: i64,
    },
    /// RabbitMQ's text.
    #[error("Provided JWT token has no exp claim")]
    NoExpiry,
    /// RabbitMQ's text.
    #[error("Provided JWT token has an invalid exp claim: value is not a number")]
    InvalidExpiry,
    /// It says no sensible time from which it is valid.
    #[error("Provided JWT token has an invalid nbf claim: value is not a number")]
    InvalidNotBefore,
    /// It is not valid yet.
    #[error("Provided JWT token is not valid before timestamp {from} (validated at {now})")]
    NotYetValid {
        /// From when on it is valid, in seconds since 1970.
        from: i64,
        /// When this was checked.
        now: i64,
    },
    /// RabbitMQ's text.
    #[error("too_many_scopes")]
    TooManyScopes,
    /// It names a user with an impossible name.
    #[error("the name of its user is empty or longer than 255 bytes")]
    InvalidUser,
    /// A token that renews another must have the same user. RabbitMQ's text.
    #[error("Not allowed to change username on refreshed token")]
    OtherUser,
}

impl TokenRefused {
    /// Says that the algorithm is not accepted. The name comes from an unverified token.
    pub(super) fn algorithm(name: &str) -> Self {
        TokenRefused::Algorithm(shortened(name, 32).into_owned())
    }
}

fn quoted(id: Option<&str>) -> String {
    match id {
        Some(id) => format!("'{}'", shortened(id, 64)),
        None => "of tokens without a key id".to_owned(),
    }
}
