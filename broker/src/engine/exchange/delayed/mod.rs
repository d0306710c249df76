//! `x-delayed-message` exchanges (RabbitMQ's plugin "Delayed Message Exchange"): messages with an
//! `x-delay` header are kept until they are due and routed then, by the type that the exchange was
//! declared with in `x-delayed-type`.

mod header;
mod paging;
mod release;
mod stored;

pub(super) use header::delay_of;

use super::ExchangeSpec;
use crate::engine::clock::{Clock, Time};
use crate::engine::message::{Message, SharedMessage};
use crate::engine::queue::paging::{First, MoreKeys, Rank, Ranked, Sorted};
use crate::engine::queue::{Effects, Entry};
use leveret_protocol::{ExchangeName, VhostName};
use leveret_storage::{Op, Position, QueueId, Token};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stored::Stored;

/// Messages that are released in one go, so that other timers get a turn.
const SLICE: usize = 256;
/// Bytes of messages that are released in one go, about.
const SLICE_BYTES: u64 = 1 << 20;

/// A message that waits to be routed.
#[derive(Clone, Debug)]
pub struct DelayedMessage {
    /// The message as it was published.
    pub message: SharedMessage,
    /// Its routing keys beside the first one: not all of them stand in the message that
    /// consumers get (RabbitMQ: "Sender-selected Distribution").
    pub more_keys: MoreKeys,
}

/// A message on its way into a delayed exchange.
#[derive(Debug)]
pub struct Postponed {
    /// The message.
    pub delayed: DelayedMessage,
    /// How long it waits.
    pub delay: Duration,
    /// What its publisher waits for; used when the message is stored only.
    pub token: Option<Token>,
}

/// A message with its place in a delayed exchange.
#[derive(Debug)]
pub struct Placed {
    at: (Time, Position),
    delayed: DelayedMessage,
}

/// The messages that a delayed exchange keeps.
#[derive(Debug)]
pub struct Delays {
    /// Under which they are stored; a number that no queue has.
    pub id: QueueId,
    vhost: VhostName,
    exchange: ExchangeName,
    /// The exchange is durable: its persistent messages are kept in the store.
    stored: bool,
    clock: Clock,
    /// A leaf lock, as a queue's is.
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By the time they are due, then by arrival. What is due last can be on disk.
    messages: Sorted,
    next_position: u64,
    /// The exchange was deleted.
    ended: bool,
    paging: paging::Paging,
}

/// Where a message stands among those that wait.
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
    /// Nothing, yet, for this exchange.
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

    /// Whether the exchange's persistent messages are kept in the store: it is durable.
    pub fn is_stored(&self) -> bool {
        self.stored
    }

    fn stores(&self, message: &Message) -> bool {
        self.stored && message.persistent()
    }

    /// The store has handed out positions up to this one, which is the next.
    pub fn start_from(&self, next: Position) {
        let mut waiting = self.waiting.lock();
        waiting.next_position = waiting.next_position.max(next.0);
    }

    /// Keeps messages that have come at `now`; makes sure that they are released when they are
    /// due.
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

    /// Takes places for messages that have come at `now`, and records them there. They are not
    /// kept before [`Delays::keep`], which has to wait until the records have reached the store:
    /// whoever releases them stores behind these that they have left.
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

    /// Keeps messages at the places that they have taken. What comes too late, for the exchange was
    /// deleted meanwhile, is taken out of the store again.
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

    /// Puts back a message that the store kept across a restart. `None` when it is malformed.
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

    /// Asks for the first look at what was restored.
    pub fn start(self: &Arc<Self>, fx: &mut Effects) {
        if let Some(due) = self.next() {
            fx.wake_at(due, self.clone());
        }
    }

    /// When the next message is due that is not on its way from the disk already.
    fn next(&self) -> Option<Instant> {
        let earliest = self.waiting.lock().earliest();
        earliest.map(|due| self.clock.instant(due))
    }

    /// Takes a slice of the messages that are due, in order. Those that are on disk are read, and come another time.
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
            && let Some(((due, _), First::Here(_))) = waiting.messages.first()
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

    /// The exchange is deleted: drops its messages and ignores what still comes.
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

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.waiting.lock().messages.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Waiting {
    /// When the first message is due, unless it is on its way from the disk.
    fn earliest(&self) -> Option<Time> {
        let ((due, _), first) = self.messages.first()?;
        let comes = matches!(first, First::Away(None)) && self.messages.coming() > 0;
        (!comes).then_some(Time::from_micros(due))
    }
}

#[cfg(test)]
mod paging_tests;
#[cfg(test)]
mod tests;
