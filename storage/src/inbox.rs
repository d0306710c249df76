//! The queue between submitters and the storage thread: submitted batches, the size of the backlog, and who waits for
//! it to shrink.
//!
//! Submitting takes a lock for one push. The storage thread takes everything by one swap, so the size of a commit
//! follows from how long the previous one took, without a timer. Only acknowledgements, which nobody waits for, wait
//! briefly for something to be committed with.
//!
//! While the storage thread sleeps, a submitter may commit a small amount itself ("direct commit"): it takes all
//! batches, and nobody else takes any meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::{
    error::StorageError,
    types::{Batch, Op},
};

/// The bytes that an operation counts for, besides its message or definition.
const OP_COST: usize = 64;

/// How long acknowledgements wait for something to be committed with. On its own, each acknowledgement would cost a
/// sync that the next publish has to wait for.
const ACK_DELAY: Duration = Duration::from_millis(5);

/// The most batches that a direct commit takes.
const DIRECT_BATCHES: usize = 64;

/// The size in bytes from which a message is large.
const LARGE: usize = 16 << 10;

/// A waiting batch and the bytes it counts for.
pub(crate) struct Pending {
    pub(crate) batch: Batch,
    pub(crate) cost: usize,
}

impl Pending {
    /// Returns an identifier of the message of its last publish, valid while that message exists. Returns `None` if its
    /// messages are not large.
    pub(crate) fn large_message(&self) -> Option<usize> {
        if self.cost < LARGE * self.batch.ops.len() {
            return None;
        }
        let publish = |op: &Op| match op {
            Op::Publish { message, .. } => Some(Arc::as_ptr(message).cast::<()>() as usize),
            _ => None,
        };
        self.batch.ops.iter().rev().find_map(publish)
    }
}

/// Whether and how the store is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// The store is running.
    No,
    /// Write everything submitted, then end.
    Drain,
    /// End now.
    Abandon,
}

/// What the storage thread has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Commit the batches that were taken.
    Commit,
    /// Retry a commit that a direct committer could not write.
    Retry,
    /// End the current segment.
    Roll,
    /// Stop: no batches are left and none will come.
    Stop,
}

/// How a direct commit ended.
pub(crate) enum DirectOutcome {
    /// Its batches are committed.
    Done,
    /// Its batches were not committed and go back.
    Returned(Vec<Pending>),
    /// The commit was built but cannot be written at present.
    Stuck,
}

struct State {
    batches: Vec<Pending>,
    /// Somebody waits for the batches.
    urgent: bool,
    /// Since when batches that nobody waits for have been here.
    lazy_since: Option<Instant>,
    /// The number of batches submitted so far.
    submitted: u64,
    /// For each open group, the number of batches submitted before it.
    groups: Vec<u64>,
    /// The number of batches committed so far.
    committed: u64,
    stop: Stop,
    /// The storage thread is waiting for batches.
    idle: bool,
    /// It will wake up by itself after a while.
    timed: bool,
    /// A direct commit is under way.
    committing_directly: bool,
    /// A direct commit could not be written.
    stuck: bool,
    /// The storage thread has ended.
    ended: bool,
    /// The storage thread should end its segment.
    roll: bool,
    /// Since when somebody waits for the storage thread to answer.
    asked: Option<Instant>,
    /// Why the last write failed; `None` once one succeeds.
    failing: Option<String>,
}

impl State {
    /// Returns whether something must be committed now.
    fn is_due(&self) -> bool {
        let waited = |since: Instant| since.elapsed() >= ACK_DELAY;
        let due = self.urgent || self.stop != Stop::No || self.lazy_since.is_some_and(waited);
        due && self.takeable() > 0
    }

    /// Returns how many batches do not wait for others of their group.
    fn takeable(&self) -> usize {
        let processed = self.submitted - self.batches.len() as u64;
        let before = self.groups.iter().min();
        before.map_or(self.batches.len(), |before| {
            // At most the number of batches.
            before.saturating_sub(processed) as usize
        })
    }

