//! Between submitters and the storage thread: what is submitted, how much of it waits, and who waits for it.
//!
//! Submitting takes a lock for one push. The storage thread takes everything by one swap: how much a commit holds follows
//! from how long the last one took, without a timer. Only acknowledgements, which nobody waits for, wait for a moment for
//! something to go with.
//!
//! Whoever submits something small while the storage thread sleeps may help: it takes what is there and commits it
//! itself, and nobody else takes anything meanwhile.

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

/// Bytes an operation counts for, besides its message or definition.
const OP_COST: usize = 64;

/// How long acknowledgements wait for something to go with. Alone, each of a consumer's would be a sync of its own, which
/// the next publish has to wait for.
const LAZINESS: Duration = Duration::from_millis(5);

/// Batches that a helper takes at most.
const HELPED: usize = 64;

/// Octets from which on a message is large.
const LARGE: usize = 16 << 10;

/// A batch that waits, and the bytes it counts for.
pub(crate) struct Pending {
    pub(crate) batch: Batch,
    pub(crate) cost: usize,
}

impl Pending {
    /// Which message the last of its publishes brings, as long as that is there; `None` also when its messages are not
    /// large.
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

/// How far the store is on its way down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// It runs.
    No,
    /// Write what was submitted, then end.
    Drain,
    /// End now.
    Abandon,
}

/// What the storage thread found to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Batches,
    /// A helper could not write its commit: that is the storage thread's now.
    Stuck,
    /// Its segment is to be ended.
    Roll,
    /// There is nothing, and there will be nothing.
    Nothing,
}

/// How a helper ended.
pub(crate) enum Helped {
    /// What it took is committed.
    Done,
    /// What it took goes back.
    Returned(Vec<Pending>),
    /// The commit is made and cannot be written at present.
    Stuck,
}

struct State {
    batches: Vec<Pending>,
    /// Somebody waits for what is in there.
    urgent: bool,
    /// Since when something is in there that nobody waits for.
    lazy_since: Option<Instant>,
    /// Batches submitted so far.
    submitted: u64,
    /// For each group of batches that is being submitted, how many were before.
    groups: Vec<u64>,
    /// Batches committed so far.
    committed: u64,
    stop: Stop,
    /// The storage thread waits for batches.
    idle: bool,
    /// And looks again by itself.
    timed: bool,
    /// Somebody else commits.
    helping: bool,
    /// A helper has left a commit that could not be written.
    stuck: bool,
    /// The storage thread has ended.
    ended: bool,
    /// The storage thread shall end its segment.
    roll: bool,
    /// Why the last attempt to write failed, until one works.
    failing: Option<String>,
}

impl State {
    /// Whether something is to be committed now.
    fn is_due(&self) -> bool {
        let waited = |since: Instant| since.elapsed() >= LAZINESS;
        let due = self.urgent || self.stop != Stop::No || self.lazy_since.is_some_and(waited);
        due && self.takeable() > 0
    }

    /// How many of the batches do not wait for others of their group.
    fn takeable(&self) -> usize {
        let taken = self.submitted - self.batches.len() as u64;
        let before = self.groups.iter().min();
        before.map_or(self.batches.len(), |before| {
            // No more than there are.
            before.saturating_sub(taken) as usize
        })
    }

    /// Swaps what may be taken into `taken`, which is empty.
    fn take_into(&mut self, taken: &mut Vec<Pending>) {
        let count = self.takeable();
        if count < self.batches.len() {
            // The rest is as urgent as it was.
            taken.extend(self.batches.drain(..count));
            return;
        }
        std::mem::swap(&mut self.batches, taken);
        self.urgent = false;
        self.lazy_since = None;
    }
}

/// What is called once the storage thread has ended.
type OnEnd = Box<dyn FnOnce() + Send>;

pub(crate) struct Inbox {
    state: Mutex<State>,
    /// Batches came, or the store stops.
    arrived: Condvar,
    /// Batches were committed, or writing failed, or the thread ended.
    progressed: Condvar,
    backlog: AtomicUsize,
    wakers: Mutex<Vec<Waker>>,
    /// As in the state, to be read without its lock.
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
            helping: false,
            stuck: false,
            ended: false,
            roll: false,
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

    /// Takes a batch in. After the store was closed it is dropped: nothing of it is ever reported as committed.
    pub(crate) fn submit(&self, batch: Batch) {
        if let Some(mut state) = self.add(batch) {
            self.call_thread(&mut state);
        }
    }

