//! `/api/queues`.

use super::check_node;
use crate::domain::broker::Broker;
use crate::domain::operations::{Caller, QueueConditions, QueueDeclaration};
use crate::domain::vhost::Vhost;
use crate::engine::queue::{self as engine, Effects};
use crate::http::body::JsonBody;
use crate::http::error::{ApiError, ApiResult};
use crate::http::fields::{arguments, check_name, flag};
use crate::http::list::ListQuery;
use crate::http::state::Api;
use crate::manage::access::{Principal, Right};
use crate::manage::audit::Change;
use crate::manage::objects::queue::{DeclaredQueue, QueueWithTotals};
use crate::manage::objects::queue_key::queue_key;
use crate::manage::objects::{Counted, Queue, Rates};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use leveret_protocol::QueueName;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(list_in_detail))
        .routes(routes!(list_in_vhost))
        .routes(routes!(show, declare, delete))
        .routes(routes!(purge))
        .routes(routes!(act))
}

/// All queues that the caller may see.
#[utoipa::path(get, path = "/queues", params(ListQuery), responses((status = 200, body = Vec<Queue>)))]
async fn list(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    let vhosts = principal.visible_vhosts(api.broker(), Right::Administrator);
    respond(&api, vhosts, &query).await
}

/// The same as `/api/queues`.
#[utoipa::path(get, path = "/queues/detailed", params(ListQuery), responses((status = 200, body = Vec<Queue>)))]
async fn list_in_detail(
    principal: Principal,
    state: State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    list(principal, state, query).await
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
    respond(&api, vec![vhost], &query).await
}

async fn respond(api: &Api, vhosts: Vec<Arc<Vhost>>, query: &ListQuery) -> ApiResult<Response> {
    let broker = api.broker().clone();
    let (disable_stats, totals) = (query.disable_stats(), query.enable_queue_totals());
    let rates = needed_rates(query)?;
    let describe = move |queue: &Arc<engine::Queue>| match (disable_stats, totals) {
        (false, _) => {
            Described::in_detail(&broker, queue, Queue::of(&broker, queue), rates.as_ref())
        }
        (true, false) => Described::Declared(DeclaredQueue::of(queue)),
        (true, true) => Described::WithTotals(QueueWithTotals::of(queue)),
    };
    let queues = move || vhosts.iter().flat_map(|vhost| vhost.queues()).collect();
    let (broker, rates) = (api.broker().clone(), query.rates()?);
    let key = move |queue: &Arc<engine::Queue>, path: &[&str]| {
        // Without statistics rows are short.
        let rates = rates.as_ref()?;
        queue_key(&broker, queue, rates, path)
    };
    query
        .respond_by(queues, |queue| queue.name().as_str(), key, describe)
        .await
}

/// Returns how counters are shown, without the samples of those that nobody sees.
fn needed_rates(query: &ListQuery) -> ApiResult<Option<Rates>> {
    let Some(mut rates) = query.rates()? else {
        return Ok(None);
    };
    const LENGTHS: [&str; 3] = [
        "messages_details",
        "messages_ready_details",
        "messages_unacknowledged_details",
    ];
    if !LENGTHS.iter().any(|key| query.needs(key)) {
        rates.ranges.lengths = None;
    }
    if !query.needs("message_stats") {
        rates.ranges.msg_rates = None;
    }
    Ok(Some(rates))
}

/// A queue with as much as was asked for.
#[derive(Serialize)]
#[serde(untagged)]
enum Described {
    InDetail(Box<Counted<Queue>>),
    Declared(DeclaredQueue),
    WithTotals(QueueWithTotals),
}

impl Described {
    fn in_detail(
        broker: &Broker,
        queue: &engine::Queue,
        object: Queue,
        rates: Option<&Rates>,
    ) -> Self {
        let counters = rates.map(|rates| rates.of_queue(broker, queue));
        Described::InDetail(Box::new(Counted {
            object,
            counters: counters.unwrap_or_default(),
        }))
    }
}

