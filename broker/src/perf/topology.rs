//! The topology of the load: queues and, optionally, an exchange with any number of bindings in
//! front of them.

use super::declare;
use super::options::Load;
use super::route::Route;
use crate::client::{Client, Exchange};
use std::io;
use std::time::Duration;

/// How long the deletion of a queue may take: with many messages it may take minutes.
const DELETING: Duration = Duration::from_secs(300);

/// Declares the topology, after removing what an earlier run has left.
pub(super) fn declare(load: &Load, control: &mut Client) -> io::Result<()> {
    if load.predeclared {
        return Ok(());
    }
    remove_leftovers(load, control)?;
    for n in 0..load.queues {
        declare::declare_queue(control, &load.queue(n), load)?;
    }
    let exchange = load.exchange_name();
    if let Some(through) = load.exchange_type {
        control.declare_exchange(Exchange {
            name: exchange,
            kind: through.kind(),
            durable: load.persistent || load.durable,
            auto_delete: false,
        })?;
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
        declare::bind(control, &queue, exchange, &routes[n % routes.len()], true)?;
    }
    // The answer to this arrives after everything before it is done.
    declare::declare_queue(control, &load.queue(0), load)
}

/// Removes what an earlier run has left. Fails if a queue may belong to somebody else.
fn remove_leftovers(load: &Load, control: &mut Client) -> io::Result<()> {
    if load.owns_queues() {
        return remove(load, control);
    }
    for n in 0..load.queues {
        let queue = load.queue(n);
        match declare::messages(control, &queue) {
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
        control.delete_queue(&load.queue(n), DELETING)?;
    }
    Ok(())
}
