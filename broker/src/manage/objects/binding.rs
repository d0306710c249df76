//! Bindings.

use super::Arguments;
use super::erlang_hash;
use crate::domain::vhost::Vhost;
use crate::engine::exchange::{self as engine, DestinationName};
use crate::engine::queue::Queue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use leveret_protocol::values::FieldTable;
use leveret_protocol::{ExchangeName, VhostName};
use serde::Serialize;
use std::cmp::Ordering;
use std::sync::Arc;
use utoipa::ToSchema;

/// A binding.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Binding {
    /// The exchange that messages come from; empty for the default exchange.
    pub source: String,
    /// The virtual host.
    pub vhost: String,
    /// The queue or exchange that they go to.
    pub destination: String,
    /// `queue` or `exchange`.
    pub destination_type: &'static str,
    /// The routing key.
    pub routing_key: String,
    /// The arguments.
    #[schema(value_type = Object)]
    pub arguments: Arguments,
    /// What tells the bindings between the same source and destination apart, in paths.
    pub properties_key: String,
}

impl Binding {
    /// Describes a binding that a client made.
    pub fn of(vhost: &VhostName, source: &ExchangeName, binding: &engine::Binding) -> Self {
        let (destination_type, destination) = match binding.destination.name() {
            DestinationName::Queue(name) => ("queue", name.to_string()),
            DestinationName::Exchange(name) => ("exchange", name.to_string()),
        };
        Binding {
            source: source.to_string(),
            vhost: vhost.to_string(),
            destination,
            destination_type,
            routing_key: binding.key.to_string(),
            properties_key: properties_key(binding.key.as_str(), &binding.arguments),
            arguments: Arguments::from(&binding.arguments),
        }
    }

    /// Describes the implicit binding of a queue to the default exchange (spec 3.1.1).
    pub fn implicit(vhost: &VhostName, queue: &str) -> Self {
        Binding {
            source: String::new(),
            vhost: vhost.to_string(),
            destination: queue.to_owned(),
            destination_type: "queue",
            routing_key: queue.to_owned(),
            arguments: Arguments::default(),
            properties_key: properties_key(queue, &FieldTable::default()),
        }
    }
}

/// A binding by reference: it is described when its turn comes, because a list of all may be long.
#[derive(Clone, Debug)]
pub enum Listed {
    /// The implicit binding of a queue to the default exchange.
    Implicit(Arc<Vhost>, Arc<Queue>),
    /// A binding that a client made.
    Made(Arc<Vhost>, Arc<engine::Exchange>, engine::Binding),
}

impl Listed {
    /// Returns the bindings of an exchange; those of the default exchange if it is `None`.
    pub fn from_exchange(
        vhost: &Arc<Vhost>,
        exchange: Option<&Arc<engine::Exchange>>,
    ) -> Vec<Self> {
        let Some(exchange) = exchange else {
            let queues = vhost.queues().into_iter();
            return queues
                .map(|queue| Listed::Implicit(vhost.clone(), queue))
                .collect();
        };
        let bindings = exchange.bindings().into_iter();
        let made = |binding| Listed::Made(vhost.clone(), exchange.clone(), binding);
        bindings.map(made).collect()
    }

    /// Returns all bindings of a virtual host, first those of the default exchange.
    pub fn in_vhost(vhost: &Arc<Vhost>) -> Vec<Self> {
        let mut bindings = Listed::from_exchange(vhost, None);
        for exchange in vhost.exchanges() {
            bindings.extend(Listed::from_exchange(vhost, Some(&exchange)));
        }
        bindings
    }

    /// Describes it.
    pub fn describe(&self) -> Binding {
        match self {
            Listed::Implicit(vhost, queue) => {
                Binding::implicit(vhost.name(), queue.name().as_str())
            }
            Listed::Made(vhost, exchange, binding) => {
                Binding::of(vhost.name(), exchange.name(), binding)
            }
        }
    }

    /// Returns whether it leads to the destination of this type, `queue` or `exchange`, and name.
    pub fn leads_to(&self, destination_type: &str, name: &str) -> bool {
        self.destination() == (destination_type, name)
    }

    fn destination(&self) -> (&'static str, &str) {
        let destination = match self {
            Listed::Implicit(_, queue) => return ("queue", queue.name().as_str()),
            Listed::Made(_, _, binding) => &binding.destination,
        };
        match destination {
            engine::Destination::Queue(queue) => ("queue", queue.name().as_str()),
            engine::Destination::Exchange(exchange) => ("exchange", exchange.name().as_str()),
        }
    }

