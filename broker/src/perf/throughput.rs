//! Publishes and consumes at the same time.

use super::consumer::Consumer;
use super::meter::Shared;
use super::options::Load;
use super::progress::Progress;
use super::publisher::Publisher;
use super::script::{Script, SendAs};
use super::summary::{Rate, Summary};
use crate::client::Dialer;
use crate::client::interrupt::interrupted;
use std::io;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// How often to check whether a run is over.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// If it is not known how many messages must arrive, how long nothing may arrive before the run
/// counts as complete.
const QUIET: Duration = Duration::from_secs(2);

/// The thread of a connection.
pub(super) type Running<'a> = ScopedJoinHandle<'a, io::Result<()>>;

pub(super) fn publish_and_consume(
    load: &Load,
    dialer: &Dialer,
    progress: &mut Progress,
) -> io::Result<Summary> {
    let shared = Shared::default();
    std::thread::scope(|threads| {
        let both = start_both(threads, load, dialer, &shared).inspect_err(|_| shared.fail())?;
        let (publishers, consumers) = both;
        progress.begin();
        let started = Instant::now();
        let end = watch(load, &shared, (&publishers, &consumers), progress)
            .inspect_err(|_| shared.fail());
        let counts = shared.counts();
        let seconds = started.elapsed().as_secs_f64();
        shared
            .stop_publishing
            .store(true, std::sync::atomic::Ordering::Relaxed);
        let mut ended: Vec<_> = publishers.into_iter().map(join).collect();
        // Without confirms, everything sent counts as published once the broker answers
        // connection.close: until then megabytes may still be in socket buffers.
        let (published_count, publishing) = match load.confirm {
            0 => (shared.counts().published, started.elapsed().as_secs_f64()),
            _ => (counts.published, seconds),
        };
        shared.end();
        ended.extend(consumers.into_iter().map(join));
        ended.push(end);
        first_failure(ended)?;
        Ok(Summary::new(load.mode, &shared)
            .with("published", published_count, Rate::Over(publishing))
            .with("confirmed", counts.confirmed, Rate::Over(seconds))
            .with("consumed", counts.consumed, Rate::Over(seconds))
            .with("refused", counts.refused, Rate::IfAny(seconds))
            .with("returned", counts.returned, Rate::IfAny(seconds))
            .lasted(seconds))
    })
}

type PublishersAndConsumers<'a> = (Vec<Running<'a>>, Vec<Running<'a>>);

/// Starts the consumers, then the publishers, which begin once all of them are connected.
fn start_both<'s, 'e: 's>(
    threads: &'s Scope<'s, 'e>,
    load: &'e Load,
    dialer: &'e Dialer,
    shared: &'e Shared,
) -> io::Result<PublishersAndConsumers<'s>> {
    let consumers = start_consumers(threads, load, dialer, shared)?;
    let publishers = start_publishers(threads, load, dialer, &|_| load.pmessages, shared)?;
    Ok((publishers, consumers))
}

pub(super) fn start_consumers<'s, 'e: 's>(
    threads: &'s Scope<'s, 'e>,
    load: &'e Load,
    dialer: &'e Dialer,
    shared: &'e Shared,
) -> io::Result<Vec<Running<'s>>> {
    let consumers = (0..load.consumers).map(|n| {
        let consumer = Consumer::start(load, dialer, n, shared)?;
        Ok(threads.spawn(move || shared.fail_on_error(|| consumer.run())))
    });
    consumers.collect()
}

/// Starts the publishers, the n-th with at most `max(n)` messages.
pub(super) fn start_publishers<'s, 'e: 's>(
    threads: &'s Scope<'s, 'e>,
    load: &'e Load,
    dialer: &'e Dialer,
    max: &dyn Fn(u32) -> Option<u64>,
    shared: &'e Shared,
) -> io::Result<Vec<Running<'s>>> {
    let connected = (0..load.publishers).map(|_| {
        let mut client = dialer.connect()?;
        let channels = load.publisher_channels();
        client.open_channels(channels)?;
        if load.confirm > 0 {
            (1..=channels).try_for_each(|channel| client.confirm_select(channel))?;
        }
        Ok(client)
    });
    let connected = connected.collect::<io::Result<Vec<_>>>()?;
    let publishers = connected.into_iter().zip(0..).map(|(client, n)| {
        let max = max(n);
        threads.spawn(move || {
            let script = Script::new(load, n, client.frame_max(), SendAs::Publish);
            shared.fail_on_error(|| Publisher::new(load, n, max, client, script, shared).run())
        })
    });
    Ok(publishers.collect())
}

/// Returns when the run is over.
fn watch(
    load: &Load,
    shared: &Shared,
    (publishers, consumers): (&[Running<'_>], &[Running<'_>]),
    progress: &mut Progress,
) -> io::Result<()> {
    let started = Instant::now();
    let deadline = load.time_limit();
    let mut last = (0, Instant::now());
    loop {
        std::thread::sleep(POLL_INTERVAL);
        progress.tick(shared)?;
        let counts = shared.counts();
        if counts.consumed != last.0 {
            last = (counts.consumed, Instant::now());
        }
        let over = deadline.is_some_and(|limit| started.elapsed().as_secs_f64() >= limit);
        let consumed = !consumers.is_empty() && all_done(consumers);
        if over || consumed || interrupted() || shared.has_failed() {
            return Ok(());
        }
        let quiet = last.1.elapsed();
        // With a number of messages to consume and no duration, only their arrival ends the run.
        if load.cmessages.is_some() && deadline.is_none() && quiet > load.patience() {
            return Err(nothing_arrived(load));
        }
        if publishers.is_empty() || !all_done(publishers) {
            continue;
        }
        if consumers.is_empty() {
            return Ok(());
        }
        if load.cmessages.is_some() || !load.each_is_queued_once() {
            if quiet > QUIET {
                return Ok(());
            }
            continue;
        }
        let accepted = counts.published - counts.refused - counts.returned;
        if counts.consumed >= accepted {
            return Ok(());
        }
        if quiet > load.patience() {
            let missing = accepted - counts.consumed;
            return Err(io::Error::other(format!(
                "{missing} messages did not arrive"
            )));
        }
    }
}

pub(super) fn all_done(running: &[Running<'_>]) -> bool {
    running.iter().all(Running::is_finished)
}

fn nothing_arrived(load: &Load) -> io::Error {
    let text = format!("no message arrived for {} seconds", load.patience);
    io::Error::new(io::ErrorKind::TimedOut, text)
}

/// Returns the error that made the run fail: other threads were only interrupted by it.
pub(super) fn first_failure(ended: impl IntoIterator<Item = io::Result<()>>) -> io::Result<()> {
    let mut failures: Vec<_> = ended.into_iter().filter_map(Result::err).collect();
    failures.sort_by_key(|error| error.kind() == io::ErrorKind::Interrupted);
    failures.into_iter().next().map_or(Ok(()), Err)
}

/// Joins a thread and returns its result.
pub(super) fn join(thread: Running<'_>) -> io::Result<()> {
    let ended = thread.join();
    ended.unwrap_or_else(|_| Err(io::Error::other("a connection's thread panicked")))
}
