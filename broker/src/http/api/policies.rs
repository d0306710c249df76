//! `/api/policies` and `/api/operator-policies`.

use super::limits::check_vhost;
use super::users::created_unless;
use crate::domain::policy::{PolicyKind, WrittenPolicy};
use crate::http::body::JsonBody;
use crate::http::error::{ApiError, ApiResult};
use crate::http::list::ListQuery;
use crate::http::state::Api;
use crate::manage::access::{Principal, Right};
use crate::manage::objects::Policy;
use crate::manage::request::Request;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(list_in_vhost))
        .routes(routes!(show, put, delete))
        .routes(routes!(list_operator))
        .routes(routes!(list_operator_in_vhost))
        .routes(routes!(show_operator, put_operator, delete_operator))
}

async fn respond(policies: Vec<Policy>, query: &ListQuery) -> ApiResult<Response> {
    let mut policies = policies;
    policies.sort_by_key(|policy| policy.priority);
    query
        .whole()
        .respond(policies, |policy| &policy.name, Policy::clone)
        .await
}

fn all(api: &Api, principal: &Principal, kind: PolicyKind) -> Vec<Policy> {
    let vhosts = principal.visible_vhosts(api.broker(), Right::Administrator);
    let policies = vhosts.iter().flat_map(|vhost| Policy::list(vhost, kind));
    policies.collect()
}

fn in_vhost(
    api: &Api,
    principal: &Principal,
    kind: PolicyKind,
    vhost: &str,
) -> ApiResult<Vec<Policy>> {
    Ok(Policy::list(&*principal.vhost(api.broker(), vhost)?, kind))
}

fn find(
    api: &Api,
    principal: &Principal,
    kind: PolicyKind,
    vhost: &str,
    name: &str,
) -> ApiResult<Policy> {
    principal.require(right(kind))?;
    let mut policies = in_vhost(api, principal, kind, vhost)?.into_iter();
    let found = policies.rfind(|policy| policy.name == name);
    found.ok_or_else(ApiError::not_found)
}

fn right(kind: PolicyKind) -> Right {
    match kind {
        PolicyKind::User => Right::Policymaker,
        PolicyKind::Operator => Right::Administrator,
    }
}

async fn set(
    api: &Api,
    principal: Principal,
    kind: PolicyKind,
    (vhost, name): (String, String),
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    principal.require(right(kind))?;
    check_vhost(api, &vhost)?;
    let body = body?;
    body.require(&["pattern", "definition"])?;
    let exists = find(api, &principal, kind, &vhost, &name).is_ok();
    let policy = Box::new(written(name, &body)?);
    let request = Request::SetPolicy {
        kind,
        vhost,
        policy,
    };
    api.perform(principal, request).await?;
    Ok(created_unless(exists))
}

fn written(name: String, body: &JsonBody) -> ApiResult<WrittenPolicy> {
    let [pattern] = body.texts(["pattern"])?;
    let invalid =
        |reason: String| ApiError::bad_request(format!("Validation failed\n\n{reason}\n"));
    let priority = match body.0.get("priority").unwrap_or(&Value::Null) {
        Value::Null => 0,
        value => value.as_i64().ok_or_else(|| {
            // Texts as Erlang writes them.
            let shown = match value {
                Value::String(text) => format!("<<\"{text}\">>"),
                other => other.to_string(),
            };
            invalid(format!("priority should be a number, actually was {shown}"))
        })?,
    };
    let definition = body.value("definition")?;
    if !definition.is_object() {
        return Err(ApiError::bad_request("definition must be an object"));
    }
    let apply_to = body.text("apply-to")?.unwrap_or("all").to_owned();
    Ok(WrittenPolicy {
        name,
        pattern,
        definition: definition.to_string(),
        priority,
        apply_to,
    })
}

async fn clear(
    api: &Api,
    principal: Principal,
    kind: PolicyKind,
    (vhost, name): (String, String),
) -> ApiResult<StatusCode> {
    find(api, &principal, kind, &vhost, &name)?;
    let request = Request::ClearPolicy { kind, vhost, name };
    api.perform(principal, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All policies that the caller may see.
#[utoipa::path(get, path = "/policies", params(ListQuery), responses((status = 200, body = Vec<Policy>)))]
async fn list(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    respond(all(&api, &principal, PolicyKind::User), &query).await
}

/// The policies of a virtual host.
#[utoipa::path(get, path = "/policies/{vhost}", params(ListQuery), responses((status = 200, body = Vec<Policy>)))]
async fn list_in_vhost(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    respond(
        in_vhost(&api, &principal, PolicyKind::User, &vhost)?,
        &query,
    )
    .await
}

/// A policy.
#[utoipa::path(get, path = "/policies/{vhost}/{name}", params(ListQuery), responses((status = 200, body = Policy)))]
async fn show(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, name)): Path<(String, String)>,
    query: ListQuery,
) -> ApiResult<Response> {
    query.one(find(&api, &principal, PolicyKind::User, &vhost, &name)?)
}

/// Sets a policy: `pattern`, `definition`, and perhaps `priority` and `apply-to`.
#[utoipa::path(put, path = "/policies/{vhost}/{name}", request_body = Object, responses((status = 201), (status = 204)))]
async fn put(
    principal: Principal,
    State(api): State<Api>,
    Path(path): Path<(String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    set(&api, principal, PolicyKind::User, path, body).await
}

/// Clears a policy.
#[utoipa::path(delete, path = "/policies/{vhost}/{name}", responses((status = 204)))]
async fn delete(
    principal: Principal,
    State(api): State<Api>,
    Path(path): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    clear(&api, principal, PolicyKind::User, path).await
}

/// All operator policies that the caller may see.
#[utoipa::path(get, path = "/operator-policies", params(ListQuery), responses((status = 200, body = Vec<Policy>)))]
async fn list_operator(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    respond(all(&api, &principal, PolicyKind::Operator), &query).await
}

/// The operator policies of a virtual host.
#[utoipa::path(get, path = "/operator-policies/{vhost}", params(ListQuery), responses((status = 200, body = Vec<Policy>)))]
async fn list_operator_in_vhost(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    respond(
        in_vhost(&api, &principal, PolicyKind::Operator, &vhost)?,
        &query,
    )
    .await
}

/// An operator policy.
#[utoipa::path(get, path = "/operator-policies/{vhost}/{name}", params(ListQuery), responses((status = 200, body = Policy)))]
async fn show_operator(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, name)): Path<(String, String)>,
    query: ListQuery,
) -> ApiResult<Response> {
    query.one(find(&api, &principal, PolicyKind::Operator, &vhost, &name)?)
}

/// Sets an operator policy: `pattern`, `definition`, and perhaps `priority` and `apply-to`.
#[utoipa::path(put, path = "/operator-policies/{vhost}/{name}", request_body = Object, responses((status = 201), (status = 204)))]
async fn put_operator(
    principal: Principal,
    State(api): State<Api>,
    Path(path): Path<(String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    set(&api, principal, PolicyKind::Operator, path, body).await
}

/// Clears an operator policy.
#[utoipa::path(delete, path = "/operator-policies/{vhost}/{name}", responses((status = 204)))]
async fn delete_operator(
    principal: Principal,
    State(api): State<Api>,
    Path(path): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    clear(&api, principal, PolicyKind::Operator, path).await
}
