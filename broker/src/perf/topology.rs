//! What the load goes through: queues, and between them and the publishers an exchange with as
//! many bindings as asked for.

use super::Load;
use super::client::Client;
use clap::ValueEnum;
use std::io;

/// The exchange that publishers use when one is asked for.
pub(super) const EXCHANGE: &str = "leveretperf";

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
    pub(super) fn way(self, n: u32) -> Way {
        let (binding_key, header, routing_key) = match self {
            Through::Direct | Through::Fanout => (format!("key.{n}"), None, format!("key.{n}")),
            Through::Topic => (format!("a.{n}.c"), None, format!("a.{n}.c")),
            Through::TopicWildcards => (format!("*.{n}.#"), None, format!("a.{n}.c.d")),
            Through::Headers => (String::new(), Some(format!("value {n}")), String::new()),
            Through::ConsistentHash => ("1".to_owned(), None, format!("key.{n}")),
        };
        Way {
            binding_key,
            header,
            routing_key,
        }
    }
}

/// Declares what the load goes through, after removing what an earlier run has left.
pub(super) fn declare(load: &Load, control: &mut Client) -> io::Result<()> {
    remove(load, control)?;
    for n in 0..load.queues {
        control.declare_queue(&load.queue(n), load)?;
    }
    if let Some(through) = load.exchange {
        control.declare_exchange(EXCHANGE, through.kind(), load.persistent)?;
        for n in 0..load.bindings {
            control.bind(&load.queue(n), EXCHANGE, &through.way(n))?;
        }
        // The answer to this comes after everything before it is done.
        control.declare_queue(&load.queue(0), load)?;
    }
    Ok(())
}

/// Removes all of it.
pub(super) fn remove(load: &Load, control: &mut Client) -> io::Result<()> {
    if load.exchange.is_some() {
        control.delete_exchange(EXCHANGE)?;
    }
    for n in 0..load.queues {
        control.delete_queue(&load.queue(n))?;
    }
    Ok(())
}
