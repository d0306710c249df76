//! What the load goes through: queues, and between them and the publishers an exchange with as
//! many bindings as asked for.

use super::client::Client;
use super::options::Load;
use clap::ValueEnum;
use std::io;

/// An exchange to publish through, by how its bindings look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Through {
    /// A direct exchange, each binding with a key of its own.
    Direct,
    /// A topic exchange whose binding keys have three words and no wildcard.
    Topic,
    /// A topic exchange with `*` at the front and `#` at the end of every binding key.
    TopicWildcards,
    /// A headers exchange; each binding asks for another value of one header.
    Headers,
    /// A fanout exchange.
    Fanout,
    /// A consistent-hash exchange; every binding has the weight 1.
    ConsistentHash,
}

/// A binding and a message that it matches.
pub(super) struct Way {
    /// The exchange; empty for the one that leads straight to the queues.
    pub(super) exchange: String,
    pub(super) binding_key: String,
    /// A header that the binding asks for.
    pub(super) header: Option<String>,
    pub(super) routing_key: String,
}

impl Through {
    /// The exchange's type.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Through::Direct => "direct",
            Through::Topic | Through::TopicWildcards => "topic",
            Through::Headers => "headers",
            Through::Fanout => "fanout",
            Through::ConsistentHash => "x-consistent-hash",
        }
    }

    /// The n-th binding.
    pub(super) fn way(self, exchange: &str, n: u32) -> Way {
        let (binding_key, header, routing_key) = match self {
            Through::Direct | Through::Fanout => (format!("key.{n}"), None, format!("key.{n}")),
            Through::Topic => (format!("a.{n}.c"), None, format!("a.{n}.c")),
            Through::TopicWildcards => (format!("*.{n}.#"), None, format!("a.{n}.c.d")),
            Through::Headers => (String::new(), Some(format!("value {n}")), String::new()),
            Through::ConsistentHash => ("1".to_owned(), None, format!("key.{n}")),
        };
        Way {
            exchange: exchange.to_owned(),
            binding_key,
            header,
            routing_key,
        }
    }
}

impl Way {
    /// With this routing key, which is the binding's key as well.
    pub(super) fn to(exchange: &str, routing_key: &str) -> Self {
        Way {
            exchange: exchange.to_owned(),
            binding_key: routing_key.to_owned(),
            header: None,
            routing_key: routing_key.to_owned(),
        }
    }
}

/// Declares what the load goes through, after removing what an earlier run has left.
pub(super) fn declare(load: &Load, control: &mut Client) -> io::Result<()> {
    if load.predeclared {
        return Ok(());
    }
    make_way(load, control)?;
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
    let ways: Vec<Way> = match (load.routing_key.as_slice(), load.exchange_type) {
        ([], Some(through)) => (0..load.bindings)
            .map(|n| through.way(exchange, n))
            .collect(),
        ([], None) => (0..load.queues)
            .map(|n| Way::to(exchange, &load.queue(n)))
            .collect(),
        (keys, _) => keys.iter().map(|key| Way::to(exchange, key)).collect(),
    };
    // With fewer keys than queues, every queue has one all the same.
    for n in 0..ways.len().max(load.queues as usize) {
        let queue = load.queue((n % load.queues as usize) as u32);
        control.bind(&queue, exchange, &ways[n % ways.len()], true)?;
    }
    // The answer to this comes after everything before it is done.
    control.declare_queue(&load.queue(0), load)
}

/// Removes what an earlier run has left; a queue that may be somebody else's is refused.
fn make_way(load: &Load, control: &mut Client) -> io::Result<()> {
    if load.owns_queues() {
        return remove(load, control);
    }
    for n in 0..load.queues {
        let queue = load.queue(n);
        match control.messages(&queue) {
            Ok(messages) => {
                return Err(io::Error::other(format!(
                    "the queue '{queue}' is there already, with {messages} messages: \
                     --predeclared uses it as it is, --replace removes it first"
                )));
            }
            Err(error) if error.to_string().contains(": 404 ") => control.reopen_channel()?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes all that was declared, unless it shall stay.
pub(super) fn remove(load: &Load, control: &mut Client) -> io::Result<()> {
    if load.exchange_type.is_some() && load.exchange.is_none() {
        control.delete_exchange(load.exchange_name())?;
    }
    for n in 0..load.queues {
        control.delete_queue(&load.queue(n))?;
    }
    Ok(())
}
