//! The queue machine: every rule of a queue, without sockets, clock or I/O. What has to be done
//! outside comes back as [`Effects`].
//!
//! A message is in exactly one place: ready here, or handed to one consumer (an [`Entry`] that
//! moved into a mailbox and then into its channel's list of unacknowledged deliveries). Moving
//! the entry is what makes delivering twice impossible.

use super::consumer::{Consumer, ConsumerId};
use super::consumers::Consumers;
use super::effects::Effects;
use super::entry::Entry;
use super::handle::QueueSpec;
use super::limits::Limits;
use super::quorum::Quorum;
use super::ready::Ready;
use super::settings::{QueueKind, Settings};
use crate::message::SharedMessage;
use leveret_storage::{Op, Position, QueueId, Token};
use std::sync::Arc;

/// Numbers that listings and replies show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages ready to be delivered.
    pub ready: u64,
    /// Messages delivered and not yet acknowledged.
    pub unacked: u64,
    /// Persistent messages among both.
    pub persistent: u64,
    /// Octets of the bodies of persistent messages among both.
    pub persistent_bytes: u64,
    /// Octets of ready bodies.
    pub ready_bytes: u64,
    /// Octets of unacknowledged bodies.
    pub unacked_bytes: u64,
    /// Consumers.
    pub consumers: u64,
}

/// What a queue leaves behind when it is deleted.
#[derive(Debug)]
pub struct Remains {
    /// Messages that were ready.
    pub messages: u64,
    /// Consumers that have to be told.
    pub consumers: Vec<Arc<Consumer>>,
}

/// Why a consumer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumeRefused {
    /// Another consumer has the queue exclusively, or exclusivity was asked for and there are
    /// consumers, or it is a queue whose consumers wait for each other.
    InExclusiveUse,
    /// The queue was deleted.
    Deleted,
}

/// What became of a queue when a consumer left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRemoval {
    /// It stays.
    Stays,
    /// It was the last consumer of an auto-delete queue.
    AutoDelete,
}

/// One queue.
#[derive(Debug)]
pub struct Machine {
    pub(super) id: QueueId,
    /// Durable and not exclusive: its persistent messages are kept in the store.
    stored: bool,
    auto_delete: bool,
    limits: Option<Box<Limits>>,
    ready: Ready,
    /// What it does as a quorum queue.
    pub(super) quorum: Option<Box<Quorum>>,
    consumers: Consumers,
    next_position: u64,
    unacked: u64,
    unacked_bytes: u64,
    persistent: u64,
    persistent_bytes: u64,
    /// Every persistent message up to here was delivered at least once.
    delivered_through: Option<Position>,
    /// The store has not been told of the last change of `delivered_through`.
    delivered_news: bool,
    deleted: bool,
}

impl Machine {
    /// An empty queue whose first message will have `next_position`.
    pub fn new(
        id: QueueId,
        spec: &QueueSpec,
        settings: &Settings,
        next_position: Position,
    ) -> Self {
        let kind = spec.kind();
        Machine {
            id,
            stored: spec.is_stored(),
            auto_delete: spec.auto_delete,
            limits: Limits::of(settings).map(Box::new),
            ready: Ready::new(kind, settings),
            quorum: (kind == QueueKind::Quorum).then(|| Box::new(Quorum::new(settings))),
            consumers: Consumers::new(kind, settings),
            next_position: next_position.0,
            unacked: 0,
            unacked_bytes: 0,
            persistent: 0,
            persistent_bytes: 0,
            delivered_through: None,
            delivered_news: false,
            deleted: false,
        }
    }

    /// The queue is set to something else from now on, which what is in it follows at once.
    pub fn configure(&mut self, settings: &Settings, fx: &mut Effects) {
        self.limits = Limits::of(settings).map(Box::new);
        if let Some(quorum) = &mut self.quorum {
            quorum.configure(settings);
        }
        self.drop_over_limit(fx);
    }

    /// Whether a message of this queue is kept in the store.
    pub(super) fn stores(&self, message: &SharedMessage) -> bool {
        self.stored && (message.persistent() || self.quorum.is_some())
    }

    /// Adds a message, or refuses it. `token` comes back from the store once the message is safe
    /// there; it is used only when the message is stored, or refused.
    pub fn publish(&mut self, message: SharedMessage, token: Option<Token>, fx: &mut Effects) {
        if self.deleted {
            if let Some(token) = token.filter(|_| self.stores(&message)) {
                fx.store(Op::Notify { token });
            }
            return;
        }
        if self.is_full_for(&message) {
            fx.refuse(token);
            return;
        }
        let position = self.place(&message, token, fx);
        self.enter(position, message, fx);
    }

    /// Whether the queue's limits turn this message away.
    fn is_full_for(&self, message: &SharedMessage) -> bool {
        let full = |limits: &Limits| limits.refuse(message, &self.ready);
        self.limits.as_deref().is_some_and(full)
    }

