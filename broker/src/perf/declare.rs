//! What a load declares: queues with its arguments, bindings with its routes.

use super::options::Load;
use super::route::Route;
use crate::client::Client;
use leveret_protocol::values::{AMQPValue, FieldTable};
use std::io;

/// Declares a queue as the options say.
pub(super) fn declare_queue(client: &mut Client, name: &str, load: &Load) -> io::Result<()> {
    let mut arguments = FieldTable::default();
    for (name, value) in &load.arguments {
        let value = match value.parse() {
            Ok(number) => AMQPValue::LongLongInt(number),
            Err(_) => AMQPValue::LongString(value.as_str().into()),
        };
        arguments.insert(name.as_str().into(), value);
    }
    client.declare_queue(name, load.persistent || load.durable, arguments)
}

/// Returns the number of messages in a queue.
pub(super) fn messages(client: &mut Client, name: &str) -> io::Result<u32> {
    client.counts(name).map(|(messages, _)| messages)
}

/// Binds a queue; with `nowait`, without waiting for an answer.
pub(super) fn bind(
    client: &mut Client,
    queue: &str,
    exchange: &str,
    route: &Route,
    nowait: bool,
) -> io::Result<()> {
    let arguments = header_arguments(route);
    client.bind(queue, exchange, &route.binding_key, arguments, nowait)
}

/// Removes what [`bind`] has made.
pub(super) fn unbind(
    client: &mut Client,
    queue: &str,
    exchange: &str,
    route: &Route,
) -> io::Result<()> {
    client.unbind(queue, exchange, &route.binding_key, header_arguments(route))
}

fn header_arguments(route: &Route) -> FieldTable {
    let mut arguments = FieldTable::default();
    if let Some(header) = &route.header {
        arguments.insert("way".into(), AMQPValue::LongString(header.as_str().into()));
    }
    arguments
}
