//! `/api/access`: what the caller may do, as far as a page has to know before it offers something. Leveret's own.

use crate::domain::auth::backend::ResourceKind;
use crate::http::error::{ApiError, ApiResult};
use crate::http::list::json;
use crate::http::state::Api;
use crate::manage::AdminContext;
use crate::manage::access::{Principal, Rights};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(access))
}

/// With what.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AccessQuery {
    /// The name of a queue, which need not exist.
    queue: Option<String>,
    /// The name of an exchange, which need not exist; `amq.default` is the default exchange.
    exchange: Option<String>,
}

/// What the caller may do over AMQP with a queue or an exchange of a virtual host, or with anything there at all. Leveret's own.
#[utoipa::path(get, path = "/access/{vhost}", params(AccessQuery), responses((status = 200, body = Rights)))]
async fn access(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(query): Query<AccessQuery>,
) -> ApiResult<Response> {
    principal.vhost(api.broker(), &vhost)?;
    let object = match (query.queue, query.exchange) {
        (Some(_), Some(_)) => {
            return Err(ApiError::bad_request(
                "give a queue or an exchange, not both",
            ));
        }
        (Some(queue), None) => Some((ResourceKind::Queue, queue)),
        (None, Some(exchange)) => Some((ResourceKind::Exchange, exchange)),
        (None, None) => None,
    };
    // A backend may have to be asked, which takes a while.
    let rights =
        move |context: AdminContext| Rights::of(&context.broker, &principal, &vhost, object);
    json(&api.blocking(rights).await?)
}
