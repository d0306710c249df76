//! `/api/vhost-limits` and `/api/user-limits`.

use crate::http::body::JsonBody;
use crate::http::error::{ApiError, ApiResult};
use crate::http::list::ListQuery;
use crate::http::state::Api;
use crate::manage::access::{Principal, Right};
use crate::manage::objects::limits::{UserLimits, VhostLimits};
use crate::manage::request::Request;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(of_vhosts))
        .routes(routes!(of_vhost))
        .routes(routes!(set_of_vhost, clear_of_vhost))
        .routes(routes!(of_users))
        .routes(routes!(of_user))
        .routes(routes!(set_of_user, clear_of_user))
}

/// The limits of the virtual hosts that the caller may see.
#[utoipa::path(get, path = "/vhost-limits", params(ListQuery), responses((status = 200, body = Vec<VhostLimits>)))]
async fn of_vhosts(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    let vhosts = principal.visible_vhosts(api.broker(), Right::Monitoring);
    let limits = vhosts.iter().filter_map(|vhost| VhostLimits::of(vhost));
    query
        .whole()
        .respond(limits.collect(), |one| &one.vhost, VhostLimits::clone)
        .await
}

/// The limits of a virtual host.
#[utoipa::path(get, path = "/vhost-limits/{vhost}", params(ListQuery), responses((status = 200, body = Vec<VhostLimits>)))]
async fn of_vhost(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    let vhost = match principal.has(Right::Monitoring) {
        true => api.broker().vhost(&name).ok_or_else(ApiError::not_found)?,
        false => principal.vhost(api.broker(), &name)?,
    };
    let limits = VhostLimits::of(&vhost).into_iter().collect();
    query
        .whole()
        .respond(limits, |one| &one.vhost, VhostLimits::clone)
        .await
}

/// Sets a limit of a virtual host: `value`.
#[utoipa::path(put, path = "/vhost-limits/{vhost}/{name}", request_body = Object, responses((status = 204)))]
async fn set_of_vhost(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, name)): Path<(String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    check_vhost(&api, &vhost)?;
    let value = body?.value("value")?;
    let request = Request::SetVhostLimit { vhost, name, value };
    api.perform(principal, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Checks that a virtual host exists.
///
/// # Errors
/// 404 as RabbitMQ answers when something is set in one that does not.
pub(super) fn check_vhost(api: &Api, name: &str) -> ApiResult<()> {
    match api.broker().vhost(name) {
        Some(_) => Ok(()),
        None => {
            let status = StatusCode::NOT_FOUND;
            Err(ApiError::new(status, "not_found", "vhost_not_found"))
        }
    }
}

/// Clears a limit of a virtual host.
#[utoipa::path(delete, path = "/vhost-limits/{vhost}/{name}", responses((status = 204)))]
async fn clear_of_vhost(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, name)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    check_vhost(&api, &vhost)?;
    let request = Request::ClearVhostLimit { vhost, name };
    api.perform(principal, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The limits of all users.
#[utoipa::path(get, path = "/user-limits", params(ListQuery), responses((status = 200, body = Vec<UserLimits>)))]
async fn of_users(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    let limits = UserLimits::list(api.broker(), None);
    query
        .whole()
        .respond(limits, |one| &one.user, UserLimits::clone)
        .await
}

/// The limits of a user.
#[utoipa::path(get, path = "/user-limits/{user}", params(ListQuery), responses((status = 200, body = Vec<UserLimits>)))]
async fn of_user(
    principal: Principal,
    State(api): State<Api>,
    Path(user): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require_own_or(Right::Monitoring, &user)?;
    api.broker()
        .users
        .user(&user)
        .ok_or_else(ApiError::not_found)?;
    let limits = UserLimits::list(api.broker(), Some(&user));
    query
        .whole()
        .respond(limits, |one| &one.user, UserLimits::clone)
        .await
}

/// Sets a limit of a user: `value`.
#[utoipa::path(put, path = "/user-limits/{user}/{name}", request_body = Object, responses((status = 204)))]
async fn set_of_user(
    principal: Principal,
    State(api): State<Api>,
    Path((user, name)): Path<(String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    let value = body?.value("value")?;
    if api.broker().users.user(&user).is_none() {
        return Err(ApiError::bad_request_about("no_such_user", user));
    }
    let definition = json!({name: value}).to_string();
    let request = Request::SetUserLimits { user, definition };
    api.perform(principal, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Clears a limit of a user.
#[utoipa::path(delete, path = "/user-limits/{user}/{name}", responses((status = 204)))]
async fn clear_of_user(
    principal: Principal,
    State(api): State<Api>,
    Path((user, limit)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let request = Request::ClearUserLimits { user, limit };
    api.perform(principal, request).await?;
    Ok(StatusCode::NO_CONTENT)
}
