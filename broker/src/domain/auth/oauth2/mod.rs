//! OAuth 2: users who show a token (a signed JSON Web Token, RFC 7519) in place of a password, as
//! `rabbitmq_auth_backend_oauth2` takes them.
//!
//! A token is verified (`token`) with the keys of an authorization server (`keys`); its claims must fit the operator's
//! `rules`; its scopes are its permissions (`scope`). Keys come from files and from a URL (`key_store`, `remote`).

mod backend;
mod claims;
mod key_store;
mod keys;
mod refused;
mod remote;
mod rich;
mod rules;
mod scope;
#[cfg(test)]
mod test_keys;
mod token;
mod wildcard;

pub use backend::{OAuth2, OAuth2Backend, Verifier};
pub use refused::TokenRefused;
