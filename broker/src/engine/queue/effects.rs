//! The effects that a queue machine wants performed once its lock is released.

use super::dead_letter::Reason;
use super::handle::Queue;
use super::paging::{Dropped, Holder, Job, PageMover};
use super::settings::QueueKind;
use crate::engine::clock::{Clock, Time};
use crate::engine::dead_letters;
use crate::engine::interfaces::{Deadlines, Inbox, Timed, VirtualHosts};
use crate::engine::message::SharedMessage;
use crate::engine::statistics::{
    Churn, ChurnCounter, DeadLetterCounts, Moved, Statistics, Strategy,
};
use crate::engine::stream::{StreamBackend, StreamReaders};
use leveret_storage::{Batch, CommitSink, Group, Op, Position, QueueId, Store, Token};
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Instant;

/// Effects of one or more operations on queues: records for the store, connections to wake, timers
/// to set. The owner reuses the buffer.
#[derive(Default)]
pub struct Effects {
    pub(crate) ops: Vec<Op>,
    pub(crate) wakes: Vec<Arc<dyn Inbox>>,
    pub(crate) deadlines: Vec<(Instant, Arc<dyn Timed>)>,
    /// When the batch began, if the caller has set it.
    began: Option<Instant>,
    pub(crate) now: Option<Time>,
    refused: Refused,
    /// Queues with dead letters to send, and how many had ever arrived there.
    pub(crate) letters: Vec<(Arc<Queue>, u64)>,
    /// The current queue has some, too.
    has_letters: bool,
    /// Dead letters are being sent, and cause further ones.
    sends_letters: bool,
    /// Queues with publishes among the records.
    pub(crate) published: Vec<Arc<Queue>>,
    /// Jobs for the pager.
    pub(crate) jobs: Vec<Job>,
    /// Pages that are no longer needed.
    pub(crate) dropped_pages: Vec<Dropped>,
    /// Messages leave their queues with the next batch, not before.
    atomic: bool,
    /// How many times in a row there were few records that somebody waited for.
    pub(crate) few_before: u8,
    pub(crate) environment: Environment,
    /// Messages that died, not reported yet.
    deaths: Option<Box<DeadLetterCounts>>,
    /// Receives the tokens of records.
    sink: Option<Arc<dyn CommitSink>>,
}

/// What effects are performed on. Empty in tests of machines.
#[derive(Clone, Default)]
pub struct Environment {
    /// The store; without it records are dropped.
    pub store: Option<Store>,
    /// The timers.
    pub timers: Option<Arc<dyn Deadlines>>,
    /// The broker's time.
    pub clock: Clock,
    /// Used to route messages that move from one queue to others.
    pub vhosts: Option<Arc<dyn VirtualHosts>>,
    /// The threads that read streams.
    pub readers: Option<Arc<dyn StreamReaders>>,
    /// Pages out backlogs; without it they stay in memory.
    pub pager: Option<Arc<dyn PageMover>>,
    /// Where objects report what is not counted in them.
    pub statistics: Option<Arc<Statistics>>,
}

/// Publishes that queues have rejected.
#[derive(Debug, Default)]
pub struct Refused {
    /// The number of them.
    pub count: u64,
    /// The tokens of those that are to be confirmed.
    pub tokens: Vec<Token>,
}

impl Effects {
    /// Creates effects on this environment; the tokens of their records go to `sink`.
    pub fn on(environment: Environment, sink: Option<Arc<dyn CommitSink>>) -> Self {
        Effects {
            environment,
            sink,
            ..Effects::default()
        }
    }

    /// Sets the time at which the following operations happen.
    pub fn begin_at(&mut self, now: Instant) {
        self.began = Some(now);
        self.now = None;
    }

    /// Returns what streams are read with.
    pub fn stream_backend(&self) -> StreamBackend {
        StreamBackend {
            store: self.environment.store.clone(),
            readers: self.environment.readers.clone(),
            statistics: self.environment.statistics.clone(),
        }
    }

    /// Returns the pager.
    pub(crate) fn pager(&self) -> Option<&dyn PageMover> {
        self.environment.pager.as_deref()
    }

    /// Like [`Effects::pager`], shared.
    pub(crate) fn shared_pager(&self) -> Option<Arc<dyn PageMover>> {
        self.environment.pager.clone()
    }

    /// Adds a job for the pager.
    pub(crate) fn page(&mut self, job: Job) {
        self.jobs.push(job);
    }

    /// Discards a page together with what is on disk.
    pub(crate) fn discard(&mut self, page: Dropped) {
        if page.spilled.is_some() {
            self.dropped_pages.push(page);
        }
    }

