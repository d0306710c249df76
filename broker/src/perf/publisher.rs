//! A connection that publishes.

use super::meter::{Shared, now};
use super::options::Load;
use super::pace::Pace;
use super::script::Script;
use super::window::{Settled, Windows};
use crate::client::Patience;
use crate::client::interrupt::interrupted;
use crate::client::{ACCEPTED_NOTHING, Client, check_frame};
use leveret_protocol::classes::{AMQPClass, connection};
use leveret_protocol::frame::FrameKind;
use leveret_protocol::method::{self, BASIC_RETURN, Method};
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often a publisher without confirms checks for messages from the broker.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// If a message is overdue by more than this, its publisher was held up, and its latency counts
/// from when it was due. Shorter delays are our own.
const LATE: u64 = 1_000_000;
/// Shorter waits would cost more than the smoothing is worth.
const SHORTEST_WAIT: Duration = Duration::from_micros(200);

pub(super) struct Publisher<'a> {
    client: Client,
    script: Script,
    pace: Pace,
    /// The most outstanding messages; `None` without confirms.
    window_size: Option<u64>,
    answers: Answers<'a>,
    stamped: bool,
    /// The number of messages still to publish.
    remaining: u64,
    last_polled: Instant,
    /// The wait for the next confirm.
    confirm_patience: Patience,
}

/// The state of what the broker has sent.
struct Answers<'a> {
    shared: &'a Shared,
    windows: Windows,
    /// Why publishers are blocked, if they are.
    blocked: Option<String>,
    /// The run has a time limit, until which an idle broker is waited for.
    timed: bool,
}

impl<'a> Publisher<'a> {
    /// Creates the n-th publisher, which publishes at most `max` messages.
    pub(super) fn new(
        load: &Load,
        n: u32,
        max: Option<u64>,
        client: Client,
        script: Script,
        shared: &'a Shared,
    ) -> Self {
        Publisher {
            client,
            script,
            pace: Pace::new(load.rate, now(), (n, load.publishers)),
            window_size: (load.confirm > 0).then_some(u64::from(load.confirm)),
            answers: Answers {
                shared,
                windows: Windows::new(load.publisher_channels()),
                blocked: None,
                timed: load.time_limit().is_some() && load.backlog.is_none(),
            },
            stamped: load.measure_latency,
            remaining: max.unwrap_or(u64::MAX),
            last_polled: Instant::now(),
            confirm_patience: Patience::new(load.patience()),
        }
    }

    /// Publishes until told to stop, then waits for the outstanding confirms.
    pub(super) fn run(mut self) -> io::Result<()> {
        let published = self.publish_all();
        let ended = published.and_then(|()| self.client.close());
        ended.map_err(|error| self.answers.with_context(error))
    }

    /// Does the same without a broker, so without closing the connection.
    pub(super) fn run_without_close(mut self) -> io::Result<()> {
        self.publish_all()
    }

    fn publish_all(&mut self) -> io::Result<()> {
        while !self.answers.shared.publishing_is_over() && self.remaining > 0 {
            let window_space = match self.window_size {
                Some(size) => size - self.answers.windows.outstanding().min(size),
                None => u64::MAX,
            };
            let at = now();
            let due = self.pace.due(at);
            let max = window_space.min(due).min(self.remaining);
            if max > 0 {
                if !self.publish(max, at)? {
                    break;
                }
                // There is time between two bursts to process answers.
                if self.pace.is_limited() && self.answers.windows.outstanding() > 0 {
                    self.client.read_available()?;
                    self.take()?;
                }
            } else if window_space == 0 {
                self.client.read()?;
                if self.take()? == 0 && !self.answers.timed && !self.keep_waiting_for_confirms()? {
                    break;
                }
            } else {
                let wait = self.pace.wait(at).max(SHORTEST_WAIT);
                self.client.wait(wait)?;
                self.take()?;
            }
        }
        self.drain()
    }

