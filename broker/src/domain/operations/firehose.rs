//! The firehose (RabbitMQ: "Firehose Tracer"): while a virtual host is traced, a copy of each message that is published or
//! delivered there goes to the exchange `amq.rabbitmq.trace`, under RabbitMQ's keys and with its headers.
//!
//! A copy is a transient message like any other: the queues that get it count it, page it out and limit it. Nobody waits
//! for it, and a queue that rejects it loses it.

use super::Caller;
use super::publish::hand_over;
use crate::domain::vhost::TRACE_EXCHANGE;
use crate::engine::exchange::{Copies, Routable, Route};
use crate::engine::message::{Message, MessageBuilder};
use crate::engine::queue::{Effects, Entry, Queue};
use crate::text::names::NODE_NAME;
use bytes::Bytes;
use leveret_protocol::classes::BasicProperties;
use leveret_protocol::content::{PropertyIndex, PropertyValue, each_property};
use leveret_protocol::method::properties_to_vec;
use leveret_protocol::table::decode;
use leveret_protocol::values::{AMQPValue, FieldArray, FieldTable};
use std::sync::Arc;

/// What callers without a connection are called.
const NO_CONNECTION: &str = "HTTP API";

/// The number that copies have for the channel of such callers, as in RabbitMQ.
pub(super) const NO_CHANNEL: u16 = 1;

/// The length of a routing key at most, in bytes.
const KEY_MAX: usize = 255;

impl Caller {
    /// Copies a message that the caller publishes: `publish.EXCHANGE`. `copies` are its further routing keys.
    pub fn trace_publish(
        &self,
        channel: u16,
        message: &Message,
        copies: &[Box<[u8]>],
        queues: &[Arc<Queue>],
        fx: &mut Effects,
    ) {
        if message.exchange() == TRACE_EXCHANGE.as_bytes() {
            return;
        }
        let mut headers = described(message, message.properties(), copies);
        let names = queues.iter().map(|queue| text(queue.name().as_str()));
        insert(&mut headers, "routed_queues", array(names));
        self.trace(
            ("publish.", message.exchange()),
            channel,
            (message, headers),
            fx,
        );
    }

    /// Copies a message that a queue delivers to the caller: `deliver.QUEUE`.
    pub fn trace_delivery(&self, channel: u16, queue: &Queue, entry: &Entry, fx: &mut Effects) {
        let message = &*entry.message;
        if message.exchange() == TRACE_EXCHANGE.as_bytes() {
            return;
        }
        let properties = entry.delivered_properties();
        let index = PropertyIndex::scan(&properties).and_then(|index| index.headers);
        // They were checked when the message was published.
        let copies = index.and_then(|headers| Copies::of(&properties, headers).ok());
        let copies = copies.map(|copies| copies.keys).unwrap_or_default();
        let mut headers = described(message, &properties, &copies);
        let redelivered = AMQPValue::LongInt(entry.redelivered().into());
        insert(&mut headers, "redelivered", redelivered);
        let name = queue.name().as_str().as_bytes();
        self.trace(("deliver.", name), channel, (message, headers), fx);
    }

    fn trace(
        &self,
        (prefix, name): (&str, &[u8]),
        channel: u16,
        (message, mut headers): (&Message, FieldTable),
        fx: &mut Effects,
    ) {
        let vhost = self.vhost();
        let Some(exchange) = vhost.exchange(TRACE_EXCHANGE) else {
            return;
        };
        let mut key = [prefix.as_bytes(), name].concat();
        key.truncate(KEY_MAX);
        let keys = [&key[..]];
        let connection = self.connection.as_ref().map(|info| info.label());
        insert(&mut headers, "vhost", text(vhost.name().as_str()));
        let connection = connection.as_deref().unwrap_or(NO_CONNECTION);
        insert(&mut headers, "connection", text(connection));
        insert(&mut headers, "channel", AMQPValue::LongInt(channel.into()));
        insert(&mut headers, "user", text(self.user.name.as_str()));
        let properties = properties_to_vec(&BasicProperties::default().with_headers(headers));
        let mut route = Route::default();
        let routable = Routable {
            routing_keys: &keys,
            properties: &properties,
        };
        route.find(&exchange, &routable, vhost.as_ref());
        if route.queues.is_empty() && route.kept_by.is_empty() {
            return;
        }
        let copy = Arc::new(copy_of(message, &key, &properties));
        let refused_before = fx.refused().count;
        hand_over(route, &copy, &[], fx);
        // A copy that a queue rejects does not make a publish, or a transaction, fail.
        fx.refused().count = refused_before;
    }
}

/// Returns a transient message with the body of another.
fn copy_of(message: &Message, key: &[u8], properties: &[u8]) -> Message {
    let (exchange, body) = (TRACE_EXCHANGE.as_bytes(), message.body());
    let mut builder = MessageBuilder::new(exchange, key, properties, false, body.len() as u64);
    // The length matches, so neither can fail.
    let _ = match message.large_body() {
        // A slice of a read buffer would keep all of the buffer.
        Some(large) if message.pins() => builder.push_frame(Bytes::copy_from_slice(large)),
        Some(large) => builder.push_frame(large.clone()),
        None => builder.push(body),
    };
    builder.finish(false)
}

/// Returns the headers that describe a message (`rabbit_trace:msg_to_table`).
fn described(message: &Message, properties: &[u8], copies: &[Box<[u8]>]) -> FieldTable {
    let copies = copies.iter().map(|key| &key[..]);
    let keys = std::iter::once(message.routing_key()).chain(copies);
    let mut table = FieldTable::default();
    // Malformed ones were not accepted when the message was published.
    let _ = each_property(properties, |name, value| {
        let value = match value {
            PropertyValue::Text(value) => bytes(value),
            PropertyValue::Number(number) => number_of(number),
            PropertyValue::Headers(raw) => AMQPValue::FieldTable(decode(raw).unwrap_or_default()),
        };
        insert(&mut table, name, value);
    });
    let mut headers = FieldTable::default();
    insert(&mut headers, "exchange_name", bytes(message.exchange()));
    insert(&mut headers, "routing_keys", array(keys.map(bytes)));
    insert(&mut headers, "properties", AMQPValue::FieldTable(table));
    insert(&mut headers, "node", text(NODE_NAME));
    headers
}

/// RabbitMQ writes all numbers with 32 bits, and cuts timestamps; these are written whole.
fn number_of(number: u64) -> AMQPValue {
    match i32::try_from(number) {
        Ok(small) => AMQPValue::LongInt(small),
        Err(_) => AMQPValue::LongLongInt(number.cast_signed()),
    }
}

fn insert(table: &mut FieldTable, name: &str, value: AMQPValue) {
    table.insert(name.into(), value);
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn bytes(value: &[u8]) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn array(values: impl Iterator<Item = AMQPValue>) -> AMQPValue {
    AMQPValue::FieldArray(FieldArray::from(values.collect::<Vec<_>>()))
}
