//! Expiry: of messages whose time to live is over (`x-message-ttl` and the `expiration` property;
//! RabbitMQ: "Time-to-Live and Expiration") and of unused queues (`x-expires`).
//!
//! A message's expiry is decided when it enters the queue, by the smaller of both times; a policy change affects later
//! messages. It expires only at the head of the queue (of a quorum queue, at the head of its priority), where a timer
//! waits for it, and is never delivered afterwards. A queue in which nothing expires reads no clock.

use super::dead_letter::Reason;
use super::effects::Effects;
use super::entry::Entry;
use super::handle::Queue;
use super::machine::{Machine, SLICE};
use super::outbox::Outbox;
use super::paging::HeadExpiry;
use super::returned::Returned;
use super::settings::{QueueKind, Settings};
use crate::engine::clock::Time;
use crate::engine::interfaces::{Timed, VirtualHosts};
use crate::engine::message::Message;
use leveret_storage::QueueId;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The time rules of a queue.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    /// The time to live of messages.
    ttl: Option<Duration>,
    /// How long the queue may be unused.
    lease: Option<Duration>,
    /// When it was last used, while it is unused.
    used_at: Option<Time>,
    /// Some ready messages may expire.
    any: bool,
    /// When the timer will fire.
    awaited: Option<Time>,
}

impl Expiry {
    /// Applies new settings.
    pub(super) fn configure(&mut self, settings: &Settings) {
        self.ttl = settings.message_ttl;
        self.lease = settings.expires;
    }

    /// Returns when a message that enters the queue now expires.
    #[inline]
    pub(super) fn of(&self, message: &Message, fx: &mut Effects) -> Option<Time> {
        let ttl = match (self.ttl, message.expiration()) {
            (Some(ttl), Some(own)) => ttl.min(own),
            (ttl, own) => ttl.or(own)?,
        };
        let now = fx.now();
        // Expiry is rounded up to whole milliseconds. Nothing expires too early, and 0 means
        // immediately.
        let rounded = Duration::from_micros(if ttl.is_zero() { 0 } else { 999 });
        Some(now + ttl + rounded)
    }

    /// Records that a message becomes ready.
    #[inline]
    pub(super) fn enters(&mut self, entry: &Entry) {
        self.any |= entry.expiry().is_some();
    }
}

impl Machine {
    /// Drops a slice of the expired messages at the head of the queue. Returns whether there are
    /// more, for which the timer is set.
    #[inline]
    pub(super) fn drop_expired(&mut self, fx: &mut Effects) -> bool {
        if !self.expiry.any {
            return false;
        }
        for _ in 0..SLICE {
            let Some(line) = self.expired_line(fx) else {
                self.expiry.any &= !self.ready.is_empty();
                return false;
            };
            if let Some(entry) = self.ready.pop_from(line) {
                self.bury(&entry, Reason::Expired, fx);
            }
        }
        self.expired_line(fx).is_some()
    }

    /// Returns the line whose first message has expired: the one being served, or any line of a quorum queue
    /// (`rabbit_fifo:expire_batch`).
    fn expired_line(&self, fx: &mut Effects) -> Option<usize> {
        let now = fx.now();
        self.expiries().find_map(|(line, expiry)| match expiry {
            HeadExpiry::Known(Some(at)) if at <= now => Some(line),
            _ => None,
        })
    }

    /// Returns the lines whose first message is on disk and has to be read because it has expired, or nobody knows.
    pub(super) fn expired_on_disk(&self, fx: &mut Effects) -> SmallVec<[usize; 1]> {
        let mut lines = SmallVec::new();
        for (line, expiry) in self.expiries() {
            let wanted = match expiry {
                HeadExpiry::Known(at) => at.is_some_and(|at| at <= fx.now()),
                HeadExpiry::Unknown => true,
            };
            if wanted && self.ready.is_away(line) {
                lines.push(line);
            }
        }
        lines
    }

