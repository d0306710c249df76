//! Who moves pages: a few threads, since moving them blocks on the disk, and the count of what all
//! queues and delayed exchanges have in memory, which is one budget.

use super::carry_out::Shelves;
use super::sweeper::Sweeper;
use crate::engine::clock::Clock;
use crate::engine::queue::paging::{Done, Dropped, Holder, Job, Limits, PageMover, Work};
use crate::engine::queue::{Effects, Surroundings};
use leveret_storage::{Position, QueueId, Spill, StorageError, Store};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

/// Threads at most; they are started as they are needed.
const THREADS_MAX: usize = 2;
/// Octets that may wait to be written. Beyond, publishers are not read.
const WRITING_HIGH: u64 = 16 << 20;
/// Octets that wait to be written when they are read again.
const WRITING_LOW: u64 = 8 << 20;
/// This part of the budget is for messages while memory is tight.
const TIGHT_SHARE: u64 = 8;
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
    /// Bytes of messages in memory, as far as their holders have reported.
    memory: AtomicU64,
    /// Bytes that wait to be written.
    writing: AtomicU64,
    /// Somebody waits for less of both.
    awaited: AtomicBool,
    /// See [`Pager::set_tight`].
    tight: AtomicBool,
    sweeper: Sweeper,
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
    litter: Vec<Dropped>,
    threads: usize,
    /// Threads that read at the moment.
    reading: usize,
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

    fn with(limits: Limits, records: Option<Box<dyn Records>>, spill: Spill, mode: Mode) -> Self {
        Pager(Arc::new(Shared {
            limits,
            memory: AtomicU64::new(0),
            writing: AtomicU64::new(0),
            awaited: AtomicBool::new(false),
            tight: AtomicBool::new(false),
            sweeper: Sweeper::default(),
            records,
            spill,
            state: Mutex::default(),
            changed: Condvar::new(),
            mode,
        }))
    }

    /// Bytes of messages in memory, of all queues and delayed exchanges.
    pub fn memory(&self) -> u64 {
        self.0.memory.load(Ordering::Relaxed)
    }

    /// Octets of messages in the place that a restart empties.
    pub fn spilled(&self) -> u64 {
        self.0.spill.bytes()
    }

    /// Whether so much more is in memory that publishers wait: then all that can leave does.
    pub fn is_far_over(&self) -> bool {
        self.memory() > self.0.high_mark()
    }

    /// Memory of the whole process is near its watermark, or above it: less of it is for messages that wait, until it
    /// is not.
    pub fn set_tight(&self, tight: bool) {
        self.0.tight.store(tight, Ordering::Relaxed);
    }

    /// Takes memory back from those that hold it without use, once around.
    pub(crate) fn sweep(&self, fx: &mut Effects) {
        if self.wants_room(false) {
            self.0.sweeper.pass(self, fx);
        }
    }

    pub(super) fn sweeper(&self) -> &Sweeper {
        &self.0.sweeper
    }

    /// Whether more waits to be written, or to be paged out, than should: then publishers are not to be read.
    pub fn over_mark(&self) -> bool {
        self.0.writing.load(Ordering::Relaxed) > WRITING_HIGH
            || (self.is_far_over() && !self.is_failing())
    }

    /// Wakes once when less waits to be written; at once if it does.
    pub fn wake_when_below(&self, waker: Waker) {
        let mut state = self.0.state.lock();
        self.0.awaited.store(true, Ordering::SeqCst);
        // Looked at behind the mark: whoever lowers a count looks at the mark afterwards.
        if self.0.is_below_marks(&state) {
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
        self.work_now(job, fx);
        true
    }
}

impl PageMover for Pager {
    fn limits(&self) -> &Limits {
        &self.0.limits
    }

    fn has_records(&self) -> bool {
        self.0.records.is_some()
    }

    fn report(&self, before: u64, now: u64) {
        let difference = now.wrapping_sub(before);
        self.0.memory.fetch_add(difference, Ordering::SeqCst);
        if now < before {
            self.0.relieve();
        }
    }

    fn register(&self, holder: Weak<dyn Holder>) {
        self.0.sweeper.register(holder);
    }

    fn is_short(&self) -> bool {
        let budget = self.0.limits.budget;
        let budget = if self.is_tight() {
            budget / TIGHT_SHARE
        } else {
            budget
        };
        self.memory() > budget
    }

    fn is_very_short(&self) -> bool {
        self.memory() > self.0.limits.budget * 3 / 2
    }

    fn is_tight(&self) -> bool {
        self.0.tight.load(Ordering::Relaxed)
    }

