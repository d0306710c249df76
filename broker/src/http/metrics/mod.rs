//! The metrics for Prometheus, on the paths of RabbitMQ's plugin: what is read from a request, and how the metrics that
//! [`manage::metrics`](crate::manage::metrics) describes are written. Which metrics there are does not belong here.
//!
//! The text formats are written here and not by the crate prometheus-client. It writes OpenMetrics only, and
//! `promtool check metrics` and older scrapers read the classic format, in which counters are described differently. And it
//! writes a whole registry at once, whether into memory or on a thread that waits for a slow scraper; here a scrape of
//! 100 000 queues goes out in chunks, and the scraper's socket sets the pace. Its registry of live counters would also
//! stand beside the counters that the broker has already.

mod accept;
mod text;

use self::text::Encoder;
use super::error::ApiError;
use super::headers;
use super::state::Api;
use crate::manage::access::{Principal, Right};
use crate::manage::metrics::{Endpoint, Scraper, Selection};
use crate::text::pattern::Filter;
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRef, FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::from_extractor_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use std::convert::Infallible;
use std::sync::Arc;
use tower_http::compression::CompressionLayer;

/// The bytes that are written at a time, at least.
const CHUNK: usize = 64 << 10;
/// The length of a regular expression at most; RabbitMQ's.
const MAX_FILTER_LENGTH: usize = 2000;

/// Returns the paths, for users with the tag `monitoring`.
pub(super) fn guarded(api: &Api) -> Router<Api> {
    paths().route_layer(from_extractor_with_state::<Monitor, Api>(api.clone()))
}

/// Returns the service for a listener of its own, where nobody logs in.
pub(super) fn open(scraper: Scraper) -> Router {
    paths()
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(headers::other_method)
        .layer(CompressionLayer::new())
        .with_state(scraper)
}

fn paths<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Scraper: FromRef<S>,
{
    let plain = |endpoint: Endpoint| {
        get(
            async move |State(scraper): State<Scraper>, headers: HeaderMap| {
                answer(&scraper, endpoint, &headers).await
            },
        )
    };
    Router::new()
        .route("/metrics", plain(Endpoint::Aggregated))
        .route("/metrics/per-object", plain(Endpoint::PerObject))
        .route(
            "/metrics/memory-breakdown",
            plain(Endpoint::MemoryBreakdown),
        )
        .route("/metrics/detailed", get(detailed))
}

/// A caller who may see the node.
struct Monitor;

impl FromRequestParts<Api> for Monitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let principal =
            <Principal as FromRequestParts<Api>>::from_request_parts(parts, api).await?;
        let permitted = principal.require(Right::Monitoring);
        permitted.map_err(|denied| ApiError::from(denied).into_response())?;
        Ok(Monitor)
    }
}

async fn detailed(
    State(scraper): State<Scraper>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    match selection(query) {
        Ok(selection) => answer(&scraper, Endpoint::Detailed(selection), &headers).await,
        // In plain text, as in RabbitMQ.
        Err(reason) => (StatusCode::BAD_REQUEST, reason).into_response(),
    }
}

fn selection(query: Vec<(String, String)>) -> Result<Selection, String> {
    let mut selection = Selection::default();
    for (key, value) in query {
        match key.as_str() {
            "family" => drop(selection.families.insert(value)),
            "vhost" => drop(selection.vhosts.get_or_insert_default().insert(value)),
            "queue" if selection.queues.is_some() => {
                return Err("Only one 'queue' query parameter is allowed".to_owned());
            }
            "queue" if value.len() > MAX_FILTER_LENGTH => {
                return Err("'queue' regex too long".to_owned());
            }
            "queue" if !value.is_empty() => {
                let filter = Filter::compile(&value, false);
                let filter =
                    filter.map_err(|error| format!("Invalid 'queue' regex: {}", error.reason))?;
                // Once the filter has taken too long, nothing matches it.
                let accepts = move |name: &str| filter.accepts(name).unwrap_or(false);
                selection.queues = Some(Arc::new(accepts));
            }
            _ => {}
        }
    }
    Ok(selection)
}

async fn answer(scraper: &Scraper, endpoint: Endpoint, headers: &HeaderMap) -> Response {
    let format = accept::format(headers);
    let mut scrape = scraper.scrape(endpoint).await;
    let mut encoder = Encoder::new(format);
    let mut ended = false;
    let chunks = std::iter::from_fn(move || {
        if ended {
            return None;
        }
        while encoder.len() < CHUNK && !ended {
            ended = !scrape.write_some(&mut encoder);
        }
        if ended {
            encoder.finish();
        }
        Some(Ok::<_, Infallible>(Bytes::from(encoder.take())))
    });
    let kind = HeaderValue::from_static(format.content_type());
    let body = Body::from_stream(super::chunks::Chunks::new(chunks));
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

#[cfg(test)]
mod tests;