    /// Moves the batches that may be taken into `buffer`, which is empty.
    fn take_into(&mut self, buffer: &mut Vec<Pending>) {
        let count = self.takeable();
        if count < self.batches.len() {
            // The rest stays as urgent as it was.
            buffer.extend(self.batches.drain(..count));
            return;
        }
        std::mem::swap(&mut self.batches, buffer);
        self.urgent = false;
        self.lazy_since = None;
    }
}

/// A callback for the end of the storage thread.
type OnEnd = Box<dyn FnOnce() + Send>;

pub(crate) struct Inbox {
    state: Mutex<State>,
    /// Signalled when batches arrive or the store stops.
    arrived: Condvar,
    /// Signalled when batches were committed, writing failed, or the thread ended.
    progressed: Condvar,
    backlog: AtomicUsize,
    wakers: Mutex<Vec<Waker>>,
    /// A copy of `ended` that can be read without the lock.
    has_ended: AtomicBool,
    on_end: Mutex<Vec<OnEnd>>,
    high: usize,
    low: usize,
}

impl Inbox {
    pub(crate) fn new(high: usize, low: usize) -> Inbox {
        let state = State {
            batches: Vec::new(),
            urgent: false,
            lazy_since: None,
            submitted: 0,
            groups: Vec::new(),
            committed: 0,
            stop: Stop::No,
            idle: false,
            timed: false,
            committing_directly: false,
            stuck: false,
            ended: false,
            roll: false,
            asked: None,
            failing: None,
        };
        Inbox {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            progressed: Condvar::new(),
            backlog: AtomicUsize::new(0),
            wakers: Mutex::new(Vec::new()),
            has_ended: AtomicBool::new(false),
            on_end: Mutex::new(Vec::new()),
            high,
            low: low.min(high),
        }
    }

    /// Adds a batch. After the store is closed it is dropped and never reported as committed.
    pub(crate) fn submit(&self, batch: Batch) {
        if let Some(mut state) = self.add(batch) {
            self.call_thread(&mut state);
        }
    }

    /// Adds a batch without waking the storage thread: the caller calls [`Inbox::begin_direct`] next.
    pub(crate) fn enqueue(&self, batch: Batch) {
        drop(self.add(batch));
    }

