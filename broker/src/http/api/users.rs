//! `/api/users`. For administrators only.

use crate::domain::auth::{HashingAlgorithm, PasswordHash, Permission, TopicPermission, tags};
use crate::engine::queue as engine;
use crate::http::body::JsonBody;
use crate::http::error::{ApiError, ApiResult};
use crate::http::list::ListQuery;
use crate::http::state::Api;
use crate::manage::access::{Principal, Right};
use crate::manage::objects::{Queue, User};
use crate::manage::request::Request;
use crate::manage::request::{WrittenPassword, WrittenUser};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Tags of a user at most; RabbitMQ's.
const MAX_TAGS: usize = 32;
/// The tag of users that this API does not change; RabbitMQ's.
const PROTECTED: &str = "protected";

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(without_permissions))
        .routes(routes!(bulk_delete))
        .routes(routes!(show, put, delete))
        .routes(routes!(permissions))
        .routes(routes!(topic_permissions))
        .routes(routes!(queues))
}

async fn respond(users: Vec<crate::domain::auth::User>, query: &ListQuery) -> ApiResult<Response> {
    query
        .respond(users, |user| &user.name, |user| User::from(user.clone()))
        .await
}

/// All users.
#[utoipa::path(get, path = "/users", params(ListQuery), responses((status = 200, body = Vec<User>)))]
async fn list(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    respond(api.broker().users.users(), &query).await
}

/// The users without permissions in any virtual host.
#[utoipa::path(get, path = "/users/without-permissions", params(ListQuery), responses((status = 200, body = Vec<User>)))]
async fn without_permissions(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    let mut users = api.broker().users.users();
    users.retain(|user| {
        let permissions = api.broker().users.permissions_of(&user.name);
        permissions.is_ok_and(|permissions| permissions.is_empty())
    });
    respond(users, &query).await
}

/// A user.
#[utoipa::path(get, path = "/users/{user}", params(ListQuery), responses((status = 200, body = User)))]
async fn show(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    let user = api.broker().users.user(&name);
    query.one(User::from(user.ok_or_else(ApiError::not_found)?))
}

/// Adds a user or replaces password and tags of one that exists. The body has `tags` and `password`, or `password_hash`
/// and `hashing_algorithm`, or neither for a user that cannot log in with a password.
#[utoipa::path(put, path = "/users/{user}", request_body = Object, responses((status = 201), (status = 204)))]
async fn put(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    check_unprotected(&api, &name)?;
    let body = body?;
    let user = WrittenUser {
        tags: written_tags(&body)?,
        password: written_password(&body)?,
        name,
    };
    let exists = api.broker().users.user(&user.name).is_some();
    api.perform(principal, Request::PutUser { user }).await?;
    Ok(created_unless(exists))
}

/// Returns 201, or 204 for what existed.
pub(super) fn created_unless(exists: bool) -> StatusCode {
    match exists {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::CREATED,
    }
}

fn check_unprotected(api: &Api, name: &str) -> ApiResult<()> {
    let user = api.broker().users.user(name);
    match user.is_some_and(|user| user.tags.iter().any(|tag| tag == PROTECTED)) {
        true => Err(ApiError::bad_request(
            "Protected users cannot be modified via the HTTP API",
        )),
        false => Ok(()),
    }
}

fn written_tags(body: &JsonBody) -> ApiResult<Vec<String>> {
    let tags = match (body.0.get("tags"), body.0.get("administrator")) {
        (None, None) => return Err(ApiError::bad_request("tags_not_present")),
        // What RabbitMQ had before tags.
        (None, Some(administrator)) => match administrator.as_bool() {
            Some(true) => vec!["administrator".to_owned()],
            Some(false) => Vec::new(),
            None => return Err(ApiError::bad_request("administrator must be a boolean")),
        },
        (Some(tags), _) => tags_of(tags)?,
    };
    match tags.len() <= MAX_TAGS {
        true => Ok(tags),
        false => Err(ApiError::bad_request(format!(
            "A user can have at most {MAX_TAGS} tags (received {})",
            tags.len()
        ))),
    }
}

/// Reads tags: a list, or words between commas.
///
/// # Errors
/// 400.
pub(super) fn tags_of(value: &Value) -> ApiResult<Vec<String>> {
    tags::deserialize(value).map_err(|error| ApiError::bad_request(error.to_string()))
}

fn written_password(body: &JsonBody) -> ApiResult<WrittenPassword> {
    let hash = match (body.text("password")?, body.text("password_hash")?) {
        (Some(_), Some(_)) => {
            return Err(ApiError::bad_request(
                "both_password_and_password_hash_are_provided",
            ));
        }
        (Some(password), None) => return Ok(WrittenPassword::Password(password.to_owned())),
        (None, hash) => hash.unwrap_or_default(),
    };
    let algorithm = match body.0.get("hashing_algorithm") {
        None => HashingAlgorithm::default(),
        Some(name) => serde_json::from_value(name.clone())
            .map_err(|error| ApiError::bad_request(error.to_string()))?,
    };
    if !algorithm.is_slow() && STANDARD.decode(hash).is_err() {
        return Err(ApiError::bad_request_about("not_base64", hash));
    }
    let parsed = PasswordHash::parse(hash, algorithm).map(WrittenPassword::Hash);
    parsed.ok_or_else(|| {
        ApiError::bad_request("no password of this hashing_algorithm has that password_hash")
    })
}

