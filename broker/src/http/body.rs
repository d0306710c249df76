//! Request bodies: JSON objects of bounded size.

use super::bounded_json::{self, NotParsed};
use super::error::{ApiError, ApiResult};
use super::state::Api;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// The size of most bodies at most, in bytes.
const LIMIT: usize = 1 << 20;
/// How long a client may take to send a body.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The bytes of a body, and the memory that they take.
#[derive(Debug)]
pub struct Bytes {
    bytes: Vec<u8>,
    _memory: Option<OwnedSemaphorePermit>,
}

impl Bytes {
    /// Reads a body of at most `limit` bytes.
    ///
    /// # Errors
    /// 400 when it is larger or broken off, 503 when other requests have all the memory.
    pub async fn read(api: &Api, body: Body, limit: usize) -> ApiResult<Self> {
        let read = Self::read_slowly(api, body, limit);
        match tokio::time::timeout(TIMEOUT, read).await {
            Ok(read) => read,
            Err(_) => Err(ApiError::bad_request(
                "the request body did not arrive in time",
            )),
        }
    }

    async fn read_slowly(api: &Api, mut body: Body, limit: usize) -> ApiResult<Self> {
        let mut whole = Bytes {
            bytes: Vec::new(),
            _memory: None,
        };
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|_| ApiError::bad_request("the request body is incomplete"))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if whole.bytes.len() + data.len() > limit {
                return Err(ApiError::bad_request(
                    "Exceeded HTTP request body size limit",
                ));
            }
            let needed = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let memory = api.body_memory().reserve(needed)?;
            match &mut whole._memory {
                Some(held) => held.merge(memory),
                none => *none = Some(memory),
            }
            whole.bytes.extend_from_slice(&data);
        }
        Ok(whole)
    }

    /// Returns the bytes; their memory does not count any more.
    pub fn into_vec(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the JSON object in it, which may have any number of values. As in RabbitMQ, an empty body and `null`
    /// count as an empty object.
    ///
    /// # Errors
    /// 400 `not_json`.
    pub fn object(&self) -> ApiResult<Map<String, Value>> {
        self.object_of(usize::MAX)
    }

    /// Like [`Bytes::object`], but with at most `max` values, those in its lists and objects included: they take much
    /// more memory than their text.
    ///
    /// # Errors
    /// 400 `not_json`, or that there are too many.
    pub fn object_of(&self, max: usize) -> ApiResult<Map<String, Value>> {
        if matches!(self.bytes.as_slice(), b"" | b"null" | b"undefined") {
            return Ok(Map::new());
        }
        match bounded_json::parse(&self.bytes, max) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(Value::String(_)) => Err(ApiError::bad_request(
                "invalid payload: the request body JSON-decoded to a string. Is the input \
                 doubly-JSON-encoded?",
            )),
            Ok(_) | Err(NotParsed::Invalid) => Err(ApiError::not_json()),
            Err(NotParsed::TooMany) => Err(ApiError::bad_request(format!(
                "the request body has more than {max} values"
            ))),
        }
    }
}

/// The body of a request: a JSON object of at most a mebibyte.
#[derive(Debug)]
pub struct JsonBody(pub Map<String, Value>);

impl FromRequest<Api> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> ApiResult<Self> {
        let bytes = Bytes::read(api, request.into_body(), LIMIT).await?;
        bytes.object().map(JsonBody)
    }
}

impl JsonBody {
    /// See [`require`].
    ///
    /// # Errors
    /// 400 that names those that are missing.
    pub fn require(&self, keys: &[&str]) -> ApiResult<()> {
        require(&self.0, keys)
    }

    /// Returns the text of a key; `None` if it is missing.
    ///
    /// # Errors
    /// 400 when it is something else.
    pub fn text(&self, key: &str) -> ApiResult<Option<&str>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::bad_request(format!("{key} must be a string"))),
        }
    }

    /// Returns the texts of keys that must be there.
    ///
    /// # Errors
    /// 400 that names those that are missing or not text.
    pub fn texts<const N: usize>(&self, keys: [&str; N]) -> ApiResult<[String; N]> {
        self.require(&keys)?;
        let mut texts = [const { String::new() }; N];
        for (text, key) in texts.iter_mut().zip(keys) {
            *text = self.text(key)?.unwrap_or_default().to_owned();
        }
        Ok(texts)
    }

    /// Returns the value of a key that must be there.
    ///
    /// # Errors
    /// 400 when it is missing.
    pub fn value(&self, key: &str) -> ApiResult<Value> {
        self.require(&[key])?;
        Ok(self.0[key].clone())
    }

    /// Converts the object.
    ///
    /// # Errors
    /// 400 when a value has the wrong type.
    pub fn parse<T: DeserializeOwned>(self) -> ApiResult<T> {
        serde_json::from_value(Value::Object(self.0))
            .map_err(|error| ApiError::bad_request(error.to_string()))
    }
}

/// Checks that all of these keys are there.
///
/// # Errors
/// 400 that names those that are missing, as RabbitMQ does.
pub fn require(object: &Map<String, Value>, keys: &[&str]) -> ApiResult<()> {
    /// The length at which Erlang breaks a list into lines.
    const LINE: usize = 80;
    let missing: Vec<String> = keys
        .iter()
        .filter(|key| !object.contains_key(**key))
        .map(|key| format!("{{key_missing,{key}}}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let line = format!("[{}]", missing.join(","));
    let text = match line.len() {
        0..=LINE => line,
        _ => format!("[{}]", missing.join(",\n ")),
    };
    Err(ApiError::bad_request(text))
}
