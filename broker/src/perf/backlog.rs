//! A backlog: messages are published first and consumed afterwards.

use super::client::Client;
use super::{Load, Shared, Summary, consumer, publisher};
use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked whether a phase is over.
const LOOK: Duration = Duration::from_millis(1);

/// Publishes this many messages, waits until the queues have them, then consumes them all.
pub(super) fn run(load: &Load, messages: u64, control: &mut Client) -> io::Result<Summary> {
    let shared = Shared::default();
    let started = Instant::now();
    let (shared, load) = (&shared, &load);
    thread::scope(|threads| {
        let publishers: Vec<_> = (0..load.publishers)
            .map(|n| threads.spawn(move || publisher::run(load, n, shared)))
            .collect();
        while shared.published.load(Ordering::Relaxed) < messages
            && !publishers.iter().all(thread::ScopedJoinHandle::is_finished)
        {
            thread::sleep(LOOK);
        }
        shared.stop_publishing.store(true, Ordering::Relaxed);
        publishers.into_iter().try_for_each(|p| joined(p).map(drop))
    })?;
    let published = shared.published.load(Ordering::Relaxed);
    let mut there = 0;
    while there < published {
        thread::sleep(LOOK);
        there = 0;
        for n in 0..load.queues {
            there += u64::from(control.messages(&load.queue(n))?);
        }
        if started.elapsed() > Duration::from_secs(600) {
            return Err(io::Error::other(format!("{there} of {published} came")));
        }
    }
    let publishing = started.elapsed();
    let started = Instant::now();
    thread::scope(|threads| {
        let consumers: Vec<_> = (0..load.consumers)
            .map(|n| threads.spawn(move || consumer::start(load, n)?.run(shared)))
            .collect();
        while shared.consumed.load(Ordering::Relaxed) < published
            && !consumers.iter().all(thread::ScopedJoinHandle::is_finished)
        {
            thread::sleep(LOOK);
        }
        shared.stop.store(true, Ordering::Relaxed);
        let consuming = started.elapsed();
        consumers.into_iter().try_for_each(joined)?;
        let rate = |time: Duration| published as f64 / time.as_secs_f64();
        Ok(Summary {
            published: rate(publishing),
            confirmed: shared.confirmed.load(Ordering::Relaxed) as f64 / publishing.as_secs_f64(),
            consumed: rate(consuming),
            declaring: Duration::ZERO,
            confirm_latency: None,
        })
    })
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, io::Result<T>>) -> io::Result<T> {
    let ended = thread.join();
    ended.unwrap_or_else(|_| Err(io::Error::other("a connection's thread panicked")))
}
