//! `/api/permissions` and `/api/topic-permissions`. For administrators only.

use super::users::created_unless;
use crate::domain::auth::{Permission, TopicPermission};
use crate::http::body::JsonBody;
use crate::http::error::{ApiError, ApiResult};
use crate::http::list::ListQuery;
use crate::http::state::Api;
use crate::manage::access::{Principal, Right};
use crate::manage::request::Request;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(list_in_vhost))
        .routes(routes!(show, put, delete))
        .routes(routes!(topics))
        .routes(routes!(topics_in_vhost))
        .routes(routes!(topics_of_user, put_topic, delete_topics))
        .routes(routes!(
            topics_of_exchange,
            put_topic_of_exchange,
            delete_topic
        ))
}

/// All permissions.
#[utoipa::path(get, path = "/permissions", params(ListQuery), responses((status = 200, body = Vec<Object>)))]
async fn list(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    let broker = api.broker();
    let vhosts = broker.vhosts();
    let permissions = vhosts
        .iter()
        .flat_map(|vhost| broker.users.permissions_in(vhost.name().as_str()));
    query
        .whole()
        .respond(permissions.collect(), |one| &one.user, Permission::clone)
        .await
}

/// The permissions in a virtual host.
#[utoipa::path(get, path = "/vhosts/{vhost}/permissions", params(ListQuery), responses((status = 200, body = Vec<Object>)))]
async fn list_in_vhost(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    principal.vhost(api.broker(), &vhost)?;
    let permissions = api.broker().users.permissions_in(&vhost);
    query
        .whole()
        .respond(permissions, |one| &one.user, Permission::clone)
        .await
}

/// Returns the permissions of a user in a virtual host, if there are any.
fn find(api: &Api, vhost: &str, user: &str) -> Option<Permission> {
    let permissions = api.broker().users.permissions_of(user).ok()?;
    permissions.into_iter().find(|one| one.vhost == vhost)
}

/// Checks that both exist.
fn check_exist(api: &Api, vhost: &str, user: &str) -> ApiResult<()> {
    let broker = api.broker();
    match broker.vhost(vhost).is_some() && broker.users.user(user).is_some() {
        true => Ok(()),
        false => Err(ApiError::bad_request("vhost_or_user_not_found")),
    }
}

/// The permissions of a user in a virtual host.
#[utoipa::path(get, path = "/permissions/{vhost}/{user}", params(ListQuery), responses((status = 200, body = Object)))]
async fn show(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, user)): Path<(String, String)>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    let permission = find(&api, &vhost, &user);
    query.one(permission.ok_or_else(ApiError::not_found)?)
}

/// Sets the permissions of a user in a virtual host: `configure`, `write` and `read`.
#[utoipa::path(put, path = "/permissions/{vhost}/{user}", request_body = Object, responses((status = 201), (status = 204)))]
async fn put(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, user)): Path<(String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    check_exist(&api, &vhost, &user)?;
    let [configure, write, read] = body?.texts(["configure", "write", "read"])?;
    let exists = find(&api, &vhost, &user).is_some();
    let request = Request::SetPermissions {
        vhost,
        user,
        configure,
        write,
        read,
    };
    api.perform(principal, request).await?;
    Ok(created_unless(exists))
}

