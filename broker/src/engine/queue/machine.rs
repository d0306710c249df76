//! The queue machine: every rule of a queue, without sockets, clock or I/O. What has to be done
//! outside is returned as [`Effects`].
//!
//! A message is in exactly one place: ready here, or handed to one consumer (an [`Entry`] that
//! moved into a mailbox and then into its channel's list of unacknowledged deliveries). Moving the
//! entry makes it impossible to deliver twice.

use super::activity::Activity;
use super::consumer::{Consumer, ConsumerId};
use super::consumers::Consumers;
use super::dead_letter::{Origin, Reason};
use super::effects::Effects;
use super::entry::{Entry, Return};
use super::expiry::Expiry;
use super::limits::Limits;
use super::outbox::Outbox;
use super::outcome::{AfterRemoval, ConsumeRefused, Deleted};
use super::paging::{PageMover, Paging};
use super::ready::Ready;
use super::returned::Returned;
use super::settings::{Overflow, QueueKind, Settings};
use super::spec::QueueSpec;
use super::stored::storable;
use crate::engine::clock::Time;
use crate::engine::message::{Message, SharedMessage};
use leveret_storage::{Op, Position, QueueId, Token};
use std::sync::Arc;

/// Messages dropped at a time, under one lock.
pub(super) const SLICE: usize = 1024;

/// One queue.
#[derive(Debug)]
pub struct Machine {
    pub(super) id: QueueId,
    pub(super) kind: QueueKind,
    /// Durable and not exclusive: its persistent messages are stored.
    stored: bool,
    auto_delete: bool,
    pub(super) limits: Option<Box<Limits>>,
    /// The overflow rule, kept even while there are no limits.
    pub(super) overflow: Overflow,
    pub(super) expiry: Expiry,
    /// Where its dead letters go; `None` if they are dropped.
    pub(super) dead_letters: Option<Arc<Origin>>,
    /// Its dead letters that have not been sent.
    pub(super) outbox: Option<Box<Outbox>>,
    pub(super) ready: Ready,
    pub(super) paging: Paging,
    /// The state of messages that came back, where that matters.
    pub(super) returned: Option<Box<Returned>>,
    pub(super) consumers: Consumers,
    next_position: u64,
    pub(super) unacked: u64,
    pub(super) unacked_bytes: u64,
    pub(super) persistent: u64,
    pub(super) persistent_bytes: u64,
    /// Every persistent message up to here was delivered at least once.
    delivered_through: Option<Position>,
    /// `delivered_through` has changed since it was last stored.
    delivered_news: bool,
    deleted: bool,
    /// It exceeds its limits, because too much would have to be dropped at a time: the timer
    /// continues.
    pub(super) drops_later: bool,
    /// What was counted since its first use.
    pub(super) activity: Option<Box<Activity>>,
    /// A page is to be read of which messages die, once there is room for what comes of that.
    pub(super) reads_later: bool,
}

impl Machine {
    /// Creates an empty queue whose first message will have `next_position`.
    pub fn new(
        id: QueueId,
        spec: &QueueSpec,
        settings: &Settings,
        next_position: Position,
    ) -> Self {
        let kind = spec.kind();
        let mut expiry = Expiry::default();
        expiry.configure(settings);
        let mut returned = None;
        Returned::apply_settings(&mut returned, kind, settings);
        Machine {
            id,
            kind,
            stored: spec.is_stored(),
            auto_delete: spec.auto_delete,
            limits: Limits::of(settings).map(Box::new),
            overflow: settings.overflow,
            expiry,
            dead_letters: Origin::of(spec, settings),
            outbox: None,
            drops_later: false,
            reads_later: false,
            ready: Ready::new(kind, settings),
            paging: Paging::default(),
            returned,
            consumers: Consumers::new(kind, settings),
            next_position: next_position.0,
            unacked: 0,
            unacked_bytes: 0,
            persistent: 0,
            persistent_bytes: 0,
            delivered_through: None,
            delivered_news: false,
            deleted: false,
            activity: None,
        }
    }

    /// Applies new settings, immediately also to the queue's contents.
    pub fn configure(&mut self, spec: &QueueSpec, settings: &Settings, fx: &mut Effects) {
        self.limit(settings);
        Returned::apply_settings(&mut self.returned, self.kind, settings);
        self.expiry.configure(settings);
        self.dead_letters = Origin::of(spec, settings);
        self.release_letters(fx);
        self.start(fx);
    }

