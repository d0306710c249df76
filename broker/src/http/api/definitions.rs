//! `/api/definitions`: everything that is declared or set, as one file.

use crate::http::body::Bytes;
use crate::http::error::{ApiError, ApiResult};
use crate::http::state::Api;
use crate::manage::AdminContext;
use crate::manage::access::{Principal, Right};
use crate::manage::definitions::{
    Export, ImportError, ImportOptions, MAX_FILE, NotDefinitions, Scope, incompatible_users,
};
use crate::text::shorten::shortened;
use axum::RequestExt;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Multipart, Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The header that names the users who are left out of an export, percent-encoded and separated by commas.
const LEFT_OUT: &str = "leveret-left-out-users";
/// Its length at most, in bytes.
const LEFT_OUT_MAX: usize = 4096;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(export, import))
        .routes(routes!(export_all, import_all))
        .routes(routes!(export_vhost, import_vhost))
        // The handlers read bodies themselves, and bound them.
        .layer(DefaultBodyLimit::disable())
}

/// How a file is answered.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Download {
    /// The name under which a browser saves it.
    download: Option<String>,
    /// Whether to leave out users whose password hashes RabbitMQ cannot read; a header of the answer names them.
    compatible_hashes: Option<bool>,
}

/// The definitions of the broker.
#[utoipa::path(get, path = "/definitions", params(Download), responses((status = 200, body = serde_json::Value)))]
async fn export(
    principal: Principal,
    State(api): State<Api>,
    Query(query): Query<Download>,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    file(&api, Scope::Broker, query).await
}

/// The definitions of the broker, under their older path.
#[utoipa::path(get, path = "/all-configuration", params(Download), responses((status = 200, body = serde_json::Value)))]
async fn export_all(
    principal: Principal,
    state: State<Api>,
    query: Query<Download>,
) -> ApiResult<Response> {
    export(principal, state, query).await
}

/// The definitions of a virtual host.
#[utoipa::path(get, path = "/definitions/{vhost}", params(Download), responses((status = 200, body = serde_json::Value)))]
async fn export_vhost(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(query): Query<Download>,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    let vhost = api.broker().vhost(&vhost);
    let vhost = vhost.ok_or_else(|| ApiError::bad_request("vhost_not_found"))?;
    file(&api, Scope::Vhost(vhost), query).await
}

/// Imports definitions.
#[utoipa::path(post, path = "/definitions", request_body = serde_json::Value, responses((status = 204)))]
async fn import(
    principal: Principal,
    State(api): State<Api>,
    request: Request,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    upload(&api, principal, None, request).await
}

/// Imports definitions, under the older path.
#[utoipa::path(post, path = "/all-configuration", request_body = serde_json::Value, responses((status = 204)))]
async fn import_all(
    principal: Principal,
    state: State<Api>,
    request: Request,
) -> ApiResult<Response> {
    import(principal, state, request).await
}

/// Imports definitions into a virtual host.
#[utoipa::path(post, path = "/definitions/{vhost}", request_body = serde_json::Value, responses((status = 204)))]
async fn import_vhost(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    request: Request,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    if api.broker().vhost(&vhost).is_none() {
        let (status, reason) = (StatusCode::NOT_FOUND, "vhost_not_found");
        return Err(ApiError::new(status, "not_found", reason));
    }
    upload(&api, principal, Some(vhost), request).await
}

