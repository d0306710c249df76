//! `/api/health/checks`: 200 and `{"status": "ok"}`, or 503 with a reason. Load balancers and operators' scripts read the
//! status.

use super::nodes::this_node;
use crate::http::error::{ApiError, ApiResult};
use crate::http::list::json;
use crate::http::state::Api;
use crate::manage::access::{NoVhost, Principal};
use crate::manage::objects::{Listener, listener};
use crate::plumbing::system;
use crate::text::names::NODE_NAME;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(alarms))
        .routes(routes!(local_alarms))
        .routes(routes!(virtual_hosts))
        .routes(routes!(quorum_critical))
        .routes(routes!(certificate_expiration))
        .routes(routes!(port_listener))
        .routes(routes!(protocol_listener))
        .routes(routes!(metadata_store))
        .routes(routes!(metadata_store_with_data))
        .routes(routes!(leaders))
        .routes(routes!(leaders_of_some))
        .routes(routes!(leaders_in_vhost))
        .routes(routes!(leaders_of_some_in_vhost))
        .routes(routes!(in_service))
        .routes(routes!(below_connection_limit))
        .routes(routes!(ready))
        .routes(routes!(cluster_size))
        .routes(routes!(aliveness))
        .routes(routes!(node))
        .routes(routes!(named_node))
}

fn ok() -> ApiResult<Response> {
    json(&json!({"status": "ok"}))
}

