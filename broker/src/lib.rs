//! Leveret: a message broker that speaks AMQP 0-9-1 where one would put RabbitMQ.
//!
//! Three pure machines and two kinds of plumbing: [`connection`] turns bytes into methods and
//! back, [`exchange`] says which queues a message goes to, [`queue`] decides who gets it when.
//! [`server`] moves bytes between sockets and machines; the storage crate turns what machines ask
//! for into writes. docs/architecture.md draws the picture.

pub mod admin;
pub mod alarms;
pub mod auth;
pub mod broker;
pub mod clock;
pub mod config;
pub mod connection;
pub mod ctl;
pub mod dead_letters;
pub mod definitions;
pub mod escape;
pub mod exchange;
pub mod ledger;
pub mod limits;
pub mod logging;
pub mod message;
pub mod names;
pub mod offline;
pub mod perf;
pub mod policy;
pub mod private;
pub mod queue;
pub mod recovery;
pub mod reload;
pub mod server;
pub mod signals;
pub mod stream;
pub mod system;
pub mod vhost;
