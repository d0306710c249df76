//! The load generator: raw frames over blocking sockets, a thread per connection, so that the
//! broker and not the generator is what is measured.
//!
//! A run is one of the modes in [`options`]: [`throughput`] and its [`backlog`], [`churn`],
//! [`idle`], and [`bare`] and [`disk`], which need no broker. Threads share a [`meter`]; the
//! main thread watches it and writes the [`progress`] and the [`summary`].

mod backlog;
mod bare;
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
mod script;
mod summary;
mod throughput;
mod topology;
mod uri;
mod window;

pub use meter::Percentiles;
pub use options::{Load, Mode};
pub use summary::Summary;
pub use topology::Through;

use std::io;

/// Runs the load. Ctrl-C ends it early, with a summary of what was.
///
/// # Errors
/// What a socket said, or the reply code and text with which the broker refused something.
pub fn run(load: &Load) -> io::Result<Option<Summary>> {
    if load.mode == Mode::RelayServer {
        return bare::serve_relay().map(|()| None);
    }
    interrupt::listen();
    crate::plumbing::system::raise_file_limit();
    let summary = match load.mode {
        Mode::Throughput => throughput::run(load),
        Mode::ConnectionChurn | Mode::ChannelChurn | Mode::QueueChurn | Mode::BindChurn => {
            churn::run(load)
        }
        Mode::ConnectionCount => idle::run(load),
        Mode::Ceiling => bare::ceiling(load),
        Mode::Relay => bare::relay(load),
        Mode::Disk => disk::run(load),
        Mode::RelayServer => return Ok(None),
    };
    summary.map(Some)
}
