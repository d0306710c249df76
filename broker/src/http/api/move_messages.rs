//! `/api/queues/{vhost}/{queue}/move`: moving messages to another queue. Leveret's own: RabbitMQ has no such path.

use super::publish::wait_for_room;
use super::queues::find;
use crate::domain::operations::{Caller, MoveBounds};
use crate::engine::queue::Effects;
use crate::http::body::JsonBody;
use crate::http::error::{ApiError, ApiResult};
use crate::http::fields::{check_name, integer};
use crate::http::list::json as answer;
use crate::http::state::{ANSWER_MAX, Api};
use crate::manage::access::Principal;
use crate::manage::audit::Change;
use axum::extract::{Path, State};
use axum::response::Response;
use leveret_protocol::QueueName;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The messages that a request moves at most.
const COUNT_MAX: u64 = 10_000;
/// How long a request takes at most, approximately.
const TIME: Duration = Duration::from_secs(5);

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(move_messages))
}

/// Which messages to move, and where to.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "it documents the body")]
struct MoveRequest {
    /// A queue of the same virtual host.
    destination: String,
    /// How many at most (default: as many as a request may move).
    count: Option<u64>,
}

/// What was moved.
#[derive(Debug, Serialize, ToSchema)]
struct MoveAnswer {
    /// How many messages.
    moved: u64,
    /// How many ready messages are left.
    remaining: u64,
    /// Whether the destination is full, and rejects the next message.
    destination_full: bool,
}

/// Moves messages from the head of a queue to another one, at most 10,000, 64 MiB, and what takes 5 seconds: if any remain,
/// ask again. When the destination is deleted meanwhile, what has not left stays. Leveret's own.
#[utoipa::path(
    post, path = "/queues/{vhost}/{queue}/move", request_body = MoveRequest,
    responses(
        (status = 200, body = MoveAnswer),
        (status = 503, description = "An alarm is in force, or the disk is behind")
    )
)]
async fn move_messages(
    principal: Principal,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    body: ApiResult<JsonBody>,
) -> ApiResult<Response> {
    find(&api, &principal, &vhost, &queue)?;
    let body = body?;
    let [destination] = body.texts(["destination"])?;
    check_name("destination", &destination)?;
    let count = count(body.0.get("count"))?;
    wait_for_room(&api).await?;
    let change = Change::new(
        "move_messages",
        [
            ("queue", queue.as_str().into()),
            ("destination", destination.as_str().into()),
            ("count", body.0.get("count").cloned().into()),
        ],
    );
    let (from, to) = (QueueName::from(queue), QueueName::from(destination));
    let bounds = MoveBounds {
        count,
        bytes: ANSWER_MAX.into(),
        time: TIME,
    };
    let moving =
        move |caller: &mut Caller, fx: &mut Effects| caller.move_messages(&from, &to, bounds, fx);
    let moved = api.try_as_client(principal, vhost, change, moving).await?;
    let moved = moved.map_err(ApiError::on_channel)?;
    answer(&MoveAnswer {
        moved: moved.moved,
        remaining: moved.remaining,
        destination_full: moved.is_full,
    })
}

/// Returns how many messages to move at most.
fn count(value: Option<&Value>) -> ApiResult<u64> {
    match value {
        None | Some(Value::Null) => Ok(COUNT_MAX),
        // Half a message is a mistake, not something to be rounded.
        Some(Value::Number(number)) if number.is_f64() => {
            Err(ApiError::bad_request(json!(["not_integer", number])))
        }
        Some(value) => {
            let count = u64::try_from(integer(value)?);
            let count = count.map_err(|_| ApiError::bad_request(json!(["negative", value])))?;
            Ok(count.min(COUNT_MAX))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_moves_no_more_than_it_may() {
        assert_eq!(count(None).unwrap(), COUNT_MAX);
        assert_eq!(count(Some(&json!(5))).unwrap(), 5);
        assert_eq!(count(Some(&json!(1_000_000))).unwrap(), COUNT_MAX);
        for wrong in [
            json!(-1),
            json!("-1"),
            json!(1.5),
            json!(-0.5),
            json!("many"),
        ] {
            assert!(count(Some(&wrong)).is_err(), "{wrong}");
        }
    }
}
