//! `/api/streams`: streams with their offsets and readers. Leveret's own: RabbitMQ has no such paths.

use super::queues::find;
use crate::domain::vhost::Vhost;
use crate::engine::queue::{self as engine, QueueKind};
use crate::http::error::{ApiError, ApiResult};
use crate::http::list::ListQuery;
use crate::http::state::Api;
use crate::manage::access::{Principal, Right};
use crate::manage::objects::Stream;
use axum::extract::{Path, State};
use axum::response::Response;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(list_in_vhost))
        .routes(routes!(show))
}

/// All streams that the caller may see, each with the number of its readers. Leveret's own.
#[utoipa::path(get, path = "/streams", params(ListQuery), responses((status = 200, body = Vec<Stream>)))]
async fn list(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    let vhosts = principal.visible_vhosts(api.broker(), Right::Administrator);
    respond(&api, vhosts, &query).await
}

/// The streams of a virtual host, each with the number of its readers. Leveret's own.
#[utoipa::path(get, path = "/streams/{vhost}", params(ListQuery), responses((status = 200, body = Vec<Stream>)))]
async fn list_in_vhost(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    let vhost = principal.vhost(api.broker(), &vhost)?;
    respond(&api, vec![vhost], &query).await
}

async fn respond(api: &Api, vhosts: Vec<Arc<Vhost>>, query: &ListQuery) -> ApiResult<Response> {
    let broker = api.broker().clone();
    let streams = move || {
        let queues = vhosts.iter().flat_map(|vhost| vhost.queues());
        queues
            .filter(|queue| queue.kind == QueueKind::Stream)
            .collect()
    };
    let describe = move |queue: &Arc<engine::Queue>| Stream::of(&broker, queue);
    query
        .respond_with(streams, |queue| queue.name().as_str(), describe)
        .await
}

/// One stream, with all its readers. Leveret's own.
#[utoipa::path(get, path = "/streams/{vhost}/{stream}", params(ListQuery), responses((status = 200, body = Stream)))]
async fn show(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, stream)): Path<(String, String)>,
    query: ListQuery,
) -> ApiResult<Response> {
    let queue = find(&api, &principal, &vhost, &stream)?;
    let described = Stream::in_full(api.broker(), &queue).ok_or_else(ApiError::not_found)?;
    query.one(described)
}
