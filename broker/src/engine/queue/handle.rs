//! A queue as the rest of the broker holds it: what never changes beside the machine, and the
//! machine behind its lock. The lock is taken in this file only, never with another queue's.

use super::consumer::{Consumer, ConsumerId};
use super::effects::Effects;
use super::entry::{Entry, Return};
use super::machine::Machine;
use super::outcome::{AfterRemoval, ConsumeRefused, Counts, Remains};
use super::paging::Wanted;
use super::returned::Found;
use super::settings::{QueueKind, Settings};
use crate::engine::clock::Time;
use crate::engine::interfaces::AppliedPolicy;
use crate::engine::interfaces::ConnectionId;
use crate::engine::message::SharedMessage;
use crate::engine::stream::Stream;
use leveret_protocol::values::FieldTable;
use leveret_protocol::{QueueName, VhostName};
use leveret_storage::{Position, QueueId, Token};
use parking_lot::{Mutex, MutexGuard, RwLock};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a queue was declared as.
#[derive(Clone, Debug)]
pub struct QueueSpec {
    /// Its name.
    pub name: QueueName,
    /// It survives a restart.
    pub durable: bool,
    /// It goes when its last consumer does.
    pub auto_delete: bool,
    /// The only connection that may use it, and whose end it does not survive.
    pub exclusive_to: Option<ConnectionId>,
    /// queue.declare's arguments.
    pub arguments: FieldTable,
}

impl QueueSpec {
    /// Its kind.
    pub fn kind(&self) -> QueueKind {
        QueueKind::of(&self.arguments)
    }

    /// Whether the queue and its persistent messages are kept in the store: durable, and not tied
    /// to the life of one connection, which no restart survives.
    pub fn is_stored(&self) -> bool {
        self.durable && self.exclusive_to.is_none()
    }
}

/// A queue.
pub struct Queue {
    /// Its identity in the store, never used again.
    pub id: QueueId,
    /// Its virtual host.
    pub vhost: VhostName,
    /// What it was declared as.
    pub spec: QueueSpec,
    /// Its kind.
    pub kind: QueueKind,
    settings: RwLock<Arc<Settings>>,
    policy: RwLock<Option<Arc<dyn AppliedPolicy>>>,
    machine: Mutex<Machine>,
    /// Who sends its dead letters.
    sender: Mutex<()>,
    /// As the machine, to be read without its lock.
    ended: AtomicBool,
    /// What a stream does in place of the machine, which stays empty.
    stream: Option<Arc<Stream>>,
}

/// Slices of expired messages that somebody who asks for the next one waits for.
const PATIENCE: usize = 64;

/// A message on its way into a queue, with what its publisher waits for.
pub type Incoming = (SharedMessage, Option<Token>);

