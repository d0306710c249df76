//! Deliveries that wait too long for their acknowledgement (RabbitMQ: "Delivery Acknowledgement
//! Timeout").
//!
//! Nothing is recorded per delivery or batch. While deliveries wait, the connection checks its
//! channels now and then, and each check leaves a mark on a channel: everything with a lower tag
//! had been delivered by now. So a delivery's age is known to within the interval between two
//! checks, and never overestimated.

use super::unacked::{Delivery, Unacked};
use super::{Connection, Phase};
use crate::domain::connections::{ConnectionInfo, log_connection};
use crate::engine::queue::Queue;
use leveret_protocol::values::FieldTable;
use leveret_protocol::{ChannelId, DeliveryTag, table, texts};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The consumer argument, in milliseconds; a queue's is among its settings.
const ARGUMENT: &str = "x-consumer-timeout";
/// This many checks fit into the shortest timeout ...
const CHECKS_PER_TIMEOUT: u32 = 8;
/// ... but they are not more frequent than this ...
const CHECK_INTERVAL_MIN: Duration = Duration::from_millis(50);
/// ... nor less frequent than this: RabbitMQ's `channel_tick_interval`.
const CHECK_INTERVAL_MAX: Duration = Duration::from_secs(60);
/// A channel with more marks than this drops every other one.
const MARKS_MAX: usize = 128;

/// When a connection checks its deliveries.
#[derive(Debug)]
pub(super) struct Watch {
    /// The shortest timeout that any of them may have; `None` if none has one.
    shortest: Option<Duration>,
    /// The next check; `None` while nothing waits.
    next: Option<Instant>,
}

impl Watch {
    /// Creates a watch with the default timeout.
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Watch {
            shortest: timeout,
            next: None,
        }
    }

    /// Returns when the next check is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Returns whether a check has to be scheduled.
    pub(super) fn is_due(&self) -> bool {
        self.next.is_none() && self.shortest.is_some()
    }

    fn check_after(&self, now: Instant) -> Option<Instant> {
        let shortest = self.shortest?;
        Some(now + (shortest / CHECKS_PER_TIMEOUT).clamp(CHECK_INTERVAL_MIN, CHECK_INTERVAL_MAX))
    }

    /// Records that a delivery may have this timeout from now on.
    fn shorten(&mut self, timeout: Duration, now: Instant) {
        if self.shortest.is_none_or(|shortest| timeout < shortest) {
            self.shortest = Some(timeout);
            if self.next.is_some() {
                self.next = self.next.min(self.check_after(now));
            }
        }
    }
}

/// When a channel's deliveries were made.
#[derive(Debug, Default)]
pub(super) struct Marks(VecDeque<Mark>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    /// Deliveries with lower tags, down to the mark before ...
    below: DeliveryTag,
    /// ... were made at this time or earlier.
    by: Instant,
}

impl Marks {
    /// Records that all deliveries up to now have lower tags than `next`; those below `first` are
    /// settled.
    fn set(&mut self, first: Option<DeliveryTag>, next: DeliveryTag, now: Instant) {
        while self
            .0
            .front()
            .is_some_and(|mark| first.is_none_or(|first| mark.below <= first))
        {
            self.0.pop_front();
        }
        if self.0.back().is_none_or(|mark| mark.below < next) {
            self.0.push_back(Mark {
                below: next,
                by: now,
            });
        }
        if self.0.len() > MARKS_MAX {
            // Of two marks the later one stays: that makes deliveries look younger, never older.
            let mut odd = true;
            self.0.retain(|_| {
                odd = !odd;
                odd
            });
        }
    }

    /// Returns the first delivery with a tag of `least` or more that has waited for its timeout.
    fn overdue<'a>(
        &self,
        unacked: &'a Unacked,
        least: Duration,
        timeout: impl Fn(&Delivery) -> Option<Duration>,
        now: Instant,
    ) -> Option<(DeliveryTag, &'a Delivery, Duration)> {
        let mut marks = self.0.iter().peekable();
        for (tag, delivery) in unacked.entries() {
            while marks.next_if(|mark| mark.below <= tag).is_some() {}
            let waited = now.saturating_duration_since(marks.peek()?.by);
            if waited < least {
                return None;
            }
            if let Some(timeout) = timeout(delivery).filter(|timeout| waited >= *timeout) {
                return Some((tag, delivery, timeout));
            }
        }
        None
    }
}

