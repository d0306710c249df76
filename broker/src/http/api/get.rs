//! `/api/queues/{vhost}/{queue}/get`: getting messages without a connection.

use crate::domain::operations::{Caller, Got, Settlement, Wanted};
use crate::engine::queue::{Effects, Return};
use crate::http::body::JsonBody;
use crate::http::error::{ApiError, ApiResult};
use crate::http::fields::integer;
use crate::http::list::stream;
use crate::http::state::{ANSWER_MAX, Api};
use crate::manage::access::Principal;
use crate::manage::audit::Change;
use crate::manage::objects::Message;
use axum::extract::{Path, State};
use axum::response::Response;
use leveret_protocol::QueueName;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get))
}

/// Which messages to get, and how.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "it documents the body")]
struct GetRequest {
    /// How many at most. A negative number stands for all that fit into an answer.
    count: i64,
    /// `ack_requeue_true` and `reject_requeue_true` put the messages back, `ack_requeue_false` and
    /// `reject_requeue_false` do not.
    ackmode: String,
    /// `auto`: bodies that are UTF-8 as text, others as base64. `base64`: all as base64.
    encoding: String,
    /// How many bytes of each body to return.
    truncate: Option<i64>,
}

/// Gets messages. An answer has at most 64 MiB of them.
#[utoipa::path(
    post, path = "/queues/{vhost}/{queue}/get", request_body = GetRequest,
    responses((status = 200, body = Vec<Message>))
)]
async fn get(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<Response> {
    let body = body?;
    body.require(&["ackmode", "count", "encoding"])?;
    let (wanted, shown) = read(&body.0)?;
    let memory = api.answer_memory().reserve(ANSWER_MAX as usize).await?;
    // Messages that are put back are as they were, nearly.
    let change = body.0.get("ackmode").and_then(Value::as_str);
    let change = change.filter(|mode| mode.ends_with("requeue_false"));
    let change = change.map(|mode| {
        let count = body.0.get("count").cloned().into();
        Change::new(
            "get",
            [
                ("queue", queue.as_str().into()),
                ("ackmode", mode.into()),
                ("count", count),
            ],
        )
    });
    let queue = QueueName::from(queue);
    let get = move |caller: &mut Caller, fx: &mut Effects| caller.get(&queue, wanted, fx);
    let got = api.try_as_client(principal, vhost, change, get).await?;
    let messages = got.map_err(ApiError::on_channel)?;
    let held: u64 = messages.iter().map(Got::weight).sum();
    // What is not needed is free for others now, the rest when it is sent.
    memory.keep(usize::try_from(held).unwrap_or(usize::MAX));
    let answer = stream(messages, None, move |got| {
        serde_json::to_value(Message::of(got, shown.truncate, shown.as_text)).ok()
    });
    Ok(answer.map(|body| memory.send(body)))
}

/// How bodies are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    truncate: Option<usize>,
    as_text: bool,
}

fn read(body: &Map<String, Value>) -> ApiResult<(Wanted, Shown)> {
    let settlement = match body["ackmode"].as_str() {
        Some("ack_requeue_true") => Settlement::Requeued(Return::Released),
        Some("reject_requeue_true") => Settlement::Requeued(Return::Failed),
        Some("ack_requeue_false") => Settlement::Acknowledged,
        Some("reject_requeue_false") => Settlement::Rejected,
        _ => {
            return Err(ApiError::bad_request(format!(
                "Invalid ackmode value: {}. Valid values are: ack_requeue_true, ack_requeue_false, \
                 reject_requeue_true, reject_requeue_false",
                plain(&body["ackmode"])
            )));
        }
    };
    // As in RabbitMQ, a negative number never counts down to zero.
    let count = u64::try_from(integer(&body["count"])?).unwrap_or(u64::MAX);
    let as_text = match body["encoding"].as_str() {
        Some("auto") => true,
        Some("base64") => false,
        _ => {
            let reason = "Unsupported encoding. Please use auto or base64.";
            return Err(ApiError::bad_request(reason));
        }
    };
    let truncate = match body.get("truncate") {
        None => None,
        Some(value) => {
            let bytes = usize::try_from(integer(value)?);
            let bytes = bytes.map_err(|_| ApiError::bad_request(json!(["negative", value])))?;
            Some(bytes)
        }
    };
    let wanted = Wanted {
        count,
        bytes: ANSWER_MAX.into(),
        settlement,
    };
    Ok((wanted, Shown { truncate, as_text }))
}

/// Returns a value as text.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(body: Value) -> ApiResult<(Wanted, Shown)> {
        match body {
            Value::Object(body) => read(&body),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn requests_are_read_as_rabbitmq_does() {
        let body = |count: Value| json!({"ackmode": "ack_requeue_false", "count": count, "encoding": "auto"});
        for (count, most) in [
            (json!(0), 0),
            (json!("10"), 10),
            (json!(1e9), 1_000_000_000),
            (json!(-1), u64::MAX),
        ] {
            let (wanted, shown) = reads(body(count)).unwrap();
            assert_eq!(wanted.count, most);
            assert_eq!(wanted.settlement, Settlement::Acknowledged);
            assert_eq!(wanted.bytes, 64 << 20);
            let whole = Shown {
                truncate: None,
                as_text: true,
            };
            assert_eq!(shown, whole);
        }
        let refused = |key: &str, value: Value| {
            let mut body = body(json!(1));
            body[key] = value;
            reads(body).unwrap_err().reason().clone()
        };
        assert_eq!(
            refused("count", json!("one")),
            json!(["not_integer", "one"])
        );
        assert_eq!(refused("truncate", json!("x")), json!(["not_integer", "x"]));
        assert_eq!(refused("truncate", json!(-1)), json!(["negative", -1]));
        assert_eq!(
            refused("encoding", json!("utf-8")),
            "Unsupported encoding. Please use auto or base64."
        );
        let reason = refused("ackmode", json!(5));
        assert!(
            reason
                .as_str()
                .unwrap()
                .starts_with("Invalid ackmode value: 5. ")
        );
    }
}
