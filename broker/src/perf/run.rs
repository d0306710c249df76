//! A run that declares queues, publishes and consumes: at the same time, or one after the other.

use super::options::Load;
use super::progress::Progress;
use super::summary::Summary;
use super::{backlog, throughput, topology};
use crate::client::Dialer;
use std::io;
use std::time::Instant;

/// Runs the load: declares the queues, publishes and consumes, and removes the queues.
pub(super) fn run(load: &Load, dialer: &Dialer) -> io::Result<Summary> {
    let mut control = dialer.connect()?;
    let started = Instant::now();
    topology::declare(load, &mut control)?;
    let declaring = started.elapsed();
    let mut progress = Progress::new(load)?;
    let result = match load.backlog {
        Some(messages) => backlog::run(load, messages, (dialer, &mut control), &mut progress),
        None => throughput::publish_and_consume(load, dialer, &mut progress),
    };
    if result.is_err() {
        crate::client::interrupt::fail();
    }
    let mut removed = Ok(());
    if !load.predeclared && !load.keep {
        removed = topology::remove(load, &mut control);
    }
    // The run is over, so a failing close does not matter.
    let _ = control.close();
    let summary = result?;
    removed?;
    Ok(summary.declared_in(declaring))
}
