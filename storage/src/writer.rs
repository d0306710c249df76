//! The storage thread: group commit.
//!
//! The loop: take everything submitted, build a block, write it, sync it, confirm it. Nobody waits for a timer: while
//! one commit syncs, the next one gathers.
//!
//! A submitter may write a small commit itself while the thread sleeps (see [`Writer::commit_directly`]): a publisher
//! that waits for its confirm then gets it two wake-ups earlier.
//!
//! A write or sync that fails confirms nothing. Its segment ends before the block, and the same block goes to a new
//! segment, again and again until it is durable; meanwhile the backlog mark slows publishers down.

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
    inbox::{DirectOutcome, Inbox, Pending, Stop, Task},
    log::{Log, LogState, Placed},
    presence::Presence,
    pulse::{Beat, Doing},
    stats::Counters,
    types::{Position, QueueId},
};

/// The shortest and the longest pause between attempts to write.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// The most bytes of a direct commit beyond twice the cost of its batches.
const DIRECT_SLACK: u64 = 4096;
/// A block longer than this is not extended with further copies of a large message.
const MAX_BLOCK_WITH_COPIES: usize = 160 << 20;
/// How often a closing store still tries to write.
const ATTEMPTS_WHILE_CLOSING: u32 = 3;

/// Everything that the storage thread and direct commits work with.
pub(crate) struct Writer {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) log: Log,
    pub(crate) presence: Presence,
    pub(crate) log_state: Arc<LogState>,
    pub(crate) log_bound: u64,
    pub(crate) commit_size: usize,
    pub(crate) catalogue: Arc<Mutex<Catalogue>>,
    pub(crate) counters: Arc<Counters>,
    /// Where this thread, or whoever commits in its place, notes what it does.
    pub(crate) beat: Arc<Beat>,
    pub(crate) work: Work,
}

/// Under more load than the disk can take, the log reaches its limit several times a second; this is how often it is
/// logged.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// State kept from one commit to the next.
#[derive(Default)]
pub(crate) struct Work {
    commit: Commit,
    /// Delivery marks that wait to be written with something else.
    marks: HashMap<QueueId, Position>,
    /// The size of the commit, if it could not be written yet.
    stuck: Option<Load>,
    /// When reaching the limit was last logged.
    warned_at: Option<Instant>,
}

/// The size of a commit.
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
    /// It was told to end at once, or could not write when told to end.
    Aborted,
}

/// The store is stopping before this could be written.
struct GivenUp;

/// Tells waiting threads that the storage thread has ended, even if it panics.
struct EndNotice(Arc<Inbox>, Arc<Counters>);

impl Drop for EndNotice {
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
    let (inbox, counters, beat) = {
        let writer = writer.lock();
        let beat = Arc::clone(&writer.beat);
        (
            Arc::clone(&writer.inbox),
            Arc::clone(&writer.counters),
            beat,
        )
    };
    let _notice = EndNotice(Arc::clone(&inbox), counters);
    let mut batches = Vec::new();
    let ending = loop {
        beat.note(Doing::Waiting);
        // Not locked while waiting, so that others may commit then.
        let what = inbox.take(&mut batches);
        beat.note(Doing::Working);
        let mut writer = writer.lock();
        let committed = match what {
            Task::Commit => writer.commit_all(&mut batches),
            Task::Retry => writer.retry_stuck(),
            Task::Roll => {
                beat.note(Doing::Disk);
                // If this fails, the next commit tries again and reports it.
                let _ = writer.log.roll();
                Ok(())
            }
            Task::Stop => break writer.end(),
        };
        if committed.is_err() {
            break Ending::Aborted;
        }
    };
    // What was not committed never will be. Messages and sinks are dropped outside the lock, as they may hold the last
    // clone of the store.
    let mut writer = writer.lock();
    writer.log.drop_active();
    let work = std::mem::take(&mut writer.work);
    drop(writer);
    drop(work);
    ending
}

/// Returns whether a batch has the same large messages, for another queue, as the one `before` it. It then adds little
/// to a block of this length, but would be written in full in another block.
fn is_copy(next: &Pending, before: Option<usize>, block: usize) -> bool {
    before.is_some() && next.large_message() == before && block <= MAX_BLOCK_WITH_COPIES
}

impl Writer {
    fn end(&mut self) -> Ending {
        if self.inbox.stopping() == Stop::Abandon {
            return Ending::Aborted;
        }
        self.work.commit.clear(self.commit_size);
        if !self.work.marks.is_empty() {
            self.work.commit.finish(&mut HashMap::new());
            self.work.commit.write_marks(&mut self.work.marks);
            if self.make_durable(0).is_err() {
                return Ending::Aborted;
            }
        }
        Ending::Drained(self.log.ending())
    }

