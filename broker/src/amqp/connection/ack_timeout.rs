//! Deliveries that wait too long for their acknowledgement (RabbitMQ: "Delivery Acknowledgement
//! Timeout").
//!
//! Nothing is noted per delivery or batch. While some delivery waits, the connection looks at its
//! channels now and then, and each look leaves a mark on a channel: what has a tag below this was
//! delivered by now. So a delivery's age is known to within the time between two looks, and is
//! never taken for more than it is.

use super::unacked::{Delivery, Unacked};
use super::{Connection, Phase};
use crate::engine::queue::Queue;
use leveret_protocol::values::FieldTable;
use leveret_protocol::{ChannelId, DeliveryTag, table, texts};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The argument of consumers, in milliseconds; a queue's is among its settings.
const ARGUMENT: &str = "x-consumer-timeout";
/// There are so many looks in the shortest timeout ...
const LOOKS: u32 = 8;
/// ... but not more often than this ...
const LOOK_MIN: Duration = Duration::from_millis(50);
/// ... and at least this often: RabbitMQ's `channel_tick_interval`.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// A channel with more marks forgets every other one.
const MARKS_MAX: usize = 128;

/// When a connection looks at its deliveries.
#[derive(Debug)]
pub(super) struct Watch {
    /// The shortest timeout that any of them may have; none when none has one.
    shortest: Option<Duration>,
    /// The next look; none while nothing waits.
    next: Option<Instant>,
}

impl Watch {
    /// With the timeout of those that have no other.
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Watch {
            shortest: timeout,
            next: None,
        }
    }

    /// When the next look is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Deliveries were made, and nobody looks yet.
    pub(super) fn is_due(&self) -> bool {
        self.next.is_none() && self.shortest.is_some()
    }

    fn look_after(&self, now: Instant) -> Option<Instant> {
        let shortest = self.shortest?;
        Some(now + (shortest / LOOKS).clamp(LOOK_MIN, LOOK_MAX))
    }

    /// A delivery may have this timeout from now on.
    fn shorten(&mut self, timeout: Duration, now: Instant) {
        if self.shortest.is_none_or(|shortest| timeout < shortest) {
            self.shortest = Some(timeout);
            if self.next.is_some() {
                self.next = self.next.min(self.look_after(now));
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
    /// All deliveries up to now have lower tags than `next`; those below `first` are settled.
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
            // Of two marks the later stays: deliveries get younger by it, never older.
            let mut odd = true;
            self.0.retain(|_| {
                odd = !odd;
                odd
            });
        }
    }

    /// The first delivery that has waited for its timeout, if it is one of `least` or more.
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
    /// A consumer of this queue starts, or a message is got from it: what it is delivered may have
    /// a timeout of its own.
    pub(super) fn expect_acks(&mut self, queue: &Queue, arguments: Option<&FieldTable>) {
        let own = arguments.and_then(argument);
        if let Some(Some(timeout)) = own.or_else(|| of_queue(queue)) {
            self.ack_watch.shorten(timeout, self.now);
        }
    }

    /// Deliveries were made: somebody should look at them.
    pub(super) fn watch_acks(&mut self) {
        if self.ack_watch.is_due() {
            let now = self.now;
            self.look_at_deliveries(now);
        }
    }

    /// The timeout of those that have no other may be shorter than any before.
    pub(super) fn shorten_timeouts(&mut self, now: Instant) {
        if let Some(timeout) = self.limits.consumer_timeout {
            self.ack_watch.shorten(timeout, now);
            self.watch_acks();
        }
    }

    /// Does what is due at this time.
    pub fn check_time(&mut self, now: Instant) {
        // Also for what follows: the connection may end, and has long been silent.
        self.begin_at(now);
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
                    report(channel.id, tag, delivery, timeout);
                    overdue.push((channel.id, timeout));
                }
                None => oldest = oldest.into_iter().chain(channel.marks.oldest()).min(),
            }
        }
        // When the oldest has waited for the shortest timeout is a good moment for a look, too.
        let ripe = oldest.map(|by| by + shortest).filter(|ripe| *ripe > now);
        if oldest.is_some() {
            let regular = self.ack_watch.look_after(now);
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

    /// When the oldest delivery that waits was made, at the latest.
    fn oldest(&self) -> Option<Instant> {
        self.0.front().map(|mark| mark.by)
    }
}

/// The timeout of a delivery: its consumer's, or its queue's, or everybody's.
fn timeout(delivery: &Delivery, default: Option<Duration>) -> Option<Duration> {
    let consumer = delivery.consumer.as_ref();
    consumer
        .and_then(|consumer| consumer.ack_timeout)
        .or_else(|| of_queue(&delivery.queue))
        .unwrap_or(default)
}

/// The timeout that a queue is set to, when there is one.
fn of_queue(queue: &Queue) -> Option<Option<Duration>> {
    queue.settings().consumer_timeout.map(timeout_of)
}

/// The timeout in the arguments of a consumer, when there is one.
pub(super) fn argument(arguments: &FieldTable) -> Option<Option<Duration>> {
    let value = arguments.inner().get(ARGUMENT)?;
    let milliseconds = u64::try_from(table::as_integer(value)?).ok()?;
    Some(timeout_of(milliseconds))
}

/// 0 is none.
fn timeout_of(milliseconds: u64) -> Option<Duration> {
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}

fn report(channel: ChannelId, tag: DeliveryTag, delivery: &Delivery, timeout: Duration) {
    let consumer = delivery.consumer.as_ref().map(|c| c.tag.to_string());
    tracing::warn!(
        %channel,
        %tag,
        queue = %delivery.queue.name(),
        consumer,
        timeout_ms = timeout.as_millis() as u64,
        "a consumer did not acknowledge a delivery in time"
    );
}
