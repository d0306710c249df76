//! `/api/exchanges`.

use super::{check_node, exchange_in_path};
use crate::domain::broker::Broker;
use crate::domain::operations::{Caller, ExchangeDeclaration};
use crate::domain::vhost::Vhost;
use crate::engine::exchange as engine;
use crate::engine::queue::Effects;
use crate::http::body::JsonBody;
use crate::http::error::{ApiError, ApiResult};
use crate::http::fields::{arguments, check_name, flag};
use crate::http::list::ListQuery;
use crate::http::state::Api;
use crate::manage::access::{Principal, Right};
use crate::manage::audit::Change;
use crate::manage::objects::exchange::Traffic;
use crate::manage::objects::{Counted, Exchange, Rates};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use leveret_protocol::ExchangeName;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(list_in_vhost))
        .routes(routes!(show, declare, delete))
}

/// All exchanges that the caller may see.
#[utoipa::path(get, path = "/exchanges", params(ListQuery), responses((status = 200, body = Vec<Exchange>)))]
async fn list(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    let vhosts = principal.visible_vhosts(api.broker(), Right::Administrator);
    respond(&api, vhosts, &query).await
}

/// The exchanges of a virtual host.
#[utoipa::path(get, path = "/exchanges/{vhost}", params(ListQuery), responses((status = 200, body = Vec<Exchange>)))]
async fn list_in_vhost(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    let vhost = principal.vhost(api.broker(), &vhost)?;
    respond(&api, vec![vhost], &query).await
}

/// An exchange with its virtual host; `None` is the default exchange.
type Found = (Arc<Vhost>, Option<Arc<engine::Exchange>>);

/// Adds an exchange's counters.
fn counted(
    broker: &Broker,
    (vhost, exchange): &Found,
    object: Exchange,
    rates: Option<&Rates>,
) -> Counted<Exchange> {
    let counts = match exchange {
        Some(exchange) => &exchange.counts,
        None => &vhost.statistics.default_exchange,
    };
    let counters = rates.map(|rates| rates.of_exchange(broker, counts));
    Counted {
        object,
        counters: counters.unwrap_or_default(),
    }
}

async fn respond(api: &Api, vhosts: Vec<Arc<Vhost>>, query: &ListQuery) -> ApiResult<Response> {
    let (broker, rates) = (api.broker().clone(), query.rates()?);
    let exchanges = move || {
        let mut exchanges = Vec::new();
        for vhost in vhosts {
            // The names outlive the look at them.
            exchanges.push(("".into(), (vhost.clone(), None)));
            let declared = vhost.exchanges().into_iter();
            exchanges.extend(
                declared.map(|exchange| (exchange.name().clone(), (vhost.clone(), Some(exchange)))),
            );
        }
        exchanges
    };
    let describe = move |(_, found): &(ExchangeName, Found)| {
        let object = Exchange::of(&found.0, found.1.as_deref());
        counted(&broker, found, object, rates.as_ref())
    };
    query
        .respond_with(exchanges, |(name, _)| name.as_str(), describe)
        .await
}

/// Returns an exchange that the caller may see.
fn find(api: &Api, principal: &Principal, vhost: &str, exchange: &str) -> ApiResult<Found> {
    let vhost = principal.vhost(api.broker(), vhost)?;
    match exchange_in_path(exchange) {
        "" => Ok((vhost, None)),
        name => {
            let exchange = vhost.exchange(name).ok_or_else(ApiError::not_found)?;
            Ok((vhost, Some(exchange)))
        }
    }
}

/// One exchange.
#[utoipa::path(
    get, path = "/exchanges/{vhost}/{exchange}", params(ListQuery), responses((status = 200, body = Exchange))
)]
async fn show(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, exchange)): Path<(String, String)>,
    query: ListQuery,
) -> ApiResult<Response> {
    let (vhost, exchange) = find(&api, &principal, &vhost, &exchange)?;
    let traffic = (!query.disable_stats()).then(Traffic::default);
    let object = Exchange {
        traffic,
        ..Exchange::of(&vhost, exchange.as_deref())
    };
    let rates = query.rates()?;
    query.one(counted(
        api.broker(),
        &(vhost, exchange),
        object,
        rates.as_ref(),
    ))
}

/// An exchange to declare.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "it documents the body")]
struct NewExchange {
    /// Its type (default: `direct`).
    r#type: Option<String>,
    /// Whether it survives a restart (default: false).
    durable: Option<bool>,
    /// Whether it is deleted with its last binding (default: false).
    auto_delete: Option<bool>,
    /// Whether clients cannot publish to it (default: false).
    internal: Option<bool>,
    /// Its arguments.
    #[schema(value_type = Option<Object>)]
    arguments: Option<()>,
}

/// Declares an exchange.
#[utoipa::path(
    put, path = "/exchanges/{vhost}/{exchange}", request_body = NewExchange,
    responses((status = 201, description = "It is new"), (status = 204, description = "It existed"))
)]
async fn declare(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, exchange)): Path<(String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    let name = exchange_in_path(&exchange).to_owned();
    check_name("exchange", &name)?;
    let existed = {
        let vhost = api.vhost_to_change(&principal, &vhost)?;
        name.is_empty() || vhost.exchange(&name).is_some()
    };
    let JsonBody(body) = body?;
    let kind = match body.get("type") {
        None => "direct".to_owned(),
        Some(Value::String(kind)) => kind.clone(),
        Some(other) => return Err(ApiError::bad_request(json!(["not_string", other]))),
    };
    let (durable, auto_delete) = (flag(&body, "durable")?, flag(&body, "auto_delete")?);
    let internal = flag(&body, "internal")?;
    let arguments = arguments(&body)?;
    check_node(&body)?;
    let change = Change::new(
        "declare_exchange",
        [
            ("exchange", name.as_str().into()),
            ("type", kind.as_str().into()),
            ("durable", durable.into()),
            ("auto_delete", auto_delete.into()),
            ("internal", internal.into()),
            ("arguments", body.get("arguments").cloned().into()),
        ],
    );
    let declare = move |caller: &mut Caller, fx: &mut Effects| {
        let declaration = ExchangeDeclaration {
            name: &name,
            kind: &kind,
            durable,
            auto_delete,
            internal,
            arguments,
        };
        caller.declare_exchange(declaration, fx)
    };
    api.as_client(principal, vhost, change, declare).await?;
    Ok(match existed {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::CREATED,
    })
}

/// The condition of a deletion.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "kebab-case")]
#[into_params(parameter_in = Query)]
struct Condition {
    /// `true`: only an exchange without bindings.
    if_unused: Option<String>,
}

/// Deletes an exchange.
#[utoipa::path(
    delete, path = "/exchanges/{vhost}/{exchange}", params(Condition), responses((status = 204))
)]
async fn delete(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, exchange)): Path<(String, String)>,
    Query(condition): Query<Condition>,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    find(&api, &principal, &vhost, &exchange)?;
    check_node(&body?.0)?;
    let if_unused = condition.if_unused.as_deref() == Some("true");
    let name = exchange_in_path(&exchange).to_owned();
    let change = Change::new("delete_exchange", [("exchange", name.as_str().into())]);
    let delete =
        move |caller: &mut Caller, fx: &mut Effects| caller.delete_exchange(&name, if_unused, fx);
    api.as_client(principal, vhost, change, delete).await?;
    Ok(StatusCode::NO_CONTENT)
}
