//! The log, shown on the admin socket: its last lines, and those that come.

use super::server::send;
use crate::manage::AdminContext;
use crate::manage::request::{ErrorKind, Request, Response};
use crate::plumbing::log::{Follow, Log};
use crate::plumbing::slots::ConnectionSlot;
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};

/// How often to look for new lines.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long a stream is silent at most: so its client knows that the broker is there, and the broker that the client is.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// Answers a request for lines of the log; returns false for other requests.
///
/// # Errors
/// When the client goes away.
pub(super) async fn answer(
    request: &Request,
    context: &AdminContext,
    write: &mut (impl AsyncWriteExt + Unpin),
    slot: &ConnectionSlot,
) -> io::Result<bool> {
    let log = &context.log;
    let last = match request {
        Request::LogLocation { all } => {
            let locations = log.locations().into_iter();
            let shown = locations.take(if *all { usize::MAX } else { 1 });
            let lines: String = shown.map(|location| location + "\n").collect();
            match lines.is_empty() {
                // RabbitMQ's text.
                true => refused("No log files configured on the node"),
                false => {
                    send(write, slot, &Response::Chunk(lines)).await?;
                    Response::Ok
                }
            }
        }
        Request::LogTail { lines } => tail(log, *lines, write, slot).await?,
        Request::LogTailStream { seconds } => {
            let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
            follow(log.follow(), until, write, slot).await?;
            Response::Ok
        }
        _ => return Ok(false),
    };
    send(write, slot, &last).await?;
    Ok(true)
}

fn refused(reason: impl Into<String>) -> Response {
    Response::refused_because(ErrorKind::Refused, reason)
}

/// Sends the last lines. Returns the response after them.
async fn tail(
    log: &Log,
    lines: u64,
    write: &mut (impl AsyncWriteExt + Unpin),
    slot: &ConnectionSlot,
) -> io::Result<Response> {
    let log = log.clone();
    // It waits for the disk.
    let opened = spawn_blocking(move || log.tail(lines));
    let mut tail = match opened.await.map_err(io::Error::other)? {
        Ok(tail) => tail,
        Err(error) => return Ok(refused(error.to_string())),
    };
    loop {
        let read = spawn_blocking(move || (tail.read(), tail));
        let (read, rest) = read.await.map_err(io::Error::other)?;
        match read {
            Ok(Some(text)) => send(write, slot, &Response::Chunk(text)).await?,
            Ok(None) => return Ok(Response::Ok),
            Err(error) => return Ok(refused(error.to_string())),
        }
        tail = rest;
    }
}

/// Sends the lines as they come.
async fn follow(
    mut lines: Follow,
    until: Option<Instant>,
    write: &mut (impl AsyncWriteExt + Unpin),
    slot: &ConnectionSlot,
) -> io::Result<()> {
    let mut sent = Instant::now();
    loop {
        while let Some((missed, text)) = lines.read() {
            if missed > 0 {
                let told =
                    format!("[{missed} lines are missing: they came faster than they were read]\n");
                send(write, slot, &Response::Chunk(told)).await?;
            }
            send(write, slot, &Response::Chunk(text)).await?;
            sent = Instant::now();
        }
        let now = Instant::now();
        if until.is_some_and(|until| now >= until) {
            return Ok(());
        }
        if now >= sent + SIGN_OF_LIFE {
            send(write, slot, &Response::Chunk(String::new())).await?;
            sent = now;
        }
        match until {
            Some(until) => sleep_until(until.min(now + INTERVAL)).await,
            None => sleep(INTERVAL).await,
        }
    }
}
