//! `/api/exchanges/{vhost}/{exchange}/publish`: publishing a message without a connection.

use super::exchange_in_path;
use crate::domain::operations::{Caller, NewMessage, Published};
use crate::engine::queue::Effects;
use crate::http::body::Bytes;
use crate::http::error::{ApiError, ApiResult};
use crate::http::fields::{check_name, short_text, table};
use crate::http::list::json as answer;
use crate::http::state::Api;
use crate::manage::access::Principal;
use crate::manage::audit::Change;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leveret_protocol::classes::BasicProperties;
use leveret_protocol::method::properties_to_vec;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The size of a request at most, in bytes; RabbitMQ's.
const BODY_MAX: usize = 20_000_000;
/// The values in a request at most: headers in AMQP fit into a frame.
const VALUES_MAX: usize = 100_000;
/// How long a publish waits while the disk is behind; RabbitMQ's.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it checks whether the disk has caught up.
const DISK_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(publish))
}

/// A message to publish.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "it documents the body")]
struct PublishRequest {
    /// The properties of basic.publish.
    #[schema(value_type = Object)]
    properties: (),
    /// The routing key.
    routing_key: String,
    /// The message's body.
    payload: String,
    /// `string` or `base64`.
    payload_encoding: String,
}

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
struct PublishAnswer {
    /// Whether a queue has it.
    routed: bool,
}

/// Publishes a message. The answer comes when persistent messages are on disk.
#[utoipa::path(
    post, path = "/exchanges/{vhost}/{exchange}/publish", request_body = PublishRequest,
    responses(
        (status = 200, body = PublishAnswer),
        (status = 503, description = "An alarm is in force, or the disk is behind")
    )
)]
async fn publish(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, exchange)): Path<(String, String)>,
    body: Body,
) -> ApiResult<Response> {
    check_name("exchange", &exchange)?;
    let bytes = Bytes::read(&api, body, BODY_MAX).await?;
    let message = read(&bytes.object_of(VALUES_MAX)?)?;
    wait_for_room(&api).await?;
    let change = Change::new(
        "publish",
        [
            ("exchange", exchange_in_path(&exchange).into()),
            ("routing_key", message.routing_key.as_str().into()),
            ("payload_bytes", message.payload.len().into()),
        ],
    );
    let publish = move |caller: &mut Caller, fx: &mut Effects| {
        let message = NewMessage {
            exchange: exchange_in_path(&exchange),
            routing_key: message.routing_key.as_bytes(),
            properties: &message.properties,
            body: message.payload.into(),
        };
        caller.publish(message, fx)
    };
    let published = api.try_as_client(principal, vhost, change, publish).await?;
    let routed = match published.map_err(ApiError::of_publish)? {
        Published::Routed => true,
        Published::Unroutable => false,
        Published::Rejected => {
            let reason = "rejected Unable to publish message. Check queue limits.";
            return Err(ApiError::bad_request(reason));
        }
    };
    answer(&PublishAnswer { routed })
}

/// Waits until messages may be published, as connections that publish do. An alarm may last, so it is refused at once.
pub(super) async fn wait_for_room(api: &Api) -> ApiResult<()> {
    let broker = api.broker();
    let until = Instant::now() + PATIENCE;
    loop {
        if !broker.alarms.in_force().is_empty() {
            let reason = "publishing is blocked: memory or disk space is low";
            return Err(ApiError::busy(reason));
        }
        if !broker.pager_is_behind() && !broker.store_is_behind() {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(ApiError::busy("the disk is behind: try again"));
        }
        sleep(DISK_CHECK_INTERVAL).await;
    }
}

/// A message as it was sent.
#[derive(Debug, PartialEq)]
struct Message {
    routing_key: String,
    properties: Vec<u8>,
    payload: Vec<u8>,
}

fn read(body: &Map<String, Value>) -> ApiResult<Message> {
    const KEYS: [&str; 4] = ["routing_key", "properties", "payload", "payload_encoding"];
    crate::http::body::require(body, &KEYS)?;
    let Value::String(payload) = &body["payload"] else {
        return Err(ApiError::bad_request("payload_not_string"));
    };
    let properties = properties(&body["properties"])?;
    let payload = match body["payload_encoding"].as_str() {
        Some("string") => payload.clone().into_bytes(),
        Some("base64") => decode(payload)?,
        _ => {
            let encoding = &body["payload_encoding"];
            return Err(ApiError::bad_request(json!([
                "unsupported_encoding",
                encoding
            ])));
        }
    };
    Ok(Message {
        routing_key: short_text(body, "routing_key")?,
        properties,
        payload,
    })
}

fn decode(payload: &str) -> ApiResult<Vec<u8>> {
    let is_space = |byte: &u8| byte.is_ascii_whitespace();
    let decoded = match payload.as_bytes().iter().any(is_space) {
        false => STANDARD.decode(payload),
        true => {
            let bytes = payload.bytes().filter(|byte| !is_space(byte));
            STANDARD.decode(bytes.collect::<Vec<u8>>())
        }
    };
    decoded.map_err(|_| ApiError::bad_request(json!(["not_base64", payload])))
}

