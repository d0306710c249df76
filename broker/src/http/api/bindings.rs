//! `/api/bindings`, and the bindings of a queue or an exchange.

use super::exchange_in_path;
use crate::domain::operations::{BindingSpec, Caller};
use crate::domain::vhost::Vhost;
use crate::engine::queue::Effects;
use crate::http::body::JsonBody;
use crate::http::error::{ApiError, ApiResult};
use crate::http::fields::{arguments, check_name, short_text};
use crate::http::list::ListQuery;
use crate::http::state::Api;
use crate::manage::access::{NoVhost, Principal, Right};
use crate::manage::audit::Change;
use crate::manage::objects::Binding;
use crate::manage::objects::binding::{Listed, properties_key, quoted, unquoted};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use leveret_protocol::AmqpError;
use leveret_protocol::values::FieldTable;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(list_in_vhost))
        .routes(routes!(list_between, bind))
        .routes(routes!(show, unbind))
        .routes(routes!(list_of_queue))
        .routes(routes!(list_from_exchange))
        .routes(routes!(list_to_exchange))
}

/// All bindings that the caller may see.
#[utoipa::path(get, path = "/bindings", params(ListQuery), responses((status = 200, body = Vec<Binding>)))]
async fn list(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    let vhosts = principal.visible_vhosts(api.broker(), Right::Administrator);
    let bindings = move || vhosts.iter().flat_map(Listed::in_vhost).collect();
    respond(bindings, &query).await
}

/// The bindings in a virtual host.
#[utoipa::path(get, path = "/bindings/{vhost}", params(ListQuery), responses((status = 200, body = Vec<Binding>)))]
async fn list_in_vhost(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    let vhost = principal.vhost(api.broker(), &vhost)?;
    respond(move || Listed::in_vhost(&vhost), &query).await
}

async fn respond(
    collect: impl FnOnce() -> Vec<Listed> + Send + 'static,
    query: &ListQuery,
) -> ApiResult<Response> {
    let bindings = move || {
        let mut bindings = collect();
        bindings.sort_by(Listed::order);
        bindings
    };
    // Bindings have no names.
    let query = query.whole();
    query.respond_with(bindings, |_| "", Listed::describe).await
}

/// Which bindings of a virtual host are meant.
#[derive(Clone, Debug)]
struct Endpoints {
    source: Option<String>,
    destination: Option<(&'static str, String)>,
}

impl Endpoints {
    fn between(source: &str, dtype: &str, destination: &str) -> ApiResult<Self> {
        let kind = match dtype {
            "q" => "queue",
            "e" => "exchange",
            _ => return Err(ApiError::not_found()),
        };
        Ok(Endpoints {
            source: Some(exchange_in_path(source).to_owned()),
            destination: Some((kind, exchange_in_path(destination).to_owned())),
        })
    }

    /// Returns what finds the bindings. A virtual host that does not exist has none, as in RabbitMQ.
    fn bindings(
        self,
        api: &Api,
        principal: &Principal,
        vhost: &str,
    ) -> ApiResult<impl FnOnce() -> Vec<Listed> + Send + 'static> {
        let vhost = match principal.vhost(api.broker(), vhost) {
            Ok(vhost) => Some(vhost),
            Err(NoVhost::Missing) => None,
            Err(hidden) => return Err(hidden.into()),
        };
        Ok(move || vhost.map_or_else(Vec::new, |vhost| self.find(&vhost)))
    }

    fn find(&self, vhost: &Arc<Vhost>) -> Vec<Listed> {
        let mut bindings = match self.source.as_deref() {
            None => Listed::in_vhost(vhost),
            Some("") => Listed::from_exchange(vhost, None),
            Some(name) => match vhost.exchange(name) {
                Some(exchange) => Listed::from_exchange(vhost, Some(&exchange)),
                None => Vec::new(),
            },
        };
        if let Some((kind, name)) = &self.destination {
            bindings.retain(|binding| binding.leads_to(kind, name));
        }
        bindings
    }
}

/// The bindings of a queue.
#[utoipa::path(
    get, path = "/queues/{vhost}/{queue}/bindings", params(ListQuery), responses((status = 200, body = Vec<Binding>))
)]
async fn list_of_queue(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    query: ListQuery,
) -> ApiResult<Response> {
    let endpoints = Endpoints {
        source: None,
        destination: Some(("queue", queue)),
    };
    respond(endpoints.bindings(&api, &principal, &vhost)?, &query).await
}

