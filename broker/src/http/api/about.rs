//! What a client asks before anything else: who it is, how to log in, which version and features there are.

use crate::config::Config;
use crate::domain::auth::PasswordHash;
use crate::http::body::Bytes;
use crate::http::error::{ApiError, ApiResult};
use crate::http::list::{ListQuery, json};
use crate::http::login::{log_in, peer_address};
use crate::http::state::Api;
use crate::manage::access::{Principal, Right};
use crate::manage::objects::feature_flag::{FEATURE_FLAGS, FeatureFlag};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

/// The size of a login form at most, in bytes.
const FORM_LIMIT: usize = 16 << 10;

/// The paths of this file.
pub(super) fn router(config: &Config) -> OpenApiRouter<Api> {
    let settings: Arc<str> = config.to_file().into();
    OpenApiRouter::new()
        .routes(routes!(whoami))
        .routes(routes!(login, log_out))
        .routes(routes!(login_methods))
        .routes(routes!(hash_password))
        .routes(routes!(version))
        .routes(routes!(extensions))
        .routes(routes!(feature_flags))
        .routes(routes!(enable_feature_flag))
        .routes(routes!(deprecated_features))
        .routes(routes!(used_deprecated_features))
        .routes(routes!(effective_config).layer(axum::Extension(settings)))
}

/// A user as it sees itself.
#[derive(Debug, Serialize, ToSchema)]
struct CurrentUser {
    /// Its name.
    name: String,
    /// Its tags.
    tags: Vec<String>,
}

impl CurrentUser {
    fn of(principal: &Principal) -> Self {
        match principal {
            Principal::Owner(_) => CurrentUser {
                name: String::new(),
                tags: Vec::new(),
            },
            Principal::User { login, .. } => CurrentUser {
                name: login.identity.name.to_string(),
                tags: login.tags.clone(),
            },
        }
    }
}

/// The caller.
#[utoipa::path(get, path = "/whoami", responses((status = 200, body = CurrentUser)))]
async fn whoami(principal: Principal) -> ApiResult<Response> {
    json(&CurrentUser::of(&principal))
}

/// Checks a user and a password, and returns the credentials for further requests.
#[utoipa::path(post, path = "/login", responses((status = 200, body = Object)))]
async fn login(State(api): State<Api>, request: Request) -> ApiResult<Response> {
    let (parts, body) = request.into_parts();
    let (user, password) = credentials(&api, body).await?;
    let principal = log_in(&api, user.clone(), &password, peer_address(&parts)).await?;
    let value = STANDARD.encode(format!("{user}:{password}"));
    json(&json!({
        "token": {"type": "basic", "value": value},
        "user": CurrentUser::of(&principal),
    }))
}

/// Reads the fields `username` and `password` of a form.
pub(super) async fn credentials(api: &Api, body: Body) -> ApiResult<(String, String)> {
    let form = Bytes::read(api, body, FORM_LIMIT).await?;
    let (mut user, mut password) = (None, None);
    for (name, value) in form_urlencoded::parse(form.as_slice()) {
        match name.as_ref() {
            "username" => user = Some(value.into_owned()),
            "password" => password = Some(value.into_owned()),
            _ => {}
        }
    }
    user.zip(password).ok_or_else(ApiError::wrong_credentials)
}

/// Does nothing: the broker remembers nobody who has used `POST /api/login`.
#[utoipa::path(delete, path = "/login", responses((status = 204)))]
async fn log_out() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Which ways to log in there are besides a password: none.
#[utoipa::path(get, path = "/auth", responses((status = 200, body = Object)))]
async fn login_methods() -> ApiResult<Response> {
    json(&json!({"enable_uaa": false, "uaa_client_id": "", "uaa_location": ""}))
}

/// Hashes a password for a definition file or `PUT /api/users`.
#[utoipa::path(get, path = "/auth/hash_password/{password}", responses((status = 200, body = Object)))]
async fn hash_password(principal: Principal, Path(password): Path<String>) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    json(&json!({"ok": PasswordHash::of(&password).as_str()}))
}

/// The broker's version. Needs no login.
#[utoipa::path(get, path = "/version", responses((status = 200, body = String)))]
async fn version() -> Response {
    Json(env!("CARGO_PKG_VERSION")).into_response()
}

/// The parts of the API.
#[utoipa::path(get, path = "/extensions", responses((status = 200, body = Vec<Object>)))]
async fn extensions(_: Principal) -> ApiResult<Response> {
    json(&json!([{"javascript": "dispatcher.js"}]))
}

/// RabbitMQ's features that can be off in a cluster of different versions; here they are on.
#[utoipa::path(get, path = "/feature-flags", params(ListQuery), responses((status = 200, body = Vec<FeatureFlag>)))]
async fn feature_flags(_: Principal, query: ListQuery) -> ApiResult<Response> {
    query
        .whole()
        .respond(FEATURE_FLAGS.to_vec(), |flag| flag.name, |flag| *flag)
        .await
}

/// Turns a feature on, which it is already.
#[utoipa::path(put, path = "/feature-flags/{name}/enable", responses((status = 204)))]
async fn enable_feature_flag(
    principal: Principal,
    Path(name): Path<String>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    match FEATURE_FLAGS.iter().any(|flag| flag.name == name) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::bad_request("unsupported")),
    }
}

/// Features that a later version will not have: none.
#[utoipa::path(get, path = "/deprecated-features", params(ListQuery), responses((status = 200, body = Vec<Object>)))]
async fn deprecated_features(_: Principal, query: ListQuery) -> ApiResult<Response> {
    query
        .respond(Vec::<&str>::new(), |name| name, |name| *name)
        .await
}

/// Such features that are used: none.
#[utoipa::path(get, path = "/deprecated-features/used", params(ListQuery), responses((status = 200, body = Vec<Object>)))]
async fn used_deprecated_features(_: Principal, query: ListQuery) -> ApiResult<Response> {
    query
        .respond(Vec::<&str>::new(), |name| name, |name| *name)
        .await
}

/// The settings that the broker was started with, as a configuration file, without passwords. Changes by a reload are not in it.
#[utoipa::path(get, path = "/config/effective", responses((status = 200, body = String, content_type = "text/plain")))]
async fn effective_config(
    principal: Principal,
    axum::Extension(settings): axum::Extension<Arc<str>>,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((plain, settings.to_string()).into_response())
}
