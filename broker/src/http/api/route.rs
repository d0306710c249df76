//! `/api/route`: where a message would go, and why. Leveret's own: RabbitMQ has no such path.

use super::exchange_in_path;
use super::publish::properties;
use crate::http::body::JsonBody;
use crate::http::error::{ApiError, ApiResult};
use crate::http::fields::{check_name, short_text};
use crate::http::list::json as answer;
use crate::http::state::Api;
use crate::manage::access::Principal;
use crate::manage::objects::Route;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(route))
}

/// A message whose route is asked for.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "it documents the body")]
struct RouteRequest {
    /// The routing key (default: empty).
    routing_key: Option<String>,
    /// The headers. They take the place of those in `properties`.
    #[schema(value_type = Option<Object>)]
    headers: Option<()>,
    /// The properties of basic.publish.
    #[schema(value_type = Option<Object>)]
    properties: Option<()>,
}

/// Where a message would go from this exchange, and why. Nothing is sent. Leveret's own.
#[utoipa::path(
    post, path = "/route/{vhost}/{exchange}", request_body = RouteRequest,
    responses((status = 200, body = Route))
)]
async fn route(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, exchange)): Path<(String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<Response> {
    let vhost = principal.vhost(api.broker(), &vhost)?;
    check_name("exchange", &exchange)?;
    let JsonBody(body) = body?;
    let (key, properties) = (short_text(&body, "routing_key")?, message(&body)?);
    let route = move || Route::of(&vhost, exchange_in_path(&exchange), &key, &properties);
    answer(&api.effort().apart(route).await??)
}

/// Returns the encoded properties.
fn message(body: &Map<String, Value>) -> ApiResult<Vec<u8>> {
    let mut all = match body.get("properties") {
        None => Map::new(),
        Some(Value::Object(properties)) => properties.clone(),
        Some(_) => return Err(ApiError::bad_request("properties must be an object")),
    };
    if let Some(headers) = body.get("headers") {
        all.insert("headers".to_owned(), headers.clone());
    }
    properties(&Value::Object(all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn headers_take_the_place_of_those_among_the_properties() {
        let encoded = |body: Value| message(body.as_object().unwrap());
        let apart = encoded(json!({"headers": {"a": 1}, "properties": {"headers": {"b": 2}}}));
        let within = encoded(json!({"properties": {"headers": {"a": 1}}}));
        assert_eq!(apart.unwrap(), within.unwrap());
        assert!(encoded(json!({"properties": []})).is_err());
        assert!(encoded(json!({"headers": "x"})).is_err());
    }
}
