//! The load generator: raw frames on blocking sockets ([`client`](crate::client)), with one thread per connection, so that
//! the broker is what is measured and not the generator. It works with any AMQP 0-9-1 broker, and nothing here uses
//! Leveret's.
//!
//! A run is in one of the modes in [`options`]: [`throughput`] and its [`backlog`], [`churn`],
//! [`idle`], and [`brokerless`] and [`disk`], which need no broker. Threads share a [`meter`]; the
//! main thread watches it and writes the [`progress`] and the [`summary`].

mod backlog;
mod brokerless;
mod churn;
mod consumer;
mod declare;
mod disk;
mod idle;
mod meter;
mod options;
mod pace;
mod perftest;
mod progress;
mod publisher;
mod route;
mod run;
mod script;
mod summary;
mod throughput;
mod tls;
mod topology;
mod values;
mod window;

pub use crate::client::Version;
pub use meter::Percentiles;
pub use options::{Load, Mode};
pub use perftest::hint;
pub use route::ExchangeKind;
pub use summary::Summary;
pub use tls::TlsOptions;

use crate::client::{Dialer, Program, interrupt};
use clap::CommandFactory;
use std::io;

/// How brokers know leveretperf.
const PROGRAM: Program = Program {
    product: "leveretperf",
    connection_name: None,
};

/// Returns the command line of leveretperf, for its manual and for completions.
pub fn command_line() -> clap::Command {
    Load::command()
}

/// Runs the load. Ctrl-C ends it early, with a summary of the run so far.
///
/// # Errors
/// A socket failed, or the broker rejected something; the error contains its reply code and text.
pub fn run(load: &Load) -> io::Result<Option<Summary>> {
    if load.mode == Mode::RelayServer {
        return brokerless::serve_relay().map(|()| None);
    }
    interrupt::listen();
    crate::plumbing::system::raise_file_limit();
    match load.mode {
        Mode::Ceiling => {
            return brokerless::ceiling(load).map(|summary| Some(summary.of(load.size)));
        }
        Mode::Relay => return brokerless::relay(load).map(|summary| Some(summary.of(load.size))),
        Mode::Disk => return disk::run(load).map(Some),
        _ => {}
    }
    let target = load.target().map_err(io::Error::other)?;
    let dialer = Dialer::new(target, load.patience(), PROGRAM)?;
    if dialer.trusts_anyone() {
        eprintln!("the broker's certificate is not checked");
    }
    let summary = match load.mode {
        Mode::ConnectionChurn | Mode::ChannelChurn | Mode::QueueChurn | Mode::BindChurn => {
            churn::run(load, &dialer)
        }
        Mode::ConnectionCount => idle::run(load, &dialer),
        _ => run::run(load, &dialer),
    };
    summary.map(|summary| Some(summary.of(load.size).encrypted(dialer.handshakes())))
}
