//! `/api/consumers`.

use crate::domain::vhost::Vhost;
use crate::engine::queue as engine;
use crate::http::error::{ApiError, ApiResult};
use crate::http::list::ListQuery;
use crate::http::state::Api;
use crate::manage::access::{Principal, Right};
use crate::manage::objects::Consumer;
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
}

/// All consumers that the caller may see.
#[utoipa::path(get, path = "/consumers", params(ListQuery), responses((status = 200, body = Vec<Consumer>)))]
async fn list(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    respond(&api, &principal, api.broker().vhosts(), &query).await
}

/// The consumers of the queues of a virtual host.
#[utoipa::path(get, path = "/consumers/{vhost}", params(ListQuery), responses((status = 200, body = Vec<Consumer>)))]
async fn list_in_vhost(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    // Whoever may not enter it sees nothing but the consumers of their own, of which it has none.
    let vhost = api.broker().vhost(&vhost).ok_or_else(ApiError::not_found)?;
    respond(&api, &principal, vec![vhost], &query).await
}

async fn respond(
    api: &Api,
    principal: &Principal,
    vhosts: Vec<Arc<Vhost>>,
    query: &ListQuery,
) -> ApiResult<Response> {
    if query.disable_stats() {
        let reason = "Stats in management UI are disabled on this node";
        return Err(ApiError::bad_request(reason));
    }
    let (sees_all, own) = (
        principal.has(Right::Monitoring),
        principal.name().map(str::to_owned),
    );
    let (broker, listed) = (api.broker().clone(), api.broker().clone());
    let consumers = move || {
        let queues = vhosts.iter().flat_map(|vhost| vhost.queues());
        let all = queues.flat_map(|queue| queue.consumers());
        let visible = |consumer: &Arc<engine::Consumer>| {
            sees_all || Consumer::of(&listed, consumer).user() == own.as_deref()
        };
        all.filter(visible).collect()
    };
    let describe = move |consumer: &Arc<engine::Consumer>| Consumer::of(&broker, consumer);
    query
        .whole()
        .respond_with(consumers, |consumer| consumer.tag.as_str(), describe)
        .await
}
