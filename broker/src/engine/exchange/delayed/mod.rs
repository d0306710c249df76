//! `x-delayed-message` exchanges (RabbitMQ's plugin "Delayed Message Exchange"): messages with an
//! `x-delay` header are kept until they are due and then routed by the type that the exchange was
//! declared with in `x-delayed-type`.

mod header;
mod paging;
mod release;
mod stored;

pub(super) use header::{delay_of, waited};

use super::ExchangeSpec;
use crate::engine::clock::{Clock, Time};
use crate::engine::message::{Message, SharedMessage};
use crate::engine::queue::paging::{FirstMessage, MoreKeys, Rank, Ranked, Sorted};
use crate::engine::queue::{Effects, Entry};
use leveret_protocol::{ExchangeName, VhostName};
use leveret_storage::{Op, Position, QueueId, Token};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stored::Stored;

/// Messages released at a time, so that other timers get a turn.
const SLICE: usize = 256;
/// Approximate bytes of messages released at a time.
const SLICE_BYTES: u64 = 1 << 20;

/// A delayed message.
#[derive(Clone, Debug)]
pub struct DelayedMessage {
    /// The message as it was published.
    pub message: SharedMessage,
    /// Its routing keys besides the first: the message that consumers get does not contain all of
    /// them (RabbitMQ: "Sender-selected Distribution").
    pub more_keys: MoreKeys,
}

/// A message on its way into a delayed exchange.
#[derive(Debug)]
pub struct Postponed {
    /// The message.
    pub delayed: DelayedMessage,
    /// Its delay.
    pub delay: Duration,
    /// The publisher's token; used only if the message is stored.
    pub token: Option<Token>,
}

/// A message with its reserved place in a delayed exchange.
#[derive(Debug)]
pub struct Placed {
    at: (Time, Position),
    delayed: DelayedMessage,
}

/// The messages of a delayed exchange.
#[derive(Debug)]
pub struct Delays {
    /// The id under which they are stored; no queue has it.
    pub id: QueueId,
    vhost: VhostName,
    exchange: ExchangeName,
    /// The exchange is durable: its persistent messages are stored.
    stored: bool,
    clock: Clock,
    /// A leaf lock, like a queue's.
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Ordered by due time, then by arrival. Those due last can be on disk.
    messages: Sorted,
    next_position: u64,
    /// The exchange was deleted.
    ended: bool,
    paging: paging::Paging,
}

/// Returns the rank of a message among those that wait.
fn rank((due, position): (Time, Position)) -> Rank {
    (due.micros(), position.0)
}

impl DelayedMessage {
    fn ranked(self, position: Position) -> Ranked {
        let keys = Some(self.more_keys).filter(|keys| !keys.is_empty());
        Ranked {
            entry: Entry::new(position, self.message),
            more_keys: keys.map(Box::new),
        }
    }

    fn of(ranked: Ranked) -> (Position, DelayedMessage) {
        let keys = ranked.more_keys.map(|keys| *keys);
        let delayed = DelayedMessage {
            message: ranked.entry.message,
            more_keys: keys.unwrap_or_default(),
        };
        (ranked.entry.position, delayed)
    }
}

impl Delays {
    /// Creates the empty store of an exchange's messages.
    pub fn new(id: QueueId, vhost: &VhostName, exchange: &ExchangeSpec, clock: Clock) -> Self {
        Delays {
            id,
            vhost: vhost.clone(),
            exchange: exchange.name.clone(),
            stored: exchange.durable,
            clock,
            waiting: Mutex::default(),
        }
    }

    /// Returns whether the exchange's persistent messages are stored, because it is durable.
    pub fn is_stored(&self) -> bool {
        self.stored
    }

    fn stores(&self, message: &Message) -> bool {
        self.stored && message.persistent()
    }

    /// Sets the next position, after those in the store.
    pub fn start_from(&self, next: Position) {
        let mut waiting = self.waiting.lock();
        waiting.next_position = waiting.next_position.max(next.0);
    }

    /// Keeps messages that arrived at `now` and schedules their release.
    pub fn hold(
        self: &Arc<Self>,
        messages: impl IntoIterator<Item = Postponed>,
        now: Instant,
        fx: &mut Effects,
    ) {
        let placed = self.place(messages, now, fx);
        fx.submit();
        self.keep(placed, fx);
    }

