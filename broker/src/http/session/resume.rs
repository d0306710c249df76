//! Recognising a request by its session.

use super::cookie::SessionCookie;
use super::store::Seen;
use crate::http::denials::Caller;
use crate::http::error::{ApiError, ApiResult, no_credentials};
use crate::http::login::peer_address;
use crate::http::state::Api;
use crate::manage::access::{Principal, Right};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use std::time::Instant;

/// The header that no form and no page of another origin can send.
const CSRF_TOKEN: &str = "x-csrf-token";
/// What browsers say about the page that a request comes from (Fetch Metadata).
const FETCH_SITE: &str = "sec-fetch-site";

/// A session that is good for a request.
pub(in crate::http) struct Live {
    /// What it says.
    pub(in crate::http) seen: Seen,
    /// Whose it is, with the tags of now.
    pub(in crate::http) principal: Principal,
}

/// Returns the CSRF token of a request.
pub(in crate::http) fn csrf_token(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(CSRF_TOKEN).map(|token| token.as_bytes())
}

/// Logs in a request by its session.
///
/// # Errors
/// Always 401. Without a token that shows that the request is the page's own, it is the one for a request without credentials,
/// so that whoever opens a path in a browser is asked for a password.
#[allow(clippy::result_large_err, reason = "it is the answer")]
pub(in crate::http) fn resume(api: &Api, parts: &Parts) -> Result<Principal, Response> {
    let has_token = csrf_token(&parts.headers).is_some();
    if !has_token || SessionCookie::of(parts).ids(parts).is_empty() {
        return Err(no_credentials());
    }
    match live(api, parts, true) {
        Ok(Some(live)) => Ok(live.principal),
        Ok(None) => Err(ApiError::session_ended().into_response()),
        Err(refused) => Err(refused.into_response()),
    }
}

/// Returns the session that a request names and its id, unless it has ended. `checked` says whether the request has to have
/// its token.
///
/// # Errors
/// 401 if the session is there, but not for this request.
pub(in crate::http) fn found<'a>(
    api: &Api,
    parts: &'a Parts,
    checked: bool,
) -> ApiResult<Option<(&'a str, Seen)>> {
    let ids = SessionCookie::of(parts).ids(parts);
    let known = |id: &&'a str| Some((*id, api.sessions().find(id, Instant::now())?));
    let mut known: Vec<_> = ids.iter().filter_map(known).collect();
    if checked && !known.is_empty() {
        let token = csrf_token(&parts.headers).unwrap_or_default();
        known.retain(|(_, seen)| seen.has_token(token));
        if known.is_empty() {
            return Err(ApiError::denied("X-CSRF-Token is not that of the session"));
        }
    }
    // Without a token nothing tells which of several cookies is the page's own: somebody else may have set one.
    let ambiguous = !checked && ids.len() > 1;
    let Some((id, seen)) = known.into_iter().next().filter(|_| !ambiguous) else {
        return Ok(None);
    };
    if is_from_elsewhere(&parts.headers) {
        let reason = "pages of other origins cannot use the session";
        return Err(ApiError::denied(reason));
    }
    Ok(Some((id, seen)))
}

/// Returns the session that a request names if its user may still use it, and notes that it is used.
///
/// # Errors
/// Those of [`found`], and 401 if the user may not use the API, or not from there.
pub(in crate::http) fn live(api: &Api, parts: &Parts, checked: bool) -> ApiResult<Option<Live>> {
    let Some((id, seen)) = found(api, parts, checked)? else {
        return Ok(None);
    };
    let users = &api.broker().users;
    let Some(login) = users.still_logged_in(&seen.login, seen.mark) else {
        api.sessions().end(id);
        return Ok(None);
    };
    if let Some(Caller(caller)) = parts.extensions.get() {
        // A request is recognised once, or again as the same.
        let _ = caller.set(login.identity.name.to_string());
    }
    let from = peer_address(parts);
    users
        .check_address(login.identity.name.as_str(), from)
        .map_err(ApiError::not_from_there)?;
    let principal = Principal::User { login, from };
    principal.require(Right::Management)?;
    api.sessions().used(id, Instant::now());
    Ok(Some(Live { seen, principal }))
}

/// Returns whether a browser says that a page of another origin has made the request.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get(FETCH_SITE);
    site.is_some_and(|site| site != "same-origin" && site != "none")
}
