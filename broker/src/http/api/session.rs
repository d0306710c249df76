//! Signing in to the management page and out again. RabbitMQ's page sends the password with every request instead.

use super::about::credentials;
use crate::http::denials::Caller;
use crate::http::error::{ApiError, ApiResult};
use crate::http::list::json;
use crate::http::login::{log_in, peer_address};
use crate::http::session::{self, Seen, SessionCookie};
use crate::http::state::Api;
use crate::manage::access::Principal;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(sign_in, current, sign_out))
}

/// A session, for the page that uses it.
#[derive(Debug, Serialize, ToSchema)]
struct CurrentSession {
    /// The user's name.
    name: String,
    /// The user's tags.
    tags: Vec<String>,
    /// What every request with the session's cookie sends as `X-CSRF-Token`.
    csrf_token: String,
    /// In how many seconds it ends, however much it is used.
    expires_in: u64,
    /// When the broker started, in milliseconds since the epoch: there are no samples from before.
    started_at: u64,
}

fn described(api: &Api, principal: &Principal, seen: Seen) -> ApiResult<Response> {
    let (name, tags) = match principal {
        Principal::Owner(_) => (String::new(), Vec::new()),
        Principal::User { login, .. } => (login.identity.name.to_string(), login.tags.clone()),
    };
    json(&CurrentSession {
        name,
        tags,
        csrf_token: seen.csrf_token,
        expires_in: seen.expires_in.as_secs(),
        started_at: since_epoch(api.broker().started),
    })
}

/// Returns when something was, in milliseconds since the epoch, by the wall clock of now.
fn since_epoch(then: Instant) -> u64 {
    let then = SystemTime::now() - then.elapsed();
    let since = then.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}

/// Checks that a request has the header that pages of other origins cannot send.
fn require_header(parts: &Parts) -> ApiResult<()> {
    match session::csrf_token(&parts.headers) {
        Some(_) => Ok(()),
        None => Err(ApiError::bad_request("the header X-CSRF-Token is missing")),
    }
}

/// Signs in with the form fields `username` and `password`: the answer sets the session's cookie. Leveret's own. Needs the
/// header `X-CSRF-Token`, with any value.
#[utoipa::path(post, path = "/session", responses((status = 200, body = CurrentSession)))]
async fn sign_in(State(api): State<Api>, request: Request) -> ApiResult<Response> {
    let (parts, body) = request.into_parts();
    require_header(&parts)?;
    let (user, password) = credentials(&api, body).await?;
    // The log names who is refused, not whom an `Authorization` header names besides.
    if let Some(Caller(caller)) = parts.extensions.get() {
        let _ = caller.set(user.clone());
    }
    // Before the password is checked, see there.
    let mark = api.broker().users.password_mark(&user);
    let principal = log_in(&api, user, &password, peer_address(&parts)).await?;
    let Principal::User { login, .. } = &principal else {
        return Err(ApiError::wrong_credentials());
    };
    let cookie = SessionCookie::of(&parts);
    // Who signs in again does not need the old one.
    for before in cookie.ids(&parts) {
        api.sessions().end(before);
    }
    let (id, seen) = api.sessions().begin(login.clone(), mark, Instant::now());
    let answer = described(&api, &principal, seen)?;
    Ok(with_cookie(cookie.set(&id), answer))
}

/// The session of the request's cookie; 204 if there is none. Leveret's own. Needs the header `X-CSRF-Token`, with any value.
#[utoipa::path(get, path = "/session", responses((status = 200, body = CurrentSession), (status = 204)))]
async fn current(State(api): State<Api>, request: Request) -> ApiResult<Response> {
    let (parts, _) = request.into_parts();
    require_header(&parts)?;
    // Never 401, which browsers would write to their console: not being signed in is no mistake.
    match session::live(&api, &parts, false) {
        Ok(Some(live)) => described(&api, &live.principal, live.seen),
        Ok(None) | Err(_) => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// Ends the session of the request's cookie, if it has not ended before. Leveret's own.
#[utoipa::path(delete, path = "/session", responses((status = 204)))]
async fn sign_out(State(api): State<Api>, request: Request) -> ApiResult<Response> {
    let (parts, _) = request.into_parts();
    if let Some((id, _)) = session::found(&api, &parts, true)? {
        api.sessions().end(id);
    }
    let cookie = SessionCookie::of(&parts).clear();
    Ok(with_cookie(cookie, StatusCode::NO_CONTENT))
}

fn with_cookie(cookie: HeaderValue, answer: impl IntoResponse) -> Response {
    ([(header::SET_COOKIE, cookie)], answer).into_response()
}