    /// Takes the next place for a message, and records it there.
    fn place(
        &mut self,
        message: &SharedMessage,
        token: Option<Token>,
        fx: &mut Effects,
    ) -> Position {
        let position = Position(self.next_position);
        self.next_position += 1;
        if self.stores(message) {
            let message = message.clone();
            fx.store(Op::Publish {
                queue: self.id,
                position,
                message,
                token,
            });
        }
        position
    }

    /// A message enters at its place; consumers are served.
    fn enter(&mut self, position: Position, message: SharedMessage, fx: &mut Effects) {
        if self.stores(&message) {
            self.persistent += 1;
            self.persistent_bytes += message.body().len() as u64;
        }
        self.ready.insert(Entry::new(position, message));
        self.dispatch(fx);
        self.drop_over_limit(fx);
    }

    /// Takes places for messages that [`Machine::publish_reserved`] will bring once their records,
    /// and what goes with them, have reached the store. Returns the first place; the others follow
    /// it. `None` when the queue was deleted.
    pub fn reserve(&mut self, messages: &[SharedMessage], fx: &mut Effects) -> Option<Position> {
        if self.deleted {
            return None;
        }
        let first = Position(self.next_position);
        for message in messages {
            self.place(message, None, fx);
        }
        Some(first)
    }

    /// Adds messages at the places that were reserved for them. What cannot enter, because the queue
    /// was deleted meanwhile or turns it away, is taken out of the store again.
    pub fn publish_reserved(
        &mut self,
        first: Position,
        messages: impl IntoIterator<Item = SharedMessage>,
        fx: &mut Effects,
    ) {
        for (position, message) in (first.0..).map(Position).zip(messages) {
            if !self.deleted && !self.is_full_for(&message) {
                self.enter(position, message, fx);
            } else if self.stores(&message) {
                fx.store_settled(self.id, position, &message);
            }
        }
    }

    /// Drops the oldest messages while there are more than the limits allow.
    pub fn drop_over_limit(&mut self, fx: &mut Effects) {
        let Some(limits) = self.limits.as_deref().copied() else {
            return;
        };
        while limits.drop_head(&self.ready) {
            let Some(entry) = self.ready.pop() else {
                return;
            };
            self.forget(entry.position, &entry.message, fx);
        }
    }

    /// Puts back a message that the store kept over a restart; call it in order of positions, then
    /// [`Machine::drop_over_limit`].
    pub fn restore(&mut self, position: Position, message: SharedMessage, redelivered: bool) {
        self.persistent += 1;
        self.persistent_bytes += message.body().len() as u64;
        self.next_position = self.next_position.max(position.0 + 1);
        let mut entry = Entry::new(position, message);
        if redelivered {
            entry.mark_redelivered();
        }
        self.restore_count(&mut entry);
        self.ready.insert(entry);
    }

    /// Adds a consumer and serves it.
    ///
    /// # Errors
    /// See [`ConsumeRefused`].
    pub fn consume(
        &mut self,
        consumer: Arc<Consumer>,
        fx: &mut Effects,
    ) -> Result<(), ConsumeRefused> {
        if self.deleted {
            return Err(ConsumeRefused::Deleted);
        }
        let taken = self.consumers.exclusive().is_some();
        let free = self.consumers.is_empty() && !self.consumers.is_single_active();
        if taken || (consumer.exclusive && !free) {
            return Err(ConsumeRefused::InExclusiveUse);
        }
        self.consumers.add(consumer);
        self.dispatch(fx);
        Ok(())
    }

    /// Removes a consumer; its unacknowledged deliveries stay with its channel. Once they are
    /// where they belong, [`Machine::serve_next`] has to be called.
    pub fn cancel(&mut self, id: ConsumerId) -> AfterRemoval {
        let removed = self.consumers.remove(id).is_some();
        if removed && self.auto_delete && self.consumers.is_empty() && !self.deleted {
            AfterRemoval::AutoDelete
        } else {
            AfterRemoval::Stays
        }
    }

    /// Serves whoever took the place of a consumer that was removed.
    pub fn serve_next(&mut self, fx: &mut Effects) {
        self.dispatch(fx);
    }

    /// Consumers that were passed over can take messages again.
    pub fn resume(&mut self, ids: impl IntoIterator<Item = ConsumerId>, fx: &mut Effects) {
        self.consumers.resume(ids);
        self.dispatch(fx);
    }

    /// Hands ready messages to consumers until one of both runs out.
    fn dispatch(&mut self, fx: &mut Effects) {
        while !self.ready.is_empty() {
            let Some(consumer) = self.consumers.next() else {
                return;
            };
            let Some(entry) = self.ready.pop() else {
                return;
            };
            self.hand_over(&consumer, entry, fx);
        }
    }

    fn hand_over(&mut self, consumer: &Arc<Consumer>, entry: Entry, fx: &mut Effects) {
        let message = entry.message.clone();
        let position = entry.position;
        match consumer.mailbox.deliver(consumer, entry) {
            Ok(wake) => {
                if wake {
                    fx.wake(&consumer.mailbox);
                }
                if consumer.no_ack {
                    self.forget(position, &message, fx);
                } else {
                    self.mark_delivered(position, &message);
                }
            }
            Err(entry) => {
                // The connection is ending and will cancel its consumers, which are counted until
                // then: an auto-delete queue goes with the last of them. Nobody was served.
                self.ready.requeue(entry);
                self.consumers.set_aside(consumer.id);
            }
        }
    }

