//! A backlog: messages are published first and consumed afterwards.

use super::client::Client;
use super::interrupt::interrupted;
use super::meter::Shared;
use super::options::Load;
use super::patience::Patience;
use super::progress::Progress;
use super::summary::{Rate, Summary};
use super::throughput::{
    LOOK, Running, all_done, first_failure, joined, start_consumers, start_publishers,
};
use std::io;
use std::thread;
use std::time::Instant;

/// Publishes this many messages, waits until the queues have them, then consumes them all.
pub(super) fn run(
    load: &Load,
    messages: u64,
    control: &mut Client,
    progress: &mut Progress,
) -> io::Result<Summary> {
    let shared = Shared::default();
    let (shared, of) = (&shared, u64::from(load.publishers));
    let share = |n: u32| Some(messages / of + u64::from(u64::from(n) < messages % of));
    progress.begin();
    let started = Instant::now();
    thread::scope(|threads| {
        let publishers = start_publishers(threads, load, &share, shared)?;
        watch(load, &publishers, (shared, u64::MAX), progress).inspect_err(|_| shared.fail())?;
        shared
            .stop_publishing
            .store(true, std::sync::atomic::Ordering::Relaxed);
        first_failure(publishers.into_iter().map(joined))
    })?;
    arrive(load, shared.counts().published, control)?;
    let publishing = started.elapsed().as_secs_f64();
    let started = Instant::now();
    thread::scope(|threads| {
        let consumers = start_consumers(threads, load, shared).inspect_err(|_| shared.fail())?;
        let published = shared.counts().published;
        if !consumers.is_empty() {
            watch(load, &consumers, (shared, published), progress)
                .inspect_err(|_| shared.fail())?;
        }
        let consuming = started.elapsed().as_secs_f64();
        shared.end();
        first_failure(consumers.into_iter().map(joined))?;
        let counts = shared.counts();
        Ok(Summary::new(load.mode, shared)
            .with("published", counts.published, Rate::Over(publishing))
            .with("confirmed", counts.confirmed, Rate::Over(publishing))
            .with("consumed", counts.consumed, Rate::Over(consuming))
            .lasted(publishing + consuming))
    })
}

/// Returns when the queues have what was published.
fn arrive(load: &Load, published: u64, control: &mut Client) -> io::Result<()> {
    let mut patience = Patience::new(load.patience());
    let mut there = 0;
    while there < published && load.each_is_queued_once() && !interrupted() {
        let undone = format!("has had {there} of {published} messages in its queues");
        if !patience.lasts(&undone)? {
            break;
        }
        thread::sleep(LOOK);
        let before = std::mem::take(&mut there);
        for n in 0..load.queues {
            there += u64::from(control.messages(&load.queue(n))?);
        }
        if there != before {
            patience.renew();
        }
    }
    Ok(())
}

/// Returns when so many messages are consumed, or all threads are done.
fn watch(
    load: &Load,
    running: &[Running<'_>],
    (shared, until_consumed): (&Shared, u64),
    progress: &mut Progress,
) -> io::Result<()> {
    let mut last = (shared.counts(), Instant::now());
    loop {
        thread::sleep(LOOK);
        progress.tick(shared)?;
        let counts = shared.counts();
        if counts.consumed >= until_consumed || all_done(running) {
            return Ok(());
        }
        if interrupted() || shared.has_failed() {
            shared.end();
            return Ok(());
        }
        if counts != last.0 {
            last = (counts, Instant::now());
        } else if last.1.elapsed() > load.patience() && until_consumed != u64::MAX {
            let missing = until_consumed - counts.consumed;
            return Err(io::Error::other(format!("{missing} messages did not come")));
        }
    }
}
