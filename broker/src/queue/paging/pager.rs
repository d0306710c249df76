//! Who moves pages: a few threads, since moving them blocks on the disk, and the count of what all
//! queues have in memory.

use super::Limits;
use super::page::Page;
use super::work::{Done, Job, Shelves, Work};
use crate::clock::Clock;
use crate::queue::{Effects, Surroundings};
use leveret_storage::{Position, QueueId, Spill, StorageError, Store};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

/// Threads at most; they are started as they are needed.
const THREADS_MAX: usize = 2;
/// Octets that may wait to be written. Beyond, publishers are not read.
const WRITING_HIGH: u64 = 16 << 20;
/// Octets that wait to be written when they are read again.
const WRITING_LOW: u64 = 8 << 20;
/// How long a disk that fails is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a page that cannot be read waits for the next attempt.
const READ_PAUSE: Duration = Duration::from_millis(100);

/// What is read of the store; see [`leveret_storage::Store`].
pub trait Records: Send + Sync {
    /// See [`leveret_storage::Store::read`].
    ///
    /// # Errors
    /// See there.
    fn read(
        &self,
        queue: QueueId,
        from: Position,
        max_messages: usize,
        max_octets: usize,
    ) -> Result<Vec<(Position, bytes::Bytes)>, StorageError>;

    /// See [`leveret_storage::Store::flush`].
    ///
    /// # Errors
    /// See there.
    fn flush(&self) -> Result<(), StorageError>;
}

impl Records for Store {
    fn read(
        &self,
        queue: QueueId,
        from: Position,
        max_messages: usize,
        max_octets: usize,
    ) -> Result<Vec<(Position, bytes::Bytes)>, StorageError> {
        Store::read(self, queue, from, max_messages, max_octets)
    }

    fn flush(&self) -> Result<(), StorageError> {
        Store::flush(self)
    }
}

/// Who moves pages.
pub struct Pager(Arc<Shared>);

struct Shared {
    limits: Limits,
    /// Octets of ready messages in memory, as far as queues have reported.
    memory: AtomicU64,
    /// Octets that wait to be written.
    writing: AtomicU64,
    records: Option<Box<dyn Records>>,
    spill: Spill,
    state: Mutex<State>,
    changed: Condvar,
    mode: Mode,
}

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Threads,
    #[cfg(test)]
    ByHand,
    #[cfg(test)]
    AtOnce,
}

#[derive(Default)]
struct State {
    reads: VecDeque<(Job, Surroundings)>,
    writes: VecDeque<(Job, Surroundings)>,
    /// Pages that nobody wants any more: to let go of one gives its blocks back to the disk.
    litter: Vec<Page>,
    threads: usize,
    idle: usize,
    /// The disk failed; nothing is written before then.
    failing_until: Option<Instant>,
    /// Who waits for the disk to keep up.
    wakers: Vec<Waker>,
    over: bool,
}

impl fmt::Debug for Pager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pager").field(&self.0.limits).finish()
    }
}

impl Pager {
    /// Pages go to the store and to this place.
    pub fn new(limits: Limits, records: Box<dyn Records>, spill: Spill) -> Self {
        Pager::with(limits, Some(records), spill, Mode::Threads)
    }

    /// One whose work is done by [`Pager::work_by_hand`].
    #[cfg(test)]
    pub fn by_hand(limits: Limits, records: Option<Box<dyn Records>>, spill: Spill) -> Self {
        Pager::with(limits, records, spill, Mode::ByHand)
    }

    /// One that does its work when it is asked to, so that nobody sees a difference.
    #[cfg(test)]
    pub fn at_once(limits: Limits, records: Option<Box<dyn Records>>, spill: Spill) -> Self {
        Pager::with(limits, records, spill, Mode::AtOnce)
    }

    /// See [`Pager::at_once`].
    #[cfg(test)]
    pub fn works_at_once(&self) -> bool {
        self.0.mode == Mode::AtOnce
    }

