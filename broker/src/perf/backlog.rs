//! A backlog: publishes messages first and consumes them afterwards.

use super::declare;
use super::meter::Shared;
use super::options::Load;
use super::progress::Progress;
use super::summary::{Rate, Summary};
use super::throughput::{
    POLL_INTERVAL, Running, all_done, first_failure, join, start_consumers, start_publishers,
};
use crate::client::Client;
use crate::client::Dialer;
use crate::client::Patience;
use crate::client::interrupt::interrupted;
use std::io;
use std::thread;
use std::time::Instant;

/// Publishes this many messages, waits until they are queued, then consumes them all.
pub(super) fn run(
    load: &Load,
    messages: u64,
    (dialer, control): (&Dialer, &mut Client),
    progress: &mut Progress,
) -> io::Result<Summary> {
    let shared = Shared::default();
    let (shared, of) = (&shared, u64::from(load.publishers));
    let share = |n: u32| Some(messages / of + u64::from(u64::from(n) < messages % of));
    progress.begin();
    let started = Instant::now();
    thread::scope(|threads| {
        let publishers = start_publishers(threads, load, dialer, &share, shared)?;
        wait_until_consumed(load, &publishers, (shared, u64::MAX), progress)
            .inspect_err(|_| shared.fail())?;
        shared
            .stop_publishing
            .store(true, std::sync::atomic::Ordering::Relaxed);
        first_failure(publishers.into_iter().map(join))
    })?;
    wait_until_queued(load, shared.counts().published, control)?;
    let publishing = started.elapsed().as_secs_f64();
    let started = Instant::now();
    thread::scope(|threads| {
        let consumers =
            start_consumers(threads, load, dialer, shared).inspect_err(|_| shared.fail())?;
        let published = shared.counts().published;
        if !consumers.is_empty() {
            wait_until_consumed(load, &consumers, (shared, published), progress)
                .inspect_err(|_| shared.fail())?;
        }
        let consuming = started.elapsed().as_secs_f64();
        shared.end();
        first_failure(consumers.into_iter().map(join))?;
        let counts = shared.counts();
        Ok(Summary::new(load.mode, shared)
            .with("published", counts.published, Rate::Over(publishing))
            .with("confirmed", counts.confirmed, Rate::Over(publishing))
            .with("consumed", counts.consumed, Rate::Over(consuming))
            .lasted(publishing + consuming))
    })
}

/// Returns when everything published is in the queues.
fn wait_until_queued(load: &Load, published: u64, control: &mut Client) -> io::Result<()> {
    let mut patience = Patience::new(load.patience());
    let mut queued = 0;
    while queued < published && load.each_is_queued_once() && !interrupted() {
        let undone = format!("has queued only {queued} of {published} messages");
        if !patience.lasts(&undone)? {
            break;
        }
        thread::sleep(POLL_INTERVAL);
        let before = std::mem::take(&mut queued);
        for n in 0..load.queues {
            queued += u64::from(declare::messages(control, &load.queue(n))?);
        }
        if queued != before {
            patience.renew();
        }
    }
    Ok(())
}

/// Returns when this many messages are consumed or all threads are done.
fn wait_until_consumed(
    load: &Load,
    running: &[Running<'_>],
    (shared, until_consumed): (&Shared, u64),
    progress: &mut Progress,
) -> io::Result<()> {
    let mut last = (shared.counts(), Instant::now());
    loop {
        thread::sleep(POLL_INTERVAL);
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
            return Err(io::Error::other(format!(
                "{missing} messages did not arrive"
            )));
        }
    }
}
