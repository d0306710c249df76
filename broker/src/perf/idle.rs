//! Many idle connections.

use super::meter::{Shared, now};
use super::options::Load;
use super::progress::Progress;
use super::summary::{Rate, Summary};
use crate::client::Dialer;
use crate::client::interrupt::interrupted;
use crate::client::{Client, check_frame};
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often connections are checked for having been closed by the broker.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Opens connections one after the other and keeps them open until the time is over.
pub(super) fn run(load: &Load, dialer: &Dialer) -> io::Result<Summary> {
    let (shared, mut progress) = (Shared::default(), Progress::new(load)?);
    progress.begin();
    let started = Instant::now();
    let mut clients = Vec::new();
    while clients.len() < load.publishers as usize && !interrupted() {
        let began = now();
        let mut client = dialer.connect()?;
        client.open_channels(load.channels)?;
        shared.latency.record(&[(now() - began, 1)]);
        shared.cycles.fetch_add(1, Ordering::Relaxed);
        clients.push(client);
        progress.tick(&shared)?;
    }
    let opening = started.elapsed().as_secs_f64();
    if !load.quiet {
        eprintln!("{} connections are open", clients.len());
    }
    let mut last_checked = Instant::now();
    let limit = load.time_limit().unwrap_or(f64::MAX);
    while started.elapsed().as_secs_f64() < opening + limit && !interrupted() {
        std::thread::sleep(Duration::from_millis(20));
        if last_checked.elapsed() > CHECK_INTERVAL {
            last_checked = Instant::now();
            for client in &mut clients {
                client.read_available()?;
                client.frames(check_frame)?;
            }
        }
    }
    let count = clients.len() as u64;
    clients.into_iter().try_for_each(Client::close)?;
    Ok(Summary::new(load.mode, &shared)
        .with("connections", count, Rate::Over(opening))
        .lasted(started.elapsed().as_secs_f64()))
}