/// One queue.
#[utoipa::path(get, path = "/queues/{vhost}/{queue}", params(ListQuery), responses((status = 200, body = Queue)))]
async fn show(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    query: ListQuery,
) -> ApiResult<Response> {
    let queue = find(&api, &principal, &vhost, &queue)?;
    let (broker, rates) = (api.broker(), query.rates()?);
    query.one(match (query.disable_stats(), query.enable_queue_totals()) {
        (false, _) => {
            let object = Queue::in_full(broker, &queue);
            Described::in_detail(broker, &queue, object, rates.as_ref())
        }
        (true, false) => Described::Declared(DeclaredQueue::of(&queue)),
        (true, true) => Described::WithTotals(QueueWithTotals::of(&queue)),
    })
}

/// Returns a queue that the caller may see.
pub(super) fn find(
    api: &Api,
    principal: &Principal,
    vhost: &str,
    queue: &str,
) -> ApiResult<Arc<engine::Queue>> {
    let vhost = principal.vhost(api.broker(), vhost)?;
    vhost.queue(queue).ok_or_else(ApiError::not_found)
}

/// A queue to declare.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "it documents the body")]
struct NewQueue {
    /// Whether it survives a restart (default: false).
    durable: Option<bool>,
    /// Whether it is deleted with its last consumer (default: false).
    auto_delete: Option<bool>,
    /// Its arguments.
    #[schema(value_type = Option<Object>)]
    arguments: Option<()>,
    /// The node to declare it on: this one.
    node: Option<String>,
}

/// Declares a queue.
#[utoipa::path(
    put, path = "/queues/{vhost}/{queue}", request_body = NewQueue,
    responses((status = 201, description = "It is new"), (status = 204, description = "It existed"))
)]
async fn declare(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    check_name("queue", &queue)?;
    api.vhost_to_change(&principal, &vhost)?;
    let JsonBody(body) = body?;
    let (durable, auto_delete) = (flag(&body, "durable")?, flag(&body, "auto_delete")?);
    let exclusive = flag(&body, "exclusive")?;
    let arguments = arguments(&body)?;
    check_node(&body)?;
    let change = Change::new(
        "declare_queue",
        [
            ("queue", queue.as_str().into()),
            ("durable", durable.into()),
            ("auto_delete", auto_delete.into()),
            ("exclusive", exclusive.into()),
            ("arguments", body.get("arguments").cloned().into()),
        ],
    );
    let declare = move |caller: &mut Caller, fx: &mut Effects| {
        let declaration = QueueDeclaration {
            name: &queue,
            durable,
            exclusive,
            auto_delete,
            arguments,
        };
        caller.declare_queue(declaration, fx)
    };
    let (_, is_new) = api.as_client(principal, vhost, change, declare).await?;
    Ok(match is_new {
        true => StatusCode::CREATED,
        false => StatusCode::NO_CONTENT,
    })
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
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    find(&api, &principal, &vhost, &queue)?;
    check_node(&body?.0)?;
    let conditions = QueueConditions {
        if_empty: conditions.if_empty.as_deref() == Some("true"),
        if_unused: conditions.if_unused.as_deref() == Some("true"),
    };
    let change = Change::new("delete_queue", [("queue", queue.as_str().into())]);
    let delete =
        move |caller: &mut Caller, fx: &mut Effects| caller.delete_queue(&queue, conditions, fx);
    api.as_client(principal, vhost, change, delete).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes the ready messages of a queue.
#[utoipa::path(delete, path = "/queues/{vhost}/{queue}/contents", responses((status = 204)))]
async fn purge(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    find(&api, &principal, &vhost, &queue)?;
    check_node(&body?.0)?;
    let change = Change::new("purge_queue", [("queue", queue.as_str().into())]);
    let queue = QueueName::from(queue);
    let purge = move |caller: &mut Caller, fx: &mut Effects| caller.purge_queue(&queue, fx);
    api.as_client(principal, vhost, change, purge).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is to be done with a queue.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "it documents the body")]
struct Action {
    /// `sync` or `cancel_sync`.
    action: String,
}

/// Synchronises the mirrors of a queue, or stops that: there are none, so nothing is to do.
#[utoipa::path(
    post, path = "/queues/{vhost}/{queue}/actions", request_body = Action, responses((status = 204))
)]
async fn act(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    find(&api, &principal, &vhost, &queue)?;
    let body = body?;
    body.require(&["action"])?;
    match body.0["action"].as_str() {
        Some("sync" | "cancel_sync") => Ok(StatusCode::NO_CONTENT),
        _ => Err(ApiError::bad_request(json!(["unknown", body.0["action"]]))),
    }
}