    fn with(limits: Limits, records: Option<Box<dyn Records>>, spill: Spill, mode: Mode) -> Self {
        Pager(Arc::new(Shared {
            limits,
            memory: AtomicU64::new(0),
            writing: AtomicU64::new(0),
            records,
            spill,
            state: Mutex::default(),
            changed: Condvar::new(),
            mode,
        }))
    }

    /// How much is moved at a time, and from when on.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Octets of ready messages in memory, of all queues, about.
    pub fn memory(&self) -> u64 {
        self.0.memory.load(Ordering::Relaxed)
    }

    /// Octets of messages in the place that a restart empties.
    pub fn spilled(&self) -> u64 {
        self.0.spill.octets()
    }

    /// Whether messages can be read back from the store.
    pub fn has_records(&self) -> bool {
        self.0.records.is_some()
    }

    /// A queue has so much in memory, where it had reported something else before.
    pub fn report(&self, before: u64, now: u64) {
        let difference = now.wrapping_sub(before);
        self.0.memory.fetch_add(difference, Ordering::Relaxed);
    }

    /// Whether queues should page out.
    pub fn wants_room(&self) -> bool {
        self.memory() > self.0.limits.budget
            && self.0.writing.load(Ordering::Relaxed) < 2 * WRITING_HIGH
            && !self.is_failing()
    }

    /// Whether more waits to be written than should: then publishers are not to be read.
    pub fn over_mark(&self) -> bool {
        self.0.writing.load(Ordering::Relaxed) > WRITING_HIGH
    }

    /// Wakes once when less waits to be written; at once if it does.
    pub fn wake_when_below(&self, waker: Waker) {
        let mut state = self.0.state.lock();
        // Looked at under the lock: the count is lowered before the lock is taken for its wakers.
        if self.0.writing.load(Ordering::SeqCst) <= WRITING_LOW {
            drop(state);
            waker.wake();
        } else {
            state.wakers.push(waker);
        }
    }

    /// Whether much more is in memory than should be, because the rest is still being written.
    pub fn is_behind(&self) -> bool {
        self.memory() > 2 * self.0.limits.budget
            && self.0.writing.load(Ordering::Relaxed) > 0
            && !self.is_failing()
    }

    fn is_failing(&self) -> bool {
        let mut state = self.0.state.lock();
        if state
            .failing_until
            .is_some_and(|until| until <= Instant::now())
        {
            state.failing_until = None;
        }
        state.failing_until.is_some()
    }

    /// Takes on work. What it leads to is performed on the surroundings.
    pub fn submit(&self, job: Job, surroundings: Surroundings) {
        self.0.take_on(job, surroundings);
    }

    /// Lets go of pages that nobody wants, on a thread that may block.
    pub fn discard(&self, pages: Vec<Page>) {
        let mut state = self.0.state.lock();
        state.litter.extend(pages);
        self.0.call(state);
    }

    /// Does work at once, on this thread, for whoever cannot wait.
    pub fn work_now(&self, job: &Job, fx: &mut Effects) {
        let done = self.0.carry_out(job, fx.clock());
        job.queue.paged(job.line, job.page, done, fx);
    }

    /// Does one piece of the work that waits, the oldest or the youngest. `false` when there is
    /// none.
    #[cfg(test)]
    pub fn work_by_hand(&self, oldest: bool, fx: &mut Effects) -> bool {
        let next = {
            let mut state = self.0.state.lock();
            state.litter.clear();
            let State { reads, writes, .. } = &mut *state;
            match oldest {
                true => reads.pop_front().or_else(|| writes.pop_front()),
                false => writes.pop_back().or_else(|| reads.pop_back()),
            }
        };
        let Some((job, _)) = next else {
            return false;
        };
        self.0.no_longer_writing(&job);
        self.work_now(&job, fx);
        true
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.over = true;
        let waiting = (
            std::mem::take(&mut state.reads),
            std::mem::take(&mut state.writes),
            std::mem::take(&mut state.litter),
        );
        drop(state);
        self.0.changed.notify_all();
        drop(waiting);
    }
}

