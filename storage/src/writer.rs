//! The storage thread: group commit.
//!
//! Take everything submitted, build a block, write it, sync it, tell everyone; again. Nobody waits for a timer: while
//! one commit syncs, the next one gathers.
//!
//! Somebody else may write a small commit while the thread sleeps (see [`Writer::commit_directly`]): a publisher that
//! waits for its confirm is told two wake-ups earlier.
//!
//! A write or sync that fails confirms nothing. Its segment is ended before the block, the same block goes to a fresh
//! segment, again and again until it is durable; publishers meanwhile are slowed by the backlog mark.

use std::{
    collections::HashMap,
    io,
    iter::Peekable,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    catalogue::Catalogue,
    commit::{Commit, KEEP_FACTOR},
    directory::CleanClose,
    inbox::{Helped, Inbox, Pending, Stop, Taken},
    log::{Log, LogState, Placed},
    stats::Counters,
    types::{Position, QueueId},
};

/// Pauses between attempts to write: from, to.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// Bytes of a small commit besides twice what its batches count for.
const DIRECT_SLACK: u64 = 4096;
/// A block that is longer than this is not made longer by what would otherwise be a copy.
const COPIES_MOST: usize = 160 << 20;
/// Attempts that a store which is being closed still makes.
const LAST_ATTEMPTS: u32 = 3;

/// What the storage thread works with, and whoever commits in its stead.
pub(crate) struct Writer {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) log: Log,
    pub(crate) log_state: Arc<LogState>,
    pub(crate) log_bound: u64,
    pub(crate) commit_size: usize,
    pub(crate) catalogue: Arc<Mutex<Catalogue>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) work: Work,
}

/// Under more load than the disk can take the log is at its bound several times a second; it is told this often.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What is kept from one commit to the next.
#[derive(Default)]
pub(crate) struct Work {
    commit: Commit,
    /// Delivery marks that wait for something to be written along with.
    marks: HashMap<QueueId, Position>,
    /// What stands in the commit, if that could not be written yet.
    stuck: Option<Load>,
    /// When it was last told that the log is at its bound.
    told_of_bound: Option<Instant>,
}

/// How much stands in a commit.
#[derive(Clone, Copy, Default)]
struct Load {
    batches: u64,
    cost: usize,
}

/// How the storage thread ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Everything submitted is on disk, and the log ends here.
    Drained(CleanClose),
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

/// Runs until the store stops.
pub(crate) fn run(writer: &Mutex<Writer>) -> Ending {
    let (inbox, counters) = {
        let writer = writer.lock();
        (Arc::clone(&writer.inbox), Arc::clone(&writer.counters))
    };
    let _farewell = Farewell(Arc::clone(&inbox), counters);
    let mut taken = Vec::new();
    let ending = loop {
        // Not locked while it waits: others may commit then.
        let what = inbox.take(&mut taken);
        let mut writer = writer.lock();
        let committed = match what {
            Taken::Batches => writer.commit_all(&mut taken),
            Taken::Stuck => writer.go_on(),
            Taken::Roll => {
                // Should it fail, the next commit tries again and says so.
                let _ = writer.log.roll();
                Ok(())
            }
            Taken::Nothing => break writer.end(),
        };
        if committed.is_err() {
            break Ending::Cut;
        }
    };
    // What was not committed never will be: messages and sinks are let go, and not under the lock, as the last clone of
    // the store may be among them.
    let mut writer = writer.lock();
    writer.log.let_go();
    let work = std::mem::take(&mut writer.work);
    drop(writer);
    drop(work);
    ending
}

/// Whether a batch has the same large messages for another queue as the one `before` it: then it adds next to nothing to
/// a block of this length, but would be written as a whole in another one.
fn is_copy(next: &Pending, before: Option<usize>, block: usize) -> bool {
    before.is_some() && next.large_message() == before && block <= COPIES_MOST
}

impl Writer {
    fn end(&mut self) -> Ending {
        if self.inbox.stopping() == Stop::Abandon {
            return Ending::Cut;
        }
        self.work.commit.clear(self.commit_size);
        if !self.work.marks.is_empty() {
            self.work.commit.finish(&mut HashMap::new());
            self.work.commit.write_marks(&mut self.work.marks);
            if self.make_durable(0).is_err() {
                return Ending::Cut;
            }
        }
        Ending::Drained(self.log.ending())
    }

    /// Commits what was taken, in as many commits as its size asks for.
    fn commit_all(&mut self, taken: &mut Vec<Pending>) -> Result<(), GivenUp> {
        let mut pending = taken.drain(..).peekable();
        while pending.peek().is_some() {
            let (load, to_write) = self.build(&mut pending);
            if to_write {
                self.make_durable(0)?;
            } else {
                self.note_cancelled();
            }
            self.tell(load);
        }
        Ok(())
    }

