//! `/api/queues`.

use super::Api;
use crate::domain::operations::{Caller, QueueConditions};
use crate::engine::queue::{self as engine, Effects};
use crate::http::error::{ApiError, ApiResult};
use crate::http::list::ListQuery;
use crate::manage::access::{Principal, Right};
use crate::manage::objects::Queue;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(list_in_vhost))
        .routes(routes!(show, delete))
}

/// All queues that the caller may see.
#[utoipa::path(get, path = "/queues", params(ListQuery), responses((status = 200, body = Vec<Queue>)))]
async fn list(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    let vhosts = principal.visible_vhosts(api.broker(), Right::Administrator);
    let queues = vhosts.iter().flat_map(|vhost| vhost.queues()).collect();
    respond(&api, queues, &query)
}

/// The queues of a virtual host.
#[utoipa::path(get, path = "/queues/{vhost}", params(ListQuery), responses((status = 200, body = Vec<Queue>)))]
async fn list_in_vhost(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    let vhost = principal.vhost(api.broker(), &vhost)?;
    respond(&api, vhost.queues(), &query)
}

fn respond(api: &Api, queues: Vec<Arc<engine::Queue>>, query: &ListQuery) -> ApiResult<Response> {
    let broker = api.broker().clone();
    let describe = move |queue: &Arc<engine::Queue>| Queue::of(&broker, queue);
    query.respond(queues, |queue| queue.name().as_str(), describe)
}

/// One queue.
#[utoipa::path(get, path = "/queues/{vhost}/{queue}", responses((status = 200, body = Queue)))]
async fn show(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    query: ListQuery,
) -> ApiResult<Response> {
    let vhost = principal.vhost(api.broker(), &vhost)?;
    let queue = vhost.queue(&queue).ok_or_else(ApiError::not_found)?;
    query.one(Queue::of(api.broker(), &queue))
}

/// The conditions of a deletion.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "kebab-case")]
#[into_params(parameter_in = Query)]
struct Conditions {
    /// `true`: only a queue without messages.
    if_empty: Option<String>,
    /// `true`: only a queue without consumers.
    if_unused: Option<String>,
}

/// Deletes a queue.
#[utoipa::path(delete, path = "/queues/{vhost}/{queue}", params(Conditions), responses((status = 204)))]
async fn delete(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    Query(conditions): Query<Conditions>,
) -> ApiResult<StatusCode> {
    let conditions = QueueConditions {
        if_empty: conditions.if_empty.as_deref() == Some("true"),
        if_unused: conditions.if_unused.as_deref() == Some("true"),
    };
    let delete =
        move |caller: &mut Caller, fx: &mut Effects| caller.delete_queue(&queue, conditions, fx);
    api.as_client(principal, vhost, delete).await?;
    Ok(StatusCode::NO_CONTENT)
}
