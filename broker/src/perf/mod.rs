//! The load generator: raw frames on blocking sockets, with one thread per connection, so that the
//! broker is what is measured and not the generator. It works with any AMQP 0-9-1 broker, and nothing here uses Leveret's.
//!
//! A run is in one of the modes in [`options`]: [`throughput`] and its [`backlog`], [`churn`],
//! [`idle`], and [`brokerless`] and [`disk`], which need no broker. Threads share a [`meter`]; the
//! main thread watches it and writes the [`progress`] and the [`summary`].

mod backlog;
mod brokerless;
mod churn;
mod client;
mod consumer;
mod declare;
mod disk;
mod idle;
mod interrupt;
mod meter;
mod options;
mod pace;
mod patience;
mod progress;
mod publisher;
mod route;
mod run;
mod script;
mod summary;
mod throughput;
mod topology;
mod uri;
mod window;

pub use meter::Percentiles;
pub use options::{Load, Mode};
pub use route::ExchangeKind;
pub use summary::Summary;

use std::io;

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
    let summary = match load.mode {
        Mode::Throughput => run::run(load),
        Mode::ConnectionChurn | Mode::ChannelChurn | Mode::QueueChurn | Mode::BindChurn => {
            churn::run(load)
        }
        Mode::ConnectionCount => idle::run(load),
        Mode::Ceiling => brokerless::ceiling(load),
        Mode::Relay => brokerless::relay(load),
        Mode::Disk => disk::run(load),
        Mode::RelayServer => return Ok(None),
    };
    summary.map(Some)
}
