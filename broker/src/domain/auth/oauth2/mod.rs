//! OAuth 2: users who show a token (a signed JSON Web Token, RFC 7519) in place of a password, as
//! `rabbitmq_auth_backend_oauth2` takes them.
//!
//! A token is verified (`token`) with the keys of an authorization server (`keys`); its claims must fit the operator's
//! `rules`; its scopes are its permissions (`scope`). Nothing here does I/O, except for where the keys come from.

mod claims;
mod keys;
mod refused;
mod rich;
mod rules;
mod scope;
#[cfg(test)]
mod test_keys;
mod token;
mod wildcard;

pub use refused::TokenRefused;
pub use token::Token;
