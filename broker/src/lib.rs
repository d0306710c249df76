//! Leveret: a message broker that speaks AMQP 0-9-1 where one would put RabbitMQ.
//!
//! The modules form layers; each uses only those below it:
//!
//! | module | contents |
//! | --- | --- |
//! | [`node`] | the process: start, stop, logging, signals, reload |
//! | [`amqp`], [`control`], [`http`] | the interfaces to the outside, independent of each other |
//! | [`manage`] | everything that can be listed and done |
//! | [`domain`] | declarations and permissions |
//! | [`net`] | listening sockets, TLS, what stands before a session |
//! | [`plumbing`] | performs the effects that the machines return |
//! | [`engine`] | pure state machines |
//! | [`config`] | the settings, as plain values |
//! | [`text`] | handling of untrusted text |
//!
//! [`ctl`] and [`perf`] are clients: leveretctl and leveretperf. [`client`] is the AMQP client that both use. docs/develop/architecture.md draws the picture;
//! `tests/tests/tidy.rs` enforces the layers.

pub mod amqp;
pub mod client;
pub mod config;
pub mod control;
pub mod ctl;
pub mod domain;
pub mod engine;
pub mod http;
pub mod manage;
pub mod net;
pub mod node;
pub mod perf;
pub mod plumbing;
pub mod text;