    /// Publishes at most `max` messages. Returns false if the run is over and the broker does not
    /// accept them.
    fn publish(&mut self, max: u64, at: u64) -> io::Result<bool> {
        let pace = self.pace;
        let stamp = |n| match pace.is_limited() {
            true => Some(pace.due_at(n))
                .filter(|due| due + LATE < at)
                .unwrap_or(at),
            false => at,
        };
        let (bytes, count) = self.script.next(max, self.stamped.then_some(stamp));
        let answers = &mut self.answers;
        // This precedes the write, because a confirm may arrive before the write returns.
        if self.window_size.is_some() {
            answers.windows.sent(count, at);
        }
        // A message that was begun is completed: half a message would cost the connection, and with
        // it the answer that says when the broker has read the rest.
        let all_written = self.client.write(bytes, |client, patience| {
            client.read_available()?;
            answers.take(client)?;
            let goes_on = answers.timed && !answers.shared.publishing_is_over();
            Ok(goes_on || patience.lasts(ACCEPTED_NOTHING)?)
        })?;
        if !all_written {
            return Ok(false);
        }
        self.pace.advance(count);
        self.remaining -= count;
        let published = &self.answers.shared.published;
        published.fetch_add(count, Ordering::Relaxed);
        if self.window_size.is_none() && self.last_polled.elapsed() > POLL_INTERVAL {
            self.last_polled = Instant::now();
            self.client.read_available()?;
            self.take()?;
        }
        Ok(true)
    }

    /// Takes what the broker has said; returns how many messages that settled.
    fn take(&mut self) -> io::Result<u64> {
        let settled = self.answers.take(&mut self.client)?;
        if settled > 0 {
            self.confirm_patience.renew();
        }
        Ok(settled)
    }

    /// Returns whether to keep waiting for confirms.
    fn keep_waiting_for_confirms(&mut self) -> io::Result<bool> {
        let missing = self.answers.windows.outstanding();
        let undone = format!("has left {missing} messages without a confirm");
        self.confirm_patience.lasts(&undone)
    }

    /// Waits for the outstanding confirms. Closing a socket with unread input would discard what
    /// the broker has not read yet.
    fn drain(&mut self) -> io::Result<()> {
        while self.answers.windows.outstanding() > 0 && !interrupted() {
            if self.take()? == 0 {
                if !self.keep_waiting_for_confirms()? {
                    break;
                }
                self.client.read()?;
            }
        }
        Ok(())
    }
}

impl Answers<'_> {
    /// Takes what the broker has said; returns how many messages that settled.
    fn take(&mut self, client: &mut Client) -> io::Result<u64> {
        let mut settled = Settled::default();
        let mut returned = 0;
        let at = now();
        client.frames(|frame, payload| {
            if frame.kind != FrameKind::Method {
                return Ok(true);
            }
            if method::peek_id(payload) == Some(BASIC_RETURN) {
                returned += 1;
                return Ok(true);
            }
            let method = method::decode(payload).map_err(io::Error::other)?;
            if self
                .windows
                .settle(frame.channel, &method, at, &mut settled)?
            {
                return Ok(true);
            }
            self.note_blocking(&method);
            check_frame(frame, payload)
        })?;
        let add = |counter: &std::sync::atomic::AtomicU64, messages: u64| {
            if messages > 0 {
                counter.fetch_add(messages, Ordering::Relaxed);
            }
        };
        let shared = self.shared;
        add(&shared.confirmed, settled.confirmed);
        add(&shared.refused, settled.refused);
        add(&shared.returned, returned);
        shared.confirm_latency.record(&settled.times);
        Ok(settled.confirmed + settled.refused)
    }

    fn note_blocking(&mut self, method: &Method<'_>) {
        use connection::AMQPMethod::{Blocked, Unblocked};
        match method {
            Method::Other(AMQPClass::Connection(Blocked(blocked))) => {
                self.blocked = Some(blocked.reason.to_string());
            }
            Method::Other(AMQPClass::Connection(Unblocked(_))) => self.blocked = None,
            _ => {}
        }
    }

    /// Adds the reason to a timeout if the broker is blocking publishers.
    fn with_context(&self, error: io::Error) -> io::Error {
        match &self.blocked {
            Some(reason) if error.kind() == io::ErrorKind::TimedOut => {
                let text = format!("{error}: it blocks publishers ({reason})");
                io::Error::new(error.kind(), text)
            }
            _ => error,
        }
    }
}
