//! `/api/connections` and `/api/channels`.
//!
//! Users see their own; those who may see the node see all of them.

use crate::domain::broker::Broker;
use crate::domain::connections::ConnectionInfo;
use crate::http::error::{ApiError, ApiResult};
use crate::http::list::{ListQuery, json};
use crate::http::state::Api;
use crate::manage::access::{Principal, Right};
use crate::manage::objects::{Channel, Connection, Consumer, Counted, Rates};
use crate::manage::pid::Pid;
use crate::manage::request::Request;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The reason in connection.close unless the client gives another.
const REASON: &str = "Closed via management plugin";

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, close))
        .routes(routes!(list_of_user, close_of_user))
        .routes(routes!(list_in_vhost))
        .routes(routes!(sessions))
        .routes(routes!(channels))
        .routes(routes!(channels_in_vhost))
        .routes(routes!(channels_of_connection))
        .routes(routes!(channel))
}

fn may_see(principal: &Principal, connection: &Connection) -> bool {
    principal
        .require_own_or(Right::Monitoring, &connection.user)
        .is_ok()
}

async fn respond(
    api: &Api,
    connections: Vec<(Arc<ConnectionInfo>, Connection)>,
    query: &ListQuery,
) -> ApiResult<Response> {
    let (broker, rates) = (api.broker().clone(), query.rates()?);
    let describe = move |(info, _): &(Arc<ConnectionInfo>, Connection)| {
        let counters = rates.as_ref();
        let counters = counters.map(|rates| rates.of_connection(&broker, info));
        Counted {
            object: Connection::of(&broker, info),
            counters: counters.unwrap_or_default(),
        }
    };
    query
        .respond(
            connections,
            |(_, connection)| connection.name.as_str(),
            describe,
        )
        .await
}

/// The connections that the caller may see.
#[utoipa::path(get, path = "/connections", params(ListQuery), responses((status = 200, body = Vec<Connection>)))]
async fn list(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    let connections = Connection::list(api.broker(), |one| may_see(&principal, one));
    respond(&api, connections, &query).await
}

/// The connections to a virtual host that the caller may see.
#[utoipa::path(get, path = "/vhosts/{vhost}/connections", params(ListQuery), responses((status = 200, body = Vec<Connection>)))]
async fn list_in_vhost(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.vhost(api.broker(), &vhost)?;
    let connections = Connection::list(api.broker(), |one| {
        one.vhost.as_deref() == Some(vhost.as_str()) && may_see(&principal, one)
    });
    respond(&api, connections, &query.whole()).await
}

/// The connections of a user.
#[utoipa::path(get, path = "/connections/username/{user}", params(ListQuery), responses((status = 200, body = Vec<Connection>)))]
async fn list_of_user(
    principal: Principal,
    State(api): State<Api>,
    Path(user): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.require_own_or(Right::Monitoring, &user)?;
    let connections = Connection::list(api.broker(), |one| one.user == user);
    respond(&api, connections, &query).await
}

