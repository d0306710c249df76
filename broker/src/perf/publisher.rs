//! A connection that publishes.

use super::client::{Client, given_up, taken_note_of};
use super::interrupt::interrupted;
use super::meter::{Shared, now};
use super::options::Load;
use super::pace::Pace;
use super::script::Script;
use super::window::{Settled, Window};
use leveret_protocol::frame::FrameKind;
use leveret_protocol::method::{self, BASIC_RETURN};
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often a publisher that waits for nothing looks whether the broker says something.
const LOOK: Duration = Duration::from_millis(50);
/// A message that is due for longer than this was held up, and its latency counts from when it
/// was due: shorter times are this process's own.
const LATE: u64 = 1_000_000;
/// Shorter waits cost more than they even out.
const SHORTEST_WAIT: Duration = Duration::from_micros(200);
/// What the broker does not take or confirm for so long after the end of a run is given up.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Publisher<'a> {
    client: Client,
    shared: &'a Shared,
    script: Script,
    pace: Pace,
    /// At most so many messages outstanding; `None` without confirms.
    window_size: Option<u64>,
    window: Window,
    stamped: bool,
    /// Messages still to publish.
    left: u64,
    looked: Instant,
}

impl<'a> Publisher<'a> {
    /// The n-th publisher: will publish so many messages at most.
    pub(super) fn new(
        load: &Load,
        n: u32,
        most: Option<u64>,
        client: Client,
        script: Script,
        shared: &'a Shared,
    ) -> Self {
        Publisher {
            client,
            shared,
            script,
            pace: Pace::new(load.rate, now(), (n, load.publishers)),
            window_size: (load.confirm > 0).then_some(u64::from(load.confirm)),
            window: Window::default(),
            stamped: load.measure_latency,
            left: most.unwrap_or(u64::MAX),
            looked: Instant::now(),
        }
    }

    /// Publishes until told to stop, and waits for the confirms of what it has published.
    pub(super) fn run(mut self) -> io::Result<()> {
        self.publish_all()?;
        self.client.close()
    }

    /// The same where there is no broker to say good-bye to.
    pub(super) fn run_bare(mut self) -> io::Result<()> {
        self.publish_all()
    }

    fn publish_all(&mut self) -> io::Result<()> {
        while !self.shared.publishing_is_over() && self.left > 0 {
            let room = match self.window_size {
                Some(size) => size - self.window.outstanding().min(size),
                None => u64::MAX,
            };
            let at = now();
            let due = self.pace.due(at);
            let most = room.min(due).min(self.left);
            if most > 0 {
                if !self.publish(most, at)? {
                    break;
                }
                // Between two bursts there is time to take the answers, too.
                if self.pace.is_limited() && self.window.outstanding() > 0 {
                    self.client.look()?;
                    self.take()?;
                }
            } else if room == 0 {
                self.client.read()?;
                self.take()?;
            } else {
                let wait = self.pace.wait(at).max(SHORTEST_WAIT);
                self.client.wait(wait)?;
                self.take()?;
            }
        }
        self.drain()
    }

    /// Publishes so many messages at most; `false` when the run is over and the broker does not
    /// take them.
    fn publish(&mut self, most: u64, at: u64) -> io::Result<bool> {
        let pace = self.pace;
        let stamp = |n| match pace.is_limited() {
            true => Some(pace.due_at(n))
                .filter(|due| due + LATE < at)
                .unwrap_or(at),
            false => at,
        };
        let (octets, count) = self.script.next(most, self.stamped.then_some(stamp));
        let (shared, window) = (self.shared, &mut self.window);
        // Before they are written: a confirm may be there before the write returns.
        if self.window_size.is_some() {
            window.sent(count, at);
        }
        // What was begun is ended: half a message would cost the connection, and with it the
        // answer that says when the broker has read the rest.
        let mut over = None;
        let whole = self.client.write(octets, |client| {
            client.look()?;
            take(client, window, shared)?;
            if shared.publishing_is_over() {
                let since = *over.get_or_insert_with(Instant::now);
                return Ok(!given_up(since) && since.elapsed() < PATIENCE);
            }
            Ok(true)
        })?;
        if !whole {
            return Ok(false);
        }
        self.pace.did(count);
        self.left -= count;
        shared.published.fetch_add(count, Ordering::Relaxed);
        if self.window_size.is_none() && self.looked.elapsed() > LOOK {
            self.looked = Instant::now();
            self.client.look()?;
            self.take()?;
        }
        Ok(true)
    }

    fn take(&mut self) -> io::Result<u64> {
        take(&mut self.client, &mut self.window, self.shared)
    }

    /// Waits for the last confirms. A socket that is closed with something unread takes along
    /// what the broker has not read yet.
    fn drain(&mut self) -> io::Result<()> {
        let mut since = Instant::now();
        while self.window.outstanding() > 0 && !interrupted() {
            if self.take()? > 0 {
                since = Instant::now();
            } else if since.elapsed() > PATIENCE {
                let missing = self.window.outstanding();
                return Err(io::Error::other(format!("{missing} confirms did not come")));
            } else {
                self.client.read()?;
            }
        }
        Ok(())
    }
}

/// Takes what the broker has said; returns how many messages that settled.
fn take(client: &mut Client, window: &mut Window, shared: &Shared) -> io::Result<u64> {
    let mut settled = Settled::default();
    let mut returned = 0;
    let at = now();
    client.frames(|kind, payload| {
        if kind != FrameKind::Method {
            return Ok(true);
        }
        if method::peek_id(payload) == Some(BASIC_RETURN) {
            returned += 1;
            return Ok(true);
        }
        let method = method::decode(payload).map_err(io::Error::other)?;
        match window.take(&method, at, &mut settled)? {
            true => Ok(true),
            false => taken_note_of(kind, payload),
        }
    })?;
    let add = |counter: &std::sync::atomic::AtomicU64, messages: u64| {
        if messages > 0 {
            counter.fetch_add(messages, Ordering::Relaxed);
        }
    };
    add(&shared.confirmed, settled.confirmed);
    add(&shared.refused, settled.refused);
    add(&shared.returned, returned);
    shared.confirm_latency.record(&settled.times);
    Ok(settled.confirmed + settled.refused)
}
