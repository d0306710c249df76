//! Who makes a request: Basic and Bearer authentication, or a session.

use super::error::ApiError;
use super::session;
use super::state::Api;
use crate::config::Secret;
use crate::domain::auth::backend::Attempt;
use crate::domain::auth::{LoginProtocol, LoginRefused};
use crate::manage::access::{Principal, Right};
use crate::net::Ends;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

/// The client's connection, an extension of every request.
#[derive(Clone, Debug)]
pub(super) struct Client(pub Arc<Ends>);

/// A caller who has logged in and has one of the management tags.
impl FromRequestParts<Api> for Principal {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let (user, password) = match written_credentials(parts) {
            Written::Basic(user, password) => (user, password),
            // As in RabbitMQ, which logs in a user without a name.
            Written::Bearer(token) => (String::new(), token),
            Written::Nothing => return session::resume(api, parts),
            Written::OtherScheme => return Err(ApiError::wrong_credentials().into_response()),
            // As in RabbitMQ, without a body.
            Written::Malformed => return Err(StatusCode::BAD_REQUEST.into_response()),
        };
        let login = log_in(api, user, &password, peer_address(parts)).await;
        login.map_err(IntoResponse::into_response)
    }
}

/// Checks a password and whether the user has one of the management tags.
///
/// # Errors
/// 401.
pub(super) async fn log_in(
    api: &Api,
    user: String,
    password: &str,
    peer: IpAddr,
) -> Result<Principal, ApiError> {
    let broker = api.broker();
    let attempt = Attempt {
        protocol: LoginProtocol::Http,
        peer,
        user: user.clone(),
        password: Secret::from(password),
    };
    let principal = match broker.log_in(attempt).result().await {
        Ok(login) => {
            let principal = Principal::User { login, from: peer };
            match principal.require(Right::Management) {
                Ok(()) => Ok(principal),
                Err(denied) => Err(ApiError::from(denied)),
            }
        }
        Err(reason) => Err(match reason {
            LoginRefused::LoopbackOnly(_) => ApiError::not_from_there(reason),
            _ => ApiError::wrong_credentials().logged_as(reason.to_string()),
        }),
    };
    // A token says another name than the client.
    let name = principal.as_ref().ok().and_then(Principal::name);
    let (attempts, succeeded) = (&broker.login_attempts, principal.is_ok());
    attempts.count(LoginProtocol::Http, peer, name.unwrap_or(&user), succeeded);
    principal
}

/// For the paths that answer everybody, and say more to those who have logged in.
impl OptionalFromRequestParts<Api> for Principal {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Option<Self>, Infallible> {
        let principal = <Principal as FromRequestParts<Api>>::from_request_parts(parts, api).await;
        Ok(principal.ok())
    }
}

/// Returns the address of the client.
pub(super) fn peer_address(parts: &Parts) -> IpAddr {
    let client = parts.extensions.get::<Client>();
    // Without one nobody counts as local.
    client.map_or(IpAddr::from([0, 0, 0, 0]), |Client(ends)| ends.peer.ip())
}

/// Returns the user that a request names.
pub(super) fn named_user(parts: &Parts) -> Option<String> {
    match written_credentials(parts) {
        Written::Basic(user, _) => Some(user),
        Written::Bearer(_) | Written::Nothing | Written::OtherScheme | Written::Malformed => None,
    }
}

/// What a request's `Authorization` header says.
#[derive(Debug, PartialEq)]
enum Written {
    /// User and password (RFC 7617).
    Basic(String, String),
    /// A token (RFC 6750).
    Bearer(String),
    /// There is none.
    Nothing,
    /// Another way to log in, which this API does not have.
    OtherScheme,
    Malformed,
}

fn written_credentials(parts: &Parts) -> Written {
    let Some(header) = parts.headers.get(AUTHORIZATION) else {
        return Written::Nothing;
    };
    let header = header.to_str().ok();
    match header.and_then(|header| header.split_once(' ')) {
        None => Written::Malformed,
        Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("basic") => {
            user_and_password(encoded).unwrap_or(Written::Malformed)
        }
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Written::Bearer(token.trim().to_owned())
        }
        Some(_) => Written::OtherScheme,
    }
}

fn user_and_password(encoded: &str) -> Option<Written> {
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(Written::Basic(user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    #[test]
    fn credentials_are_basic_absent_or_refused() {
        let written = |header: Option<&str>| {
            let mut request = Request::builder();
            if let Some(header) = header {
                request = request.header(AUTHORIZATION, header);
            }
            written_credentials(&request.body(()).unwrap().into_parts().0)
        };
        let guest = Written::Basic("guest".to_owned(), "guest".to_owned());
        assert_eq!(written(Some("Basic Z3Vlc3Q6Z3Vlc3Q=")), guest);
        assert_eq!(written(Some("basic  Z3Vlc3Q6Z3Vlc3Q=")), guest);
        assert_eq!(written(None), Written::Nothing);
        let token = Written::Bearer("abc".to_owned());
        assert_eq!(written(Some("Bearer abc")), token);
        assert_eq!(written(Some("Negotiate abc")), Written::OtherScheme);
        for malformed in ["", "nonsense", "Basic nonsense", "Basic Z3Vlc3Q="] {
            assert_eq!(written(Some(malformed)), Written::Malformed, "{malformed}");
        }
    }
}