    /// Starts applying the settings: drops what is too much or too old, and starts the time for
    /// which the queue may be unused.
    pub fn start(&mut self, fx: &mut Effects) {
        self.touch(fx);
        self.end_waits(fx);
        self.drop_over_limit(fx);
        self.dispatch(fx);
    }

    /// Returns whether a message of this queue is stored.
    pub(super) fn stores(&self, message: &SharedMessage) -> bool {
        self.storing()(message)
    }

    /// Like `stores`, as a closure that can be used while the machine is changed.
    pub(super) fn storing(&self) -> impl Fn(&Message) -> bool + use<> {
        let (stored, quorum) = (self.stored, self.kind == QueueKind::Quorum);
        move |message| stored && (message.persistent() || quorum)
    }

    /// Adds a message, or rejects it. The store returns `token` once the message is safe; it is
    /// used only if the message is stored, or rejected.
    pub fn publish(&mut self, message: SharedMessage, token: Option<Token>, fx: &mut Effects) {
        if self.deleted {
            if let Some(token) = token.filter(|_| self.stores(&message)) {
                fx.store(Op::Notify { token });
            }
            return;
        }
        if self.is_full_for(&message) {
            self.bury_refused(&message, fx);
            fx.refuse(token);
            return;
        }
        let expiry = self.expiry.of(&message, fx);
        let position = self.place(&message, expiry, token, fx);
        self.enter(position, message, expiry, fx);
    }

    /// Assigns the next position to a message, and records it there.
    fn place(
        &mut self,
        message: &SharedMessage,
        expiry: Option<Time>,
        token: Option<Token>,
        fx: &mut Effects,
    ) -> Position {
        let position = Position(self.next_position);
        self.next_position += 1;
        if self.stores(message) {
            let message = storable(message.clone(), expiry, fx.clock());
            fx.store(Op::Publish {
                queue: self.id,
                position,
                message,
                token,
            });
            self.activity(fx).stats.disk_writes += 1;
        }
        position
    }

    /// Inserts a message at its position and serves consumers. A waiting consumer gets it however
    /// soon it expires.
    fn enter(
        &mut self,
        position: Position,
        mut message: SharedMessage,
        expiry: Option<Time>,
        fx: &mut Effects,
    ) {
        if message.pins() && fx.pager().is_some_and(PageMover::is_tight) {
            Message::cut_out(&mut message);
        }
        if self.stores(&message) {
            self.persistent += 1;
            self.persistent_bytes += message.body().len() as u64;
        }
        let alone = self.ready.is_empty();
        let mut entry = Entry::new(position, message);
        entry.set_expiry(expiry);
        self.expiry.enters(&entry);
        self.ready.insert(entry);
        if alone {
            self.serve_head(fx);
        }
        self.drop_over_limit(fx);
        self.dispatch(fx);
    }

    /// Reserves positions for messages that [`Machine::publish_reserved`] will add once their
    /// records, and what goes with them, have reached the store. Returns the first position; the
    /// others follow it. `None` if the queue was deleted.
    pub fn reserve(&mut self, messages: &[SharedMessage], fx: &mut Effects) -> Option<Position> {
        if self.deleted {
            return None;
        }
        let first = Position(self.next_position);
        for message in messages {
            let expiry = self.expiry.of(message, fx);
            self.place(message, expiry, None, fx);
        }
        Some(first)
    }

    /// Adds messages at their reserved positions. Those that cannot enter, because the queue was deleted meanwhile or
    /// rejects them, are removed from the store again. `sure` means that there was room when they were reserved, and
    /// they enter whatever has arrived since.
    pub fn publish_reserved(
        &mut self,
        first: Position,
        messages: impl IntoIterator<Item = SharedMessage>,
        sure: bool,
        fx: &mut Effects,
    ) {
        for (position, message) in (first.0..).map(Position).zip(messages) {
            if self.deleted || (!sure && self.is_full_for(&message)) {
                self.bury_turned_away(position, &message, fx);
            } else {
                let expiry = self.expiry.of(&message, fx);
                self.enter(position, message, expiry, fx);
            }
        }
    }