/// Clears the permissions of a user in a virtual host.
#[utoipa::path(delete, path = "/permissions/{vhost}/{user}", responses((status = 204)))]
async fn delete(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, user)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    find(&api, &vhost, &user).ok_or_else(ApiError::not_found)?;
    let request = Request::ClearPermissions { vhost, user };
    api.perform(principal, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns topic permissions, those of a user or in a virtual host if they are given, in the order of virtual hosts.
fn find_topics(api: &Api, user: Option<&str>, vhost: Option<&str>) -> Vec<TopicPermission> {
    let found = api.broker().users.topic_permissions(user, vhost);
    let mut found = found.unwrap_or_default();
    found.sort_by(|a, b| (&a.vhost, &a.user).cmp(&(&b.vhost, &b.user)));
    found
}

/// All topic permissions.
#[utoipa::path(get, path = "/topic-permissions", params(ListQuery), responses((status = 200, body = Vec<Object>)))]
async fn topics(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    let found = find_topics(&api, None, None);
    query
        .whole()
        .respond(found, |one| &one.user, TopicPermission::clone)
        .await
}

/// The topic permissions in a virtual host.
#[utoipa::path(get, path = "/vhosts/{vhost}/topic-permissions", params(ListQuery), responses((status = 200, body = Vec<Object>)))]
async fn topics_in_vhost(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    principal.vhost(api.broker(), &vhost)?;
    let found = find_topics(&api, None, Some(&vhost));
    query
        .whole()
        .respond(found, |one| &one.user, TopicPermission::clone)
        .await
}

/// The topic permissions of a user in a virtual host.
#[utoipa::path(get, path = "/topic-permissions/{vhost}/{user}", params(ListQuery), responses((status = 200, body = Vec<Object>)))]
async fn topics_of_user(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, user)): Path<(String, String)>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    let found = find_topics(&api, Some(&user), Some(&vhost));
    match found.is_empty() {
        true => Err(ApiError::not_found()),
        false => {
            query
                .whole()
                .respond(found, |one| &one.exchange, TopicPermission::clone)
                .await
        }
    }
}

/// The topic permissions of a user in a virtual host, on all exchanges, as in RabbitMQ.
#[utoipa::path(get, path = "/topic-permissions/{vhost}/{user}/{exchange}", params(ListQuery), responses((status = 200, body = Vec<Object>)))]
async fn topics_of_exchange(
    principal: Principal,
    api: State<Api>,
    Path((vhost, user, _exchange)): Path<(String, String, String)>,
    query: ListQuery,
) -> ApiResult<Response> {
    topics_of_user(principal, api, Path((vhost, user)), query).await
}

/// Sets a topic permission of a user in a virtual host: `exchange`, `write` and `read`.
#[utoipa::path(put, path = "/topic-permissions/{vhost}/{user}", request_body = Object, responses((status = 201), (status = 204)))]
async fn put_topic(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, user)): Path<(String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    check_exist(&api, &vhost, &user)?;
    let [exchange, write, read] = body?.texts(["exchange", "write", "read"])?;
    // As in RabbitMQ, 201 only for the first in the virtual host.
    let exists = !find_topics(&api, Some(&user), Some(&vhost)).is_empty();
    let request = Request::SetTopicPermissions {
        vhost,
        user,
        exchange,
        write,
        read,
    };
    api.perform(principal, request).await?;
    Ok(created_unless(exists))
}

/// Sets a topic permission of a user in a virtual host. As in RabbitMQ, the body says on which exchange.
#[utoipa::path(put, path = "/topic-permissions/{vhost}/{user}/{exchange}", request_body = Object, responses((status = 201), (status = 204)))]
async fn put_topic_of_exchange(
    principal: Principal,
    api: State<Api>,
    Path((vhost, user, _exchange)): Path<(String, String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    put_topic(principal, api, Path((vhost, user)), body).await
}

/// Clears the topic permissions of a user in a virtual host.
#[utoipa::path(delete, path = "/topic-permissions/{vhost}/{user}", responses((status = 204)))]
async fn delete_topics(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, user)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    clear_topics(principal, &api, vhost, user, None).await
}

/// Clears the topic permission of a user on an exchange.
#[utoipa::path(delete, path = "/topic-permissions/{vhost}/{user}/{exchange}", responses((status = 204)))]
async fn delete_topic(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, user, exchange)): Path<(String, String, String)>,
) -> ApiResult<StatusCode> {
    clear_topics(principal, &api, vhost, user, Some(exchange)).await
}

async fn clear_topics(
    principal: Principal,
    api: &Api,
    vhost: String,
    user: String,
    exchange: Option<String>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    if find_topics(api, Some(&user), Some(&vhost)).is_empty() {
        return Err(ApiError::not_found());
    }
    let request = Request::ClearTopicPermissions {
        vhost,
        user,
        exchange,
    };
    api.perform(principal, request).await?;
    Ok(StatusCode::NO_CONTENT)
}