    /// Registers a holder of messages in memory that was not registered.
    pub(crate) fn register_holder(&self, holder: &Arc<impl Holder + 'static>) {
        if let Some(pager) = &self.environment.pager {
            let holder = Arc::downgrade(holder);
            pager.register(holder);
        }
    }

    /// Counts a message that dies.
    pub(super) fn count_death(&mut self, kind: QueueKind, reason: Reason, strategy: Strategy) {
        let deaths = self.deaths.get_or_insert_default();
        deaths.count(kind, reason, strategy);
    }

    /// Reports the messages that died.
    #[inline]
    pub(crate) fn report_deaths(&mut self) {
        if let Some(deaths) = self.deaths.take()
            && let Some(statistics) = &self.environment.statistics
        {
            statistics.dead_letters.add(&deaths);
        }
    }

    /// Counts something that comes or goes.
    pub(crate) fn count_churn(&self, counter: impl FnOnce(&Churn) -> &ChurnCounter) {
        if let Some(statistics) = &self.environment.statistics {
            counter(&statistics.churn).count();
        }
    }

    /// Reports that an object moves for the first time since the last sample.
    pub(crate) fn has_moved(&self, object: impl FnOnce() -> Moved) {
        if let Some(statistics) = &self.environment.statistics {
            statistics.has_moved(object());
        }
    }

    /// Records that publishes to a queue are among the records.
    pub(super) fn published(&mut self, queue: &Arc<Queue>) {
        let known = self.published.last();
        if !known.is_some_and(|known| Arc::ptr_eq(known, queue)) {
            self.published.push(queue.clone());
        }
    }

    /// Returns the time of this batch: when it began, or when this is first called, and the same
    /// until the batch is performed. Queues without time rules never call this.
    pub fn now(&mut self) -> Time {
        let (clock, began) = (self.environment.clock, self.began);
        let now = || clock.time(began.unwrap_or_else(Instant::now));
        *self.now.get_or_insert_with(now)
    }

    /// Returns what the wall clock will show at a time, for a record of it.
    pub fn wall_millis(&self, time: Time) -> u64 {
        self.environment.clock.wall_millis(time)
    }

    /// Returns the clock.
    pub fn clock(&self) -> Clock {
        self.environment.clock
    }

    /// Adds a record to be stored.
    pub fn store(&mut self, op: Op) {
        self.ops.push(op);
    }

    /// Collects what follows into one batch that becomes durable as a whole, until it is submitted.
    pub fn begin_atomic(&mut self) {
        self.submit();
        self.atomic = true;
    }

    /// Returns whether the collected records are to become durable as a whole.
    pub fn is_atomic(&self) -> bool {
        self.atomic
    }

    /// Records that a stored message has left its queue for good.
    pub fn store_settled(&mut self, queue: QueueId, position: Position, message: &SharedMessage) {
        if self.atomic {
            // If the write were cancelled here, it could be missing from a commit before ours, and
            // the message would be lost if ours never happened.
            let message = message.clone();
            self.ops.push(Op::Settle {
                queue,
                position,
                message,
            });
        } else if !message.cancel_write() {
            self.store_ack(queue, position);
        }
    }

    /// Records an acknowledgement; runs of positions become one record.
    pub fn store_ack(&mut self, queue: QueueId, position: Position) {
        if let Some(Op::Ack { queue: q, last, .. }) = self.ops.last_mut()
            && *q == queue
            && last.0 + 1 == position.0
        {
            *last = position;
            return;
        }
        self.ops.push(Op::Ack {
            queue,
            first: position,
            last: position,
        });
    }

    /// Returns whether there are records that have not been submitted.
    pub fn has_records(&self) -> bool {
        !self.ops.is_empty()
    }

    /// Records that a queue rejects a publish; `token` is what its publisher waits for.
    pub fn refuse(&mut self, token: Option<Token>) {
        self.refused.count += 1;
        self.refused.tokens.extend(token);
    }

    /// Returns what was rejected since this was last taken.
    pub fn refused(&mut self) -> &mut Refused {
        &mut self.refused
    }

    /// Records that the current queue has dead letters to send.
    pub(super) fn note_letters(&mut self) {
        self.has_letters = true;
    }

    /// Returns whether [`Effects::note_letters`] was called since [`Effects::letters_of`] was.
    pub(super) fn has_letters(&self) -> bool {
        self.has_letters
    }

    /// Records that the current queue is `queue`, where `came` dead letters have ever arrived.
    pub(super) fn letters_of(&mut self, queue: &Arc<Queue>, came: u64) {
        self.has_letters = false;
        match self.letters.last_mut() {
            Some((last, until)) if Arc::ptr_eq(last, queue) => *until = came,
            _ => self.letters.push((queue.clone(), came)),
        }
    }

