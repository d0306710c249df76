//! A few threads for work that takes long or waits, with a bounded queue before them.
//!
//! Threads start with the work and end when there has been none for a while: a broker that nobody asks does without them.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::oneshot;

/// How long a thread waits for further work.
const IDLE: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce() + Send>;

/// There is more work than may wait, or no thread can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too much is waiting")]
pub struct TooBusy;

/// The threads and what waits for them.
#[derive(Clone)]
pub struct Workers(Arc<Shared>);

struct Shared {
    name: &'static str,
    threads: usize,
    waiting: usize,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

impl Workers {
    /// Returns workers: at most so many threads, and at most so many jobs that wait for one.
    pub fn new(name: &'static str, threads: usize, waiting: usize) -> Self {
        Workers(Arc::new(Shared {
            name,
            threads: threads.max(1),
            waiting,
            state: Mutex::default(),
            wake: Condvar::new(),
        }))
    }

    /// Has a job done, and returns where its result arrives. The job is dropped unstarted if nobody waits for it any more;
    /// if it panics, no result arrives.
    ///
    /// # Errors
    /// When too many jobs wait.
    pub fn submit<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<oneshot::Receiver<T>, TooBusy> {
        let (sender, receiver) = oneshot::channel();
        self.push(Box::new(move || {
            if !sender.is_closed() {
                // Whoever asked may be gone by now.
                let _ = sender.send(job());
            }
        }))?;
        Ok(receiver)
    }

    /// Has a job done of which nobody awaits a result.
    ///
    /// # Errors
    /// When too many jobs wait.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) -> Result<(), TooBusy> {
        self.push(Box::new(job))
    }

    fn push(&self, job: Job) -> Result<(), TooBusy> {
        let mut state = self.0.state.lock();
        if state.jobs.len() < state.idle {
            state.jobs.push_back(job);
            self.0.wake.notify_one();
            return Ok(());
        }
        if state.threads < self.0.threads && self.start().is_ok() {
            state.threads += 1;
        } else if state.threads == 0 || state.jobs.len() >= self.0.waiting {
            return Err(TooBusy);
        }
        state.jobs.push_back(job);
        Ok(())
    }

    fn start(&self) -> std::io::Result<()> {
        let shared = self.0.clone();
        let named = thread::Builder::new().name(self.0.name.to_owned());
        named.spawn(move || shared.work()).map(drop)
    }
}

impl Shared {
    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // The panic is in the log; the thread goes on.
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.state.lock();
                continue;
            }
            state.idle += 1;
            let waited = self.wake.wait_for(&mut state, IDLE);
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn jobs_wait_for_a_thread_and_too_many_are_refused() {
        let workers = Workers::new("test", 1, 2);
        let (release, held) = mpsc::channel::<()>();
        let (started, has_started) = mpsc::channel();
        let first = workers.submit(move || {
            started.send(()).unwrap();
            held.recv().unwrap();
            1
        });
        has_started.recv().unwrap();
        let second = workers.submit(|| 2).unwrap();
        let third = workers.submit(|| 3).unwrap();
        assert_eq!(workers.submit(|| 4).unwrap_err(), TooBusy);
        release.send(()).unwrap();
        let results = [first.unwrap(), second, third].map(|one| one.blocking_recv().unwrap());
        assert_eq!(results, [1, 2, 3]);
    }

    #[test]
    fn a_job_that_nobody_waits_for_is_not_started_and_a_panic_ends_no_thread() {
        let workers = Workers::new("test", 1, 8);
        let (release, held) = mpsc::channel::<()>();
        let first = workers.submit(move || held.recv().unwrap()).unwrap();
        let (ran, has_run) = mpsc::channel();
        drop(workers.submit(move || ran.send(()).unwrap()).unwrap());
        let fails = workers
            .submit(|| -> u8 { panic!("as the test wants") })
            .unwrap();
        let last = workers.submit(|| 9).unwrap();
        release.send(()).unwrap();
        first.blocking_recv().unwrap();
        assert!(fails.blocking_recv().is_err());
        assert_eq!(last.blocking_recv(), Ok(9));
        assert!(has_run.recv().is_err(), "it was dropped");
    }
}