/// What never changes of it: its consumers lead back to it.
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
    /// An empty queue.
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
            stream,
        }
    }

    /// The stream, when it is one.
    pub fn stream(&self) -> Option<&Arc<Stream>> {
        self.stream.as_ref()
    }

    /// Whether a message is kept in the store: on a stream and a quorum queue it is, whatever its
    /// delivery mode.
    pub fn stores(&self, persistent: bool) -> bool {
        self.spec.is_stored() && (persistent || self.kind != QueueKind::Classic)
    }

    /// Its name.
    pub fn name(&self) -> &QueueName {
        &self.spec.name
    }

    /// What it is set to do at the moment.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.read().clone()
    }

    /// The policies that apply to it.
    pub fn policy(&self) -> Option<Arc<dyn AppliedPolicy>> {
        self.policy.read().clone()
    }

    /// Sets which policies apply from now on. Returns whether that changes the queue's settings: then
    /// it has to be told to follow them.
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

    /// The queue follows its settings as they are by now, and what is in it does at once. Whoever
    /// changes them meanwhile calls this, too, so the last call follows the last change.
    pub fn follow_settings(self: &Arc<Self>, fx: &mut Effects) {
        if let Some(stream) = &self.stream {
            // Held, so that settings that come meanwhile are followed after these.
            let settings = self.settings.read();
            return stream.configure(&settings, fx);
        }
        self.serve(fx, |machine, fx| {
            machine.configure(&self.spec, &self.settings(), fx);
        });
    }

    /// Whether another connection holds it exclusively.
    pub fn is_locked_for(&self, connection: ConnectionId) -> bool {
        self.spec
            .exclusive_to
            .is_some_and(|owner| owner != connection)
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
        if let Some(at) = machine.next_look() {
            fx.wake_at(fx.clock().instant(at), self.clone());
        }
        let (letters, wanted) = (machine.letters(), machine.pages(fx));
        drop(machine);
        self.follow_up(letters, wanted, fx);
        result
    }

    /// What is to be done once the lock is released: letters are sent, of which so many have ever
    /// come, and pages moved.
    #[inline]
    pub(super) fn follow_up(self: &Arc<Self>, letters: u64, wanted: Wanted, fx: &mut Effects) {
        if fx.has_letters() {
            fx.letters_of(self, letters);
        }
        if !wanted.is_empty() {
            self.want(wanted, fx);
        }
    }

    /// Waits until nobody else sends dead letters of this queue, and keeps others from it. It is
    /// held for a batch of letters, by whoever holds no other lock; several at a time are taken in
    /// the order of their ids.
    pub fn sender(&self) -> MutexGuard<'_, ()> {
        self.sender.lock()
    }

    /// Runs something on the machine, under the lock: for rules that have a room of their own.
    pub(super) fn with_machine<T>(&self, operation: impl FnOnce(&mut Machine) -> T) -> T {
        operation(&mut self.machine.lock())
    }

    /// Publishes a run of messages under one lock.
    ///
    /// `shared`: they go to other queues too. An acknowledgement cannot cancel the write of such a
    /// message and is stored, so its publish has to reach the store before anybody is served.
    pub fn publish(
        self: &Arc<Self>,
        messages: impl IntoIterator<Item = Incoming>,
        shared: bool,
        fx: &mut Effects,
    ) {
        if let Some(stream) = &self.stream {
            return stream.publish(messages, fx);
        }
        self.serve(fx, |machine, fx| {
            for (message, token) in messages {
                machine.publish(message, token, fx);
            }
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
            Some(stream) => stream.reserve(messages, fx),
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

    /// Whether the queue would turn this message away behind so many others and their bytes.
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
            Some(stream) => stream.consume(consumer, fx),
            None => self.serve(fx, |machine, fx| machine.consume(consumer, fx)),
        }
    }

    /// See [`Machine::cancel`].
    pub fn cancel(self: &Arc<Self>, consumer: ConsumerId, fx: &mut Effects) -> AfterRemoval {
        if let Some(stream) = &self.stream {
            stream.cancel(consumer);
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
            return;
        }
        self.serve(fx, |machine, fx| machine.start(fx));
    }

    /// Settles a run of deliveries, then resumes the consumers that their credit was short for,
    /// under one lock.
    pub fn settle<'a>(
        self: &Arc<Self>,
        entries: impl IntoIterator<Item = &'a Entry>,
        resume: impl IntoIterator<Item = ConsumerId>,
        fx: &mut Effects,
    ) {
        self.answer(entries, resume, Machine::settle, fx);
    }

    /// Like [`Queue::settle`], for deliveries that were rejected without requeue.
    pub fn reject<'a>(
        self: &Arc<Self>,
        entries: impl IntoIterator<Item = &'a Entry>,
        resume: impl IntoIterator<Item = ConsumerId>,
        fx: &mut Effects,
    ) {
        self.answer(entries, resume, Machine::reject, fx);
    }

    /// Does the same with each of a run of deliveries, then resumes consumers, under one lock. What
    /// was read from a stream is still there, whatever its reader makes of it.
    fn answer<'a>(
        self: &Arc<Self>,
        entries: impl IntoIterator<Item = &'a Entry>,
        resume: impl IntoIterator<Item = ConsumerId>,
        each: impl Fn(&mut Machine, &Entry, &mut Effects),
        fx: &mut Effects,
    ) {
        if let Some(stream) = &self.stream {
            return stream.resume(resume);
        }
        self.serve(fx, |machine, fx| {
            for entry in entries {
                each(machine, entry, fx);
            }
            machine.resume(resume, fx);
        });
    }

    /// See [`Machine::requeue`]. To a stream nothing comes back, for nothing has left it.
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
        let taken = self.without_expired(fx, |machine, fx| {
            let (entry, left) = machine.get(no_ack, fx)?;
            Some((entry, left, machine.ready.head_is_away()))
        })?;
        let (entry, mut left, on_disk) = taken?;
        if on_disk {
            // What follows may have expired, which only shows when it is read.
            self.fetch_head(fx);
            left = self.counts().ready;
        }
        Some((entry, left))
    }

    /// The numbers for queue.declare-ok. To ask for them is to use the queue.
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

    /// Runs an operation once the head is in memory and nothing there has expired. `None` where that would take too
    /// long (the timer is still at it), or the disk fails.
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
                // It may have been paged out again before the lock was taken.
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
        self.machine.lock().purge(fx)
    }

    /// Deletes the queue if `allowed` says so of its numbers, under one lock.
    ///
    /// # Errors
    /// What `allowed` refused with.
    pub fn delete_if<E>(
        &self,
        allowed: impl FnOnce(Counts) -> Result<(), E>,
        fx: &mut Effects,
    ) -> Result<Option<Remains>, E> {
        if let Some(stream) = &self.stream {
            // Neither if-empty nor if-unused counts (`rabbit_stream_queue:delete`).
            return Ok(stream.delete(fx));
        }
        let mut machine = self.machine.lock();
        if !machine.is_deleted() {
            allowed(machine.counts())?;
        }
        Ok(self.end(&mut machine, fx))
    }

    fn end(&self, machine: &mut Machine, fx: &mut Effects) -> Option<Remains> {
        let remains = machine.delete(fx);
        self.ended.store(true, Ordering::Release);
        remains
    }

    /// Whether it has been deleted by now, as far as others have told.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Deletes the queue if it has gone unused for too long.
    pub fn delete_abandoned(&self, fx: &mut Effects) -> Option<Remains> {
        let mut machine = self.machine.lock();
        let abandoned = machine.is_abandoned(fx);
        abandoned.then(|| self.end(&mut machine, fx)).flatten()
    }

    /// Whether the queue has gone unused for too long.
    pub(super) fn is_abandoned(&self, fx: &mut Effects) -> bool {
        self.machine.lock().is_abandoned(fx)
    }

    /// Whether the queue was deleted while somebody still held it.
    pub fn is_deleted(&self) -> bool {
        match &self.stream {
            Some(stream) => stream.is_deleted(),
            None => self.machine.lock().is_deleted(),
        }
    }

    /// Numbers for listings and replies.
    pub fn counts(&self) -> Counts {
        match &self.stream {
            Some(stream) => stream.counts(),
            None => self.machine.lock().counts(),
        }
    }

    /// When the first and the last of the messages that wait are ready again.
    pub fn waiting_until(&self) -> Option<(Time, Time)> {
        self.machine.lock().waiting_until()
    }
}
