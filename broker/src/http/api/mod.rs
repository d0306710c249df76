//! The paths of the API, a file for each theme, and what they share.

mod queues;

use super::body::BodyMemory;
use super::error::{ApiError, ApiResult};
use super::metrics;
use crate::config::Config;
use crate::domain::broker::Broker;
use crate::domain::operations::Caller;
use crate::engine::queue::Effects;
use crate::manage::AdminContext;
use crate::manage::access::Principal;
use crate::manage::metrics::Scraper;
use crate::manage::perform::Refusal;
use crate::manage::request::{Request, Response};
use axum::extract::FromRef;
use axum::http::{HeaderValue, Method, header};
use axum::middleware;
use axum::{Json, Router};
use leveret_protocol::AmqpError;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// Operations performed at a time; further ones wait. Each may wait for the disk on a thread of its own.
const OPERATIONS: usize = 16;

/// What handlers work on.
#[derive(Clone)]
pub struct Api {
    context: AdminContext,
    body_memory: BodyMemory,
    scraper: Scraper,
    operations: Arc<Semaphore>,
}

impl Api {
    /// Returns the state of the API of a broker.
    pub fn new(context: AdminContext) -> Self {
        Api {
            scraper: Scraper::new(context.clone()),
            context,
            body_memory: BodyMemory::default(),
            operations: Arc::new(Semaphore::new(OPERATIONS)),
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

    /// Performs an operation and returns once its changes are on disk.
    ///
    /// # Errors
    /// When the caller may not do it, or it is refused.
    pub async fn perform(&self, principal: Principal, request: Request) -> ApiResult<Response> {
        self.blocking(move |context| context.perform(&principal, request))
            .await
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
        self.blocking(move |context| context.as_client(&principal, &vhost, operation))
            .await
    }

    /// Runs what waits for the disk on a thread of its own.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: impl FnOnce(AdminContext) -> Result<T, Refusal> + Send + 'static,
    ) -> ApiResult<T> {
        let _turn = self.operations.acquire().await;
        let context = self.context.clone();
        match tokio::task::spawn_blocking(move || operation(context)).await {
            Ok(done) => Ok(done?),
            Err(error) => Err(ApiError::internal(error.to_string())),
        }
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

/// Returns the service.
pub fn router(api: Api, config: &Config) -> Router {
    let (paths, document) = OpenApiRouter::with_openapi(Document::openapi())
        .nest("/api", queues::router())
        .split_for_parts();
    let document = Arc::new(document);
    paths
        .route(
            "/api/openapi.json",
            axum::routing::get(move || async move { Json(document.as_ref().clone()) }),
        )
        .merge(metrics::guarded(&api))
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(middleware::map_response(with_headers))
        .layer(CompressionLayer::new())
        .layer(cors(&config.management_cors_allow_origins))
        .with_state(api)
}

/// Adds what RabbitMQ's answers carry, and what keeps a browser from misreading them.
async fn with_headers(mut response: axum::response::Response) -> axum::response::Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "accept, accept-encoding, origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "deny"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Cross-origin requests, off unless origins are configured (`management.cors.allow_origins`).
fn cors(origins: &[String]) -> CorsLayer {
    if origins.is_empty() {
        return CorsLayer::new();
    }
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
        .max_age(std::time::Duration::from_secs(1800))
}