impl Connection {
    /// Records the timeout that deliveries from this queue may have: a consumer starts, or a
    /// message is fetched by basic.get.
    pub(super) fn expect_acks(&mut self, queue: &Queue, arguments: Option<&FieldTable>) {
        let own = arguments.and_then(argument);
        if let Some(Some(timeout)) = own.or_else(|| of_queue(queue)) {
            self.ack_watch.shorten(timeout, self.now);
        }
    }

    /// Schedules a check after deliveries were made.
    pub(super) fn watch_acks(&mut self) {
        if self.ack_watch.is_due() {
            let now = self.now;
            self.look_at_deliveries(now);
        }
    }

    /// Applies a default timeout that may be shorter than any before.
    pub(super) fn shorten_timeouts(&mut self, now: Instant) {
        if let Some(timeout) = self.limits.consumer_timeout {
            self.ack_watch.shorten(timeout, now);
            self.watch_acks();
        }
    }

    /// Does whatever is due at `now`.
    pub fn check_time(&mut self, now: Instant) {
        // Also applies to what follows: the connection may end, and may have been silent for a long
        // time.
        self.begin_at(now);
        self.check_credential(now);
        if self.ack_watch.next.is_none_or(|next| now < next) {
            return;
        }
        self.look_at_deliveries(now);
    }

    fn look_at_deliveries(&mut self, now: Instant) {
        self.ack_watch.next = None;
        let Some(shortest) = self.ack_watch.shortest else {
            return;
        };
        if self.phase != Phase::Running {
            return;
        }
        let default = self.limits.consumer_timeout;
        let mut overdue: Vec<(ChannelId, Duration)> = Vec::new();
        let mut oldest: Option<Instant> = None;
        for channel in self.channels.iter_mut() {
            if channel.closing {
                continue;
            }
            let first = channel.unacked.first();
            channel.marks.set(first, channel.next_tag, now);
            if first.is_none() {
                continue;
            }
            let timeout = |delivery: &Delivery| timeout(delivery, default);
            let found = channel
                .marks
                .overdue(&channel.unacked, shortest, timeout, now);
            match found {
                Some((tag, delivery, timeout)) => {
                    report(&self.info, channel.id, tag, delivery, timeout);
                    overdue.push((channel.id, timeout));
                }
                None => oldest = oldest.into_iter().chain(channel.marks.oldest()).min(),
            }
        }
        // The moment at which the oldest delivery reaches the shortest timeout is a good time for a
        // check, too.
        let ripe = oldest.map(|by| by + shortest).filter(|ripe| *ripe > now);
        if oldest.is_some() {
            let regular = self.ack_watch.check_after(now);
            self.ack_watch.next = ripe.into_iter().chain(regular).min();
        }
        for (channel, timeout) in overdue {
            self.fail(channel, texts::ack_timed_out(channel, timeout), now);
        }
    }
}

impl Marks {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the latest time at which the oldest waiting delivery can have been made.
    fn oldest(&self) -> Option<Instant> {
        self.0.front().map(|mark| mark.by)
    }
}

/// Returns the timeout of a delivery: its consumer's, its queue's, or the default.
fn timeout(delivery: &Delivery, default: Option<Duration>) -> Option<Duration> {
    let consumer = delivery.consumer.as_ref();
    consumer
        .and_then(|consumer| consumer.ack_timeout)
        .or_else(|| of_queue(&delivery.queue))
        .unwrap_or(default)
}

/// Returns the timeout set for a queue, if any.
fn of_queue(queue: &Queue) -> Option<Option<Duration>> {
    queue.settings().consumer_timeout.map(timeout_of)
}

/// Returns the timeout in a consumer's arguments, if any.
pub(super) fn argument(arguments: &FieldTable) -> Option<Option<Duration>> {
    let value = arguments.inner().get(ARGUMENT)?;
    let milliseconds = u64::try_from(table::as_integer(value)?).ok()?;
    Some(timeout_of(milliseconds))
}

/// Returns `None` for 0, which means no timeout.
fn timeout_of(milliseconds: u64) -> Option<Duration> {
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}

fn report(
    info: &ConnectionInfo,
    channel: ChannelId,
    tag: DeliveryTag,
    delivery: &Delivery,
    timeout: Duration,
) {
    let consumer = delivery.consumer.as_ref().map(|c| c.tag.to_string());
    log_connection!(
        warn,
        info,
        %channel,
        %tag,
        queue = %delivery.queue.name(),
        consumer,
        timeout_ms = timeout.as_millis() as u64,
        "a consumer did not acknowledge a delivery in time"
    );
}