/// Encodes properties (`rabbit_mgmt_format:to_basic_properties`); as in RabbitMQ, unknown ones are ignored.
pub(super) fn properties(value: &Value) -> ApiResult<Vec<u8>> {
    let Value::Object(given) = value else {
        return Err(ApiError::bad_request("properties must be an object"));
    };
    let mut all = BasicProperties::default();
    for (name, value) in given {
        let number = || {
            let not = || ApiError::bad_request(json!(["not_int", name]));
            value.as_i64().ok_or_else(not)
        };
        let byte = || {
            let reason = || ApiError::bad_request(format!("{name} must be 0 to 255"));
            u8::try_from(number()?).map_err(|_| reason())
        };
        let text = || match value {
            Value::String(text) => {
                check_name(name, text)?;
                Ok(text.as_str().into())
            }
            _ => Err(ApiError::bad_request(json!(["not_string", name]))),
        };
        all = match name.as_str() {
            "headers" => all.with_headers(table(value)?),
            "delivery_mode" => all.with_delivery_mode(byte()?),
            "priority" => all.with_priority(byte()?),
            "timestamp" => {
                let negative = |_| ApiError::bad_request("timestamp must not be negative");
                all.with_timestamp(u64::try_from(number()?).map_err(negative)?)
            }
            "content_type" => all.with_content_type(text()?),
            "content_encoding" => all.with_content_encoding(text()?),
            "correlation_id" => all.with_correlation_id(text()?),
            "reply_to" => all.with_reply_to(text()?),
            "expiration" => all.with_expiration(text()?),
            "message_id" => all.with_message_id(text()?),
            "type" => all.with_type(text()?),
            "user_id" => all.with_user_id(text()?),
            "app_id" => all.with_app_id(text()?),
            "cluster_id" => all.with_cluster_id(text()?),
            _ => all,
        };
    }
    Ok(properties_to_vec(&all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_protocol::content::{PropertyValue, each_property};

    fn reads(body: Value) -> Result<Message, Value> {
        match body {
            Value::Object(body) => read(&body).map_err(|error| error.reason().clone()),
            other => panic!("{other}"),
        }
    }

    fn message(key: &str, value: Value) -> Result<Message, Value> {
        let mut body = json!({
            "properties": {}, "routing_key": "k", "payload": "x", "payload_encoding": "string",
        });
        body[key] = value;
        reads(body)
    }

    #[test]
    fn properties_are_encoded() {
        let properties = json!({
            "content_type": "text/plain", "delivery_mode": 2, "priority": 3, "timestamp": 1_700_000_000,
            "headers": {"a": "b"}, "nonsense": null,
        });
        let message = message("properties", properties).unwrap();
        let mut names = Vec::new();
        each_property(&message.properties, |name, value| {
            names.push(name);
            match (name, value) {
                ("delivery_mode", value) => assert_eq!(value, PropertyValue::Number(2)),
                ("content_type", value) => assert_eq!(value, PropertyValue::Text(b"text/plain")),
                _ => {}
            }
        })
        .unwrap();
        assert_eq!(
            names,
            [
                "content_type",
                "headers",
                "delivery_mode",
                "priority",
                "timestamp"
            ]
        );
    }

    #[test]
    fn mistakes_are_named_in_rabbitmqs_words() {
        let missing = reads(json!({"properties": {}, "payload": "x"})).unwrap_err();
        assert_eq!(
            missing,
            "[{key_missing,routing_key},{key_missing,payload_encoding}]"
        );
        let all = reads(json!({})).unwrap_err();
        let lines = "[{key_missing,routing_key},\n {key_missing,properties},\n {key_missing,payload},\n \
                     {key_missing,payload_encoding}]";
        assert_eq!(all, lines);
        for (key, value, reason) in [
            ("payload", json!(5), json!("payload_not_string")),
            (
                "payload_encoding",
                json!("nonsense"),
                json!(["unsupported_encoding", "nonsense"]),
            ),
            (
                "properties",
                json!([]),
                json!("properties must be an object"),
            ),
            (
                "properties",
                json!({"delivery_mode": "two"}),
                json!(["not_int", "delivery_mode"]),
            ),
            (
                "properties",
                json!({"priority": 256}),
                json!("priority must be 0 to 255"),
            ),
            (
                "properties",
                json!({"type": 5}),
                json!(["not_string", "type"]),
            ),
            (
                "properties",
                json!({"headers": {"z": null}}),
                json!("null_not_allowed"),
            ),
            (
                "routing_key",
                json!([]),
                json!(["not_string", "routing_key"]),
            ),
        ] {
            assert_eq!(message(key, value).unwrap_err(), reason, "{key}");
        }
        assert_eq!(message("routing_key", json!(5)).unwrap().routing_key, "5");
    }

    #[test]
    fn bodies_are_text_or_base64() {
        assert_eq!(
            message("payload", json!("h\u{e4}se")).unwrap().payload,
            "h\u{e4}se".as_bytes()
        );
        let decoded = |payload: &str| {
            let body = json!({
                "properties": {}, "routing_key": "", "payload": payload, "payload_encoding": "base64",
            });
            reads(body).map(|message| message.payload)
        };
        assert_eq!(decoded("//79"), Ok(vec![0xff, 0xfe, 0xfd]));
        assert_eq!(decoded("//\n7 9\r\n"), Ok(vec![0xff, 0xfe, 0xfd]));
        assert_eq!(
            decoded("no base64!"),
            Err(json!(["not_base64", "no base64!"]))
        );
    }
}
