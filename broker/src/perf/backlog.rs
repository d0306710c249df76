//! A backlog: so many messages into a queue, and then all of them out of it.

use super::client::Client;
use super::{Load, Shared, Summary, consumer, publisher, topology};
use std::io;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Publishes `messages`, then consumes them; the rates are those of each by itself.
///
/// # Errors
/// What a socket said, or a close from the broker.
pub(super) fn run(load: &Load, messages: u64, control: &mut Client) -> io::Result<Summary> {
    let started = Instant::now();
    topology::declare(load, control)?;
    let declaring = started.elapsed();
    let mut client = Client::connect(load)?;
    let started = Instant::now();
    publisher::publish(load, messages, &mut client)?;
    // The answer comes when all before it are in the queue.
    client.declare_queue(&load.queue(0), load.persistent, &load.queue_arguments())?;
    let publishing = started.elapsed();
    let shared = Shared::default();
    let started = Instant::now();
    let done = || shared.consumed.load(Ordering::Relaxed) >= messages;
    consumer::start(load, 0)?.run_until(&shared, done)?;
    let consuming = started.elapsed();
    topology::remove(load, control)?;
    Ok(Summary {
        published: messages as f64 / publishing.as_secs_f64(),
        confirmed: 0.0,
        consumed: messages as f64 / consuming.as_secs_f64(),
        declaring,
        confirm_latency: None,
    })
}
