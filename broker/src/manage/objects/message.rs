//! Messages that were got from a queue.

use crate::domain::operations::Got;
use crate::manage::table;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leveret_protocol::content::{PropertyValue, each_property};
use leveret_protocol::table::decode;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use utoipa::ToSchema;

/// A message that was got from a queue.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Message<'a> {
    /// The size of its body, before it was cut.
    pub payload_bytes: usize,
    /// Whether it was delivered before.
    pub redelivered: bool,
    /// The exchange that it was published to; empty for the default exchange.
    pub exchange: Cow<'a, str>,
    /// The routing key that it was published with.
    pub routing_key: Cow<'a, str>,
    /// How many messages were left in the queue.
    pub message_count: u64,
    /// Its properties.
    #[schema(value_type = Object)]
    pub properties: Properties,
    /// Its body.
    pub payload: Cow<'a, str>,
    /// `string` or `base64`.
    pub payload_encoding: &'static str,
}

impl<'a> Message<'a> {
    /// Describes a message with the first `truncate` bytes of its body, as text if it is UTF-8 and `as_text` is set.
    pub fn of(got: &'a Got, truncate: Option<usize>, as_text: bool) -> Self {
        let message = got.message();
        let body = message.body();
        let shown = &body[..truncate.map_or(body.len(), |most| most.min(body.len()))];
        let text = std::str::from_utf8(shown).ok().filter(|_| as_text);
        let (payload, payload_encoding) = match text {
            Some(text) => (Cow::Borrowed(text), "string"),
            None => (Cow::Owned(STANDARD.encode(shown)), "base64"),
        };
        Message {
            payload_bytes: body.len(),
            redelivered: got.entry.redelivered(),
            exchange: String::from_utf8_lossy(message.exchange()),
            routing_key: String::from_utf8_lossy(message.routing_key()),
            message_count: got.left,
            properties: Properties(got.entry.delivered_properties().into_owned()),
            payload,
            payload_encoding,
        }
    }
}

/// Raw properties; in JSON an object with those that are set, or an empty list if none is, as in RabbitMQ.
#[derive(Clone, Debug)]
pub struct Properties(Vec<u8>);

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = Map::new();
        // Malformed ones were not accepted when they were published.
        let _ = each_property(&self.0, |name, value| {
            let value = match value {
                PropertyValue::Text(text) => String::from_utf8_lossy(text).into(),
                PropertyValue::Number(number) => number.into(),
                PropertyValue::Headers(bytes) => {
                    let headers = decode(bytes).unwrap_or_default();
                    Value::Object(table::json(&headers))
                }
            };
            all.insert(name.to_owned(), value);
        });
        match all.is_empty() {
            true => [(); 0].serialize(serializer),
            false => all.serialize(serializer),
        }
    }
}
