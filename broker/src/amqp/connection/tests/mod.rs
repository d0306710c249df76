//! The connection machine without sockets: bytes in, the client's view out.

mod ack_timeout;
mod allowances;
mod blocking;
mod bounds;
mod channels;
mod client;
mod content;
mod counting;
mod dead_letters;
mod delayed;
mod delivery;
mod errors;
mod expiry;
mod fast_path;
mod firehose;
mod fuzz;
mod handshake;
mod lifetimes;
mod limits;
mod logging_in;
mod names;
mod races;
mod requests;
mod settling;
mod stored;
mod topics;
mod transactions;
mod turns;
mod users;

use crate::config::Limits;
use crate::domain::auth::{PasswordHash, Permission};
use crate::domain::broker::Broker;
use crate::domain::vhost::spec::VhostSpec;
use crate::engine::interfaces::Deadlines;
use client::Client;
use leveret_storage::Store;
use std::sync::Arc;
use std::time::Duration;

/// A broker that keeps everything in memory, with user guest/guest on `/`.
fn broker() -> Arc<Broker> {
    broker_with(None)
}

fn broker_with(store: Option<Store>) -> Arc<Broker> {
    let limits = Limits {
        max_transaction_size: 1 << 20,
        ..Limits::default()
    };
    broker_of(limits, store)
}

fn broker_of(limits: Limits, store: Option<Store>) -> Arc<Broker> {
    let broker = Broker::new(limits, vec!["guest".to_owned()], store);
    let mut fx = broker.effects(None);
    broker.add_vhost(VhostSpec::named("/"), &mut fx);
    fx.perform();
    add_user(&broker, "guest", ".*");
    Arc::new(broker)
}

/// Adds a user whose password is its name, and who may do everything with what `pattern` matches.
fn add_user(broker: &Broker, name: &str, pattern: &str) {
    broker
        .users
        .add_user(name, PasswordHash::of(name), &[])
        .unwrap();
    let permission = Permission {
        user: name.to_owned(),
        vhost: "/".to_owned(),
        configure: pattern.to_owned(),
        write: pattern.to_owned(),
        read: pattern.to_owned(),
    };
    broker.users.set_permissions(permission).unwrap();
}

/// A client that is logged in and has channel 1 open.
fn client() -> Client {
    Client::ready(&broker())
}

/// Two of them on one broker.
fn two_clients() -> (Client, Client) {
    let broker = broker();
    (Client::ready(&broker), Client::ready(&broker))
}

/// Expected lines, to compare with what a client received.
fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// Advances the time and serves the timers.
fn pass(client: &mut Client, milliseconds: u64) {
    client.wait(Duration::from_millis(milliseconds));
    let mut fx = client.broker.effects(None);
    while let Some(what) = client.broker.timers.take_due(client.now) {
        let again = what.clone().on_time(&*client.broker, client.now, &mut fx);
        fx.perform();
        if let Some(at) = again {
            client.broker.timers.wake_at(at, &what);
        }
    }
}