    /// Makes a commit of the first of what waits. Says what is in it, and whether it has to be written.
    fn build(&mut self, pending: &mut Peekable<impl Iterator<Item = Pending>>) -> (Load, bool) {
        let Work { commit, marks, .. } = &mut self.work;
        commit.clear(self.commit_size);
        let mut load = Load::default();
        let mut before = None;
        while let Some(next) = pending.next_if(|next| {
            let fits = commit.block.len() + next.cost <= self.commit_size;
            load.batches == 0 || fits || is_copy(next, before, commit.block.len())
        }) {
            before = next.large_message();
            commit.add(next.batch, marks, &self.counters);
            load.batches += 1;
            load.cost += next.cost;
        }
        let to_write = commit.finish(marks);
        (load, to_write)
    }

    /// What stands in the commit is as safe as it will be.
    fn tell(&mut self, load: Load) {
        // The backlog first: who is woken by a confirm finds room.
        self.inbox.committed(load.batches, load.cost);
        self.work.commit.confirm();
    }

    /// Commits what a helper has taken, on its own thread: one write and one sync, if nothing longer is in the way of
    /// that. What fails is for the storage thread to try again.
    pub(crate) fn commit_directly(&mut self, taken: Vec<Pending>) -> Helped {
        let cost: usize = taken.iter().map(|pending| pending.cost).sum();
        // Records take more than what they count for, but never so much.
        let most = 2 * cost as u64 + DIRECT_SLACK;
        let bounded = self.log_state.bytes() + most <= self.log_bound;
        if cost > self.commit_size || !bounded || !self.log.has_room(most) {
            return Helped::Returned(taken);
        }
        let mut pending = taken.into_iter().peekable();
        let (load, to_write) = self.build(&mut pending);
        debug_assert!(
            pending.peek().is_none(),
            "it is within the size of one commit"
        );
        if !to_write {
            self.note_cancelled();
        } else if let Err(error) = self.write() {
            self.report(&error);
            self.work.stuck = Some(load);
            return Helped::Stuck;
        }
        self.tell(load);
        Helped::Done
    }

    /// Goes on with a commit that a helper could not write.
    fn go_on(&mut self) -> Result<(), GivenUp> {
        if let Some(load) = self.work.stuck.take() {
            self.make_durable(1)?;
            self.tell(load);
        }
        Ok(())
    }

    /// Writes and syncs the commit's block, however often it takes, and makes it known to readers. `attempts` were made
    /// before.
    fn make_durable(&mut self, mut attempts: u32) -> Result<(), GivenUp> {
        self.make_room(self.work.commit.block.len() as u64)?;
        let mut pause = BACKOFF.0;
        while let Err(error) = self.write() {
            attempts += 1;
            self.failed(&error, attempts)?;
            self.inbox.pause(pause);
            pause = (pause * 2).min(BACKOFF.1);
        }
        if attempts > 0 {
            self.counters.write_health(None);
        }
        Ok(())
    }

    /// Writes and syncs the commit's block once.
    fn write(&mut self) -> io::Result<()> {
        let commit = &mut self.work.commit;
        let start = Instant::now();
        let placed = self.log.append(&mut commit.block, commit.records)?;
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let counters = &self.counters;
        counters.last_sync_nanos.store(nanos, Ordering::Relaxed);
        counters.commits.fetch_add(1, Ordering::Relaxed);
        let written = commit.block.len() as u64;
        counters.bytes_written.fetch_add(written, Ordering::Relaxed);
        self.catalogue.lock().apply(commit.take_effects(), placed);
        // Large messages must not stay in memory because nothing more comes.
        commit.block.clear(self.commit_size * KEEP_FACTOR);
        Ok(())
    }

    fn report(&self, error: &io::Error) {
        self.counters.write_health(Some(error.to_string()));
        self.inbox.failed(error.to_string());
    }

    fn failed(&self, error: &io::Error, attempts: u32) -> Result<(), GivenUp> {
        self.report(error);
        match self.inbox.stopping() {
            Stop::No => Ok(()),
            Stop::Drain if attempts < LAST_ATTEMPTS => Ok(()),
            Stop::Drain | Stop::Abandon => Err(GivenUp),
        }
    }

    /// A commit with nothing to write may still have cancelled writes: noting those as done with keeps the ranges of
    /// later acks whole. They belong to the segment the next commit goes to, or the one before: either is right, as they
    /// stand in none.
    fn note_cancelled(&mut self) {
        if let Some(last) = self.log.last() {
            let placed = Placed {
                seq: last.seq,
                offset: 0,
            };
            let effects = self.work.commit.take_effects();
            self.catalogue.lock().apply(effects, placed);
        }
    }

    /// Waits while the log is at its bound. A store that is being closed does not wait: what it still has to write is
    /// bounded by the backlog.
    fn make_room(&mut self, len: u64) -> Result<(), GivenUp> {
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
            let told = self.work.told_of_bound;
            if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
                tracing::warn!(
                    "the commit log is at its bound of {} bytes: publishers are slowed down to what the disk keeps up with",
                    self.log_bound
                );
                self.work.told_of_bound = Some(Instant::now());
            }
            self.log_state.wait_change(Duration::from_millis(100));
        }
        Ok(())
    }
}
