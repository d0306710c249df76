//! The paths of the API, one file for each subject.
//!
//! What handlers share with each other belongs here; what reads a request or writes a response for any path belongs in the
//! folder above.

mod about;
mod access;
mod bindings;
mod connections;
mod consumers;
mod definitions;
mod document;
mod exchanges;
mod get;
mod health;
mod index;
mod limits;
mod log;
mod map;
mod move_messages;
mod nodes;
mod parameters;
mod permissions;
mod policies;
mod policy_matches;
mod publish;
mod queues;
mod quorum;
mod route;
mod session;
mod streams;
mod users;
mod vhosts;

use super::denials::Denials;
use super::effort::Effort;
use super::error::{ApiError, ApiResult};
use super::headers;
use super::metrics;
use super::page;
use super::state::Api;
use super::websocket::{self, Door};
use crate::config::Config;
use crate::net::StreamService;
use crate::text::names::NODE_NAME;
use axum::Router;
use axum::http::{Method, header};
use axum::middleware;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// Returns the name of an exchange in a path: the default exchange's is written as `amq.default`.
fn exchange_in_path(name: &str) -> &str {
    match name {
        "amq.default" => "",
        name => name,
    }
}

/// Checks that a request is not for another node.
fn check_node(body: &Map<String, Value>) -> ApiResult<()> {
    match body.get("node") {
        None => Ok(()),
        Some(Value::String(node)) if node == NODE_NAME => Ok(()),
        Some(Value::String(node)) => {
            let reason = format!("Node {node} could not be contacted");
            Err(ApiError::bad_request(reason))
        }
        Some(other) => Err(ApiError::bad_request(json!(["not_string", other]))),
    }
}

/// The document about the API.
#[derive(OpenApi)]
#[openapi(info(
    title = "Leveret's management HTTP API",
    description = "The paths, names and answers of RabbitMQ's management plugin."
))]
struct Document;

/// Returns all paths.
fn paths(config: &Config) -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(about::router(config))
        .merge(access::router())
        .merge(bindings::router())
        .merge(connections::router())
        .merge(consumers::router())
        .merge(definitions::router())
        .merge(exchanges::router())
        .merge(get::router())
        .merge(health::router())
        .merge(limits::router())
        .merge(map::router())
        .merge(log::router())
        .merge(move_messages::router())
        .merge(nodes::router())
        .merge(parameters::router())
        .merge(permissions::router())
        .merge(policies::router())
        .merge(policy_matches::router())
        .merge(publish::router())
        .merge(queues::router())
        .merge(quorum::router())
        .merge(route::router())
        .merge(session::router())
        .merge(streams::router())
        .merge(users::router())
        .merge(vhosts::router())
}

/// Returns the service.
///
/// `streams` serves AMQP over WebSocket, if that is wanted.
pub fn router(api: Api, config: &Config, streams: Option<Arc<dyn StreamService>>) -> Router {
    let (paths, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .nest("/api", paths(config))
        .split_for_parts();
    document::complete(&mut document);
    let (page, effort) = (index::page(&document), api.effort().clone());
    // As text it takes a tenth of the memory.
    let document = Bytes::from(document.to_json().unwrap_or_default());
    let moved = |to| axum::routing::get(async move || headers::moved(to));
    let index = axum::routing::get(async move || axum::response::Html(page.clone()));
    let paths = paths
        .merge(page::router())
        .route("/mgmt", moved("/"))
        .route("/api", moved("/api/index.html"))
        .route("/doc/stats.html", moved("/api/index.html"))
        .route("/stats", moved("/api/index.html"))
        .route("/api/index.html", index)
        .route(
            "/api/openapi.json",
            axum::routing::get(async move || {
                (
                    [(header::CONTENT_TYPE, "application/json")],
                    document.clone(),
                )
            }),
        )
        .layer(middleware::map_request(headers::first_parameters))
        // Its parameters may be repeated.
        .merge(metrics::guarded(&api))
        .merge(web_amqp(config, streams))
        .fallback(headers::nowhere)
        .method_not_allowed_fallback(headers::other_method)
        .with_state(api);
    // Around the whole router: axum adds the `allow` header after a router's own layers.
    let app = Router::new()
        .fallback_service(paths)
        .layer(middleware::from_fn_with_state(effort, Effort::bound))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(
            Denials::default(),
            Denials::log,
        ))
        .layer(middleware::from_fn(headers::complete));
    match config.management_cors_allow_origins.as_slice() {
        [] => app,
        origins => app.layer(cors(origins)),
    }
}

/// AMQP over WebSocket.
fn web_amqp(config: &Config, streams: Option<Arc<dyn StreamService>>) -> Router<Api> {
    let Some(streams) = streams else {
        return Router::new();
    };
    let door = Door::new(streams, &config.management_cors_allow_origins);
    let open = axum::routing::get(websocket::open).with_state(door);
    Router::new().route("/ws/amqp", open)
}

/// Requests from pages of these origins (`management.cors.allow_origins`).
fn cors(origins: &[String]) -> CorsLayer {
    let allowed = match origins.iter().any(|origin| origin == "*") {
        // With credentials the wildcard itself is not allowed.
        true => AllowOrigin::mirror_request(),
        false => AllowOrigin::list(origins.iter().filter_map(|origin| origin.parse().ok())),
    };
    let methods = [
        Method::HEAD,
        Method::GET,
        Method::PUT,
        Method::POST,
        Method::DELETE,
        Method::OPTIONS,
    ];
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_credentials(true)
        .allow_methods(methods)
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .vary([])
        .max_age(std::time::Duration::from_secs(1800))
}

#[cfg(test)]
mod tests;