    fn mark_delivered(&mut self, position: Position, message: &SharedMessage) {
        self.unacked += 1;
        self.unacked_bytes += message.body().len() as u64;
        if self.stores(message) && self.delivered_through.is_none_or(|seen| seen < position) {
            self.delivered_through = Some(position);
            self.delivered_news = true;
        }
    }

    /// The message is gone from the queue for good.
    fn forget(&mut self, position: Position, message: &SharedMessage, fx: &mut Effects) {
        if self.stores(message) {
            self.persistent -= 1;
            self.persistent_bytes -= message.body().len() as u64;
            fx.store_settled(self.id, position, message);
        }
        self.forget_count(position, fx);
    }

    /// A message came back too often.
    pub(super) fn give_up(&mut self, entry: &Entry, fx: &mut Effects) {
        self.forget(entry.position, &entry.message, fx);
    }

    /// Tells the store how far deliveries have come: once for all that was done under one lock.
    pub fn report_delivered(&mut self, fx: &mut Effects) {
        if let Some(through) = self.delivered_through.filter(|_| self.delivered_news) {
            self.delivered_news = false;
            fx.store(Op::Delivered {
                queue: self.id,
                through,
            });
        }
    }

    /// Takes one message for basic.get; also says how many stay ready.
    pub fn get(&mut self, no_ack: bool, fx: &mut Effects) -> Option<(Entry, u64)> {
        let entry = self.ready.pop()?;
        if no_ack {
            self.forget(entry.position, &entry.message, fx);
        } else {
            self.mark_delivered(entry.position, &entry.message);
        }
        Some((entry, self.ready.len() as u64))
    }

    /// A delivery was acknowledged, or rejected without requeue.
    pub fn settle(&mut self, entry: &Entry, fx: &mut Effects) {
        if self.deleted {
            return;
        }
        self.unacked -= 1;
        self.unacked_bytes -= entry.message.body().len() as u64;
        self.forget(entry.position, &entry.message, fx);
    }

    /// Deliveries come back and take their old places; `entries` say themselves whether they
    /// count as redelivered. Serves consumers once all are in place.
    pub fn requeue(&mut self, entries: impl IntoIterator<Item = Entry>, fx: &mut Effects) {
        if self.deleted {
            return;
        }
        for entry in entries {
            self.unacked -= 1;
            self.unacked_bytes -= entry.message.body().len() as u64;
            if let Some(entry) = self.take_back(entry, fx) {
                self.ready.requeue(entry);
            }
        }
        // Before anybody is served (`rabbit_amqqueue_process:requeue_and_run`).
        self.drop_over_limit(fx);
        self.dispatch(fx);
    }

    /// Drops all ready messages and returns their number.
    pub fn purge(&mut self, fx: &mut Effects) -> u64 {
        let mut count = 0;
        while let Some(entry) = self.ready.pop() {
            self.forget(entry.position, &entry.message, fx);
            count += 1;
        }
        count
    }

    /// Ends the queue: drops its messages, lets its consumers go (to be told), and ignores
    /// whatever still comes. `None` when it had ended.
    pub fn delete(&mut self, fx: &mut Effects) -> Option<Remains> {
        if self.deleted {
            return None;
        }
        self.deleted = true;
        let count = self.ready.len() as u64;
        // Publishes that the store has not taken yet need not be written; the rest goes by range.
        while let Some(entry) = self.ready.pop() {
            if self.stores(&entry.message) {
                entry.message.cancel_write();
            }
        }
        self.forget_counts(fx);
        self.unacked = 0;
        self.unacked_bytes = 0;
        self.persistent = 0;
        self.persistent_bytes = 0;
        if self.stored {
            fx.store(Op::DeleteQueue { queue: self.id });
        }
        Some(Remains {
            messages: count,
            consumers: self.consumers.drain(),
        })
    }

    /// Whether the queue was deleted while somebody still held it.
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Numbers for listings.
    pub fn counts(&self) -> Counts {
        Counts {
            ready: self.ready.len() as u64,
            unacked: self.unacked,
            persistent: self.persistent,
            persistent_bytes: self.persistent_bytes,
            ready_bytes: self.ready.bytes(),
            unacked_bytes: self.unacked_bytes,
            consumers: self.consumers.len() as u64,
        }
    }

    /// The queue's consumers.
    pub fn consumers(&self) -> impl Iterator<Item = &Arc<Consumer>> {
        self.consumers.iter()
    }

    /// The consumer that has the queue exclusively.
    pub fn exclusive_consumer(&self) -> Option<&Arc<Consumer>> {
        self.consumers.exclusive()
    }

    /// The consumer that is served while the others wait (`x-single-active-consumer`).
    pub fn single_active_consumer(&self) -> Option<&Arc<Consumer>> {
        self.consumers.single_active()
    }

    /// Whether only one consumer is served at a time.
    pub fn is_single_active(&self) -> bool {
        self.consumers.is_single_active()
    }
}