    /// Reserves and records places for messages that arrived at `now`. They are kept only by
    /// [`Delays::keep`], which must wait until the records have reached the store: whoever releases
    /// them stores afterwards that they have left.
    pub fn place(
        &self,
        messages: impl IntoIterator<Item = Postponed>,
        now: Instant,
        fx: &mut Effects,
    ) -> Vec<Placed> {
        let now = self.clock.time(now);
        let mut waiting = self.waiting.lock();
        let mut placed = Vec::new();
        for Postponed {
            delayed,
            delay,
            token,
        } in messages
        {
            let due = now + delay;
            let stored = self.stores(&delayed.message);
            if waiting.ended {
                if let Some(token) = token.filter(|_| stored) {
                    fx.store(Op::Notify { token });
                }
                continue;
            }
            let position = Position(waiting.next_position);
            waiting.next_position += 1;
            if stored {
                let message = Stored::new(due, delayed.clone(), self.clock);
                fx.store(Op::Publish {
                    queue: self.id,
                    position,
                    message: Arc::new(message),
                    token,
                });
            }
            let at = (due, position);
            placed.push(Placed { at, delayed });
        }
        placed
    }

    /// Keeps messages at their reserved places. If the exchange was deleted meanwhile, they are
    /// removed from the store again.
    pub fn keep(self: &Arc<Self>, placed: Vec<Placed>, fx: &mut Effects) {
        let mut waiting = self.waiting.lock();
        let before = waiting.earliest();
        for Placed { at, delayed } in placed {
            if !waiting.ended {
                waiting.messages.insert(rank(at), delayed.ranked(at.1));
            } else if self.stores(&delayed.message) {
                fx.store_ack(self.id, at.1);
            }
        }
        let earliest = waiting.earliest();
        let wanted = self.pages(&mut waiting, fx);
        drop(waiting);
        self.want(wanted, fx);
        if let Some(due) = earliest.filter(|_| earliest != before) {
            fx.wake_at(self.clock.instant(due), self.clone());
        }
    }

    /// Restores a message from the store. Returns `None` if it is malformed.
    pub fn restore(
        self: &Arc<Self>,
        position: Position,
        stored: bytes::Bytes,
        fx: &mut Effects,
    ) -> Option<()> {
        let (wall_millis, delayed) = stored::decode(stored)?;
        let due = self.clock.time_of_wall_millis(wall_millis);
        let mut waiting = self.waiting.lock();
        waiting.next_position = waiting.next_position.max(position.0 + 1);
        let rank = rank((due, position));
        waiting.messages.insert(rank, delayed.ranked(position));
        let wanted = self.pages(&mut waiting, fx);
        drop(waiting);
        self.want(wanted, fx);
        Some(())
    }

    /// Schedules the first release of restored messages.
    pub fn start(self: &Arc<Self>, fx: &mut Effects) {
        if let Some(due) = self.next() {
            fx.wake_at(due, self.clone());
        }
    }

    /// Returns when the next message is due that is not already being read from disk.
    fn next(&self) -> Option<Instant> {
        let earliest = self.waiting.lock().earliest();
        earliest.map(|due| self.clock.instant(due))
    }

    /// Takes a slice of the due messages, in order. Those on disk are read, and taken later.
    fn take_due(
        self: &Arc<Self>,
        now: Instant,
        fx: &mut Effects,
    ) -> Vec<(Position, DelayedMessage)> {
        let now = self.clock.time(now).micros();
        let mut waiting = self.waiting.lock();
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < SLICE
            && bytes < SLICE_BYTES
            && let Some(((due, _), FirstMessage::Here(_))) = waiting.messages.first()
            && due <= now
            && let Some((_, ranked)) = waiting.messages.pop_first()
        {
            bytes += ranked.weight();
            taken.push(DelayedMessage::of(ranked));
        }
        let mut wanted = self.pages(&mut waiting, fx);
        if waiting
            .messages
            .first()
            .is_some_and(|((due, _), _)| due <= now)
        {
            wanted.read(&mut waiting.messages);
        }
        drop(waiting);
        self.want(wanted, fx);
        taken
    }

    /// Deletes the messages with their exchange, and ignores later ones.
    pub fn end(&self, fx: &mut Effects) {
        let mut waiting = self.waiting.lock();
        if !waiting.ended {
            waiting.ended = true;
            for page in waiting.messages.clear() {
                fx.discard(page);
            }
            waiting.report(fx);
            if self.stored {
                fx.store(Op::DeleteQueue { queue: self.id });
            }
            fx.cancel_timer(self.id);
        }
    }

    /// Returns the number of waiting messages.
    pub fn len(&self) -> usize {
        self.waiting.lock().messages.len()
    }

    /// Returns whether there are no waiting messages.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Waiting {
    /// Returns when the first message is due, unless it is being read from disk.
    fn earliest(&self) -> Option<Time> {
        let ((due, _), first) = self.messages.first()?;
        let comes = matches!(first, FirstMessage::Away(None)) && self.messages.coming() > 0;
        (!comes).then_some(Time::from_micros(due))
    }
}

#[cfg(test)]
mod paging_tests;
#[cfg(test)]
mod tests;