    /// Restores a message from the store; call it in order of positions, then [`Machine::start`].
    pub fn restore(
        &mut self,
        position: Position,
        message: SharedMessage,
        redelivered: bool,
        expiry: Option<Time>,
    ) {
        self.persistent += 1;
        self.persistent_bytes += message.body().len() as u64;
        self.next_position = self.next_position.max(position.0 + 1);
        let mut entry = Entry::new(position, message);
        if redelivered {
            entry.mark_redelivered();
        }
        entry.set_expiry(expiry);
        if let Some(due) = self.restore_count(&mut entry) {
            return self.restore_waiting(due, entry);
        }
        self.expiry.enters(&entry);
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
        let in_exclusive_use = self.consumers.exclusive().is_some();
        let free = self.consumers.is_empty() && !self.consumers.is_single_active();
        if in_exclusive_use || (consumer.exclusive && !free) {
            return Err(ConsumeRefused::InExclusiveUse);
        }
        self.consumers.add(consumer);
        self.record_resumption(fx);
        self.dispatch(fx);
        Ok(())
    }

    /// Removes a consumer; its unacknowledged deliveries stay with its channel. Once they are
    /// settled or requeued, [`Machine::serve_next`] must be called.
    pub fn cancel(&mut self, id: ConsumerId, fx: &mut Effects) -> AfterRemoval {
        let removed = self.consumers.remove(id).is_some();
        if removed && self.consumers.is_empty() {
            self.touch(fx);
        }
        if removed && self.auto_delete && self.consumers.is_empty() && !self.deleted {
            AfterRemoval::AutoDelete
        } else {
            AfterRemoval::Stays
        }
    }

    /// Serves the consumer that took the place of a removed one.
    pub fn serve_next(&mut self, fx: &mut Effects) {
        self.dispatch(fx);
    }

    /// Resumes consumers that were passed over.
    pub fn resume(&mut self, ids: impl IntoIterator<Item = ConsumerId>, fx: &mut Effects) {
        self.consumers.resume(ids);
        self.record_resumption(fx);
        self.dispatch(fx);
    }

    /// Hands ready messages to consumers until either runs out. Expired messages are not handed
    /// out.
    pub(super) fn dispatch(&mut self, fx: &mut Effects) {
        while !self.drop_expired(fx) && self.serve_head(fx) {}
    }

    /// Hands the first ready message to a consumer; returns false if there is no message or
    /// consumer, or the message is on disk.
    fn serve_head(&mut self, fx: &mut Effects) -> bool {
        if self.ready.first().is_none() {
            return false;
        }
        let storing = self.storing();
        let Some(consumer) = self.consumers.next() else {
            self.record_stall(fx);
            return false;
        };
        let Some(entry) = self.ready.pop() else {
            return true;
        };
        let (position, redelivered) = (entry.position, entry.redelivered());
        let stored = storing(&entry.message);
        let bytes = entry.message.body().len() as u64;
        // A message that is not stored belongs to the consumer alone from here on.
        let message = (stored && consumer.no_ack).then(|| entry.message.clone());
        match consumer.mailbox.deliver(consumer, entry) {
            Ok(wake) => {
                if wake {
                    fx.wake(&consumer.mailbox);
                }
                let no_ack = consumer.no_ack;
                let activity = self.activity(fx);
                activity.stats.count_delivery(no_ack, redelivered);
                if !no_ack {
                    self.mark_delivered(position, bytes, stored);
                } else if let Some(message) = message {
                    self.forget(position, &message, fx);
                } else {
                    self.forget_count(position, fx);
                }
            }
            Err(entry) => {
                // The connection is ending and will cancel its consumers, which count until then:
                // an auto-delete queue is deleted with the last of them. Nobody was served.
                let id = consumer.id;
                self.ready.requeue(entry);
                self.consumers.set_aside(id);
            }
        }
        true
    }

    fn mark_delivered(&mut self, position: Position, bytes: u64, stored: bool) {
        self.unacked += 1;
        self.unacked_bytes += bytes;
        if stored && self.delivered_through.is_none_or(|seen| seen < position) {
            self.delivered_through = Some(position);
            self.delivered_news = true;
        }
    }

    /// Removes what is kept of a message that has left the queue for good.
    pub(super) fn forget(&mut self, position: Position, message: &SharedMessage, fx: &mut Effects) {
        if self.stores(message) {
            self.discount(message);
            fx.store_settled(self.id, position, message);
        }
        self.forget_count(position, fx);
    }

    /// Stops counting a stored message.
    pub(super) fn discount(&mut self, message: &SharedMessage) {
        self.persistent -= 1;
        self.persistent_bytes -= message.body().len() as u64;
    }

    /// Records how far deliveries have come: once for everything done under one lock.
    pub fn report_delivered(&mut self, fx: &mut Effects) {
        if let Some(through) = self.delivered_through.filter(|_| self.delivered_news) {
            self.delivered_news = false;
            fx.store(Op::Delivered {
                queue: self.id,
                through,
            });
        }
    }

