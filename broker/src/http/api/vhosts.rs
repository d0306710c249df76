//! `/api/vhosts`.

use super::nodes::this_node;
use super::users::{created_unless, tags_of};
use crate::domain::{broker::Broker, vhost};
use crate::engine::queue::QueueKind;
use crate::http::body::JsonBody;
use crate::http::error::{ApiError, ApiResult};
use crate::http::fields::boolean;
use crate::http::list::ListQuery;
use crate::http::state::Api;
use crate::manage::access::{Principal, Right};
use crate::manage::objects::{Counted, Rates, Vhost};
use crate::manage::request::Request;
use crate::manage::request::WrittenVhost;
use crate::text::names::NODE_NAME;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, put, delete))
        .routes(routes!(protect, lift_protection))
        .routes(routes!(start))
}

/// The virtual hosts that the caller may see.
#[utoipa::path(get, path = "/vhosts", params(ListQuery), responses((status = 200, body = Vec<Vhost>)))]
async fn list(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    let vhosts = principal.visible_vhosts(api.broker(), Right::Monitoring);
    let (broker, rates) = (api.broker().clone(), query.rates()?);
    let describe = move |vhost: &Arc<vhost::Vhost>| counted(&broker, vhost, rates.as_ref());
    query
        .respond_with(move || vhosts, |vhost| vhost.name().as_str(), describe)
        .await
}

/// A virtual host.
#[utoipa::path(get, path = "/vhosts/{vhost}", params(ListQuery), responses((status = 200, body = Vhost)))]
async fn show(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    let vhost = principal.vhost(api.broker(), &name)?;
    query.one(counted(api.broker(), &vhost, query.rates()?.as_ref()))
}

/// Describes a virtual host with its counters.
fn counted(broker: &Broker, vhost: &Arc<vhost::Vhost>, rates: Option<&Rates>) -> Counted<Vhost> {
    let object = Vhost::of(broker, vhost);
    let counters = rates.map(|rates| rates.of_vhost(broker, vhost));
    Counted {
        object,
        counters: counters.unwrap_or_default(),
    }
}

/// Adds a virtual host, in which the caller gets all permissions, or changes one that exists.
#[utoipa::path(put, path = "/vhosts/{vhost}", request_body = Object, responses((status = 201), (status = 204)))]
async fn put(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    let body = body?;
    let maker = principal.name().map(str::to_owned);
    let vhost = Box::new(written(name, maker, &body)?);
    let exists = api.broker().vhost(&vhost.name).is_some();
    api.perform(principal, Request::PutVhost { vhost }).await?;
    Ok(created_unless(exists))
}

fn written(name: String, maker: Option<String>, body: &JsonBody) -> ApiResult<WrittenVhost> {
    let tags = body.0.get("tags").map(tags_of).transpose()?;
    // An older name.
    let default = body.0.get("default_queue_type");
    let default = default.or_else(|| body.0.get("defaultqueuetype"));
    Ok(WrittenVhost {
        name,
        description: body.text("description")?.unwrap_or_default().to_owned(),
        tags: tags.unwrap_or_default(),
        default_queue_type: queue_type(default.unwrap_or(&Value::Null))?,
        protected_from_deletion: boolean(&body.0, "protected_from_deletion")?,
        tracing: boolean(&body.0, "tracing")?,
        maker,
    })
}

/// Reads a type of queues (`rabbit_queue_type:validate_default_queue_type`).
fn queue_type(value: &Value) -> ApiResult<Option<QueueKind>> {
    let reason = match value {
        Value::Null => return Ok(None),
        Value::String(name) => match name.as_str() {
            "undefined" => return Ok(None),
            "" => "default_queue_type must not be an empty string".to_owned(),
            name => match serde_json::from_value(value.clone()) {
                Ok(kind) => return Ok(Some(kind)),
                Err(_) => format!("{name} is not a valid queue type"),
            },
        },
        other => format!("{other} is not a valid default_queue_type value"),
    };
    Err(ApiError::bad_request(reason))
}

/// Deletes a virtual host with everything in it, and closes its connections.
#[utoipa::path(delete, path = "/vhosts/{vhost}", responses((status = 204), (status = 412)))]
async fn delete(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    let vhost = principal.vhost(api.broker(), &name)?;
    if vhost.metadata().protected_from_deletion {
        let reason = format!(
            "Refusing to delete virtual host '{name}' because it is protected from deletion"
        );
        let status = StatusCode::PRECONDITION_FAILED;
        return Err(ApiError::new(status, "precondition_failed", reason));
    }
    let request = Request::DeleteVhost { vhost: name };
    api.perform(principal, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Protects a virtual host from deletion.
#[utoipa::path(post, path = "/vhosts/{vhost}/deletion/protection", responses((status = 204)))]
async fn protect(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
) -> ApiResult<StatusCode> {
    set_protected(principal, &api, vhost, true).await
}

/// Makes a virtual host deletable.
#[utoipa::path(delete, path = "/vhosts/{vhost}/deletion/protection", responses((status = 204)))]
async fn lift_protection(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
) -> ApiResult<StatusCode> {
    set_protected(principal, &api, vhost, false).await
}

async fn set_protected(
    principal: Principal,
    api: &Api,
    vhost: String,
    protected: bool,
) -> ApiResult<StatusCode> {
    let request = Request::UpdateVhost {
        vhost,
        description: None,
        tags: None,
        default_queue_type: None,
        protected_from_deletion: Some(protected),
    };
    api.perform(principal, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Starts a virtual host on a node, where it runs already.
#[utoipa::path(post, path = "/vhosts/{vhost}/start/{node}", responses((status = 204)))]
async fn start(
    principal: Principal,
    State(api): State<Api>,
    Path((name, node)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    principal.require(Right::Administrator)?;
    if this_node(&node).is_err() {
        return Err(ApiError::bad_request(format!(
            "Request to node {node} failed with nodedown"
        )));
    }
    match api.broker().vhost(&name) {
        Some(_) => Ok(StatusCode::NO_CONTENT),
        None => Err(ApiError::bad_request(format!(
            "Request to node {NODE_NAME} failed with {{no_such_vhost,<<\"{name}\">>}}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_type_of_queues_is_known_or_absent() {
        let read = |value: Value| queue_type(&value).ok();
        assert_eq!(read(json!("quorum")), Some(Some(QueueKind::Quorum)));
        assert_eq!(read(json!("undefined")), Some(None));
        assert_eq!(read(Value::Null), Some(None));
        for invalid in [json!(""), json!("nonsense"), json!(5), json!(["quorum"])] {
            assert_eq!(read(invalid), None);
        }
    }
}
