//! The pager: a few threads that move pages, because that blocks on the disk, and the memory budget
//! shared by all queues and delayed exchanges.

use super::carry_out::PageStores;
use super::carry_out::Records;
use super::sweeper::Sweeper;
use crate::engine::clock::Clock;
use crate::engine::queue::paging::{Dropped, Holder, Job, JobResult, Limits, PageMover, PageWork};
use crate::engine::queue::{Effects, Environment};
use leveret_storage::Spill;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

/// The maximum number of threads; they are started on demand.
const THREADS_MAX: usize = 2;
/// Bytes that may wait to be written. Above this, publishers are not read.
const WRITING_HIGH: u64 = 16 << 20;
/// Bytes waiting to be written below which publishers are read again.
const WRITING_LOW: u64 = 8 << 20;
/// The fraction of the budget that is used while memory is tight.
const TIGHT_SHARE: u64 = 8;
/// How long to leave a failing disk alone.
const PAUSE: Duration = Duration::from_secs(1);
/// The delay before an unreadable page is tried again.
const READ_PAUSE: Duration = Duration::from_millis(100);

/// Moves pages between memory and disk.
pub struct Pager(Arc<Shared>);

struct Shared {
    limits: Limits,
    /// Bytes of messages in memory, as reported by their holders.
    memory: AtomicU64,
    /// Bytes waiting to be written.
    writing: AtomicU64,
    /// Somebody waits for both to shrink.
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

/// How the work is done.
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
    reads: VecDeque<(Job, Environment)>,
    writes: VecDeque<(Job, Environment)>,
    /// Dropped pages: releasing one gives its blocks back to the disk.
    dropped_pages: Vec<Dropped>,
    threads: usize,
    /// The number of threads that are reading.
    reading: usize,
    idle: usize,
    /// The disk failed; nothing is written before this time.
    failing_until: Option<Instant>,
    /// Tasks that wait for the disk to catch up.
    wakers: Vec<Waker>,
    over: bool,
}

impl fmt::Debug for Pager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pager").field(&self.0.limits).finish()
    }
}

impl Pager {
    /// Creates a pager that uses the store and this spill area.
    pub fn new(limits: Limits, records: Box<dyn Records>, spill: Spill) -> Self {
        Pager::with(limits, Some(records), spill, Mode::Threads)
    }

    /// Creates a pager whose work is done by [`Pager::perform_one_job`].
    #[cfg(test)]
    pub fn by_hand(limits: Limits, records: Option<Box<dyn Records>>, spill: Spill) -> Self {
        Pager::with(limits, records, spill, Mode::ByHand)
    }

    /// Creates a pager that works synchronously, as tests need it.
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

    /// Returns the bytes of messages in memory, of all queues and delayed exchanges.
    pub fn memory(&self) -> u64 {
        self.0.memory.load(Ordering::Relaxed)
    }

    /// Returns the bytes of messages in the spill area.
    pub fn spilled(&self) -> u64 {
        self.0.spill.bytes()
    }

    /// Returns whether memory is so far over budget that publishers wait and everything that can be
    /// is paged out.
    pub fn is_far_over(&self) -> bool {
        self.memory() > self.0.high_mark()
    }

    /// Sets whether the memory of the whole process is near or above its watermark: then less of it is available for
    /// waiting messages.
    pub fn set_tight(&self, tight: bool) {
        self.0.tight.store(tight, Ordering::Relaxed);
    }

    /// Takes memory back from idle holders, once around.
    pub(crate) fn sweep(&self, fx: &mut Effects) {
        if self.wants_room(false) {
            self.0.sweeper.pass(self, fx);
        }
    }

    pub(super) fn sweeper(&self) -> &Sweeper {
        &self.0.sweeper
    }

    /// Returns whether memory is far over budget because writing has not caught up.
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