/// Deletes a user and closes its connections.
#[utoipa::path(delete, path = "/users/{user}", responses((status = 204)))]
async fn delete(
    principal: Principal,
    State(api): State<Api>,
    Path(user): Path<String>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    check_unprotected(&api, &user)?;
    api.perform(principal, Request::DeleteUser { user }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes the users in the list `users`, one after the other, up to the first that does not exist.
#[utoipa::path(post, path = "/users/bulk-delete", request_body = Object, responses((status = 204)))]
async fn bulk_delete(
    principal: Principal,
    State(api): State<Api>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    let body = body?;
    body.require(&["users"])?;
    let users: Vec<String> = serde_json::from_value(body.0["users"].clone())
        .map_err(|error| ApiError::bad_request(format!("users: {error}")))?;
    for user in users {
        if check_unprotected(&api, &user).is_err() {
            continue;
        }
        if api.broker().users.user(&user).is_none() {
            return Err(ApiError::bad_request_about("no_such_user", user));
        }
        let request = Request::DeleteUser { user };
        api.perform(principal.clone(), request).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The permissions of a user.
#[utoipa::path(get, path = "/users/{user}/permissions", params(ListQuery), responses((status = 200, body = Vec<Object>)))]
async fn permissions(
    principal: Principal,
    State(api): State<Api>,
    Path(user): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    let permissions = api.broker().users.permissions_of(&user);
    let permissions = permissions.map_err(|_| ApiError::not_found())?;
    query
        .whole()
        .respond(permissions, |one| &one.vhost, Permission::clone)
        .await
}

/// The topic permissions of a user.
#[utoipa::path(get, path = "/users/{user}/topic-permissions", params(ListQuery), responses((status = 200, body = Vec<Object>)))]
async fn topic_permissions(
    principal: Principal,
    State(api): State<Api>,
    Path(user): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    let permissions = api.broker().users.topic_permissions(Some(&user), None);
    let permissions = permissions.map_err(|_| ApiError::not_found())?;
    query
        .whole()
        .respond(permissions, |one| &one.vhost, TopicPermission::clone)
        .await
}

/// The exclusive queues of a user's connections. Which user declared another queue is not recorded.
#[utoipa::path(get, path = "/users/{user}/queues", params(ListQuery), responses((status = 200, body = Vec<Queue>)))]
async fn queues(
    principal: Principal,
    State(api): State<Api>,
    Path(user): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    let broker = api.broker().clone();
    let connections = broker.connections.list().into_iter();
    let ids: Vec<_> = connections
        .filter(|info| info.details().user_name() == user)
        .map(|info| info.id)
        .collect();
    let vhosts = principal.visible_vhosts(&broker, Right::Administrator);
    let queues = move || {
        let all = vhosts.iter().flat_map(|vhost| vhost.queues());
        let exclusive = all.filter(|queue| {
            let owner = queue.spec.exclusive_to;
            owner.is_some_and(|owner| ids.contains(&owner))
        });
        exclusive.collect()
    };
    let describe = move |queue: &Arc<engine::Queue>| Queue::of(&broker, queue);
    query
        .respond_with(queues, |queue| queue.name().as_str(), describe)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(value: Value) -> JsonBody {
        JsonBody(value.as_object().unwrap().clone())
    }

    #[test]
    fn tags_come_as_list_text_or_flag() {
        let tags = |value| written_tags(&body(value)).ok();
        let words = |words: &[&str]| Some(words.iter().map(|&word| word.to_owned()).collect());
        assert_eq!(tags(json!({"tags": ["a", "b"]})), words(&["a", "b"]));
        assert_eq!(tags(json!({"tags": "a, b,"})), words(&["a", "b"]));
        assert_eq!(
            tags(json!({"administrator": true})),
            words(&["administrator"])
        );
        assert_eq!(tags(json!({})), None);
        assert_eq!(tags(json!({"tags": 5})), None);
        assert_eq!(tags(json!({"tags": vec!["t"; MAX_TAGS + 1]})), None);
    }

    #[test]
    fn passwords_come_as_text_or_hash() {
        let password = |value| written_password(&body(value));
        assert!(
            password(json!({"password": "p"})).unwrap()
                == WrittenPassword::Password("p".to_owned())
        );
        let hash = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";
        let hashed = json!({"password_hash": hash});
        let hashed = password(hashed).unwrap();
        assert!(matches!(hashed, WrittenPassword::Hash(hash) if hash.verifies("test12")));
        let none = WrittenPassword::Hash(PasswordHash::none());
        assert_eq!(password(json!({})).unwrap(), none);
        for invalid in [
            json!({"password": "p", "password_hash": hash}),
            json!({"password": 5}),
            json!({"password_hash": "no base64!"}),
            json!({"password_hash": "kI3G"}),
            json!({"password_hash": hash, "hashing_algorithm": "nonsense"}),
        ] {
            assert!(password(invalid).is_err());
        }
    }
}
