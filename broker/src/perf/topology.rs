//! The topology of the load: queues and, optionally, an exchange with any number of bindings in
//! front of them.

use super::client::Client;
use super::options::Load;
use clap::ValueEnum;
use std::io;

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

/// Declares the topology, after removing what an earlier run has left.
pub(super) fn declare(load: &Load, control: &mut Client) -> io::Result<()> {
    if load.predeclared {
        return Ok(());
    }
    remove_leftovers(load, control)?;
    for n in 0..load.queues {
        control.declare_queue(&load.queue(n), load)?;
    }
    let exchange = load.exchange_name();
    if let Some(through) = load.exchange_type {
        control.declare_exchange(exchange, through.kind(), load.persistent || load.durable)?;
    }
    if exchange.is_empty() {
        return Ok(());
    }
    let routes: Vec<Route> = match (load.routing_key.as_slice(), load.exchange_type) {
        ([], Some(through)) => (0..load.bindings)
            .map(|n| through.route(exchange, n))
            .collect(),
        ([], None) => (0..load.queues)
            .map(|n| Route::to(exchange, &load.queue(n)))
            .collect(),
        (keys, _) => keys.iter().map(|key| Route::to(exchange, key)).collect(),
    };
    // With fewer keys than queues, every queue still gets a binding.
    for n in 0..routes.len().max(load.queues as usize) {
        let queue = load.queue((n % load.queues as usize) as u32);
        control.bind(&queue, exchange, &routes[n % routes.len()], true)?;
    }
    // The answer to this arrives after everything before it is done.
    control.declare_queue(&load.queue(0), load)
}

/// Removes what an earlier run has left. Fails if a queue may belong to somebody else.
fn remove_leftovers(load: &Load, control: &mut Client) -> io::Result<()> {
    if load.owns_queues() {
        return remove(load, control);
    }
    for n in 0..load.queues {
        let queue = load.queue(n);
        match control.messages(&queue) {
            Ok(messages) => {
                return Err(io::Error::other(format!(
                    "the queue '{queue}' already exists, with {messages} messages: \
                     use --predeclared to use it as it is or --replace to remove it first"
                )));
            }
            Err(error) if error.to_string().contains(": 404 ") => control.reopen_channel()?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes everything that was declared, except an exchange that was named explicitly.
pub(super) fn remove(load: &Load, control: &mut Client) -> io::Result<()> {
    if load.exchange_type.is_some() && load.exchange.is_none() {
        control.delete_exchange(load.exchange_name())?;
    }
    for n in 0..load.queues {
        control.delete_queue(&load.queue(n))?;
    }
    Ok(())
}
