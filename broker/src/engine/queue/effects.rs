//! What a queue machine wants done once its lock is released.

use super::handle::Queue;
use super::paging::{Dropped, Holder, Job, PageMover};
use crate::engine::clock::{Clock, Time};
use crate::engine::dead_letters;
use crate::engine::interfaces::{Deadlines, Inbox, Timed, VirtualHosts};
use crate::engine::message::SharedMessage;
use crate::engine::stream::{Home, StreamReaders};
use leveret_storage::{Batch, CommitSink, Group, Op, Position, QueueId, Store, Token};
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Instant;

/// Effects of one or more operations on queues: records for the store, connections to wake,
/// timers to set. The buffer is reused by its owner.
#[derive(Default)]
pub struct Effects {
    pub(crate) ops: Vec<Op>,
    pub(crate) wakes: Vec<Arc<dyn Inbox>>,
    pub(crate) deadlines: Vec<(Instant, Arc<dyn Timed>)>,
    /// When the batch began, by whoever told.
    began: Option<Instant>,
    pub(crate) now: Option<Time>,
    refused: Refused,
    /// Queues with dead letters to be sent, and how many had ever come.
    pub(crate) letters: Vec<(Arc<Queue>, u64)>,
    /// The queue that is being worked on has some, too.
    has_letters: bool,
    /// Dead letters are being sent, and what dies now does by that.
    sends_letters: bool,
    /// Queues with publishes among the records.
    pub(crate) published: Vec<Arc<Queue>>,
    /// Pages to be moved.
    pub(crate) jobs: Vec<Job>,
    /// Pages that nobody needs any more.
    pub(crate) dropped_pages: Vec<Dropped>,
    /// What leaves a queue leaves it with the next batch, not before.
    atomic: bool,
    /// How often in a row the records were few, and awaited.
    pub(crate) few_before: u8,
    pub(crate) environment: Environment,
    /// Who hears of the tokens of records.
    sink: Option<Arc<dyn CommitSink>>,
}

/// What effects are performed on. Tests of machines have none of it.
#[derive(Clone, Default)]
pub struct Environment {
    /// Where records go; without it they are dropped.
    pub store: Option<Store>,
    /// Who waits for deadlines.
    pub timers: Option<Arc<dyn Deadlines>>,
    /// The broker's time.
    pub clock: Clock,
    /// Where messages are routed that go on from one queue to others.
    pub vhosts: Option<Arc<dyn VirtualHosts>>,
    /// Who reads streams.
    pub readers: Option<Arc<dyn StreamReaders>>,
    /// Who takes backlogs out of memory; without it they stay there.
    pub pager: Option<Arc<dyn PageMover>>,
}

/// Publishes that queues have rejected.
#[derive(Debug, Default)]
pub struct Refused {
    /// How many.
    pub count: u64,
    /// What the publishers of those that are to be confirmed wait for.
    pub tokens: Vec<Token>,
}

impl Effects {
    /// Effects on these environment; the tokens of their records go to `sink`.
    pub fn on(environment: Environment, sink: Option<Arc<dyn CommitSink>>) -> Self {
        Effects {
            environment,
            sink,
            ..Effects::default()
        }
    }

    /// What follows happens at this time.
    pub fn begin_at(&mut self, now: Instant) {
        self.began = Some(now);
        self.now = None;
    }

    /// Where streams are read, and by whom.
    pub fn home(&self) -> Home {
        Home {
            store: self.environment.store.clone(),
            readers: self.environment.readers.clone(),
        }
    }

    /// Who takes backlogs out of memory.
    pub(crate) fn pager(&self) -> Option<&dyn PageMover> {
        self.environment.pager.as_deref()
    }

    /// Like [`Effects::pager`].
    pub(crate) fn shared_pager(&self) -> Option<Arc<dyn PageMover>> {
        self.environment.pager.clone()
    }

    /// A page is to be moved.
    pub(crate) fn page(&mut self, job: Job) {
        self.jobs.push(job);
    }

    /// Nobody wants a page any more, nor what is on disk of it.
    pub(crate) fn discard(&mut self, page: Dropped) {
        if page.spilled.is_some() {
            self.dropped_pages.push(page);
        }
    }

    /// One that holds messages in memory from now on, and was not known to.
    pub(crate) fn register_holder(&self, holder: &Arc<impl Holder + 'static>) {
        if let Some(pager) = &self.environment.pager {
            let holder = Arc::downgrade(holder);
            pager.register(holder);
        }
    }

    /// Publishes to a queue are among the records that are collected.
    pub(super) fn published(&mut self, queue: &Arc<Queue>) {
        let known = self.published.last();
        if !known.is_some_and(|known| Arc::ptr_eq(known, queue)) {
            self.published.push(queue.clone());
        }
    }