/// Answers 503 with a reason and what explains it.
fn failed(reason: &str, more: &[(&str, Value)]) -> ApiResult<Response> {
    let mut body = json!({"status": "failed", "reason": reason});
    for (name, value) in more {
        body[name] = value.clone();
    }
    Ok((StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response())
}

/// No alarm is in force.
#[utoipa::path(get, path = "/health/checks/alarms", responses((status = 200), (status = 503)))]
async fn alarms(_: Principal, State(api): State<Api>) -> ApiResult<Response> {
    check_alarms(&api, "There are alarms in effect in the cluster")
}

/// No alarm is in force on this node.
#[utoipa::path(get, path = "/health/checks/local-alarms", responses((status = 200), (status = 503)))]
async fn local_alarms(_: Principal, State(api): State<Api>) -> ApiResult<Response> {
    check_alarms(&api, "There are alarms in effect on the node")
}

fn check_alarms(api: &Api, reason: &str) -> ApiResult<Response> {
    let alarm = |resource| json!({"resource": resource, "node": NODE_NAME});
    let alarms = api.broker().alarms_to_tell().into_iter();
    let alarms: Vec<Value> = alarms.map(alarm).collect();
    if alarms.is_empty() {
        return ok();
    }
    // RabbitMQ's words, and what it has no alarm for.
    let reason = match api.broker().log_problem() {
        None => reason.to_owned(),
        Some(problem) => format!("{reason}: the commit log cannot be written: {problem}"),
    };
    failed(&reason, &[("alarms", alarms.into())])
}

/// All virtual hosts work: those that do not keep the broker from starting.
#[utoipa::path(get, path = "/health/checks/virtual-hosts", responses((status = 200)))]
async fn virtual_hosts(_: Principal) -> ApiResult<Response> {
    ok()
}

/// No quorum queue loses its quorum when this node stops; a single node has none to lose.
#[utoipa::path(get, path = "/health/checks/node-is-quorum-critical", responses((status = 200)))]
async fn quorum_critical(_: Principal) -> ApiResult<Response> {
    json(&json!({"status": "ok", "reason": "single node cluster"}))
}

/// No certificate expires within this time; there are none.
#[utoipa::path(get, path = "/health/checks/certificate-expiration/{within}/{unit}", responses((status = 200)))]
async fn certificate_expiration(
    _: Principal,
    Path((within, unit)): Path<(String, String)>,
) -> ApiResult<Response> {
    if within.parse::<i64>().is_err() {
        return Err(ApiError::bad_request("Invalid expiration value."));
    }
    match unit.to_lowercase().as_str() {
        "days" | "weeks" | "months" | "years" => ok(),
        _ => Err(ApiError::bad_request(
            "Time unit not recognised. Supported units: days, weeks, months, years.",
        )),
    }
}

/// The node listens on this port.
#[utoipa::path(get, path = "/health/checks/port-listener/{port}", responses((status = 200), (status = 503)))]
async fn port_listener(
    _: Principal,
    State(api): State<Api>,
    Path(port): Path<String>,
) -> ApiResult<Response> {
    let port: i64 = port
        .parse()
        .map_err(|_| ApiError::bad_request("Invalid port"))?;
    let listeners = Listener::all(api.context()).into_iter();
    let ports: Vec<u16> = listeners.map(|listener| listener.port).collect();
    match ports.iter().any(|known| i64::from(*known) == port) {
        true => json(&json!({"status": "ok", "port": port})),
        false => failed(
            "No active listener",
            &[("missing", port.into()), ("ports", ports.into())],
        ),
    }
}

/// The node listens for these protocols, separated by commas.
#[utoipa::path(get, path = "/health/checks/protocol-listener/{protocols}", responses((status = 200), (status = 503)))]
async fn protocol_listener(
    _: Principal,
    State(api): State<Api>,
    Path(protocols): Path<String>,
) -> ApiResult<Response> {
    let listeners = Listener::all(api.context()).into_iter();
    let active: BTreeSet<&str> = listeners.map(|listener| listener.protocol).collect();
    let wanted: BTreeSet<String> = protocols.split(',').map(listener::protocol).collect();
    let missing = wanted
        .into_iter()
        .filter(|name| !active.contains(name.as_str()));
    let missing: Vec<String> = missing.collect();
    let active: Vec<&str> = active.into_iter().collect();
    match missing.is_empty() {
        true => json(&json!({"status": "ok", "protocols": active})),
        false => failed(
            "No active listener",
            &[("missing", missing.into()), ("protocols", active.into())],
        ),
    }
}

/// The store of declarations is there.
#[utoipa::path(get, path = "/health/checks/metadata-store/initialized", responses((status = 200)))]
async fn metadata_store(_: Principal) -> ApiResult<Response> {
    ok()
}

/// The store of declarations is there, with its contents.
#[utoipa::path(get, path = "/health/checks/metadata-store/initialized/with-data", responses((status = 200)))]
async fn metadata_store_with_data(_: Principal) -> ApiResult<Response> {
    ok()
}

/// Every quorum queue has a leader: this node.
#[utoipa::path(get, path = "/health/checks/quorum-queues-without-elected-leaders/all-vhosts", responses((status = 200)))]
async fn leaders(_: Principal) -> ApiResult<Response> {
    ok()
}

/// Every quorum queue with such a name has a leader: this node.
#[utoipa::path(get, path = "/health/checks/quorum-queues-without-elected-leaders/all-vhosts/pattern/{pattern}", responses((status = 200)))]
async fn leaders_of_some(_: Principal, Path(_pattern): Path<String>) -> ApiResult<Response> {
    ok()
}

/// Every quorum queue of the virtual host has a leader: this node.
#[utoipa::path(get, path = "/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}", responses((status = 200)))]
async fn leaders_in_vhost(
    _: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
) -> ApiResult<Response> {
    known_vhost(&api, &vhost)
}

/// Every quorum queue of the virtual host with such a name has a leader: this node.
#[utoipa::path(get, path = "/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}/pattern/{pattern}", responses((status = 200)))]
async fn leaders_of_some_in_vhost(
    _: Principal,
    State(api): State<Api>,
    Path((vhost, _pattern)): Path<(String, String)>,
) -> ApiResult<Response> {
    known_vhost(&api, &vhost)
}

fn known_vhost(api: &Api, vhost: &str) -> ApiResult<Response> {
    match api.broker().vhost(vhost) {
        Some(_) => ok(),
        None => Err(ApiError::not_found()),
    }
}

/// RabbitMQ's text.
const NOT_IN_SERVICE: &str = "this rabbit node is not currently available to serve";

/// The node serves clients: it is not under maintenance. Needs no login.
#[utoipa::path(get, path = "/health/checks/is-in-service", responses((status = 200), (status = 503)))]
async fn in_service(State(api): State<Api>) -> ApiResult<Response> {
    match api.broker().service.turns_away() {
        None => ok(),
        Some(_) => failed(NOT_IN_SERVICE, &[]),
    }
}

/// One more connection would be accepted: the limit is not reached, and there are file descriptors left. Needs no login.
#[utoipa::path(get, path = "/health/checks/below-node-connection-limit", responses((status = 200), (status = 503)))]
async fn below_connection_limit(State(api): State<Api>) -> ApiResult<Response> {
    match connections_left(&api) {
        Ok(()) => ok(),
        Err((full, _)) => failed(&full.to_string(), &[]),
    }
}

/// The node serves clients, and would accept one more connection. Needs no login.
#[utoipa::path(get, path = "/health/checks/ready-to-serve-clients", responses((status = 200), (status = 503)))]
async fn ready(State(api): State<Api>) -> ApiResult<Response> {
    if api.broker().service.turns_away().is_some() {
        return failed(NOT_IN_SERVICE, &[]);
    }
    match connections_left(&api) {
        Ok(()) => ok(),
        Err((full, count)) => failed(&full.to_string(), &[("connections", count.into())]),
    }
}

/// Why no more connection is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// `connection_max`: RabbitMQ's text.
    Limit(u64),
    /// The process may not open more sockets: further clients wait.
    Files(u64),
}