/// The bindings that messages take from an exchange.
#[utoipa::path(
    get, path = "/exchanges/{vhost}/{exchange}/bindings/source", params(ListQuery),
    responses((status = 200, body = Vec<Binding>))
)]
async fn list_from_exchange(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, exchange)): Path<(String, String)>,
    query: ListQuery,
) -> ApiResult<Response> {
    let endpoints = Endpoints {
        source: Some(exchange_in_path(&exchange).to_owned()),
        destination: None,
    };
    respond(endpoints.bindings(&api, &principal, &vhost)?, &query).await
}

/// The bindings that messages take to an exchange.
#[utoipa::path(
    get, path = "/exchanges/{vhost}/{exchange}/bindings/destination", params(ListQuery),
    responses((status = 200, body = Vec<Binding>))
)]
async fn list_to_exchange(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, exchange)): Path<(String, String)>,
    query: ListQuery,
) -> ApiResult<Response> {
    let endpoints = Endpoints {
        source: None,
        destination: Some(("exchange", exchange_in_path(&exchange).to_owned())),
    };
    respond(endpoints.bindings(&api, &principal, &vhost)?, &query).await
}

/// The bindings of a queue (`q`) or an exchange (`e`) to an exchange.
#[utoipa::path(
    get, path = "/bindings/{vhost}/e/{source}/{dtype}/{destination}", params(ListQuery),
    responses((status = 200, body = Vec<Binding>))
)]
async fn list_between(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, source, dtype, destination)): Path<(String, String, String, String)>,
    query: ListQuery,
) -> ApiResult<Response> {
    let endpoints = Endpoints::between(&source, &dtype, &destination)?;
    respond(endpoints.bindings(&api, &principal, &vhost)?, &query).await
}

/// A binding to add.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "it documents the body")]
struct NewBinding {
    /// The routing key (default: empty).
    routing_key: Option<String>,
    /// The arguments.
    #[schema(value_type = Option<Object>)]
    arguments: Option<()>,
}

/// Binds a queue (`q`) or an exchange (`e`) to an exchange.
#[utoipa::path(
    post, path = "/bindings/{vhost}/e/{source}/{dtype}/{destination}", request_body = NewBinding,
    responses((status = 201, description = "The header `location` leads to it"))
)]
async fn bind(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, source, dtype, destination)): Path<(String, String, String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<Response> {
    let endpoints = Endpoints::between(&source, &dtype, &destination)?;
    check_name("source", &source)?;
    check_name("destination", &destination)?;
    api.vhost_to_change(&principal, &vhost)?;
    let JsonBody(body) = body?;
    let (key, arguments) = (short_text(&body, "routing_key")?, arguments(&body)?);
    let location = format!(
        "{}/{}",
        quoted(&destination),
        quoted(&properties_key(&key, &arguments))
    );
    change(
        &api,
        principal,
        vhost,
        endpoints,
        (key, arguments),
        "bind",
        Caller::bind,
    )
    .await?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)]).into_response())
}

/// Adds or removes a binding.
async fn change(
    api: &Api,
    principal: Principal,
    vhost: String,
    endpoints: Endpoints,
    (key, arguments): (String, FieldTable),
    verb: &str,
    operation: impl FnOnce(&mut Caller, BindingSpec, &mut Effects) -> Result<bool, AmqpError>
    + Send
    + 'static,
) -> ApiResult<()> {
    let (kind, destination) = match &endpoints.destination {
        Some((kind, name)) => (*kind, name.as_str()),
        None => ("queue", ""),
    };
    let change = Change::new(
        verb,
        [
            ("source", endpoints.source.as_deref().into()),
            ("destination_type", kind.into()),
            ("destination", destination.into()),
            ("routing_key", key.as_str().into()),
        ],
    );
    let operation = move |caller: &mut Caller, fx: &mut Effects| {
        let source = endpoints.source.unwrap_or_default();
        let key = key.as_str().into();
        let spec = match endpoints.destination.unwrap_or_default() {
            ("queue", name) => BindingSpec::of_queue(&source, &name, key, arguments),
            (_, name) => BindingSpec::of_exchange(&source, &name, key, arguments),
        };
        operation(caller, spec, fx)
    };
    api.as_client(principal, vhost, change, operation).await?;
    Ok(())
}