    fn has_room_ahead(&self) -> bool {
        // What publishers bring keeps memory at the budget and a little above: consumers must not wait for the disk
        // because of that.
        self.memory() < 2 * self.0.limits.budget && !self.is_tight()
    }

    fn wants_room(&self, consumed: bool) -> bool {
        let short = match consumed && !self.is_tight() {
            true => self.is_very_short(),
            false => self.is_short(),
        };
        short && self.0.writing.load(Ordering::Relaxed) < 2 * WRITING_HIGH && !self.is_failing()
    }

    fn call_sweeper(self: Arc<Self>, surroundings: &Surroundings) {
        if self.is_short() && self.0.mode == Mode::Threads {
            self.0.sweeper.call(&self, surroundings);
        }
    }

    fn submit(&self, job: Job, surroundings: Surroundings) {
        self.0.take_on(job, surroundings);
    }

    fn discard(&self, pages: Vec<Dropped>) {
        let mut state = self.0.state.lock();
        state.litter.extend(pages);
        self.0.call(state);
    }

    fn work_now(&self, job: Job, fx: &mut Effects) -> bool {
        let done = self.0.carry_out(&job, fx.clock());
        let worked = !matches!(done, Done::NotRead);
        job.owner.paged(job.shelf, job.page, done, fx);
        worked
    }

    #[cfg(test)]
    fn works_at_once(&self) -> bool {
        self.0.mode == Mode::AtOnce
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
        self.0.sweeper.end();
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
            Work::Read(..) | Work::ReadSorted(_) => state.reads.push_back((job, surroundings)),
            Work::Write(_) | Work::WriteSorted(_) => {
                self.writing.fetch_add(job.writing(), Ordering::SeqCst);
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
        let bytes = job.writing();
        if bytes > 0 {
            self.writing.fetch_sub(bytes, Ordering::SeqCst);
            self.relieve();
        }
    }

    /// Bytes in memory above which publishers wait: others page out as fast as they can by then.
    fn high_mark(&self) -> u64 {
        2 * self.limits.budget + WRITING_HIGH
    }

    fn is_below_marks(&self, state: &State) -> bool {
        self.writing.load(Ordering::SeqCst) <= WRITING_LOW
            && (self.memory.load(Ordering::SeqCst) <= 2 * self.limits.budget
                || state.failing_until.is_some())
    }

    /// Wakes those who wait for less, if it is.
    fn relieve(&self) {
        if !self.awaited.load(Ordering::SeqCst) {
            return;
        }
        let mut state = self.state.lock();
        if !self.is_below_marks(&state) {
            return;
        }
        self.awaited.store(false, Ordering::SeqCst);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
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
            let reads = job.writing() == 0;
            let work = || self.work(&job, &surroundings);
            let again = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
                tracing::error!(queue = %job.owner.name(), "moving a page of messages has panicked");
                false
            });
            self.no_longer_writing(&job);
            if reads {
                self.state.lock().reading -= 1;
            }
            if again {
                thread::sleep(READ_PAUSE);
                self.take_on(job, surroundings);
            }
        }
    }

    /// Does the work; says whether it has to be tried again.
    fn work(&self, job: &Job, surroundings: &Surroundings) -> bool {
        let done = self.carry_out(job, surroundings.clock);
        if matches!(done, Done::NotRead) && !job.owner.has_ended() {
            return true;
        }
        let mut fx = Effects::on(surroundings.clone(), None);
        let owner = job.owner.clone();
        owner.paged(job.shelf, job.page, done, &mut fx);
        fx.perform();
        false
    }

    fn carry_out(&self, job: &Job, clock: Clock) -> Done {
        let done = job.carry_out(&Shelves {
            records: self.records.as_deref(),
            spill: &self.spill,
            clock,
            page: self.limits.page,
        });
        if let Done::Written(Err(error)) = &done {
            tracing::error!(%error, "cannot page messages out: they stay in memory");
            self.state.lock().failing_until = Some(Instant::now() + PAUSE);
        }
        done
    }

    /// Reads come first: somebody waits for them. While very much is in memory they come one by one.
    fn next(&self) -> Option<(Job, Surroundings)> {
        let mut state = self.state.lock();
        loop {
            if state.over {
                return None;
            }
            let State {
                reads,
                writes,
                reading,
                ..
            } = &mut *state;
            let crowded = self.memory.load(Ordering::Relaxed) > 2 * self.limits.budget;
            if (*reading == 0 || !crowded)
                && let Some(next) = reads.pop_front()
            {
                *reading += 1;
                return Some(next);
            }
            if let Some(next) = writes.pop_front() {
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