impl Full {
    /// Returns why this many connections are all that there can be.
    fn with(count: u64, connection_max: Option<u64>, sockets: u64) -> Option<Self> {
        match connection_max {
            Some(max) if count >= max => Some(Full::Limit(max)),
            _ if count >= sockets => Some(Full::Files(sockets)),
            _ => None,
        }
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Full::Limit(_) => "node connection limit is reached",
            Full::Files(_) => "no file descriptors are left for more connections",
        })
    }
}

/// Returns why no more connection is accepted, with their number, as an error.
fn connections_left(api: &Api) -> Result<(), (Full, u64)> {
    let broker = api.broker();
    let count = broker.connections.count() as u64;
    let sockets = system::socket_limit(system::file_limit());
    let Some(full) = Full::with(count, broker.limits().connection_max, sockets) else {
        return Ok(());
    };
    let (Full::Limit(max) | Full::Files(max)) = full;
    tracing::warn!(connections = count, max, "{full}");
    Err((full, count))
}

/// The cluster has as many nodes as it should: one. Needs no login.
#[utoipa::path(get, path = "/health/checks/reached-target-cluster-size", responses((status = 200)))]
async fn cluster_size() -> ApiResult<Response> {
    ok()
}

/// The caller can open the virtual host. Deprecated by RabbitMQ, and does no more since 4.0.
#[utoipa::path(get, path = "/aliveness-test/{vhost}", responses((status = 200)))]
async fn aliveness(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
) -> ApiResult<Response> {
    principal.vhost(api.broker(), &vhost)?;
    match principal.may_enter(api.broker(), &vhost) {
        true => ok(),
        // An administrator without permissions there.
        false => Err(NoVhost::Hidden.into()),
    }
}

/// No alarm is in force. Deprecated by RabbitMQ.
#[utoipa::path(get, path = "/healthchecks/node", responses((status = 200), (status = 503)))]
async fn node(_: Principal, State(api): State<Api>) -> ApiResult<Response> {
    let alarms = api.broker().alarms_to_tell().into_iter();
    let names: Vec<String> = alarms.map(|alarm| alarm.to_string()).collect();
    match names.is_empty() {
        true => ok(),
        false => {
            let names = names.join(",");
            failed(&format!("resource alarm(s) in effect:[{names}]"), &[])
        }
    }
}

/// No alarm is in force. Deprecated by RabbitMQ.
#[utoipa::path(get, path = "/healthchecks/node/{node}", responses((status = 200), (status = 503)))]
async fn named_node(
    principal: Principal,
    api: State<Api>,
    Path(name): Path<String>,
) -> ApiResult<Response> {
    this_node(&name)?;
    node(principal, api).await
}

#[cfg(test)]
mod tests {
    use super::Full;

    #[test]
    fn places_for_connections_run_out() {
        assert_eq!(Full::with(26, None, 27), None);
        assert_eq!(Full::with(27, None, 27), Some(Full::Files(27)));
        assert_eq!(Full::with(1, Some(2), 27), None);
        assert_eq!(Full::with(2, Some(2), 27), Some(Full::Limit(2)));
        assert_eq!(Full::with(30, Some(50), 27), Some(Full::Files(27)));
    }
}