    /// Likewise, from somebody who calls [`Inbox::begin_help`] next.
    pub(crate) fn deposit(&self, batch: Batch) {
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

    /// Wakes the storage thread if there is something for it to do, or to wait for.
    fn call_thread(&self, state: &mut State) {
        if !state.idle || state.helping {
            return;
        }
        let waits = state.lazy_since.is_some() && !state.timed;
        let something = state.takeable() > 0 && (state.urgent || waits);
        if something || state.stuck || state.roll || state.stop != Stop::No {
            state.idle = false;
            self.arrived.notify_one();
        }
    }

    /// From now on what is submitted is not taken before [`Inbox::end_group`], so that it is taken at once. Returns what
    /// to call that with.
    pub(crate) fn begin_group(&self) -> u64 {
        let mut state = self.state.lock();
        let before = state.submitted;
        state.groups.push(before);
        before
    }

    /// See [`Inbox::begin_group`].
    pub(crate) fn end_group(&self, before: u64) {
        let mut state = self.state.lock();
        if let Some(at) = state.groups.iter().position(|group| *group == before) {
            state.groups.swap_remove(at);
        }
        self.call_thread(&mut state);
    }

    /// Nobody is to wait any longer for what was submitted.
    pub(crate) fn hurry(&self) {
        let mut state = self.state.lock();
        state.urgent |= state.lazy_since.is_some();
        self.call_thread(&mut state);
    }

    /// Everything submitted, for the caller to commit, and to call [`Inbox::end_help`] afterwards. `None` when that is
    /// better left to the storage thread, which is woken if need be: it is at work, or not `able` to help is the caller,
    /// or there are more than `bytes` bytes.
    pub(crate) fn begin_help(&self, able: bool, bytes: usize) -> Option<Vec<Pending>> {
        let mut state = self.state.lock();
        if !state.idle || state.helping || state.batches.is_empty() {
            return None;
        }
        let plain = state.stop == Stop::No
            && state.failing.is_none()
            && state.groups.is_empty()
            && !state.roll
            && !state.stuck;
        let small = state.batches.len() <= HELPED
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
        state.helping = true;
        let mut taken = Vec::new();
        state.take_into(&mut taken);
        Some(taken)
    }

    /// A helper is done.
    pub(crate) fn end_help(&self, helped: Helped) {
        let mut state = self.state.lock();
        state.helping = false;
        match helped {
            Helped::Done => {}
            Helped::Returned(mut batches) => {
                batches.append(&mut state.batches);
                state.batches = batches;
                state.urgent = true;
            }
            Helped::Stuck => state.stuck = true,
        }
        self.call_thread(&mut state);
    }

    /// Swaps everything submitted into `taken`, which must be empty; waits for something.
    pub(crate) fn take(&self, taken: &mut Vec<Pending>) -> Taken {
        let mut state = self.state.lock();
        loop {
            if !state.helping {
                if state.stop == Stop::Abandon {
                    return Taken::Nothing;
                }
                if std::mem::take(&mut state.stuck) {
                    return Taken::Stuck;
                }
                if state.is_due() {
                    state.take_into(taken);
                    return Taken::Batches;
                }
                if state.stop == Stop::Drain && state.batches.is_empty() {
                    return Taken::Nothing;
                }
                if std::mem::take(&mut state.roll) {
                    return Taken::Roll;
                }
            }
            state.idle = true;
            // What waits for its group is not waited for here: who ends that calls.
            let may_take = !state.helping && state.takeable() > 0;
            match state.lazy_since.filter(|_| may_take) {
                Some(since) => {
                    state.timed = true;
                    self.arrived.wait_until(&mut state, since + LAZINESS);
                    state.timed = false;
                }
                None => self.arrived.wait(&mut state),
            }
            state.idle = false;
        }
    }

    /// Asks the storage thread to end its segment once it has nothing better to do.
    pub(crate) fn ask_for_roll(&self) {
        let mut state = self.state.lock();
        state.roll = true;
        self.call_thread(&mut state);
    }

    /// `batches` batches of `bytes` bytes are committed.
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
        // Out of the lock first: who is woken may come back with another waker.
        let wakers = std::mem::take(&mut *self.wakers.lock());
        wakers.into_iter().for_each(Waker::wake);
    }

    /// An attempt to write failed; those who wait in [`Inbox::flush`] are told.
    pub(crate) fn failed(&self, reason: String) {
        self.state.lock().failing = Some(reason);
        self.progressed.notify_all();
    }

    /// Waits until everything submitted so far is committed.
    ///
    /// # Errors
    /// Writing does not succeed at present, or the storage thread ended.
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

    /// Calls this once the storage thread has ended; at once if it has.
    pub(crate) fn on_end(&self, call: OnEnd) {
        let mut on_end = self.on_end.lock();
        if self.has_ended() {
            drop(on_end);
            call();
        } else {
            on_end.push(call);
        }
    }

    /// Wakes once the backlog is below its low mark; at once if it is.
    pub(crate) fn wake_when_below(&self, waker: Waker) {
        let mut wakers = self.wakers.lock();
        // Looked at under the lock: the storage thread lowers the backlog before it takes the lock.
        if self.backlog() <= self.low || self.has_ended() {
            drop(wakers);
            waker.wake();
        } else {
            wakers.push(waker);
        }
    }

    /// Asks the storage thread to stop; a stronger request stays.
    pub(crate) fn stop(&self, how: Stop) {
        let mut state = self.state.lock();
        state.stop = state.stop.max(how);
        self.arrived.notify_all();
    }

    pub(crate) fn stopping(&self) -> Stop {
        self.state.lock().stop
    }

    /// Waits out a pause between attempts; returns early when the store stops.
    pub(crate) fn pause(&self, time: Duration) {
        let mut state = self.state.lock();
        if state.stop == Stop::No {
            self.arrived.wait_for(&mut state, time);
        }
    }

    /// The storage thread is gone: nobody shall wait for it.
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

/// Whether nobody waits for this.
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
            | Op::Tell { .. }
            | Op::Notify { .. } => 0,
        }
}

#[cfg(test)]
mod tests;
