//! The broker and its node: `/api/overview`, `/api/nodes`, `/api/cluster-name`, `/api/auth/attempts` and so on.

use crate::domain::auth::AttemptCounts;
use crate::http::error::{ApiError, ApiResult};
use crate::http::list::{ListQuery, json};
use crate::http::state::Api;
use crate::manage::access::{Principal, Right};
use crate::manage::objects::memory::Memory;
use crate::manage::objects::{Counted, Node, Overview, Rates};
use crate::manage::request::Request;
use crate::text::names::NODE_NAME;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(overview))
        .routes(routes!(nodes))
        .routes(routes!(node))
        .routes(routes!(memory))
        .routes(routes!(memory_shares))
        .routes(routes!(tables))
        .routes(routes!(table_shares))
        .routes(routes!(some_tables))
        .routes(routes!(some_table_shares))
        .routes(routes!(attempts, forget_attempts))
        .routes(routes!(attempts_by_source, forget_attempts_by_source))
        .routes(routes!(reset))
        .routes(routes!(reset_node))
        .routes(routes!(rebalance))
}

/// Checks that a node is this one.
///
/// # Errors
/// 404.
pub(super) fn this_node(name: &str) -> ApiResult<()> {
    match name == NODE_NAME {
        true => Ok(()),
        false => Err(ApiError::not_found()),
    }
}

/// The broker as a whole.
#[utoipa::path(get, path = "/overview", params(ListQuery), responses((status = 200, body = Overview)))]
async fn overview(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    let (rates, context) = (query.rates()?, api.context().clone());
    let describe = move || {
        let object = Overview::of(&context, &principal);
        let of_broker =
            |rates: Rates| rates.of_broker(&context.broker, &principal, &object.queue_totals);
        let counters = rates.map(of_broker);
        (serde_json::to_value(&object), counters)
    };
    // It looks at every queue.
    let (shown, counters) = api.effort().apart(describe).await?;
    let mut shown = shown.map_err(|error| ApiError::internal(error.to_string()))?;
    // `queue_totals` with their rates take the place of those without.
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("disable_stats".to_owned(), query.disable_stats().into());
        shown.extend(counters.unwrap_or_default());
    }
    query.one(shown)
}

/// What else to return about the node.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct NodeQuery {
    /// `true`: where its memory is.
    memory: Option<String>,
    /// `true`: which binaries it has in memory.
    binary: Option<String>,
}

#[derive(Serialize)]
struct NodeAndMemory {
    #[serde(flatten)]
    node: Counted<Node>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary: Option<Value>,
}

/// The nodes: one.
#[utoipa::path(get, path = "/nodes", params(ListQuery), responses((status = 200, body = Vec<Node>)))]
async fn nodes(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Monitoring)?;
    let nodes = vec![Node::of(api.context())];
    let counters = query.rates()?.map(|rates| rates.of_node(api.broker()));
    let counters = counters.unwrap_or_default();
    let describe = move |node: &Node| Counted {
        object: node.clone(),
        counters: counters.clone(),
    };
    query
        .whole()
        .respond(nodes, |node| node.name, describe)
        .await
}

/// The node.
#[utoipa::path(get, path = "/nodes/{node}", params(NodeQuery), responses((status = 200, body = Node)))]
async fn node(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(besides): Query<NodeQuery>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Monitoring)?;
    this_node(&name)?;
    let wanted = |flag: Option<String>| flag.as_deref() == Some("true");
    let counters = query.rates()?.map(|rates| rates.of_node(api.broker()));
    let memory = match wanted(besides.memory) {
        true => Some(memory_of(&api).await?.absolute()),
        false => None,
    };
    query.one(NodeAndMemory {
        node: Counted {
            object: Node::of(api.context()),
            counters: counters.unwrap_or_default(),
        },
        memory,
        binary: wanted(besides.binary).then(|| json!({})),
    })
}

/// Looks where the node's memory is: at every queue.
async fn memory_of(api: &Api) -> ApiResult<Memory> {
    let broker = api.broker().clone();
    api.effort().apart(move || Memory::of(&broker)).await
}

/// Where the node's memory is, in bytes.
#[utoipa::path(get, path = "/nodes/{node}/memory", responses((status = 200, body = Object)))]
async fn memory(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
) -> ApiResult<Response> {
    principal.require(Right::Monitoring)?;
    this_node(&name)?;
    json(&json!({"memory": memory_of(&api).await?.absolute()}))
}