/// Closes the connections of a user, with 320 CONNECTION_FORCED and the reason in the header `X-Reason`.
#[utoipa::path(delete, path = "/connections/username/{user}", responses((status = 204)))]
async fn close_of_user(
    principal: Principal,
    State(api): State<Api>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> ApiResult<StatusCode> {
    let reason = reason(&headers);
    let request = Request::CloseAllUserConnections { user, reason };
    api.perform(principal, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the connection with this name.
fn find(api: &Api, name: &str) -> ApiResult<Connection> {
    let mut found = Connection::list(api.broker(), |one| one.name == name);
    let (_, connection) = found.pop().ok_or_else(ApiError::not_found)?;
    Ok(connection)
}

/// Returns a connection that the caller may see.
fn visible(api: &Api, principal: &Principal, name: &str) -> ApiResult<Connection> {
    let connection = find(api, name)?;
    principal.require_own_or(Right::Monitoring, &connection.user)?;
    Ok(connection)
}

/// A connection.
#[utoipa::path(get, path = "/connections/{connection}", responses((status = 200, body = Connection)))]
async fn show(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    let object = visible(&api, &principal, &name)?.as_single();
    let info = api.broker().connections.get(object.id);
    let rates = query.rates()?;
    let counters = info
        .zip(rates)
        .map(|(info, rates)| rates.of_connection(api.broker(), &info));
    // As in RabbitMQ, columns are not chosen here.
    json(&Counted {
        object,
        counters: counters.unwrap_or_default(),
    })
}

/// Closes a connection, with 320 CONNECTION_FORCED and the reason in the header `X-Reason`.
#[utoipa::path(delete, path = "/connections/{connection}", responses((status = 204)))]
async fn close(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> ApiResult<StatusCode> {
    let connection = find(&api, &name)?;
    let pid = Pid {
        connection: connection.id.0,
        channel: 0,
    };
    let reason = reason(&headers);
    let request = Request::CloseConnection { pid, reason };
    api.perform(principal, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn reason(headers: &HeaderMap) -> String {
    let given = headers.get("x-reason").map(|reason| reason.as_bytes());
    given.map_or_else(
        || REASON.to_owned(),
        |reason| String::from_utf8_lossy(reason).into_owned(),
    )
}

/// The sessions of a connection, which only AMQP 1.0 has.
#[utoipa::path(get, path = "/connections/{connection}/sessions", responses((status = 400)))]
async fn sessions(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
) -> ApiResult<StatusCode> {
    visible(&api, &principal, &name)?;
    Err(ApiError::bad_request("connection does not use AMQP 1.0"))
}

async fn respond_with_channels(
    api: &Api,
    channels: Vec<Channel>,
    query: &ListQuery,
) -> ApiResult<Response> {
    let (broker, rates) = (api.broker().clone(), query.rates()?);
    let describe = move |channel: &Channel| counted(&broker, channel.clone(), rates.as_ref());
    query
        .respond(channels, |channel| &channel.name, describe)
        .await
}

/// What only one channel by itself shows.
#[derive(Serialize)]
struct ChannelAlone {
    #[serde(flatten)]
    channel: Counted<Channel>,
    consumer_details: Vec<Consumer>,
    /// By queue: not counted.
    deliveries: [(); 0],
    /// By exchange: not counted.
    publishes: [(); 0],
}

/// Adds a channel's counters.
fn counted(broker: &Broker, object: Channel, rates: Option<&Rates>) -> Counted<Channel> {
    let counters = rates.map(|rates| rates.of_channel(broker, &object.stats, &object.tracked));
    Counted {
        object,
        counters: counters.unwrap_or_default(),
    }
}

/// The channels that the caller may see.
#[utoipa::path(get, path = "/channels", params(ListQuery), responses((status = 200, body = Vec<Channel>)))]
async fn channels(
    principal: Principal,
    State(api): State<Api>,
    query: ListQuery,
) -> ApiResult<Response> {
    let channels = Channel::list(api.broker(), |one| may_see(&principal, one)).await;
    respond_with_channels(&api, channels, &query).await
}

/// The channels in a virtual host that the caller may see.
#[utoipa::path(get, path = "/vhosts/{vhost}/channels", params(ListQuery), responses((status = 200, body = Vec<Channel>)))]
async fn channels_in_vhost(
    principal: Principal,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    principal.vhost(api.broker(), &vhost)?;
    let channels = Channel::list(api.broker(), |one| {
        one.vhost.as_deref() == Some(vhost.as_str()) && may_see(&principal, one)
    });
    respond_with_channels(&api, channels.await, &query.whole()).await
}

/// The channels of a connection.
#[utoipa::path(get, path = "/connections/{connection}/channels", params(ListQuery), responses((status = 200, body = Vec<Channel>)))]
async fn channels_of_connection(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    let connection = visible(&api, &principal, &name)?;
    let channels = Channel::list(api.broker(), |one| one.id == connection.id);
    respond_with_channels(&api, channels.await, &query.whole()).await
}

/// A channel.
#[utoipa::path(get, path = "/channels/{channel}", responses((status = 200, body = Channel)))]
async fn channel(
    principal: Principal,
    State(api): State<Api>,
    Path(name): Path<String>,
    query: ListQuery,
) -> ApiResult<Response> {
    // `peer -> local (number)`: only that connection is asked.
    let connection = name
        .rsplit_once(" (")
        .map_or("", |(connection, _)| connection);
    let channels = Channel::list(api.broker(), |one| one.name == connection).await;
    let mut found = channels.into_iter().filter(|one| one.name == name);
    let channel = found.next().ok_or_else(ApiError::not_found)?;
    principal.require_own_or(Right::Monitoring, &channel.user)?;
    let consumers = Consumer::of_channel(api.broker(), &channel);
    json(&ChannelAlone {
        channel: counted(api.broker(), channel, query.rates()?.as_ref()),
        consumer_details: consumers,
        deliveries: [],
        publishes: [],
    })
}
