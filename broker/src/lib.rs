//! Leveret: a message broker that speaks AMQP 0-9-1 where one would put RabbitMQ.
//!
//! Layers of modules; each uses those below it and none above:
//!
//! | module | what |
//! | --- | --- |
//! | [`node`] | the process: log, signals, reload |
//! | [`amqp`], [`control`] | how the outside reaches the broker; neither knows the other |
//! | [`manage`] | everything that can be listed and done, once |
//! | [`domain`] | what is declared, and who may |
//! | [`plumbing`] | what carries out the machines' wishes |
//! | [`engine`] | the pure machines |
//! | [`config`] | the settings, plain values |
//! | [`text`] | text from outside |
//!
//! [`ctl`] and [`perf`] are clients: leveretctl and leveretperf. docs/develop/architecture.md draws the picture;
//! `tests/tests/tidy.rs` holds the order.

pub mod amqp;
pub mod config;
pub mod control;
pub mod ctl;
pub mod domain;
pub mod engine;
pub mod manage;
pub mod node;
pub mod perf;
pub mod plumbing;
pub mod text;
