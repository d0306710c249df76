//! Refusals, as RabbitMQ writes them: a status and `{"error": …, "reason": …}`.

use super::denials::Denial;
use crate::domain::auth::LoginRefused;
use crate::manage::access::{Denied, NoVhost};
use crate::manage::perform::Refusal;
use crate::manage::request::ErrorKind;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use leveret_protocol::{AmqpError, ReplyCode, Scope};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The realm in which browsers ask for a password; RabbitMQ's.
const REALM: HeaderValue = HeaderValue::from_static("Basic realm=\"RabbitMQ Management\"");

/// The body of a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorBody {
    /// The kind of the refusal: `bad_request`, `not_found`, `not_authorised`, …
    pub error: String,
    /// What is wrong: a text, or a list with the kind of the mistake and the value.
    #[schema(value_type = String)]
    pub reason: Value,
}

/// A refused request.
#[derive(Clone, Debug)]
pub struct ApiError {
    status: StatusCode,
    body: ErrorBody,
    /// Whether the client is told how to log in.
    challenge: bool,
    /// Why access is denied, for the log, if that says more than the body.
    logged: Option<String>,
}

/// The result of a handler.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// Returns a refusal with this status, kind and reason.
    pub fn new(status: StatusCode, error: &str, reason: impl Into<Value>) -> Self {
        let body = ErrorBody {
            error: error.to_owned(),
            reason: reason.into(),
        };
        ApiError {
            status,
            body,
            challenge: false,
            logged: None,
        }
    }

    /// 400 `bad_request`.
    pub fn bad_request(reason: impl Into<Value>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", reason)
    }

    /// 400 with a pair of what is wrong and with what, as RabbitMQ writes terms of Erlang.
    pub fn bad_request_about(what: &str, with: impl Into<Value>) -> Self {
        let mut refusal = Self::bad_request(what);
        refusal.body.reason = Value::Array(vec![what.into(), with.into()]);
        refusal
    }

    /// 400 for a body that is not a JSON object.
    pub fn not_json() -> Self {
        Self::bad_request("not_json")
    }

    /// 404 as RabbitMQ answers for every object that does not exist.
    pub fn not_found() -> Self {
        // With these capitals, unlike all others (`rabbit_mgmt_cors`, cowboy's fallback).
        Self::new(StatusCode::NOT_FOUND, "Object Not Found", "Not Found")
    }

    /// 404 for a virtual host in which something is to be changed.
    pub fn no_vhost() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "vhost_not_found")
    }

    /// The refusal of what RabbitMQ does on a channel of its own (`rabbit_mgmt_util:with_channel`): other texts than for
    /// what it does without.
    pub fn on_channel(refusal: Refusal) -> Self {
        let error = match refusal {
            Refusal::Amqp(error) => error,
            Refusal::Vhost(NoVhost::Missing) => return ApiError::denied("Access refused."),
            other => return other.into(),
        };
        match error.code {
            ReplyCode::NotFound => Self::new(StatusCode::NOT_FOUND, "not_found", error.text),
            ReplyCode::AccessRefused => ApiError::denied(error.text),
            _ => ApiError::by_code(&error),
        }
    }

    /// The refusal of a publish, which RabbitMQ learns of when its channel is closed.
    pub fn of_publish(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Amqp(error) => ApiError::by_code(&error),
            other => ApiError::on_channel(other),
        }
    }

    /// 400 with an AMQP error's code and text, which has no name if it closes a connection.
    fn by_code(error: &AmqpError) -> Self {
        let text = match error.scope {
            Scope::Channel => &error.text,
            Scope::Connection => error.explanation(),
        };
        ApiError::bad_request(format!("{} {text}", error.code.code()))
    }

    /// Returns what is wrong.
    #[cfg(test)]
    pub fn reason(&self) -> &Value {
        &self.body.reason
    }

    /// 401 for a caller who has logged in and may not do this.
    pub fn denied(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not_authorised", reason.into())
    }

    /// 401 for a wrong password. Spelled differently from the other refusals, as in RabbitMQ.
    pub fn wrong_credentials() -> Self {
        let refused = Self::new(StatusCode::UNAUTHORIZED, "not_authorized", "Login failed");
        ApiError {
            challenge: true,
            ..refused
        }
    }

    /// 401 for a session that is not there any more. It is no news for the log.
    pub(super) fn session_ended() -> Self {
        ApiError::denied("The session has ended").logged_as(String::new())
    }

    /// 401 for a user who may log in, but not from that address.
    pub(super) fn not_from_there(reason: LoginRefused) -> Self {
        ApiError::denied("User can only log in via localhost").logged_as(reason.to_string())
    }

    /// Returns the same refusal, with another reason in the log than in its body.
    pub(super) fn logged_as(self, reason: String) -> Self {
        ApiError {
            logged: Some(reason),
            ..self
        }
    }

    /// 503: the broker has too much to do.
    pub fn busy(reason: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "service_unavailable", reason.into())
    }

    /// 500.
    pub fn internal(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        tracing::error!(reason, "an HTTP request failed");
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(status, "internal_server_error", reason)
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        ApiError::denied(denied.to_string())
    }
}

impl From<NoVhost> for ApiError {
    fn from(missing: NoVhost) -> Self {
        match missing {
            NoVhost::Missing => ApiError::not_found(),
            NoVhost::Hidden => ApiError::new(StatusCode::NOT_FOUND, "not_found", "Not Found"),
        }
    }
}

/// The refusal of an operation that AMQP has, too (`rabbit_mgmt_util:direct_request`).
impl From<AmqpError> for ApiError {
    fn from(error: AmqpError) -> Self {
        let reason = error.explanation();
        match error.code {
            ReplyCode::NotFound => ApiError::new(StatusCode::NOT_FOUND, "not_found", reason),
            ReplyCode::AccessRefused | ReplyCode::NotAllowed => ApiError::denied("Access refused."),
            _ => ApiError::bad_request(reason),
        }
    }
}

/// The refusal of an operation.
impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denied) => denied.into(),
            Refusal::Vhost(missing) => missing.into(),
            Refusal::Amqp(error) => error.into(),
            Refusal::Failed { kind, message } => of_kind(kind, message),
        }
    }
}

fn of_kind(kind: ErrorKind, message: String) -> ApiError {
    match kind {
        ErrorKind::NoSuchUser | ErrorKind::NoSuchVhost | ErrorKind::NoSuchQueue => {
            ApiError::not_found()
        }
        ErrorKind::Software => ApiError::internal(message),
        _ => ApiError::bad_request(message),
    }
}

/// 401 for a request without a login: it has no body.
pub fn no_credentials() -> Response {
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, REALM)],
    )
        .into_response()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let denied = self.status == StatusCode::UNAUTHORIZED;
        let denial = denied.then(|| match (self.logged, &self.body.reason) {
            (Some(reason), _) => reason,
            (None, Value::String(reason)) => reason.clone(),
            (None, reason) => reason.to_string(),
        });
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(reason) = denial {
            response.extensions_mut().insert(Denial(reason));
        }
        if self.challenge {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, REALM);
        }
        response
    }
}