/// Where the node's memory is, in percent.
#[utoipa::path(get, path = "/nodes/{node}/memory/relative", responses((status = 200, body = Object)))]
async fn memory_shares(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
) -> ApiResult<Response> {
    principal.require(Right::Monitoring)?;
    this_node(&name)?;
    json(&json!({"memory": memory_of(&api).await?.relative()}))
}

/// The memory of Erlang's tables, which do not exist here.
fn no_tables(principal: &Principal, node: &str) -> ApiResult<Response> {
    principal.require(Right::Monitoring)?;
    this_node(node)?;
    json(&json!({"ets_tables_memory": "no_tables"}))
}

/// Erlang's tables: none.
#[utoipa::path(get, path = "/nodes/{node}/memory/ets", responses((status = 200, body = Object)))]
async fn tables(principal: Principal, Path(name): Path<String>) -> ApiResult<Response> {
    no_tables(&principal, &name)
}

/// Erlang's tables: none.
#[utoipa::path(get, path = "/nodes/{node}/memory/ets/relative", responses((status = 200, body = Object)))]
async fn table_shares(principal: Principal, Path(name): Path<String>) -> ApiResult<Response> {
    no_tables(&principal, &name)
}

/// Erlang's tables: none.
#[utoipa::path(get, path = "/nodes/{node}/memory/ets/{filter}", responses((status = 200, body = Object)))]
async fn some_tables(
    principal: Principal,
    Path((name, _filter)): Path<(String, String)>,
) -> ApiResult<Response> {
    no_tables(&principal, &name)
}

/// Erlang's tables: none.
#[utoipa::path(get, path = "/nodes/{node}/memory/ets/{filter}/relative", responses((status = 200, body = Object)))]
async fn some_table_shares(
    principal: Principal,
    Path((name, _filter)): Path<(String, String)>,
) -> ApiResult<Response> {
    no_tables(&principal, &name)
}

/// A row of counted attempts to log in.
#[derive(Serialize)]
struct Attempts<T> {
    #[serde(flatten)]
    from: T,
    #[serde(flatten)]
    counts: AttemptCounts,
}

/// How many logins were attempted, by protocol.
#[utoipa::path(get, path = "/auth/attempts/{node}", responses((status = 200, body = Vec<Object>)))]
async fn attempts(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
) -> ApiResult<Response> {
    principal.require(Right::Monitoring)?;
    this_node(&name)?;
    let counted = api.broker().login_attempts.by_protocol().into_iter();
    let row = |(protocol, counts)| Attempts {
        from: json!({"protocol": protocol}),
        counts,
    };
    json(&counted.map(row).collect::<Vec<_>>())
}

/// How many logins were attempted, by address, user and protocol.
#[utoipa::path(get, path = "/auth/attempts/{node}/source", responses((status = 200, body = Vec<Object>)))]
async fn attempts_by_source(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
) -> ApiResult<Response> {
    principal.require(Right::Monitoring)?;
    this_node(&name)?;
    let counted = api.broker().login_attempts.by_source().into_iter();
    let row = |(from, counts)| Attempts { from, counts };
    json(&counted.map(row).collect::<Vec<_>>())
}

/// Forgets the attempts to log in.
#[utoipa::path(delete, path = "/auth/attempts/{node}", responses((status = 204)))]
async fn forget_attempts(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    this_node(&name)?;
    api.perform(principal, Request::ResetLoginAttempts).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets the attempts to log in.
#[utoipa::path(delete, path = "/auth/attempts/{node}/source", responses((status = 204)))]
async fn forget_attempts_by_source(
    principal: Principal,
    api: State<Api>,
    name: Path<String>,
) -> ApiResult<StatusCode> {
    forget_attempts(principal, api, name).await
}

/// Forgets the history of figures.
#[utoipa::path(delete, path = "/reset", responses((status = 204)))]
async fn reset(principal: Principal) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets the history of figures.
#[utoipa::path(delete, path = "/reset/{node}", responses((status = 204)))]
async fn reset_node(principal: Principal, Path(name): Path<String>) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    this_node(&name)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Spreads queues over nodes; there is one.
#[utoipa::path(post, path = "/rebalance/queues", responses((status = 204)))]
async fn rebalance(principal: Principal) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    Ok(StatusCode::NO_CONTENT)
}