    /// Returns when the first message of each line to check expires, highest priority first.
    fn expiries(&self) -> impl Iterator<Item = (usize, HeadExpiry)> {
        let served = self.ready.served().map_or(0..0, |line| line..line + 1);
        let lines = match self.kind {
            QueueKind::Quorum => self.ready.line_numbers(),
            QueueKind::Classic | QueueKind::Stream => served,
        };
        let lines = lines.rev();
        lines.filter_map(|line| Some((line, self.ready.expiry_of(line)?)))
    }

    /// Restarts the time for which the queue may be unused.
    pub(super) fn touch(&mut self, fx: &mut Effects) {
        if self.expiry.lease.is_some() {
            self.expiry.used_at = Some(fx.now());
        }
    }

    /// Returns when the queue will have been unused for too long, if nobody uses it until then.
    fn lease_end(&self) -> Option<Time> {
        let unused = self.is_without_consumers();
        let since = self.expiry.used_at.filter(|_| unused)?;
        Some(since + self.expiry.lease?)
    }

    /// Returns whether it has been unused for too long.
    pub(super) fn is_abandoned(&self, fx: &mut Effects) -> bool {
        !self.is_deleted() && self.lease_end().is_some_and(|end| end <= fx.now())
    }

    /// Returns when the timer has to fire, if that is earlier than it will anyway.
    #[inline]
    pub(super) fn next_due(&mut self) -> Option<Time> {
        let rules = self.expiry.any || self.expiry.lease.is_some();
        let waits = self.returned.as_deref().is_some_and(Returned::waits);
        if !rules && !waits && !self.has_more_to_do() && self.outbox.is_none() {
            return None;
        }
        self.earlier_look()
    }

    /// Returns whether the timer has to go on with what was begun.
    #[inline]
    fn has_more_to_do(&self) -> bool {
        self.drops_later || self.reads_later
    }

    fn earlier_look(&mut self) -> Option<Time> {
        if self.is_deleted() {
            return None;
        }
        // Messages on disk must not be missed, though nothing waits for them in memory.
        let heads = self.expiries().filter_map(|(_, expiry)| match expiry {
            HeadExpiry::Known(at) => at,
            HeadExpiry::Unknown => None,
        });
        let due = self.returned.as_deref().and_then(Returned::first_due);
        let rest = self.has_more_to_do().then(|| Time::from_millis(0));
        let retry = self.outbox.as_deref().and_then(Outbox::retry_at);
        let times = heads.chain(due).chain(self.lease_end());
        let next = times.chain(rest).chain(retry).min()?;
        if self.expiry.awaited.is_some_and(|awaited| awaited <= next) {
            return None;
        }
        self.expiry.awaited = Some(next);
        Some(next)
    }

    /// Does a slice of what is due.
    fn on_time(&mut self, fx: &mut Effects) {
        self.expiry.awaited = None;
        self.end_waits(fx);
        self.drop_over_limit(fx);
        self.retry_letters(fx);
        self.dispatch(fx);
    }

    /// Cancels the queue's timer.
    pub(super) fn stop_timer(&mut self, fx: &mut Effects) {
        if self.expiry.awaited.take().is_some() {
            fx.cancel_timer(self.id);
        }
    }
}

impl Timed for Queue {
    fn timer_id(&self) -> QueueId {
        self.id
    }

    fn on_time(
        self: Arc<Self>,
        vhosts: &dyn VirtualHosts,
        now: Instant,
        fx: &mut Effects,
    ) -> Option<Instant> {
        fx.begin_at(now);
        let again = self.run_due(fx);
        if self.is_abandoned(fx) {
            if let Some(vhost) = vhosts.find(self.vhost.as_str()) {
                vhost.end_abandoned_queue(&self, fx);
            }
            return None;
        }
        again.map(|at| fx.clock().instant(at))
    }
}

impl Queue {
    /// Does a slice of what is due; returns when to be called again.
    pub(super) fn run_due(self: &Arc<Self>, fx: &mut Effects) -> Option<Time> {
        let mut next = None;
        let (letters, wanted) = self.with_machine(|machine| {
            machine.on_time(fx);
            machine.report_delivered(fx);
            // Messages that are being read need no attention before they have arrived.
            let wanted = machine.pages(fx);
            next = machine.next_due();
            (machine.letters(), wanted)
        });
        self.moves(fx);
        self.follow_up(letters, wanted, fx);
        next
    }
}
