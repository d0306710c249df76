//! A queue as the rest of the broker sees it: immutable properties, and the machine behind its
//! lock. Only this file takes the lock, and never two at once.

use super::consumer::{Consumer, ConsumerId};
use super::effects::Effects;
use super::entry::{Entry, Return};
use super::machine::Machine;
use super::outcome::{AfterRemoval, ConsumeRefused, Counts, Deleted};
use super::paging::Wanted;
use super::returned::Found;
use super::settings::{QueueKind, Settings};
use super::spec::QueueSpec;
use crate::engine::applied_policy::AppliedPolicy;
use crate::engine::clock::Time;
use crate::engine::interfaces::ConnectionId;
use crate::engine::message::SharedMessage;
use crate::engine::statistics::{Share, Tracked};
use crate::engine::stream::Stream;
use leveret_protocol::{QueueName, VhostName};
use leveret_storage::{Position, QueueId, Token};
use parking_lot::{Mutex, MutexGuard, RwLock};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A queue.
pub struct Queue {
    /// Its id in the store, never reused.
    pub id: QueueId,
    /// Its virtual host.
    pub vhost: VhostName,
    /// Its declaration.
    pub spec: QueueSpec,
    /// Its kind.
    pub kind: QueueKind,
    settings: RwLock<Arc<Settings>>,
    policy: RwLock<Option<Arc<dyn AppliedPolicy>>>,
    machine: Mutex<Machine>,
    /// Held by whoever sends its dead letters.
    sender: Mutex<()>,
    /// A copy of the machine's flag, readable without the lock.
    ended: AtomicBool,
    /// What the sampler keeps of it.
    pub tracked: Tracked,
    /// What it has added to the sums of its virtual host.
    pub share: Share,
    /// The stream that replaces the machine, which then stays empty.
    stream: Option<Arc<Stream>>,
}

/// Slices of expired messages that a request for the next message waits for.
const PATIENCE: usize = 64;

/// A message on its way into a queue, with its publisher's token.
pub type Incoming = (SharedMessage, Option<Token>);

/// Only what never changes: its consumers lead back to it.
impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (vhost, spec) = (&self.vhost, &self.spec);
        f.debug_tuple("Queue")
            .field(&self.id)
            .field(vhost)
            .field(spec)
            .finish()
    }
}

impl Queue {
    /// Creates an empty queue.
    pub fn new(id: QueueId, vhost: VhostName, spec: QueueSpec, next_position: Position) -> Self {
        let settings = Settings::of(&spec.arguments, None);
        let machine = Machine::new(id, &spec, &settings, next_position);
        let kind = spec.kind();
        let stream = (kind == QueueKind::Stream)
            .then(|| Arc::new(Stream::new(id, &settings, next_position)));
        Queue {
            id,
            vhost,
            spec,
            kind,
            settings: RwLock::new(Arc::new(settings)),
            policy: RwLock::default(),
            machine: Mutex::new(machine),
            sender: Mutex::default(),
            ended: AtomicBool::new(false),
            tracked: Tracked::default(),
            share: Share::default(),
            stream,
        }
    }

    /// Returns the stream, if it is one.
    pub fn stream(&self) -> Option<&Arc<Stream>> {
        self.stream.as_ref()
    }

    /// Returns whether a message is stored: on streams and quorum queues always, regardless of its
    /// delivery mode.
    pub fn stores(&self, persistent: bool) -> bool {
        self.spec.is_stored() && (persistent || self.kind != QueueKind::Classic)
    }

    /// Returns its name.
    pub fn name(&self) -> &QueueName {
        &self.spec.name
    }

