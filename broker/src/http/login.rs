//! HTTP Basic authentication.

use super::api::Api;
use super::error::ApiError;
use crate::domain::auth::{Credentials, LoginRefused};
use crate::engine::statistics::Protocol;
use crate::manage::access::{Principal, Right};
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

/// The address of the client, an extension of every request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub SocketAddr);

/// A caller who has logged in and has one of the management tags.
impl FromRequestParts<Api> for Principal {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let Some((user, password)) = basic_credentials(parts) else {
            return Err(ApiError::no_credentials());
        };
        let given = Credentials {
            user: &user,
            password: &password,
        };
        let login = api.broker().users.login(given, peer_address(parts));
        let logins = &api.broker().statistics.logins;
        logins.count(Protocol::Http, login.is_ok());
        let login = match login {
            Ok(login) => login,
            Err(reason) => {
                tracing::warn!(%reason, "HTTP access denied");
                return Err(match reason {
                    LoginRefused::LoopbackOnly(_) => {
                        ApiError::denied("User can only log in via localhost")
                    }
                    _ => ApiError::wrong_credentials(),
                });
            }
        };
        let principal = Principal::User(login);
        if let Err(denied) = principal.require(Right::Management) {
            tracing::warn!(user, reason = %denied, "HTTP access denied");
            return Err(denied.into());
        }
        Ok(principal)
    }
}

/// For the paths that answer everybody, and say more to those who have logged in.
impl OptionalFromRequestParts<Api> for Principal {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Option<Self>, Infallible> {
        let principal = <Principal as FromRequestParts<Api>>::from_request_parts(parts, api).await;
        Ok(principal.ok())
    }
}

fn peer_address(parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<Peer>();
    // Without one nobody counts as local.
    peer.map_or(IpAddr::from([0, 0, 0, 0]), |Peer(address)| address.ip())
}

/// Returns user and password of an `Authorization: Basic` header, if there is a well-formed one (RFC 7617).
fn basic_credentials(parts: &Parts) -> Option<(String, String)> {
    let header = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