    /// Performs one pending job, the oldest or the newest. Returns false if there is none.
    #[cfg(test)]
    pub fn perform_one_job(&self, oldest: bool, fx: &mut Effects) -> bool {
        let next = {
            let mut state = self.0.state.lock();
            state.dropped_pages.clear();
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

    fn over_mark(&self) -> bool {
        self.0.writing.load(Ordering::Relaxed) > WRITING_HIGH
            || (self.is_far_over() && !self.is_failing())
    }

    fn wake_when_below(&self, waker: Waker) {
        let mut state = self.0.state.lock();
        self.0.awaited.store(true, Ordering::SeqCst);
        // Checked after setting the flag: whoever lowers a count checks the flag afterwards.
        if self.0.is_below_marks(&state) {
            drop(state);
            waker.wake();
        } else {
            state.wakers.push(waker);
        }
    }

    fn has_room_ahead(&self) -> bool {
        // Publishers keep memory at the budget or slightly above: consumers must not wait for the disk because of that.
        self.memory() < 2 * self.0.limits.budget && !self.is_tight()
    }

    fn wants_room(&self, consumed: bool) -> bool {
        let short = match consumed && !self.is_tight() {
            true => self.is_very_short(),
            false => self.is_short(),
        };
        short && self.0.writing.load(Ordering::Relaxed) < 2 * WRITING_HIGH && !self.is_failing()
    }

    fn call_sweeper(self: Arc<Self>, environment: &Environment) {
        if self.is_short() && self.0.mode == Mode::Threads {
            self.0.sweeper.call(&self, environment);
        }
    }

    fn submit(&self, job: Job, environment: Environment) {
        self.0.take_on(job, environment);
    }

    fn discard(&self, pages: Vec<Dropped>) {
        let mut state = self.0.state.lock();
        state.dropped_pages.extend(pages);
        self.0.call(state);
    }

    fn work_now(&self, job: Job, fx: &mut Effects) -> bool {
        let done = self.0.carry_out(&job, fx.clock());
        let worked = !matches!(done, JobResult::NotRead);
        job.owner.paged(job.section, job.page, done, fx);
        worked
    }

    #[cfg(test)]
    fn is_synchronous(&self) -> bool {
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
            std::mem::take(&mut state.dropped_pages),
        );
        drop(state);
        self.0.sweeper.end();
        self.0.changed.notify_all();
        drop(waiting);
    }
}

impl Shared {
    fn take_on(self: &Arc<Self>, job: Job, environment: Environment) {
        let mut state = self.state.lock();
        if state.over {
            return;
        }
        match &job.work {
            PageWork::Read(..) | PageWork::ReadSorted(_) => {
                state.reads.push_back((job, environment));
            }
            PageWork::Write(_) | PageWork::WriteSorted(_) => {
                self.writing.fetch_add(job.writing(), Ordering::SeqCst);
                state.writes.push_back((job, environment));
            }
        }
        self.call(state);
    }

    /// Wakes a thread, or starts one, for new work.
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

    /// Returns the bytes in memory above which publishers wait: others page out as fast as they can
    /// by then.
    fn high_mark(&self) -> u64 {
        2 * self.limits.budget + WRITING_HIGH
    }

    fn is_below_marks(&self, state: &State) -> bool {
        self.writing.load(Ordering::SeqCst) <= WRITING_LOW
            && (self.memory.load(Ordering::SeqCst) <= 2 * self.limits.budget
                || state.failing_until.is_some())
    }

    /// Wakes the waiting tasks if the counts are low enough.
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
            tracing::error!(%error, "cannot start a thread that pages messages out and in");
        }
    }

    fn serve(self: Arc<Self>) {
        while let Some((job, environment)) = self.next() {
            let reads = job.writing() == 0;
            let work = || self.work(&job, &environment);
            let again = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
                tracing::error!(queue = %job.owner.name(), "moving a page of messages panicked");
                false
            });
            self.no_longer_writing(&job);
            if reads {
                self.state.lock().reading -= 1;
            }
            if again {
                thread::sleep(READ_PAUSE);
                self.take_on(job, environment);
            }
        }
    }

    /// Performs a job; returns whether it has to be retried.
    fn work(&self, job: &Job, environment: &Environment) -> bool {
        let done = self.carry_out(job, environment.clock);
        if matches!(done, JobResult::NotRead) && !job.owner.has_ended() {
            return true;
        }
        let mut fx = Effects::on(environment.clone(), None);
        let owner = job.owner.clone();
        owner.paged(job.section, job.page, done, &mut fx);
        fx.perform();
        false
    }

    fn carry_out(&self, job: &Job, clock: Clock) -> JobResult {
        let done = job.carry_out(&PageStores {
            records: self.records.as_deref(),
            spill: &self.spill,
            clock,
            page: self.limits.page,
        });
        if let JobResult::Written(Err(error)) = &done {
            tracing::error!(%error, "cannot page messages out, retrying: they stay in memory");
            self.state.lock().failing_until = Some(Instant::now() + PAUSE);
        }
        done
    }

    /// Returns the next job. Reads come first, because somebody waits for them. While memory is far over budget they
    /// are done one at a time.
    fn next(&self) -> Option<(Job, Environment)> {
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
            if !state.dropped_pages.is_empty() {
                let dropped_pages = std::mem::take(&mut state.dropped_pages);
                MutexGuard::unlocked(&mut state, || drop(dropped_pages));
                continue;
            }
            state.idle += 1;
            self.changed.wait(&mut state);
            state.idle -= 1;
        }
    }
}