    /// Commits these batches, in as many commits as their size requires.
    fn commit_all(&mut self, batches: &mut Vec<Pending>) -> Result<(), GivenUp> {
        let mut pending = batches.drain(..).peekable();
        while pending.peek().is_some() {
            let (load, to_write) = self.build(&mut pending);
            if to_write {
                self.make_durable(0)?;
            } else {
                self.note_cancelled();
            }
            self.confirm(load);
        }
        Ok(())
    }

    /// Builds a commit from the first pending batches. Returns its size and whether it has to be written.
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

    /// Reports the commit as done.
    fn confirm(&mut self, load: Load) {
        // The backlog goes first, so that a publisher woken by a confirm finds it reduced.
        self.inbox.committed(load.batches, load.cost);
        self.work.commit.confirm();
    }

    /// Commits batches on the thread of their submitter: one write and one sync, if nothing slower is needed. A failure
    /// is left for the storage thread to retry.
    pub(crate) fn commit_directly(&mut self, batches: Vec<Pending>) -> DirectOutcome {
        let cost: usize = batches.iter().map(|pending| pending.cost).sum();
        // Records take more than their cost, but never this much.
        let max = 2 * cost as u64 + DIRECT_SLACK;
        let bounded = self.log_state.bytes() + max <= self.log_bound;
        if cost > self.commit_size || !bounded || !self.log.fits(max) {
            return DirectOutcome::Returned(batches);
        }
        self.beat.note(Doing::Working);
        let outcome = self.commit_small(batches);
        // The storage thread, which has slept meanwhile.
        self.beat.note(Doing::Waiting);
        outcome
    }

    fn commit_small(&mut self, batches: Vec<Pending>) -> DirectOutcome {
        let mut pending = batches.into_iter().peekable();
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
            return DirectOutcome::Stuck;
        }
        self.confirm(load);
        DirectOutcome::Done
    }

    /// Retries a commit that a direct commit could not write.
    fn retry_stuck(&mut self) -> Result<(), GivenUp> {
        if let Some(load) = self.work.stuck.take() {
            self.make_durable(1)?;
            self.confirm(load);
        }
        Ok(())
    }

    /// Writes and syncs the commit's block, retrying until it succeeds, and makes it visible to readers. `attempts` is
    /// the number of failed attempts so far.
    fn make_durable(&mut self, mut attempts: u32) -> Result<(), GivenUp> {
        self.wait_for_log_space(self.work.commit.block.len() as u64)?;
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
        let start = Instant::now();
        self.beat.note(Doing::Disk);
        // Files that were deleted can be written and synced like any others.
        if let Err(error) = self.presence.check(start, || self.log.is_deleted()) {
            self.beat.note(Doing::Working);
            return Err(error);
        }
        let commit = &mut self.work.commit;
        let placed = self.log.append(&mut commit.block, commit.records);
        self.beat.note(Doing::Working);
        let placed = placed?;
        let counters = &self.counters;
        counters.committed_in(start.elapsed());
        let written = commit.block.len() as u64;
        counters.bytes_written.fetch_add(written, Ordering::Relaxed);
        self.catalogue.lock().apply(commit.take_effects(), placed);
        // Large messages must not stay in memory until the next commit.
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
            Stop::Drain if attempts < ATTEMPTS_WHILE_CLOSING => Ok(()),
            Stop::Drain | Stop::Abandon => Err(GivenUp),
        }
    }

    /// A commit with nothing to write may still have cancelled writes. Recording them as acknowledged keeps the ranges
    /// of later acks contiguous. They are assigned to the segment of the next commit or the one before: either is
    /// right, as they are in none.
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

    /// Waits while the log is at its size limit. A closing store does not wait: what it still has to write is limited
    /// by the backlog.
    fn wait_for_log_space(&mut self, len: u64) -> Result<(), GivenUp> {
        while self.log_state.bytes() + len > self.log_bound {
            match self.inbox.stopping() {
                Stop::No => {}
                Stop::Drain => return Ok(()),
                Stop::Abandon => return Err(GivenUp),
            }
            if !self.log_state.has_closed() {
                // The active segment fills the log; once it is closed there is something to fold. If it cannot be
                // closed, the write that follows fails in the same way and reports it.
                let before = self.log_state.bytes();
                if self.log.roll().is_err()
                    || (!self.log_state.has_closed() && self.log_state.bytes() >= before)
                {
                    return Ok(());
                }
                continue;
            }
            let warned = self.work.warned_at;
            if warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
                tracing::warn!(
                    "the commit log has reached its limit of {} bytes: slowing publishers down to the speed of the disk",
                    self.log_bound
                );
                self.work.warned_at = Some(Instant::now());
            }
            self.log_state.wait_change(Duration::from_millis(100));
            // Publishers wait, but this thread does not hang: whether the checkpoint does is seen there.
            self.beat.note(Doing::Working);
        }
        Ok(())
    }
}