    /// The time of this batch: when it began, or when it is first asked for, and the same until the
    /// batch is performed. Queues that no rule of time applies to never ask.
    pub fn now(&mut self) -> Time {
        let (clock, began) = (self.environment.clock, self.began);
        let now = || clock.time(began.unwrap_or_else(Instant::now));
        *self.now.get_or_insert_with(now)
    }

    /// What the wall clock will show at a time, for a record of it.
    pub fn wall_millis(&self, time: Time) -> u64 {
        self.environment.clock.wall_millis(time)
    }

    /// The clock that this time is by.
    pub fn clock(&self) -> Clock {
        self.environment.clock
    }

    /// A record to be stored.
    pub fn store(&mut self, op: Op) {
        self.ops.push(op);
    }

    /// Collects what follows into one batch, to be durable as a whole, until it is submitted.
    pub fn begin_atomic(&mut self) {
        self.submit();
        self.atomic = true;
    }

    /// Whether what is collected is to become durable as a whole.
    pub fn is_atomic(&self) -> bool {
        self.atomic
    }

    /// A stored message has left its queue for good.
    pub fn store_settled(&mut self, queue: QueueId, position: Position, message: &SharedMessage) {
        if self.atomic {
            // Were the write called off here, it could be missing from a commit before ours, and
            // the message be lost though ours never came to be.
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

    /// An acknowledgement to be stored; runs of positions become one record.
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

    /// Whether there are records that the store has not been given.
    pub fn has_records(&self) -> bool {
        !self.ops.is_empty()
    }

    /// A queue turns a publish away; `token` is what its publisher waits for.
    pub fn refuse(&mut self, token: Option<Token>) {
        self.refused.count += 1;
        self.refused.tokens.extend(token);
    }

    /// What was rejected since this was last asked for.
    pub fn refused(&mut self) -> &mut Refused {
        &mut self.refused
    }

    /// The queue that is being worked on has dead letters to be sent.
    pub(super) fn note_letters(&mut self) {
        self.has_letters = true;
    }

    /// Whether [`Effects::note_letters`] was called since [`Effects::letters_of`] was.
    pub(super) fn has_letters(&self) -> bool {
        self.has_letters
    }

    /// The queue that has them is this one; so many have ever come.
    pub(super) fn letters_of(&mut self, queue: &Arc<Queue>, came: u64) {
        self.has_letters = false;
        match self.letters.last_mut() {
            Some((last, until)) if Arc::ptr_eq(last, queue) => *until = came,
            _ => self.letters.push((queue.clone(), came)),
        }
    }

    /// Whether what dies does so because dead letters are being sent.
    pub(super) fn is_sending_letters(&self) -> bool {
        self.sends_letters
    }

    /// Sends the dead letters on, and those that come of it: in the batch that has been collected,
    /// the first of them at least. Under no lock.
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
            // One queue after the other, so that nobody waits for more than one; but what has to
            // become durable as a whole is sent as a whole.
            let together = if self.atomic { queues.len() } else { 1 };
            for some in queues.chunks(together) {
                dead_letters::send(some, &*vhosts, &mut chain, self);
            }
        }
        self.sends_letters = false;
    }

    /// A connection that has new mail.
    pub fn wake(&mut self, mailbox: &Arc<dyn Inbox>) {
        self.wakes.push(mailbox.clone());
    }

    /// `what` has to be looked at by `at`.
    pub fn wake_at(&mut self, at: Instant, what: Arc<dyn Timed>) {
        self.deadlines.push((at, what));
    }

    /// What had deadlines is gone, which takes effect at once.
    pub fn cancel_timer(&mut self, id: QueueId) {
        if let Some(timers) = &self.environment.timers {
            timers.cancel(id);
        }
    }

    /// Hands the records to the store now: under the lock that guards what they are about, where
    /// others could otherwise see it and have their own records stored before these.
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
            // A queue that was deleted before: the record of that may have overtaken these, and
            // nothing would ever remove them. One that is deleted from now on removes them itself.
            for queue in self.published.drain(..).filter(|queue| queue.has_ended()) {
                let ops = vec![Op::DeleteQueue { queue: queue.id }];
                to(store, Batch { ops, sink: None });
            }
        }
    }

    /// What the store is given until this is dropped it commits together; see [`Store::group`].
    pub fn group(&self) -> Option<Group> {
        self.environment.store.as_ref().map(Store::group)
    }

    /// Gives back the memory of empty buffers.
    pub fn release_memory(&mut self) {
        self.ops.shrink_to_fit();
        self.wakes.shrink_to_fit();
        self.deadlines.shrink_to_fit();
        self.refused.tokens.shrink_to_fit();
        self.letters.shrink_to_fit();
        self.published.shrink_to_fit();
    }

    /// The records, for tests of machines without a store.
    #[cfg(test)]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Drops the records and keeps the rest.
    #[cfg(test)]
    pub fn forget_ops(&mut self) {
        self.ops.clear();
    }

    /// Somebody else sends the dead letters. Returns whether there were any.
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
