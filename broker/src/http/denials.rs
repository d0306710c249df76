//! Denied requests in the log: who, from where, and what for.

use super::login::{named_user, peer_address};
use crate::plumbing::log::LineLimit;
use crate::text::names::NAME_MAX;
use crate::text::shorten::shortened;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The bytes of a path that are logged at most.
const PATH_MAX: usize = 200;

/// Why a request was denied, an extension of its response.
#[derive(Clone, Debug)]
pub(super) struct Denial(pub(super) String);

/// The user whose session a request has, once that is known; an extension of the request.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller(pub(super) Arc<OnceLock<String>>);

/// What is logged of denied requests. Whoever can reach the port can cause them, so there is a limit.
#[derive(Clone, Debug, Default)]
pub(super) struct Denials(Arc<LineLimit>);

impl Denials {
    /// Logs a request if it is denied.
    pub(super) async fn log(
        State(denials): State<Denials>,
        request: Request,
        next: Next,
    ) -> Response {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(Caller::default());
        let asked = parts.clone();
        let response = next.run(Request::from_parts(parts, body)).await;
        let denied = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
        if denied.contains(&response.status()) {
            let denial = response.extensions().get::<Denial>();
            denials.log_one(&asked, denial.map_or("", |Denial(reason)| reason));
        }
        response
    }

    fn log_one(&self, parts: &Parts, reason: &str) {
        let path = shortened(parts.uri.path(), PATH_MAX);
        let (from, method) = (peer_address(parts), &parts.method);
        // Browsers ask so before they log in.
        if !parts.headers.contains_key(header::AUTHORIZATION) && reason.is_empty() {
            tracing::debug!(%from, %method, %path, "HTTP access denied: there are no credentials");
            return;
        }
        let caller = parts.extensions.get::<Caller>();
        let caller = caller.and_then(|Caller(caller)| caller.get().cloned());
        let user = caller.or_else(|| named_user(parts));
        let user = user.as_deref().map(|user| shortened(user, NAME_MAX));
        if let Some(suppressed) = self.0.admit(Instant::now()) {
            // How many of these lines were left out before this one.
            let suppressed = (suppressed > 0).then_some(suppressed);
            tracing::warn!(
                user = user.as_deref(),
                %from,
                %method,
                %path,
                reason = %shortened(reason, PATH_MAX),
                suppressed,
                "HTTP access denied"
            );
        }
    }
}
