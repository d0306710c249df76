//! The storage thread: group commit.
//!
//! Take everything submitted, build a block, write it, sync it, tell everyone; again. Nobody waits for a timer: while
//! one commit syncs, the next one gathers.
//!
//! A write or sync that fails confirms nothing. Its segment is ended before the block, the same block goes to a fresh
//! segment, again and again until it is durable; publishers meanwhile are slowed by the backlog mark.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    catalogue::Catalogue,
    commit::{Commit, KEEP_FACTOR},
    inbox::{Inbox, Pending, Stop, Taken},
    log::{Closed, Log, LogState, Placed},
    stats::Counters,
    types::{Position, QueueId},
};

/// Pauses between attempts to write: from, to.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// Attempts that a store which is being closed still makes.
const LAST_ATTEMPTS: u32 = 3;

/// What the storage thread works with.
pub(crate) struct Writer {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) log: Log,
    pub(crate) log_state: Arc<LogState>,
    pub(crate) log_bound: u64,
    pub(crate) commit_size: usize,
    pub(crate) catalogue: Arc<Mutex<Catalogue>>,
    pub(crate) counters: Arc<Counters>,
}

/// How the storage thread ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Everything submitted is on disk; the last segment, if there is one.
    Drained(Option<Closed>),
    /// It was told to end at once, or could not write when it was told to end.
    Cut,
}

/// The store is to end before this could be written.
struct GivenUp;

/// Tells those who wait that the thread is gone, also when it panics.
struct Farewell(Arc<Inbox>, Arc<Counters>);

impl Drop for Farewell {
    fn drop(&mut self) {
        if thread::panicking() {
            self.1.write_health(Some(
                "the storage thread has panicked; restart the broker".to_owned(),
            ));
        }
        self.0.ended();
    }
}

impl Writer {
    /// Runs until the store stops.
    pub(crate) fn run(mut self) -> Ending {
        let _farewell = Farewell(Arc::clone(&self.inbox), Arc::clone(&self.counters));
        let mut commit = Commit::default();
        let mut marks = HashMap::new();
        let mut taken = Vec::new();
        loop {
            match self.inbox.take(&mut taken) {
                Taken::Batches => {}
                Taken::Roll => {
                    // Should it fail, the next commit tries again and says so.
                    let _ = self.log.roll();
                    continue;
                }
                Taken::Nothing => break,
            }
            if self
                .commit_all(&mut commit, &mut taken, &mut marks)
                .is_err()
            {
                return Ending::Cut;
            }
        }
        if self.inbox.stopping() == Stop::Abandon {
            return Ending::Cut;
        }
        commit.clear(self.commit_size);
        if !marks.is_empty() {
            commit.finish(&mut HashMap::new());
            commit.write_marks(&mut marks);
            if self.make_durable(&mut commit).is_err() {
                return Ending::Cut;
            }
        }
        Ending::Drained(self.log.last().cloned())
    }

    /// Commits what was taken, in as many commits as its size asks for.
    fn commit_all(
        &mut self,
        commit: &mut Commit,
        taken: &mut Vec<Pending>,
        marks: &mut HashMap<QueueId, Position>,
    ) -> Result<(), GivenUp> {
        let mut pending = taken.drain(..).peekable();
        while pending.peek().is_some() {
            commit.clear(self.commit_size);
            let (mut batches, mut cost) = (0, 0);
            while let Some(next) = pending
                .next_if(|next| batches == 0 || commit.block.len() + next.cost <= self.commit_size)
            {
                commit.add(next.batch, marks, &self.counters);
                batches += 1;
                cost += next.cost;
            }
            if commit.finish(marks) {
                self.make_durable(commit)?;
            } else {
                self.note_cancelled(commit);
            }
            // The backlog first: who is woken by a confirm finds room.
            self.inbox.committed(batches, cost);
            commit.confirm();
        }
        Ok(())
    }

    /// Writes and syncs the commit's block, however often it takes, and makes it known to readers.
    fn make_durable(&mut self, commit: &mut Commit) -> Result<(), GivenUp> {
        self.make_room(commit.block.len() as u64)?;
        let mut pause = BACKOFF.0;
        let mut attempts = 0;
        let placed = loop {
            let start = Instant::now();
            match self.log.append(&mut commit.block, commit.records) {
                Ok(placed) => {
                    let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    self.counters
                        .last_sync_nanos
                        .store(nanos, Ordering::Relaxed);
                    break placed;
                }
                Err(error) => {
                    attempts += 1;
                    self.failed(&error, attempts)?;
                    self.inbox.pause(pause);
                    pause = (pause * 2).min(BACKOFF.1);
                }
            }
        };
        if attempts > 0 {
            self.counters.write_health(None);
        }
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters
            .bytes_written
            .fetch_add(commit.block.len() as u64, Ordering::Relaxed);
        self.catalogue.lock().apply(commit.take_effects(), placed);
        // Large messages must not stay in memory because nothing more comes.
        commit.block.clear(self.commit_size * KEEP_FACTOR);
        Ok(())
    }

    fn failed(&self, error: &io::Error, attempts: u32) -> Result<(), GivenUp> {
        self.counters.write_health(Some(error.to_string()));
        self.inbox.failed(error.to_string());
        match self.inbox.stopping() {
            Stop::No => Ok(()),
            Stop::Drain if attempts < LAST_ATTEMPTS => Ok(()),
            Stop::Drain | Stop::Abandon => Err(GivenUp),
        }
    }

    /// A commit with nothing to write may still have cancelled writes: noting those as done with keeps the ranges of
    /// later acks whole. They belong to the segment the next commit goes to, or the one before: either is right, as they
    /// stand in none.
    fn note_cancelled(&mut self, commit: &mut Commit) {
        if let Some(last) = self.log.last() {
            let placed = Placed {
                seq: last.seq,
                offset: 0,
            };
            self.catalogue.lock().apply(commit.take_effects(), placed);
        }
    }

    /// Waits while the log is at its bound. A store that is being closed does not wait: what it still has to write is
    /// bounded by the backlog.
    fn make_room(&mut self, len: u64) -> Result<(), GivenUp> {
        let mut told = false;
        while self.log_state.bytes() + len > self.log_bound {
            match self.inbox.stopping() {
                Stop::No => {}
                Stop::Drain => return Ok(()),
                Stop::Abandon => return Err(GivenUp),
            }
            if !self.log_state.has_closed() {
                // What fills the log is the active segment; with that closed there is something to fold. If it cannot
                // be, the write below fails in the same way and says so.
                let before = self.log_state.bytes();
                if self.log.roll().is_err()
                    || (!self.log_state.has_closed() && self.log_state.bytes() >= before)
                {
                    return Ok(());
                }
                continue;
            }
            if !told {
                tracing::warn!(
                    "the commit log is at its bound of {} bytes: publishers wait for the checkpoint",
                    self.log_bound
                );
                told = true;
            }
            self.log_state.wait_change(Duration::from_millis(100));
        }
        Ok(())
    }
}