/// Answers with a file, written as fast as the client reads it.
async fn file(api: &Api, scope: Scope, query: Download) -> ApiResult<Response> {
    let turn = api.exports().reserve(1).await?;
    let left_out = match (&scope, query.compatible_hashes) {
        (Scope::Broker, Some(true)) => incompatible_users(api.broker()),
        _ => Vec::new(),
    };
    let named = left_out_header(&left_out);
    let chunks = Chunks(Export::start(api.broker().clone(), scope, left_out));
    let mut response = Response::new(turn.send(Body::from_stream(chunks)));
    let headers = response.headers_mut();
    if let Some(named) = named {
        headers.insert(LEFT_OUT, named);
    }
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    if let Some(name) = query.download {
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(ApiError::bad_request("download is not a file name"));
        }
        let disposition = HeaderValue::try_from(format!("attachment; filename={name}"));
        let disposition = disposition.map_err(|error| ApiError::bad_request(error.to_string()))?;
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

/// Returns the header that names the users who are left out, and logs them.
fn left_out_header(users: &[String]) -> Option<HeaderValue> {
    if users.is_empty() {
        return None;
    }
    let names = users
        .iter()
        .map(|name| utf8_percent_encode(name, NON_ALPHANUMERIC).to_string());
    let names = names.collect::<Vec<_>>().join(",");
    let shown = shortened(&names, LEFT_OUT_MAX);
    tracing::info!(
        count = users.len(),
        users = %shown,
        "exported definitions leave out users whose password hashes RabbitMQ cannot read"
    );
    HeaderValue::try_from(&*shown).ok()
}

/// Returns whether a byte may be part of a token (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The body of an export.
struct Chunks(Export);

impl Stream for Chunks {
    type Item = io::Result<String>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(cx)
    }
}

/// Imports a file that is the body of a request or a field of a form.
async fn upload(
    api: &Api,
    principal: Principal,
    vhost: Option<String>,
    request: Request,
) -> ApiResult<Response> {
    let (parts, body) = request.into_parts();
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let is_form =
        content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/form-data"));
    let body = Bytes::read(api, body, MAX_FILE).await?;
    // One at a time: it takes memory and holds up other administrators.
    let turn = api.imports().clone().acquire_owned().await;
    let turn = turn.map_err(|error| ApiError::internal(error.to_string()))?;
    let mut redirect = None;
    let text = match is_form {
        false => body.into_vec(),
        true => {
            let request = Request::from_parts(parts, Body::from(body.into_vec()));
            let form = fields(request).await?;
            redirect = form.redirect;
            form.file
        }
    };
    let context = api.context().clone();
    let imported = tokio::task::spawn_blocking(move || {
        let imported = apply(&context, &principal, &text, vhost);
        drop(turn);
        imported
    });
    match imported.await {
        Ok(imported) => imported?,
        Err(error) => return Err(ApiError::internal(error.to_string())),
    }
    Ok(match redirect {
        Some(to) => (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

fn apply(
    context: &AdminContext,
    principal: &Principal,
    text: &[u8],
    vhost: Option<String>,
) -> ApiResult<()> {
    let options = ImportOptions {
        vhost,
        skip_if_unchanged: false,
    };
    let imported = context.import_definitions(principal, text, &options);
    let imported = imported.map_err(|error| match error {
        ImportError::NotDefinitions(NotDefinitions::NotJson(_)) => {
            ApiError::bad_request("failed_to_parse_json")
        }
        ImportError::NotDefinitions(error) => ApiError::bad_request(error.to_string()),
        ImportError::Store(error) => ApiError::internal(error),
    })?;
    match imported.complaint() {
        Some(complaint) => Err(ApiError::bad_request(complaint)),
        None => Ok(()),
    }
}

/// The fields of an uploaded form.
#[derive(Default)]
struct Form {
    file: Vec<u8>,
    redirect: Option<HeaderValue>,
}

async fn fields(request: Request) -> ApiResult<Form> {
    let invalid = |error: String| ApiError::bad_request(format!("invalid form: {error}"));
    let form = request.extract::<Multipart, _>().await;
    let mut form = form.map_err(|error| invalid(error.body_text()))?;
    let mut found = Form::default();
    let next = async |form: &mut Multipart| match form.next_field().await {
        Ok(Some(field)) => {
            let name = field.name().unwrap_or_default().to_owned();
            let bytes = field.bytes().await;
            bytes.map(|bytes| Some((name, bytes)))
        }
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    while let Some((name, bytes)) = next(&mut form)
        .await
        .map_err(|error| invalid(error.body_text()))?
    {
        match name.as_str() {
            "file" => found.file = bytes.into(),
            "redirect" => found.redirect = HeaderValue::from_bytes(&bytes).ok(),
            _ => {}
        }
    }
    Ok(found)
}
