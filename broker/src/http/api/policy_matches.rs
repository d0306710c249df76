//! `/api/policy-matches`: what a policy would apply to, before it is set. Leveret's own: RabbitMQ has no such path.

use crate::domain::policy::{ApplyTo, Candidate, PolicyKind};
use crate::http::error::{ApiError, ApiResult};
use crate::http::list::json as answer;
use crate::http::state::Api;
use crate::manage::access::Principal;
use crate::manage::objects::PolicyMatches;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(matches))
}

/// A policy that is not set yet.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "kebab-case")]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Its regular expression (default: empty, which matches every name).
    pattern: Option<String>,
    /// `all` (default), `queues`, `classic_queues`, `quorum_queues`, `streams` or `exchanges`.
    apply_to: Option<String>,
    /// Its priority (default: 0).
    priority: Option<String>,
    /// Its name: it replaces a policy of this name.
    name: Option<String>,
    /// `true` for an operator policy.
    operator: Option<String>,
}

impl Wanted {
    fn kind(&self) -> PolicyKind {
        match self.operator.as_deref() {
            Some("true") => PolicyKind::Operator,
            _ => PolicyKind::User,
        }
    }

    fn apply_to(&self) -> ApiResult<ApplyTo> {
        let apply_to = self.apply_to.as_deref().unwrap_or("all");
        apply_to
            .parse()
            .map_err(|reason: String| ApiError::bad_request(reason))
    }

    fn priority(&self) -> ApiResult<i64> {
        match self.priority.as_deref() {
            None | Some("") => Ok(0),
            Some(text) => {
                let reason = || {
                    ApiError::bad_request(format!(
                        "priority should be a number, actually was {text}"
                    ))
                };
                text.parse().map_err(|_| reason())
            }
        }
    }
}

/// The queues and exchanges that a policy would apply to, and which of them another one with higher precedence applies to.
/// The definition does not count: a policy does not apply to a type of queue that lacks one of its keys. Leveret's own.
#[utoipa::path(
    get, path = "/policy-matches/{vhost}", params(Wanted), responses((status = 200, body = PolicyMatches))
)]
async fn matches(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(wanted): Query<Wanted>,
) -> ApiResult<Response> {
    let vhost = principal.vhost(api.broker(), &vhost)?;
    let (apply_to, priority) = (wanted.apply_to()?, wanted.priority()?);
    let matches = move || {
        let (name, pattern) = (wanted.name.as_deref(), wanted.pattern.as_deref());
        let candidate = Candidate::new(
            name.unwrap_or_default(),
            pattern.unwrap_or_default(),
            apply_to,
            priority,
            vhost.policies(wanted.kind()),
        );
        let candidate = candidate.map_err(|error| ApiError::bad_request(error.to_string()))?;
        let matches = PolicyMatches::of(&candidate, &vhost);
        matches.map_err(|slow| ApiError::bad_request(slow.to_string()))
    };
    answer(&api.effort().apart(matches).await??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_refused_in_a_sentence() {
        let wanted = Wanted {
            apply_to: Some("tables".to_owned()),
            priority: Some("high".to_owned()),
            ..Wanted::default()
        };
        let reason = wanted.priority().unwrap_err().reason().clone();
        assert_eq!(reason, "priority should be a number, actually was high");
        assert!(wanted.apply_to().is_err());
        assert_eq!(Wanted::default().priority().unwrap(), 0);
    }
}