    fn add(&self, batch: Batch) -> Option<MutexGuard<'_, State>> {
        let cost = batch.ops.iter().map(cost).sum();
        let lazy = batch.ops.iter().all(is_lazy);
        self.backlog.fetch_add(cost, Ordering::AcqRel);
        let mut state = self.state.lock();
        if state.stop != Stop::No || state.ended {
            drop(state);
            self.settle(cost);
            return None;
        }
        state.batches.push(Pending { batch, cost });
        state.submitted += 1;
        if lazy {
            state.lazy_since.get_or_insert_with(Instant::now);
        } else {
            state.urgent = true;
        }
        Some(state)
    }

    /// Wakes the storage thread if it has something to do or to wait for.
    fn call_thread(&self, state: &mut State) {
        if !state.idle || state.committing_directly {
            return;
        }
        let waits = state.lazy_since.is_some() && !state.timed;
        let something = state.takeable() > 0 && (state.urgent || waits);
        if something || state.stuck || state.roll || state.asked.is_some() || state.stop != Stop::No
        {
            state.idle = false;
            self.arrived.notify_one();
        }
    }

    /// Holds back everything submitted from now on until [`Inbox::end_group`], so that it is taken together. Returns
    /// the argument for that call.
    pub(crate) fn begin_group(&self) -> u64 {
        let mut state = self.state.lock();
        let before = state.submitted;
        state.groups.push(before);
        before
    }

    /// Ends a group: see [`Inbox::begin_group`].
    pub(crate) fn end_group(&self, before: u64) {
        let mut state = self.state.lock();
        if let Some(at) = state.groups.iter().position(|group| *group == before) {
            state.groups.swap_remove(at);
        }
        self.call_thread(&mut state);
    }

    /// Makes everything submitted so far due now.
    pub(crate) fn hurry(&self) {
        let mut state = self.state.lock();
        state.urgent |= state.lazy_since.is_some();
        self.call_thread(&mut state);
    }

    /// Returns everything submitted for the caller to commit, after which it must call [`Inbox::end_direct`]. Returns
    /// `None`, and wakes the storage thread if necessary, if that thread should commit instead: it is already working,
    /// the caller is not `able` to, or there are more than `bytes` bytes.
    pub(crate) fn begin_direct(&self, able: bool, bytes: usize) -> Option<Vec<Pending>> {
        let mut state = self.state.lock();
        if !state.idle || state.committing_directly || state.batches.is_empty() {
            return None;
        }
        let plain = state.stop == Stop::No
            && state.failing.is_none()
            && state.groups.is_empty()
            && !state.roll
            && !state.stuck;
        let small = state.batches.len() <= DIRECT_BATCHES
            && state
                .batches
                .iter()
                .map(|pending| pending.cost)
                .sum::<usize>()
                <= bytes;
        if !(able && plain && small) {
            self.call_thread(&mut state);
            return None;
        }
        state.committing_directly = true;
        let mut batches = Vec::new();
        state.take_into(&mut batches);
        Some(batches)
    }

    /// Ends a direct commit.
    pub(crate) fn end_direct(&self, outcome: DirectOutcome) {
        let mut state = self.state.lock();
        state.committing_directly = false;
        match outcome {
            DirectOutcome::Done => {}
            DirectOutcome::Returned(mut batches) => {
                batches.append(&mut state.batches);
                state.batches = batches;
                state.urgent = true;
            }
            DirectOutcome::Stuck => state.stuck = true,
        }
        self.call_thread(&mut state);
    }

    /// Waits for something to do. Submitted batches are moved into `buffer`, which must be empty.
    pub(crate) fn take(&self, buffer: &mut Vec<Pending>) -> Task {
        let mut state = self.state.lock();
        loop {
            state.asked = None;
            if !state.committing_directly {
                if state.stop == Stop::Abandon {
                    return Task::Stop;
                }
                if std::mem::take(&mut state.stuck) {
                    return Task::Retry;
                }
                if state.is_due() {
                    state.take_into(buffer);
                    return Task::Commit;
                }
                if state.stop == Stop::Drain && state.batches.is_empty() {
                    return Task::Stop;
                }
                if std::mem::take(&mut state.roll) {
                    return Task::Roll;
                }
            }
            state.idle = true;
            // Batches held back by a group need no timer: whoever ends the group wakes this thread.
            let may_take = !state.committing_directly && state.takeable() > 0;
            match state.lazy_since.filter(|_| may_take) {
                Some(since) => {
                    state.timed = true;
                    self.arrived.wait_until(&mut state, since + ACK_DELAY);
                    state.timed = false;
                }
                None => self.arrived.wait(&mut state),
            }
            state.idle = false;
        }
    }

    /// Asks the storage thread to end its segment when it is otherwise idle.
    pub(crate) fn ask_for_roll(&self) {
        let mut state = self.state.lock();
        state.roll = true;
        self.call_thread(&mut state);
    }

    /// Asks the storage thread for an answer, which it gives as soon as it has nothing else to do.
    pub(crate) fn ask(&self) {
        let mut state = self.state.lock();
        state.asked.get_or_insert_with(Instant::now);
        self.call_thread(&mut state);
    }

    /// Returns for how long the storage thread has not answered; `None` if it has.
    pub(crate) fn unanswered(&self) -> Option<Duration> {
        self.state.lock().asked.map(|asked| asked.elapsed())
    }

    /// Records that `batches` batches of `bytes` bytes are committed.
    pub(crate) fn committed(&self, batches: u64, bytes: usize) {
        {
            let mut state = self.state.lock();
            state.committed += batches;
            state.failing = None;
            self.progressed.notify_all();
        }
        self.settle(bytes);
    }

    fn settle(&self, bytes: usize) {
        let before = self.backlog.fetch_sub(bytes, Ordering::AcqRel);
        if before.saturating_sub(bytes) <= self.low {
            self.wake_all();
        }
    }

    fn wake_all(&self) {
        // Taken out of the lock first, because a woken task may come back with another waker.
        let wakers = std::mem::take(&mut *self.wakers.lock());
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Records that a write failed and tells those who wait in [`Inbox::flush`].
    pub(crate) fn failed(&self, reason: String) {
        self.state.lock().failing = Some(reason);
        self.progressed.notify_all();
    }

    /// Waits until everything submitted so far is committed.
    ///
    /// # Errors
    /// The log cannot be written at present, or the storage thread has ended.
    pub(crate) fn flush(&self) -> Result<(), StorageError> {
        self.hurry();
        let mut state = self.state.lock();
        let goal = state.submitted;
        loop {
            if state.committed >= goal {
                return Ok(());
            }
            if let Some(reason) = &state.failing {
                return Err(StorageError::WriteFailing {
                    reason: reason.clone(),
                });
            }
            if state.ended {
                return Err(StorageError::Closed);
            }
            self.progressed.wait(&mut state);
        }
    }

    pub(crate) fn backlog(&self) -> usize {
        self.backlog.load(Ordering::Acquire)
    }

    pub(crate) fn over_mark(&self) -> bool {
        self.backlog() > self.high && !self.has_ended()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Calls `call` when the storage thread ends, or at once if it has ended.
    pub(crate) fn on_end(&self, call: OnEnd) {
        let mut on_end = self.on_end.lock();
        if self.has_ended() {
            drop(on_end);
            call();
        } else {
            on_end.push(call);
        }
    }

    /// Wakes `waker` when the backlog falls to its low mark, or at once if it is there.
    pub(crate) fn wake_when_below(&self, waker: Waker) {
        let mut wakers = self.wakers.lock();
        // Checked under the lock, because the storage thread lowers the backlog before it takes the lock.
        if self.backlog() <= self.low || self.has_ended() {
            drop(wakers);
            waker.wake();
        } else {
            wakers.push(waker);
        }
    }

    /// Asks the storage thread to stop. A stronger earlier request wins.
    pub(crate) fn stop(&self, how: Stop) {
        let mut state = self.state.lock();
        state.stop = state.stop.max(how);
        self.arrived.notify_all();
    }

    pub(crate) fn stopping(&self) -> Stop {
        self.state.lock().stop
    }

    /// Pauses between attempts to write; returns early if the store stops.
    pub(crate) fn pause(&self, time: Duration) {
        let mut state = self.state.lock();
        if state.stop == Stop::No {
            self.arrived.wait_for(&mut state, time);
        }
    }

    /// Records that the storage thread has ended, so that nobody waits for it.
    pub(crate) fn ended(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        let dropped = std::mem::take(&mut state.batches);
        self.progressed.notify_all();
        drop(state);
        // Messages in them may hold the last clone of the store.
        drop(dropped);
        self.has_ended.store(true, Ordering::Release);
        self.wake_all();
        let on_end = std::mem::take(&mut *self.on_end.lock());
        on_end.into_iter().for_each(|call| call());
    }
}

/// Returns whether nobody waits for this operation.
fn is_lazy(op: &Op) -> bool {
    matches!(op, Op::Ack { .. } | Op::Delivered { .. })
}

fn cost(op: &Op) -> usize {
    OP_COST
        + match op {
            Op::Publish { message, .. } => message.encoded_len(),
            Op::PutDefinition { key, value } => key.len() + value.len(),
            Op::DeleteDefinition { key } => key.len(),
            Op::Ack { .. }
            | Op::Settle { .. }
            | Op::DeleteQueue { .. }
            | Op::Delivered { .. }
            | Op::NotifySink { .. }
            | Op::Notify { .. } => 0,
        }
}

#[cfg(test)]
mod tests;
