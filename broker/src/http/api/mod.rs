//! The paths of the API, a file for each theme, and what they share.

mod about;
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
mod nodes;
mod parameters;
mod permissions;
mod policies;
mod publish;
mod queues;
mod quorum;
mod users;
mod vhosts;

use super::allowance::Allowance;
use super::body::BodyMemory;
use super::effort::Effort;
use super::error::{ApiError, ApiResult};
use super::headers;
use super::metrics;
use crate::config::Config;
use crate::domain::broker::Broker;
use crate::domain::operations::Caller;
use crate::domain::vhost::Vhost;
use crate::engine::queue::Effects;
use crate::manage::AdminContext;
use crate::manage::access::{NoVhost, Principal};
use crate::manage::metrics::Scraper;
use crate::manage::perform::Refusal;
use crate::manage::request::{Request, Response};
use crate::text::names::NODE_NAME;
use axum::Router;
use axum::extract::FromRef;
use axum::http::{Method, header};
use axum::middleware;
use bytes::Bytes;
use leveret_protocol::AmqpError;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// Operations performed at a time; further ones wait. Each may wait for the disk on a thread of its own.
const OPERATIONS: usize = 16;
/// Definition files written at a time, each by a thread that waits for its reader.
const EXPORTS: usize = 4;

/// What handlers work on.
#[derive(Clone)]
pub struct Api {
    context: AdminContext,
    body_memory: BodyMemory,
    scraper: Scraper,
    operations: Arc<Semaphore>,
    effort: Effort,
    messages: Allowance,
    imports: Arc<Semaphore>,
    exports: Allowance,
}

impl Api {
    /// Returns the state of the API of a broker.
    pub fn new(context: AdminContext) -> Self {
        Api {
            scraper: Scraper::new(context.clone()),
            context,
            body_memory: BodyMemory::default(),
            operations: Arc::new(Semaphore::new(OPERATIONS)),
            effort: Effort::default(),
            messages: Allowance::new(get::ALL_ANSWERS),
            imports: Arc::new(Semaphore::new(1)),
            exports: Allowance::new(EXPORTS),
        }
    }

    /// Returns the broker.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.context.broker
    }

    /// Returns the broker and its process.
    pub fn context(&self) -> &AdminContext {
        &self.context
    }

    pub(super) fn body_memory(&self) -> &BodyMemory {
        &self.body_memory
    }

    /// Returns the turn of definition files on their way in.
    fn imports(&self) -> &Arc<Semaphore> {
        &self.imports
    }

    /// Returns the turns of definition files on their way out.
    fn exports(&self) -> &Allowance {
        &self.exports
    }

    /// Returns what answers may cost.
    pub(super) fn effort(&self) -> &Effort {
        &self.effort
    }

    /// Performs an operation and returns once its changes are on disk.
    ///
    /// # Errors
    /// When the caller may not do it, or it is refused.
    pub async fn perform(&self, principal: Principal, request: Request) -> ApiResult<Response> {
        let operation = move |context: AdminContext| context.perform(&principal, request);
        Ok(self.blocking(operation).await??)
    }

    /// Does what AMQP clients do, as this user, and returns once it is on disk.
    ///
    /// # Errors
    /// When the principal may not enter the virtual host, or the operation is refused.
    pub async fn as_client<T: Send + 'static>(
        &self,
        principal: Principal,
        vhost: String,
        operation: impl FnOnce(&mut Caller, &mut Effects) -> Result<T, AmqpError> + Send + 'static,
    ) -> ApiResult<T> {
        Ok(self.try_as_client(principal, vhost, operation).await??)
    }

    /// Like [`Api::as_client`], for operations whose refusal is answered in a way of its own.
    ///
    /// # Errors
    /// When it cannot be done at all.
    pub async fn try_as_client<T: Send + 'static>(
        &self,
        principal: Principal,
        vhost: String,
        operation: impl FnOnce(&mut Caller, &mut Effects) -> Result<T, AmqpError> + Send + 'static,
    ) -> ApiResult<Result<T, Refusal>> {
        self.blocking(move |context| context.as_client(&principal, &vhost, operation))
            .await
    }

    /// Returns a virtual host in which the principal wants to change something.
    ///
    /// # Errors
    /// 404 if there is none, or not for the principal.
    pub fn vhost_to_change(&self, principal: &Principal, name: &str) -> ApiResult<Arc<Vhost>> {
        match principal.vhost(self.broker(), name) {
            Err(NoVhost::Missing) => Err(ApiError::no_vhost()),
            other => Ok(other?),
        }
    }

    /// Runs what waits for the disk on a thread of its own.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: impl FnOnce(AdminContext) -> T + Send + 'static,
    ) -> ApiResult<T> {
        let _turn = self.operations.acquire().await;
        let context = self.context.clone();
        let done = tokio::task::spawn_blocking(move || operation(context)).await;
        done.map_err(|error| ApiError::internal(error.to_string()))
    }
}

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

impl FromRef<Api> for Arc<Broker> {
    fn from_ref(api: &Api) -> Self {
        api.broker().clone()
    }
}

impl FromRef<Api> for Scraper {
    fn from_ref(api: &Api) -> Self {
        api.scraper.clone()
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
        .merge(bindings::router())
        .merge(connections::router())
        .merge(consumers::router())
        .merge(definitions::router())
        .merge(exchanges::router())
        .merge(get::router())
        .merge(health::router())
        .merge(limits::router())
        .merge(nodes::router())
        .merge(parameters::router())
        .merge(permissions::router())
        .merge(policies::router())
        .merge(publish::router())
        .merge(queues::router())
        .merge(quorum::router())
        .merge(users::router())
        .merge(vhosts::router())
}

/// Returns the service.
pub fn router(api: Api, config: &Config) -> Router {
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
        .route("/", moved("/api/index.html"))
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
        .fallback(headers::nowhere)
        .method_not_allowed_fallback(headers::other_method)
        .with_state(api);
    // Around it as a whole, because it tells what a path allows after its own layers.
    let app = Router::new()
        .fallback_service(paths)
        .layer(middleware::from_fn_with_state(effort, Effort::bound))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn(headers::complete));
    match config.management_cors_allow_origins.as_slice() {
        [] => app,
        origins => app.layer(cors(origins)),
    }
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
