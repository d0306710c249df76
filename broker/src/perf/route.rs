//! The ways to a queue: kinds of exchanges, their bindings, and messages that match those.

use clap::ValueEnum;

/// The kind of exchange to publish through, and the form of its bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExchangeKind {
    /// A direct exchange, with a different key for each binding.
    Direct,
    /// A topic exchange whose binding keys have three words and no wildcard.
    Topic,
    /// A topic exchange with `*` at the front and `#` at the end of every binding key.
    TopicWildcards,
    /// A headers exchange, with a different value of one header for each binding.
    Headers,
    /// A fanout exchange.
    Fanout,
    /// A consistent-hash exchange, with the weight 1 for every binding.
    ConsistentHash,
}

/// A binding and the properties of a message that matches it.
pub(super) struct Route {
    /// The exchange; empty for the default exchange.
    pub(super) exchange: String,
    pub(super) binding_key: String,
    /// The header value that the binding requires.
    pub(super) header: Option<String>,
    pub(super) routing_key: String,
}

impl ExchangeKind {
    /// Returns the exchange type.
    pub(super) fn kind(self) -> &'static str {
        match self {
            ExchangeKind::Direct => "direct",
            ExchangeKind::Topic | ExchangeKind::TopicWildcards => "topic",
            ExchangeKind::Headers => "headers",
            ExchangeKind::Fanout => "fanout",
            ExchangeKind::ConsistentHash => "x-consistent-hash",
        }
    }

    /// Returns the n-th binding.
    pub(super) fn route(self, exchange: &str, n: u32) -> Route {
        let (binding_key, header, routing_key) = match self {
            ExchangeKind::Direct | ExchangeKind::Fanout => {
                (format!("key.{n}"), None, format!("key.{n}"))
            }
            ExchangeKind::Topic => (format!("a.{n}.c"), None, format!("a.{n}.c")),
            ExchangeKind::TopicWildcards => (format!("*.{n}.#"), None, format!("a.{n}.c.d")),
            ExchangeKind::Headers => (String::new(), Some(format!("value {n}")), String::new()),
            ExchangeKind::ConsistentHash => ("1".to_owned(), None, format!("key.{n}")),
        };
        Route {
            exchange: exchange.to_owned(),
            binding_key,
            header,
            routing_key,
        }
    }
}

impl Route {
    /// Creates a route whose routing key is also the binding key.
    pub(super) fn to(exchange: &str, routing_key: &str) -> Self {
        Route {
            exchange: exchange.to_owned(),
            binding_key: routing_key.to_owned(),
            header: None,
            routing_key: routing_key.to_owned(),
        }
    }
}