    /// Takes one message for basic.get; also returns how many remain ready.
    pub fn get(&mut self, no_ack: bool, fx: &mut Effects) -> Option<(Entry, u64)> {
        self.touch(fx);
        let Some(entry) = self.ready.pop() else {
            self.activity(fx).stats.get_empty += 1;
            return None;
        };
        let redelivered = entry.redelivered();
        self.activity(fx).stats.count_get(no_ack, redelivered);
        if no_ack {
            self.forget(entry.position, &entry.message, fx);
        } else {
            let stored = self.stores(&entry.message);
            self.mark_delivered(entry.position, entry.message.body().len() as u64, stored);
        }
        self.drop_expired(fx);
        Some((entry, self.ready_messages()))
    }

    /// Handles an acknowledged delivery.
    pub fn settle(&mut self, entry: &Entry, fx: &mut Effects) {
        if self.deleted {
            return;
        }
        self.take_back(entry);
        self.forget(entry.position, &entry.message, fx);
    }

    /// Handles a delivery rejected without requeue.
    pub fn reject(&mut self, entry: &Entry, fx: &mut Effects) {
        if self.deleted {
            return;
        }
        self.take_back(entry);
        self.bury(entry, Reason::Rejected, fx);
    }

    fn take_back(&mut self, entry: &Entry) {
        self.unacked -= 1;
        self.unacked_bytes -= entry.message.body().len() as u64;
    }

    /// Returns deliveries to their old positions, at once or after a delay. Serves consumers once
    /// all are in place.
    pub fn requeue(
        &mut self,
        entries: impl IntoIterator<Item = (Entry, Return)>,
        fx: &mut Effects,
    ) {
        if self.deleted {
            return;
        }
        for (mut entry, how) in entries {
            Message::cut_out(&mut entry.message);
            self.take_back(&entry);
            if how == Return::Unseen {
                let redelivered = entry.redelivered();
                self.activity(fx).stats.uncount_delivery(redelivered);
            }
            if let Some(entry) = self.came_back(entry, how, fx) {
                self.expiry.enters(&entry);
                self.ready.requeue(entry);
            }
        }
        // Before any consumer is served (`rabbit_amqqueue_process:requeue_and_run`).
        self.drop_over_limit(fx);
        self.dispatch(fx);
    }

    /// Drops all messages that are ready or wait to be, and dead letters that could not be routed; returns their number.
    pub fn purge(&mut self, fx: &mut Effects) -> u64 {
        let mut count = 0;
        while !self.ready.is_empty() {
            while let Some(entry) = self.ready.pop() {
                self.forget(entry.position, &entry.message, fx);
                count += 1;
            }
            count += self.drop_pages(fx);
        }
        count += self.drop_waiting(fx) + self.purge_letters(fx);
        self.report_memory(fx);
        count
    }

    /// Deletes the queue: drops its messages, returns its consumers (to be told), and ignores
    /// whatever still arrives. `None` if it was deleted before.
    pub fn delete(&mut self, fx: &mut Effects) -> Option<Deleted> {
        if self.deleted {
            return None;
        }
        self.deleted = true;
        self.stop_timer(fx);
        self.drop_kept_letters(fx);
        let count = self.ready_messages();
        // Publishes that the store has not claimed yet need not be written; the rest is removed by
        // range.
        self.call_off_waiting(fx);
        while !self.ready.is_empty() {
            while let Some(entry) = self.ready.pop() {
                self.cancel_write(&entry);
            }
            while self.ready.first().is_none()
                && let Some(page) = self.ready.drop_page()
            {
                fx.discard(page);
            }
        }
        self.report_memory(fx);
        self.forget_counts(fx);
        self.unacked = 0;
        self.unacked_bytes = 0;
        self.persistent = 0;
        self.persistent_bytes = 0;
        if self.stored {
            fx.store(Op::DeleteQueue { queue: self.id });
        }
        Some(Deleted {
            messages: count,
            consumers: self.consumers.drain(),
        })
    }

    /// Cancels the write of a message of a deleted queue, if it has not been written.
    pub(super) fn cancel_write(&self, entry: &Entry) {
        if self.stores(&entry.message) {
            entry.message.cancel_write();
        }
    }

    /// Returns whether the queue was deleted while others still hold it.
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Returns whether it has no consumers.
    pub(super) fn is_without_consumers(&self) -> bool {
        self.consumers.is_empty()
    }
}
