//! A connection that publishes.

use super::client::{Client, TAKEN, taken_note_of};
use super::interrupt::interrupted;
use super::meter::{Shared, now};
use super::options::Load;
use super::pace::Pace;
use super::patience::Patience;
use super::script::Script;
use super::window::{Settled, Window};
use leveret_protocol::classes::{AMQPClass, connection};
use leveret_protocol::frame::FrameKind;
use leveret_protocol::method::{self, BASIC_RETURN, Method};
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

pub(super) struct Publisher<'a> {
    client: Client,
    script: Script,
    pace: Pace,
    /// At most so many messages outstanding; `None` without confirms.
    window_size: Option<u64>,
    answers: Answers<'a>,
    stamped: bool,
    /// Messages still to publish.
    left: u64,
    looked: Instant,
    /// With the next confirm.
    confirms: Patience,
}

/// What the broker has said.
struct Answers<'a> {
    shared: &'a Shared,
    window: Window,
    /// Why publishers are blocked, while they are.
    blocked: Option<String>,
    /// The run ends by itself at some time: until then a broker that does nothing is waited for.
    timed: bool,
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
            script,
            pace: Pace::new(load.rate, now(), (n, load.publishers)),
            window_size: (load.confirm > 0).then_some(u64::from(load.confirm)),
            answers: Answers {
                shared,
                window: Window::default(),
                blocked: None,
                timed: load.time_limit().is_some() && load.backlog.is_none(),
            },
            stamped: load.measure_latency,
            left: most.unwrap_or(u64::MAX),
            looked: Instant::now(),
            confirms: Patience::new(load.patience()),
        }
    }

    /// Publishes until told to stop, and waits for the confirms of what it has published.
    pub(super) fn run(mut self) -> io::Result<()> {
        let published = self.publish_all();
        let ended = published.and_then(|()| self.client.close());
        ended.map_err(|error| self.answers.explained(error))
    }

    /// The same where there is no broker to say good-bye to.
    pub(super) fn run_bare(mut self) -> io::Result<()> {
        self.publish_all()
    }

    fn publish_all(&mut self) -> io::Result<()> {
        while !self.answers.shared.publishing_is_over() && self.left > 0 {
            let room = match self.window_size {
                Some(size) => size - self.answers.window.outstanding().min(size),
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
                if self.pace.is_limited() && self.answers.window.outstanding() > 0 {
                    self.client.look()?;
                    self.take()?;
                }
            } else if room == 0 {
                self.client.read()?;
                if self.take()? == 0 && !self.answers.timed && !self.confirms_may_come()? {
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
        let answers = &mut self.answers;
        // Before they are written: a confirm may be there before the write returns.
        if self.window_size.is_some() {
            answers.window.sent(count, at);
        }
        // What was begun is ended: half a message would cost the connection, and with it the
        // answer that says when the broker has read the rest.
        let whole = self.client.write(octets, |client, patience| {
            client.look()?;
            answers.take(client)?;
            let goes_on = answers.timed && !answers.shared.publishing_is_over();
            Ok(goes_on || patience.lasts(TAKEN)?)
        })?;
        if !whole {
            return Ok(false);
        }
        self.pace.did(count);
        self.left -= count;
        let published = &self.answers.shared.published;
        published.fetch_add(count, Ordering::Relaxed);
        if self.window_size.is_none() && self.looked.elapsed() > LOOK {
            self.looked = Instant::now();
            self.client.look()?;
            self.take()?;
        }
        Ok(true)
    }

    /// Takes what the broker has said; returns how many messages that settled.
    fn take(&mut self) -> io::Result<u64> {
        let settled = self.answers.take(&mut self.client)?;
        if settled > 0 {
            self.confirms.renew();
        }
        Ok(settled)
    }

    /// Whether it is worth waiting for confirms.
    fn confirms_may_come(&mut self) -> io::Result<bool> {
        let missing = self.answers.window.outstanding();
        let undone = format!("has left {missing} messages without a confirm");
        self.confirms.lasts(&undone)
    }

    /// Waits for the last confirms. A socket that is closed with something unread takes along
    /// what the broker has not read yet.
    fn drain(&mut self) -> io::Result<()> {
        while self.answers.window.outstanding() > 0 && !interrupted() {
            if self.take()? == 0 {
                if !self.confirms_may_come()? {
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
        client.frames(|kind, payload| {
            if kind != FrameKind::Method {
                return Ok(true);
            }
            if method::peek_id(payload) == Some(BASIC_RETURN) {
                returned += 1;
                return Ok(true);
            }
            let method = method::decode(payload).map_err(io::Error::other)?;
            if self.window.take(&method, at, &mut settled)? {
                return Ok(true);
            }
            self.note_blocking(&method);
            taken_note_of(kind, payload)
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

    /// A wait that was too long has a reason, if the broker has said that it blocks publishers.
    fn explained(&self, error: io::Error) -> io::Error {
        match &self.blocked {
            Some(reason) if error.kind() == io::ErrorKind::TimedOut => {
                let text = format!("{error}: it blocks publishers ({reason})");
                io::Error::new(error.kind(), text)
            }
            _ => error,
        }
    }
}