/// The path of one binding: virtual host, source, `q` or `e`, destination, properties key.
type OnePath = Path<(String, String, String, String, String)>;

/// Returns the binding with this properties key. The key may have been encoded once more than necessary.
async fn find(
    api: &Api,
    principal: &Principal,
    vhost: &str,
    endpoints: &Endpoints,
    props: String,
) -> ApiResult<Binding> {
    let bindings = endpoints.clone().bindings(api, principal, vhost)?;
    let find = move || {
        let bindings = bindings().into_iter();
        let mut described = bindings.map(|binding| binding.describe());
        described.find(|binding| is_named(binding, &props))
    };
    let found = api.effort().apart(find).await?;
    found.ok_or_else(ApiError::not_found)
}

/// Returns whether a properties key, encoded or not, is that of a binding (`rabbit_mgmt_wm_binding:unpack`).
fn is_named(binding: &Binding, props: &str) -> bool {
    let (key, hash) = match props.split_once('~') {
        Some((key, "")) => (key, None),
        Some((key, hash)) => (key, Some(hash)),
        None => (props, None),
    };
    let own = binding.properties_key.rsplit_once('~');
    let own_hash = own.map(|(_, hash)| hash).filter(|hash| !hash.is_empty());
    binding.routing_key == unquoted(key) && own_hash == hash
}

/// One binding.
#[utoipa::path(
    get, path = "/bindings/{vhost}/e/{source}/{dtype}/{destination}/{props}", params(ListQuery),
    responses((status = 200, body = Binding))
)]
async fn show(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, source, dtype, destination, props)): OnePath,
    query: ListQuery,
) -> ApiResult<Response> {
    let endpoints = Endpoints::between(&source, &dtype, &destination)?;
    query.one(find(&api, &principal, &vhost, &endpoints, props).await?)
}

/// Removes a binding.
#[utoipa::path(
    delete, path = "/bindings/{vhost}/e/{source}/{dtype}/{destination}/{props}", responses((status = 204))
)]
async fn unbind(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, source, dtype, destination, props)): OnePath,
    body: ApiResult<JsonBody>,
) -> ApiResult<StatusCode> {
    let endpoints = Endpoints::between(&source, &dtype, &destination)?;
    let binding = find(&api, &principal, &vhost, &endpoints, props).await?;
    super::check_node(&body?.0)?;
    let properties = (binding.routing_key, binding.arguments.0);
    let unbind = |caller: &mut Caller, spec, fx: &mut Effects| caller.unbind(spec, fx);
    change(
        &api, principal, vhost, endpoints, properties, "unbind", unbind,
    )
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manage::objects::Arguments;
    use leveret_protocol::values::AMQPValue;
    use proptest::prelude::*;

    fn binding(key: &str, arguments: FieldTable) -> Binding {
        Binding {
            source: "e".into(),
            vhost: "/".into(),
            destination: "q".into(),
            destination_type: "queue",
            routing_key: key.into(),
            properties_key: properties_key(key, &arguments),
            arguments: Arguments(arguments),
        }
    }

    proptest! {
        #[test]
        fn a_binding_is_found_by_its_properties_key(key in ".{0,12}", value in proptest::option::of(".{0,8}")) {
            let mut arguments = FieldTable::default();
            if let Some(value) = &value {
                arguments.insert("x".into(), AMQPValue::LongString(value.as_str().into()));
            }
            let with = binding(&key, arguments);
            // As it is, and as the location of a new binding has it.
            for props in [with.properties_key.clone(), quoted(&with.properties_key)] {
                prop_assert!(is_named(&with, &unquoted_once(&props, &with)));
            }
            let other = binding(&format!("{key}."), with.arguments.0.clone());
            prop_assert!(!is_named(&other, &with.properties_key));
            if value.is_some() {
                let without = binding(&key, FieldTable::default());
                prop_assert!(!is_named(&without, &with.properties_key));
                prop_assert!(!is_named(&with, &without.properties_key));
            }
        }
    }

    /// Decodes what the router decodes, unless it is already.
    fn unquoted_once(props: &str, binding: &Binding) -> String {
        match props == binding.properties_key {
            true => props.to_owned(),
            false => unquoted(props),
        }
    }
}