    /// Returns whether messages die because dead letters are being sent.
    pub(super) fn is_sending_letters(&self) -> bool {
        self.sends_letters
    }

    /// Sends the dead letters on, and those that this causes: at least the first of them in the
    /// current batch. Must be called without locks.
    pub fn send_dead_letters(&mut self) {
        let Some(vhosts) = self.environment.vhosts.clone() else {
            return;
        };
        let mut chain = dead_letters::Chain::default();
        self.sends_letters = true;
        while !self.letters.is_empty() {
            let mut queues = std::mem::take(&mut self.letters);
            queues.sort_unstable_by_key(|(queue, came)| (queue.id, Reverse(*came)));
            queues.dedup_by_key(|(queue, _)| queue.id);
            // One queue at a time, so that nobody waits for more than one; but what must become
            // durable as a whole is sent as a whole.
            let together = if self.atomic { queues.len() } else { 1 };
            for some in queues.chunks(together) {
                dead_letters::send(some, &*vhosts, &mut chain, self);
            }
        }
        self.sends_letters = false;
    }

    /// Adds a connection to wake because it has new mail.
    pub fn wake(&mut self, mailbox: &Arc<dyn Inbox>) {
        self.wakes.push(mailbox.clone());
    }

    /// Adds a deadline: `what` has to be called by `at`.
    pub fn wake_at(&mut self, at: Instant, what: Arc<dyn Timed>) {
        self.deadlines.push((at, what));
    }

    /// Cancels the deadlines of something that is gone, with immediate effect.
    pub fn cancel_timer(&mut self, id: QueueId) {
        if let Some(timers) = &self.environment.timers {
            timers.cancel(id);
        }
    }

    /// Hands the records to the store now, under the lock that guards their subject: otherwise
    /// others could see the change and have their own records stored first.
    pub fn submit(&mut self) {
        self.hand_over(Store::submit);
    }

    pub(crate) fn hand_over(&mut self, to: impl Fn(&Store, Batch)) {
        self.atomic = false;
        if self.ops.is_empty() {
            return;
        }
        if let Some(store) = &self.environment.store {
            let capacity = self.ops.capacity().min(64);
            let ops = std::mem::replace(&mut self.ops, Vec::with_capacity(capacity));
            let sink = self.sink.clone();
            to(store, Batch { ops, sink });
            // The queue was deleted before: the record of that may have overtaken these, and
            // nothing would ever remove them. A queue deleted from now on removes them itself.
            for queue in self.published.drain(..).filter(|queue| queue.has_ended()) {
                let ops = vec![Op::DeleteQueue { queue: queue.id }];
                to(store, Batch { ops, sink: None });
            }
        }
    }

    /// Returns a guard: what the store is given until it is dropped is committed together; see
    /// [`Store::group`].
    pub fn group(&self) -> Option<Group> {
        self.environment.store.as_ref().map(Store::group)
    }

    /// Frees the memory of empty buffers.
    pub fn release_memory(&mut self) {
        self.ops.shrink_to_fit();
        self.wakes.shrink_to_fit();
        self.deadlines.shrink_to_fit();
        self.refused.tokens.shrink_to_fit();
        self.letters.shrink_to_fit();
        self.published.shrink_to_fit();
    }

    /// Returns the records, for tests of machines without a store.
    #[cfg(test)]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Drops the records and keeps the rest.
    #[cfg(test)]
    pub fn forget_ops(&mut self) {
        self.ops.clear();
    }

    /// Drops the dead letters, which the test sends itself. Returns whether there were any.
    #[cfg(test)]
    pub fn forget_letters(&mut self) -> bool {
        !std::mem::take(&mut self.letters).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::message::MessageBuilder;
    use leveret_storage::Storable;

    #[test]
    fn in_a_transaction_no_write_is_called_off_before_the_commit() {
        let message = || Arc::new(MessageBuilder::new(b"", b"", &[0, 0], true, 0).finish(true));
        let (queue, position) = (QueueId(1), Position(7));
        let mut fx = Effects::default();
        let early = message();
        fx.begin_atomic();
        fx.store_settled(queue, position, &early);
        assert!(matches!(fx.ops(), [Op::Settle { .. }]));
        assert!(early.begin_write(queue), "nobody has called it off");
        fx.perform();
        let plain = message();
        fx.store_settled(queue, position, &plain);
        assert!(fx.ops().is_empty() && !plain.begin_write(queue));
    }
}