impl Shared {
    fn take_on(self: &Arc<Self>, job: Job, surroundings: Surroundings) {
        let mut state = self.state.lock();
        if state.over {
            return;
        }
        match &job.work {
            Work::Read(..) => state.reads.push_back((job, surroundings)),
            Work::Write(_) => {
                self.writing.fetch_add(octets(&job), Ordering::SeqCst);
                state.writes.push_back((job, surroundings));
            }
        }
        self.call(state);
    }

    /// There is something to do.
    fn call(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if state.idle > 0 {
            self.changed.notify_one();
        } else if state.threads < THREADS_MAX && self.mode == Mode::Threads {
            state.threads += 1;
            drop(state);
            self.start();
        }
    }

    fn no_longer_writing(&self, job: &Job) {
        if !matches!(job.work, Work::Write(_)) {
            return;
        }
        let octets = octets(job);
        let left = self.writing.fetch_sub(octets, Ordering::SeqCst) - octets;
        if left <= WRITING_LOW {
            let wakers = std::mem::take(&mut self.state.lock().wakers);
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    fn start(self: &Arc<Self>) {
        let shared = self.clone();
        let thread = thread::Builder::new().name("pager".to_owned());
        if let Err(error) = thread.spawn(move || shared.serve()) {
            self.state.lock().threads -= 1;
            tracing::error!(%error, "cannot start a thread to page messages out and in");
        }
    }

    fn serve(self: Arc<Self>) {
        while let Some((job, surroundings)) = self.next() {
            let work = || self.work(&job, &surroundings);
            let again = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
                tracing::error!(queue = %job.queue.name(), "moving a page of messages has panicked");
                false
            });
            self.no_longer_writing(&job);
            if again {
                thread::sleep(READ_PAUSE);
                self.take_on(job, surroundings);
            }
        }
    }

    /// Does the work; says whether it has to be tried again.
    fn work(&self, job: &Job, surroundings: &Surroundings) -> bool {
        let done = self.carry_out(job, surroundings.clock);
        if matches!(done, Done::NotRead) && !job.queue.has_ended() {
            return true;
        }
        let mut fx = Effects::on(surroundings.clone(), None);
        job.queue.paged(job.line, job.page, done, &mut fx);
        fx.perform();
        false
    }

    fn carry_out(&self, job: &Job, clock: Clock) -> Done {
        let done = job.carry_out(&Shelves {
            records: self.records.as_deref(),
            spill: &self.spill,
            clock,
        });
        if let Done::Written(Err(error)) = &done {
            tracing::error!(%error, "cannot page messages out: they stay in memory");
            self.state.lock().failing_until = Some(Instant::now() + PAUSE);
        }
        done
    }

    /// Reads come first: somebody waits for them.
    fn next(&self) -> Option<(Job, Surroundings)> {
        let mut state = self.state.lock();
        loop {
            if state.over {
                return None;
            }
            let State { reads, writes, .. } = &mut *state;
            if let Some(next) = reads.pop_front().or_else(|| writes.pop_front()) {
                return Some(next);
            }
            if !state.litter.is_empty() {
                let litter = std::mem::take(&mut state.litter);
                MutexGuard::unlocked(&mut state, || drop(litter));
                continue;
            }
            state.idle += 1;
            self.changed.wait(&mut state);
            state.idle -= 1;
        }
    }
}

fn octets(job: &Job) -> u64 {
    match &job.work {
        Work::Write(entries) => {
            let bodies = entries.iter().map(|entry| entry.message.body().len());
            bodies.sum::<usize>() as u64
        }
        Work::Read(..) => 0,
    }
}
