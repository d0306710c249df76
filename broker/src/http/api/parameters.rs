//! `/api/parameters`, `/api/global-parameters` and `/api/cluster-name`. Parameters are for policymakers.

use super::limits::check_vhost;
use super::users::created_unless;
use crate::domain::parameters::{GlobalParameter, Parameter};
use crate::http::body::JsonBody;
use crate::http::error::{ApiError, ApiResult};
use crate::http::list::{ListQuery, json};
use crate::http::state::Api;
use crate::manage::access::{Principal, Right};
use crate::manage::request::Request;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The global parameter that is the cluster's name.
const CLUSTER_NAME: &str = "cluster_name";

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(list_of_component))
        .routes(routes!(list_in_vhost))
        .routes(routes!(show, put, delete))
        .routes(routes!(globals))
        .routes(routes!(show_global, put_global, delete_global))
        .routes(routes!(cluster_name, set_cluster_name))
}

/// Answers with the parameters in the virtual hosts that the caller may enter.
async fn respond(
    api: &Api,
    principal: &Principal,
    component: Option<&str>,
    query: &ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Policymaker)?;
    let visible = principal.visible_vhosts(api.broker(), Right::Administrator);
    let parameters = visible.iter().flat_map(|vhost| {
        let name = vhost.name().as_str();
        api.broker().parameters(Some(name), component)
    });
    query
        .whole()
        .respond(parameters.collect(), |one| &one.name, Parameter::clone)
        .await
}

/// All parameters that the caller may see.
#[utoipa::path(get, path = "/parameters", params(ListQuery), responses((status = 200, body = Vec<Object>)))]
async fn list(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    respond(&api, &principal, None, &query).await
}

/// The parameters of a component that the caller may see.
#[utoipa::path(get, path = "/parameters/{component}", params(ListQuery), responses((status = 200, body = Vec<Object>)))]
async fn list_of_component(
    principal: Principal,
    State(api): State<Api>,
    Path(component): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    respond(&api, &principal, Some(&component), &query).await
}

/// The parameters of a component in a virtual host.
#[utoipa::path(get, path = "/parameters/{component}/{vhost}", params(ListQuery), responses((status = 200, body = Vec<Object>)))]
async fn list_in_vhost(
    principal: Principal,
    State(api): State<Api>,
    Path((component, vhost)): Path<(String, String)>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Policymaker)?;
    principal.vhost(api.broker(), &vhost)?;
    let parameters = api.broker().parameters(Some(&vhost), Some(&component));
    query
        .whole()
        .respond(parameters, |one| &one.name, Parameter::clone)
        .await
}

fn find(
    api: &Api,
    principal: &Principal,
    component: &str,
    vhost: &str,
    name: &str,
) -> ApiResult<Parameter> {
    principal.require(Right::Policymaker)?;
    principal.vhost(api.broker(), vhost)?;
    let parameters = api.broker().parameters(Some(vhost), Some(component));
    let mut found = parameters.into_iter().filter(|one| one.name == name);
    found.next().ok_or_else(ApiError::not_found)
}

/// A parameter.
#[utoipa::path(get, path = "/parameters/{component}/{vhost}/{name}", params(ListQuery), responses((status = 200, body = Object)))]
async fn show(
    principal: Principal,
    State(api): State<Api>,
    Path((component, vhost, name)): Path<(String, String, String)>,
    query: ListQuery,
) -> ApiResult<Response> {
    query.one(find(&api, &principal, &component, &vhost, &name)?)
}

/// Sets a parameter: `value`.
#[utoipa::path(put, path = "/parameters/{component}/{vhost}/{name}", request_body = Object, responses((status = 201), (status = 204)))]
async fn put(
    principal: Principal,
    State(api): State<Api>,
    Path((component, vhost, name)): Path<(String, String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Policymaker)?;
    check_vhost(&api, &vhost)?;
    let exists = find(&api, &principal, &component, &vhost, &name).is_ok();
    let request = Request::SetParameter {
        vhost,
        component,
        name,
        value: body?.value("value")?,
    };
    api.perform(principal, request).await?;
    Ok(created_unless(exists))
}

/// Clears a parameter.
#[utoipa::path(delete, path = "/parameters/{component}/{vhost}/{name}", responses((status = 204)))]
async fn delete(
    principal: Principal,
    State(api): State<Api>,
    Path((component, vhost, name)): Path<(String, String, String)>,
) -> ApiResult<StatusCode> {
    find(&api, &principal, &component, &vhost, &name)?;
    let request = Request::ClearParameter {
        vhost,
        component,
        name,
    };
    api.perform(principal, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All global parameters.
#[utoipa::path(get, path = "/global-parameters", params(ListQuery), responses((status = 200, body = Vec<Object>)))]
async fn globals(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Policymaker)?;
    let parameters = api.broker().global_parameters.list();
    query
        .whole()
        .respond(parameters, |one| &one.name, GlobalParameter::clone)
        .await
}

/// A global parameter.
#[utoipa::path(get, path = "/global-parameters/{name}", params(ListQuery), responses((status = 200, body = Object)))]
async fn show_global(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Policymaker)?;
    let value = api.broker().global_parameters.get(&name);
    let value = value.ok_or_else(ApiError::not_found)?;
    query.one(GlobalParameter { name, value })
}

/// Sets a global parameter: `value`.
#[utoipa::path(put, path = "/global-parameters/{name}", request_body = Object, responses((status = 201), (status = 204)))]
async fn put_global(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Policymaker)?;
    let exists = api.broker().global_parameters.get(&name).is_some();
    let value = body?.value("value")?;
    let request = Request::SetGlobalParameter { name, value };
    api.perform(principal, request).await?;
    Ok(created_unless(exists))
}

/// Clears a global parameter.
#[utoipa::path(delete, path = "/global-parameters/{name}", responses((status = 204)))]
async fn delete_global(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Policymaker)?;
    let value = api.broker().global_parameters.get(&name);
    value.ok_or_else(ApiError::not_found)?;
    let request = Request::ClearGlobalParameter { name };
    api.perform(principal, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The name of the cluster.
#[utoipa::path(get, path = "/cluster-name", responses((status = 200, body = Object)))]
async fn cluster_name(_: Principal, State(api): State<Api>) -> ApiResult<Response> {
    json(&json!({"name": api.broker().global_parameters.cluster_name()}))
}

/// Sets the name of the cluster: `name`.
#[utoipa::path(put, path = "/cluster-name", request_body = Object, responses((status = 204)))]
async fn set_cluster_name(
    principal: Principal,
    State(api): State<Api>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    let [name] = body?.texts(["name"])?;
    let request = Request::SetGlobalParameter {
        name: CLUSTER_NAME.to_owned(),
        value: name.into(),
    };
    api.perform(principal, request).await?;
    Ok(StatusCode::NO_CONTENT)
}