    /// Returns its current settings.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.read().clone()
    }

    /// Returns the policies that apply to it.
    pub fn policy(&self) -> Option<Arc<dyn AppliedPolicy>> {
        self.policy.read().clone()
    }

    /// Sets the policies that apply from now on. Returns whether that changes the queue's settings: then
    /// [`Queue::follow_settings`] must be called.
    pub fn set_policy(&self, policy: Option<Arc<dyn AppliedPolicy>>) -> bool {
        let same =
            |a: &Option<Arc<dyn AppliedPolicy>>, b: &Option<Arc<dyn AppliedPolicy>>| match (a, b) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                (None, None) => true,
                _ => false,
            };
        let mut current = self.policy.write();
        if same(&current, &policy) {
            return false;
        }
        let arguments = &self.spec.arguments;
        let settings = match &policy {
            Some(policy) => policy.settings(arguments),
            None => Arc::new(Settings::of(arguments, None)),
        };
        *current = policy;
        let mut before = self.settings.write();
        let changed = **before != *settings;
        *before = settings;
        changed
    }

    /// Applies the current settings to the queue and its contents. Every change of settings is
    /// followed by this, so the last call applies the last change.
    pub fn follow_settings(self: &Arc<Self>, fx: &mut Effects) {
        if let Some(stream) = &self.stream {
            // Held, so that later settings are applied after these.
            let settings = self.settings.read();
            stream.configure(&settings, fx);
            return self.moves(fx);
        }
        self.serve(fx, |machine, fx| {
            machine.configure(&self.spec, &self.settings(), fx);
        });
    }

    /// Returns whether another connection has exclusive use.
    pub fn is_locked_for(&self, connection: Option<ConnectionId>) -> bool {
        self.spec.exclusive_to.is_some() && self.spec.exclusive_to != connection
    }

    /// Runs an operation that may deliver, under the lock.
    pub(super) fn serve<T>(
        self: &Arc<Self>,
        fx: &mut Effects,
        operation: impl FnOnce(&mut Machine, &mut Effects) -> T,
    ) -> T {
        let mut machine = self.machine.lock();
        let result = operation(&mut machine, fx);
        machine.report_delivered(fx);
        let (letters, wanted) = (machine.letters(), machine.pages(fx));
        // What is being read need not be looked at before it has come.
        if let Some(at) = machine.next_due() {
            fx.wake_at(fx.clock().instant(at), self.clone());
        }
        drop(machine);
        self.moves(fx);
        self.follow_up(letters, wanted, fx);
        result
    }

    /// Does what has to follow the lock's release: sends dead letters, of which `letters` have ever
    /// arrived, and moves pages.
    #[inline]
    pub(super) fn follow_up(self: &Arc<Self>, letters: u64, wanted: Wanted, fx: &mut Effects) {
        if fx.has_letters() {
            fx.letters_of(self, letters);
        }
        if !wanted.is_empty() {
            self.want(wanted, fx);
        }
    }

    /// Waits for the exclusive right to send this queue's dead letters. It is held for a batch of
    /// letters, without any other lock; several are taken in the order of their ids.
    pub fn sender(&self) -> MutexGuard<'_, ()> {
        self.sender.lock()
    }

    /// Runs something on the machine under the lock, for rules in files of their own.
    pub(super) fn with_machine<T>(&self, operation: impl FnOnce(&mut Machine) -> T) -> T {
        operation(&mut self.machine.lock())
    }

    /// Publishes a run of messages under one lock.
    ///
    /// `shared` means that they go to other queues too. An acknowledgement cannot cancel the write
    /// of such a message and is stored, so its publish must reach the store before any consumer is
    /// served.
    pub fn publish(
        self: &Arc<Self>,
        messages: impl IntoIterator<Item = Incoming>,
        shared: bool,
        fx: &mut Effects,
    ) {
        if let Some(stream) = &self.stream {
            stream.publish(messages, fx);
            return self.moves(fx);
        }
        self.serve(fx, |machine, fx| {
            let mut published = 0;
            for (message, token) in messages {
                published += 1;
                machine.publish(message, token, fx);
            }
            machine.activity(fx).stats.publish += published;
            if shared {
                fx.submit();
            }
        });
        if !shared && self.spec.is_stored() && fx.has_records() {
            fx.published(self);
        }
    }

    /// See [`Machine::reserve`].
    pub(super) fn reserve(
        self: &Arc<Self>,
        messages: &[SharedMessage],
        fx: &mut Effects,
    ) -> Option<Position> {
        match &self.stream {
            Some(stream) => {
                let first = stream.reserve(messages, fx);
                self.moves(fx);
                first
            }
            None => self.machine.lock().reserve(messages, fx),
        }
    }

    /// See [`Machine::publish_reserved`].
    pub(super) fn publish_reserved(
        self: &Arc<Self>,
        first: Position,
        messages: impl IntoIterator<Item = SharedMessage>,
        sure: bool,
        fx: &mut Effects,
    ) {
        if self.stream.is_some() {
            return;
        }
        self.serve(fx, |machine, fx| {
            machine.publish_reserved(first, messages, sure, fx);
        });
    }

    /// Returns whether the queue would reject this message after `others` more with this many
    /// bytes.
    pub fn has_no_room(&self, message: &SharedMessage, others: u64, bytes: u64) -> bool {
        self.stream.is_none() && self.machine.lock().has_no_room(message, others, bytes)
    }

    /// See [`Machine::restore`].
    pub fn restore(
        &self,
        position: Position,
        message: SharedMessage,
        redelivered: bool,
        expiry: Option<Time>,
    ) {
        let mut machine = self.machine.lock();
        machine.restore(position, message, redelivered, expiry);
    }

    /// See [`Machine::restore_returned`].
    pub fn restore_returned(&self, found: BTreeMap<Position, Found>) {
        self.machine.lock().restore_returned(found);
    }

    /// See [`Machine::restored`].
    pub fn restored(&self, fx: &mut Effects) {
        self.machine.lock().restored(fx);
    }

    /// See [`Machine::consume`].
    ///
    /// # Errors
    /// See [`ConsumeRefused`].
    pub fn consume(
        self: &Arc<Self>,
        consumer: Arc<Consumer>,
        fx: &mut Effects,
    ) -> Result<(), ConsumeRefused> {
        match &self.stream {
            Some(stream) => {
                let consumes = stream.consume(consumer, fx);
                self.moves(fx);
                consumes
            }
            None => self.serve(fx, |machine, fx| machine.consume(consumer, fx)),
        }
    }

    /// See [`Machine::cancel`].
    pub fn cancel(self: &Arc<Self>, consumer: ConsumerId, fx: &mut Effects) -> AfterRemoval {
        if let Some(stream) = &self.stream {
            stream.cancel(consumer);
            self.moves(fx);
            return AfterRemoval::Stays;
        }
        self.serve(fx, |machine, fx| machine.cancel(consumer, fx))
    }

    /// See [`Machine::serve_next`].
    pub fn serve_next(self: &Arc<Self>, fx: &mut Effects) {
        self.serve(fx, Machine::serve_next);
    }

    /// See [`Machine::resume`].
    pub fn resume(
        self: &Arc<Self>,
        consumers: impl IntoIterator<Item = ConsumerId>,
        fx: &mut Effects,
    ) {
        if let Some(stream) = &self.stream {
            return stream.resume(consumers);
        }
        self.serve(fx, |machine, fx| machine.resume(consumers, fx));
    }

    /// See [`Machine::start`].
    pub fn start(self: &Arc<Self>, fx: &mut Effects) {
        if self.stream.is_some() {
            return self.moves(fx);
        }
        self.serve(fx, |machine, fx| machine.start(fx));
    }

    /// Settles a run of deliveries, then resumes the consumers that lacked their credit, under one
    /// lock.
    pub fn settle<'a>(
        self: &Arc<Self>,
        entries: impl IntoIterator<Item = &'a Entry>,
        resume: impl IntoIterator<Item = ConsumerId>,
        fx: &mut Effects,
    ) {
        self.answer(entries, resume, Machine::settle, true, fx);
    }

    /// Like [`Queue::settle`], for deliveries that were rejected without requeue.
    pub fn reject<'a>(
        self: &Arc<Self>,
        entries: impl IntoIterator<Item = &'a Entry>,
        resume: impl IntoIterator<Item = ConsumerId>,
        fx: &mut Effects,
    ) {
        self.answer(entries, resume, Machine::reject, false, fx);
    }

    /// Applies the same operation to a run of deliveries, then resumes consumers, under one lock.
    /// Messages of a stream are unaffected.
    fn answer<'a>(
        self: &Arc<Self>,
        entries: impl IntoIterator<Item = &'a Entry>,
        resume: impl IntoIterator<Item = ConsumerId>,
        each: impl Fn(&mut Machine, &Entry, &mut Effects),
        acknowledges: bool,
        fx: &mut Effects,
    ) {
        if let Some(stream) = &self.stream {
            let count = entries.into_iter().count() as u64;
            stream.count_acknowledged(if acknowledges { count } else { 0 });
            self.moves(fx);
            return stream.resume(resume);
        }
        self.serve(fx, |machine, fx| {
            let mut count = 0;
            for entry in entries {
                count += 1;
                each(machine, entry, fx);
            }
            if acknowledges {
                machine.activity(fx).stats.ack += count;
            }
            machine.resume(resume, fx);
        });
    }

    /// See [`Machine::requeue`]. Nothing comes back to a stream, because nothing has left it.
    pub fn requeue(
        self: &Arc<Self>,
        entries: impl IntoIterator<Item = (Entry, Return)>,
        fx: &mut Effects,
    ) {
        if self.stream.is_some() {
            return;
        }
        self.serve(fx, |machine, fx| machine.requeue(entries, fx));
    }

    /// See [`Machine::get`].
    pub fn get(self: &Arc<Self>, no_ack: bool, fx: &mut Effects) -> Option<(Entry, u64)> {
        let got = self.without_expired(fx, |machine, fx| {
            let (entry, left) = machine.get(no_ack, fx)?;
            Some((entry, left, machine.ready.head_is_away()))
        })?;
        let (entry, mut left, on_disk) = got?;
        if on_disk {
            // The next message may have expired, which only shows when it is read.
            self.fetch_head(fx);
            left = self.counts().ready;
        }
        Some((entry, left))
    }

    /// Returns the message that is ready next, if it is in memory; it stays.
    pub fn head(&self) -> Option<SharedMessage> {
        let machine = self.machine.lock();
        Some(machine.ready.first()?.message.clone())
    }

    /// Returns the counts for queue.declare-ok. This counts as using the queue.
    pub fn declared(self: &Arc<Self>, fx: &mut Effects) -> Counts {
        if let Some(stream) = &self.stream {
            return stream.counts();
        }
        let counts = |machine: &mut Machine, fx: &mut Effects| {
            machine.touch(fx);
            machine.counts()
        };
        let found = self.without_expired(fx, counts);
        found.unwrap_or_else(|| self.counts())
    }

    /// Runs an operation once the head is in memory and nothing there has expired. Returns `None` if that would take
    /// too long (the timer is still working on it), or the disk fails.
    fn without_expired<T>(
        self: &Arc<Self>,
        fx: &mut Effects,
        operation: impl Fn(&mut Machine, &mut Effects) -> T,
    ) -> Option<T> {
        for _ in 0..PATIENCE {
            if !self.fetch_head(fx) {
                return None;
            }
            let result = self.serve(fx, |machine, fx| {
                // The head may have been paged out again before the lock was taken.
                let ready = !machine.drop_expired(fx) && !machine.ready.head_is_away();
                ready.then(|| operation(machine, fx))
            });
            if result.is_some() {
                return result;
            }
            fx.send_dead_letters();
        }
        None
    }

    /// See [`Machine::purge`].
    pub fn purge(&self, fx: &mut Effects) -> u64 {
        let purged = self.machine.lock().purge(fx);
        self.moves(fx);
        purged
    }

    /// Deletes the queue if `allowed` agrees, given its counts, under one lock.
    ///
    /// # Errors
    /// The error from `allowed`.
    pub fn delete_if<E>(
        &self,
        allowed: impl FnOnce(Counts) -> Result<(), E>,
        fx: &mut Effects,
    ) -> Result<Option<Deleted>, E> {
        if let Some(stream) = &self.stream {
            // Neither if-empty nor if-unused applies (`rabbit_stream_queue:delete`).
            return Ok(stream.delete(fx));
        }
        let mut machine = self.machine.lock();
        if !machine.is_deleted() {
            allowed(machine.counts())?;
        }
        Ok(self.end(&mut machine, fx))
    }

    fn end(&self, machine: &mut Machine, fx: &mut Effects) -> Option<Deleted> {
        let remains = machine.delete(fx);
        self.ended.store(true, Ordering::Release);
        remains
    }

    /// Returns whether it has been deleted, as far as is visible without the lock.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Deletes the queue if it has been unused for too long.
    pub fn delete_abandoned(&self, fx: &mut Effects) -> Option<Deleted> {
        let mut machine = self.machine.lock();
        let abandoned = machine.is_abandoned(fx);
        abandoned.then(|| self.end(&mut machine, fx)).flatten()
    }

    /// Returns whether the queue has been unused for too long.
    pub(super) fn is_abandoned(&self, fx: &mut Effects) -> bool {
        self.machine.lock().is_abandoned(fx)
    }

    /// Returns whether the queue was deleted while others still hold it.
    pub fn is_deleted(&self) -> bool {
        match &self.stream {
            Some(stream) => stream.is_deleted(),
            None => self.machine.lock().is_deleted(),
        }
    }

    /// Returns counts for listings and replies.
    pub fn counts(&self) -> Counts {
        match &self.stream {
            Some(stream) => stream.counts(),
            None => self.machine.lock().counts(),
        }
    }

    /// Returns when the first and the last of the waiting messages become ready again.
    pub fn waiting_until(&self) -> Option<(Time, Time)> {
        self.machine.lock().waiting_until()
    }
}
