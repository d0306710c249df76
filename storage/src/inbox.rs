//! Between submitters and the storage thread: what is submitted, how much of it waits, and who waits for it.
//!
//! Submitting takes a lock for one push. The storage thread takes everything by one swap: how much a commit holds follows
//! from how long the last one took, without a timer.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    task::Waker,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use crate::{
    error::StorageError,
    types::{Batch, Op},
};

/// Bytes an operation counts for, besides its message or definition.
const OP_COST: usize = 64;

/// A batch that waits, and the bytes it counts for.
pub(crate) struct Pending {
    pub(crate) batch: Batch,
    pub(crate) cost: usize,
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
    /// Its segment is to be ended.
    Roll,
    /// There is nothing, and there will be nothing.
    Nothing,
}

struct State {
    batches: Vec<Pending>,
    /// Batches submitted so far.
    submitted: u64,
    /// Batches committed so far.
    committed: u64,
    stop: Stop,
    /// The storage thread waits for batches.
    idle: bool,
    /// The storage thread has ended.
    ended: bool,
    /// The storage thread shall end its segment.
    roll: bool,
    /// Why the last attempt to write failed, until one works.
    failing: Option<String>,
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
            submitted: 0,
            committed: 0,
            stop: Stop::No,
            idle: false,
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
        let cost = batch.ops.iter().map(cost).sum();
        self.backlog.fetch_add(cost, Ordering::AcqRel);
        let mut state = self.state.lock();
        if state.stop != Stop::No || state.ended {
            drop(state);
            self.settle(cost);
            return;
        }
        state.batches.push(Pending { batch, cost });
        state.submitted += 1;
        if state.idle {
            state.idle = false;
            self.arrived.notify_one();
        }
    }

    /// Swaps everything submitted into `taken`, which must be empty; waits for something.
    pub(crate) fn take(&self, taken: &mut Vec<Pending>) -> Taken {
        let mut state = self.state.lock();
        loop {
            if state.stop == Stop::Abandon {
                return Taken::Nothing;
            }
            if !state.batches.is_empty() {
                std::mem::swap(&mut state.batches, taken);
                return Taken::Batches;
            }
            if state.stop == Stop::Drain {
                return Taken::Nothing;
            }
            if std::mem::take(&mut state.roll) {
                return Taken::Roll;
            }
            state.idle = true;
            self.arrived.wait(&mut state);
            state.idle = false;
        }
    }

    /// Asks the storage thread to end its segment once it has nothing better to do.
    pub(crate) fn ask_for_roll(&self) {
        let mut state = self.state.lock();
        state.roll = true;
        if state.idle {
            state.idle = false;
            self.arrived.notify_one();
        }
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
