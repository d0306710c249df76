//! Support for the black-box tests: a broker per test in one line, clients that use lapin or raw
//! bytes, Python scripts under chosen versions of pika, and a browser.
//!
//! Every test starts its own release build of Leveret on a free port with its own data directory.
//! To run the protocol tests against another broker for comparison, set
//!
//! - `LEVERET_TEST_ADDRESS=127.0.0.1:5680`: its address, with guest/guest on vhost `/`;
//! - `LEVERET_TEST_CLEAN`: a shell command that removes every queue and exchange of it, run
//!   before each test;
//! - `LEVERET_TEST_CTL`: its rabbitmqctl, for the tests that use one.
//!
//! Tests then run one at a time, and those that stop or kill the broker are skipped.
//!
//! These helpers fail by panicking, as they are only called from tests.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "everything here serves tests only"
)]

mod binaries;
mod broker;
mod client;
pub mod dialogue;
pub mod http;
pub mod issuer;
mod machine;
mod memory;
pub mod power;
mod process;
pub mod python;
mod rabbitmq;
pub mod raw;
pub mod tls;
pub mod tools;
mod wait;
mod web;
pub mod web_service;

pub use binaries::{Binaries, binaries};
pub use broker::{CtlOutput, TestBroker, broker_command, ready_address};
pub use client::{
    Client, Reply, TestChannel, expect_reply, headers, next, nothing_more, reply_of, text,
    try_publish,
};
pub use machine::isolate;
pub use memory::{peak_resident_bytes, resident_bytes, settled_bytes};
pub use process::Process;
pub use rabbitmq::RabbitMq;
pub use wait::{eventually, eventually_within, run, run_within};
pub use web::WebReply;
