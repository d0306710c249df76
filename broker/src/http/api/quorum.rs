//! `/api/queues/quorum`: the replicas of quorum queues. This node is the only one, so each queue has one replica, here.

use super::queues;
use crate::engine::queue::QueueKind;
use crate::http::body::JsonBody;
use crate::http::error::{ApiError, ApiResult};
use crate::http::list::json;
use crate::http::state::Api;
use crate::manage::access::{Principal, Right};
use crate::text::names::NODE_NAME;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(add_replica))
        .routes(routes!(delete_replica))
        .routes(routes!(grow))
        .routes(routes!(shrink))
}

/// A replica of a quorum queue. There is nobody to agree with, and so no term and no log of its own.
#[derive(Debug, Serialize, ToSchema)]
struct Replica {
    #[serde(rename = "Node Name")]
    node: &'static str,
    #[serde(rename = "Raft State")]
    state: &'static str,
    #[serde(rename = "Membership")]
    membership: &'static str,
    #[serde(rename = "Last Log Index")]
    last_index: u64,
    #[serde(rename = "Last Written")]
    last_written: u64,
    #[serde(rename = "Last Applied")]
    last_applied: u64,
    #[serde(rename = "Commit Index")]
    commit_index: u64,
    #[serde(rename = "Snapshot Index")]
    snapshot_index: u64,
    #[serde(rename = "Term")]
    term: u64,
    #[serde(rename = "Machine Version")]
    machine_version: u64,
}

/// Why it cannot be done to a queue.
#[derive(Debug, Serialize)]
struct Failure {
    status: &'static str,
    reason: &'static str,
}

/// Returns why a queue has no replicas.
fn no_replicas(kind: QueueKind) -> Option<&'static str> {
    match kind {
        QueueKind::Quorum => None,
        QueueKind::Classic => Some("classic_queue_not_supported"),
        QueueKind::Stream => Some("not_quorum_queue"),
    }
}

/// The replicas of a quorum queue.
#[utoipa::path(
    get, path = "/queues/quorum/{vhost}/{queue}/status",
    responses((status = 200, body = Vec<Replica>), (status = 503, description = "It is no quorum queue"))
)]
async fn status(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
) -> ApiResult<Response> {
    let queue = queues::find(&api, &principal, &vhost, &queue)?;
    if let Some(reason) = no_replicas(queue.kind) {
        let status = "failed";
        let failure = Json(Failure { status, reason });
        return Ok((StatusCode::SERVICE_UNAVAILABLE, failure).into_response());
    }
    json(&[Replica {
        node: NODE_NAME,
        state: "leader",
        membership: "voter",
        last_index: 0,
        last_written: 0,
        last_applied: 0,
        commit_index: 0,
        snapshot_index: 0,
        term: 0,
        machine_version: 0,
    }])
}

/// The node of a replica.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "it documents the body")]
struct ReplicaNode {
    /// The node's name.
    node: String,
}

/// Checks a change of a queue's replicas; returns whether it is about this node.
fn is_here(
    api: &Api,
    principal: &Principal,
    (vhost, queue): (&str, &str),
    body: ApiResult<JsonBody>,
) -> ApiResult<bool> {
    principal.require(Right::Administrator)?;
    let queue = queues::find(api, principal, vhost, queue)?;
    let body = body?;
    body.require(&["node"])?;
    match no_replicas(queue.kind) {
        Some(reason) => Err(ApiError::busy(reason)),
        None => Ok(body.0["node"].as_str() == Some(NODE_NAME)),
    }
}

/// Adds a replica: only this node can have one, and has it.
#[utoipa::path(
    post, path = "/queues/quorum/{vhost}/{queue}/replicas/add", request_body = ReplicaNode,
    responses((status = 204), (status = 503, description = "There is no such node"))
)]
async fn add_replica(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    match is_here(&api, &principal, (&vhost, &queue), body)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::busy("node_not_running")),
    }
}

/// Deletes a replica: the only one stays, and on other nodes there is none.
#[utoipa::path(
    delete, path = "/queues/quorum/{vhost}/{queue}/replicas/delete", request_body = ReplicaNode,
    responses((status = 202), (status = 503, description = "It is the last one"))
)]
async fn delete_replica(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    match is_here(&api, &principal, (&vhost, &queue), body)? {
        true => Err(ApiError::busy("last_node")),
        false => Ok(StatusCode::ACCEPTED),
    }
}

/// Which queues get a replica.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "it documents the body")]
struct Growth {
    /// A regular expression.
    vhost_pattern: String,
    /// A regular expression.
    queue_pattern: String,
    /// `all` or `even`.
    strategy: String,
}

/// Adds replicas on a node: on this one all queues have theirs.
#[utoipa::path(
    post, path = "/queues/quorum/replicas/on/{node}/grow", request_body = Growth, responses((status = 204))
)]
async fn grow(
    principal: Principal,
    Path(node): Path<String>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    if node != NODE_NAME {
        return Err(ApiError::not_found());
    }
    let body = body?;
    body.require(&["vhost_pattern", "queue_pattern", "strategy"])?;
    match &body.0["strategy"] {
        Value::String(strategy) if matches!(strategy.as_str(), "all" | "even") => {
            Ok(StatusCode::NO_CONTENT)
        }
        other => Err(ApiError::bad_request(format!(
            "strategy must be \"all\" or \"even\", not {other}"
        ))),
    }
}

/// Deletes the replicas on a node, except those that are the last ones of their queues: here, all.
#[utoipa::path(
    delete, path = "/queues/quorum/replicas/on/{node}/shrink", responses((status = 202))
)]
async fn shrink(principal: Principal, Path(node): Path<String>) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    match node == NODE_NAME {
        true => Ok(StatusCode::ACCEPTED),
        false => Err(ApiError::not_found()),
    }
}