    /// Virtual host, source, destination and routing key.
    fn names(&self) -> [&str; 4] {
        let (_, destination) = self.destination();
        let (vhost, source, key) = match self {
            Listed::Implicit(vhost, queue) => (vhost, "", queue.name().as_str()),
            Listed::Made(vhost, exchange, binding) => {
                (vhost, exchange.name().as_str(), binding.key.as_str())
            }
        };
        [vhost.name().as_str(), source, destination, key]
    }

    fn properties_key(&self) -> String {
        self.describe().properties_key
    }

    /// Compares names, and then properties keys, as lists of bindings are sorted.
    pub fn order(&self, other: &Self) -> Ordering {
        let names = self.names().cmp(&other.names());
        names.then_with(|| self.properties_key().cmp(&other.properties_key()))
    }
}

/// Returns RabbitMQ's name for a routing key with arguments: `~` for nothing, the key for a key, and a hash of the
/// arguments behind a `~` (`rabbit_mgmt_format:pack_binding_props`).
pub fn properties_key(routing_key: &str, arguments: &FieldTable) -> String {
    let key = quoted(routing_key).replace('~', "%7E");
    if arguments.inner().is_empty() {
        return if key.is_empty() { "~".into() } else { key };
    }
    let hash = erlang_hash::of_table(arguments).to_be_bytes();
    format!("{key}~{}", URL_SAFE_NO_PAD.encode(hash))
}

/// Percent-encodes a part of a path as RabbitMQ does, with `+` for a space (`rabbit_http_util:quote_plus`).
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'~' | b'_' => {
                quoted.push(byte.into());
            }
            b' ' => quoted.push('+'),
            other => quoted.push_str(&format!("%{other:02X}")),
        }
    }
    quoted
}

/// Reverses [`quoted`]; what is not encoded stays as it is (`rabbit_http_util:unquote`).
pub fn unquoted(text: &str) -> String {
    let hex = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match (first, hex(after.first()), hex(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                rest = &after[2..];
                (high * 16 + low) as u8
            }
            (b'+', ..) => b' ',
            (other, ..) => *other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_protocol::values::AMQPValue;
    use proptest::prelude::*;

    fn table(fields: &[(&str, AMQPValue)]) -> FieldTable {
        let mut table = FieldTable::default();
        for (name, value) in fields {
            table.insert((*name).into(), value.clone());
        }
        table
    }

    #[test]
    fn properties_keys_are_rabbitmqs() {
        // As recorded from RabbitMQ 3.10.8.
        let text = |text: &str| AMQPValue::LongString(text.into());
        let none = FieldTable::default();
        for (key, name) in [
            ("", "~"),
            ("k", "k"),
            ("~", "%7E"),
            ("a~b", "a%7Eb"),
            ("a.*", "a.%2A"),
            ("a.#/b c%~", "a.%23%2Fb+c%25%7E"),
        ] {
            assert_eq!(properties_key(key, &none), name);
        }
        let arguments = table(&[("x", text("y")), ("n", AMQPValue::LongLongInt(5))]);
        assert_eq!(properties_key("k", &arguments), "k~o8mVfw");
        let arguments = table(&[("x-match", text("any")), ("a", text("b"))]);
        assert_eq!(properties_key("", &arguments), "~CfXwAg");
        let arguments = table(&[
            ("a", AMQPValue::LongLongInt(5)),
            ("b", AMQPValue::Boolean(true)),
            ("c", AMQPValue::Double(1.5)),
            ("d", AMQPValue::FieldTable(table(&[("e", text("f"))]))),
            (
                "g",
                AMQPValue::FieldArray(vec![AMQPValue::LongLongInt(1)].into()),
            ),
        ]);
        assert_eq!(properties_key("", &arguments), "~d7GX9Q");
    }

    #[test]
    fn what_is_not_encoded_stays_as_it_is() {
        assert_eq!(unquoted("a%2"), "a%2");
        assert_eq!(unquoted("%zz%"), "%zz%");
        assert_eq!(unquoted("a+b%2Bc"), "a b+c");
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_back(text in ".*") {
            let quoted = quoted(&text);
            prop_assert!(quoted.is_ascii() && !quoted.contains(['/', '?', ' ', '#']));
            prop_assert_eq!(unquoted(&quoted), text);
        }

        #[test]
        fn no_text_makes_unquoting_panic(text in "[%+0-9a-z\u{e4}]*") {
            let _ = unquoted(&text);
        }
    }
}
