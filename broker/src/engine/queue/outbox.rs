//! The outbox: the dead letters of one queue on their way out, in the order in which they left it.
//!
//! A letter is put here under the queue's lock, by the caller whose operation dead-lettered the
//! message: a publisher, a consumer, the timer or the pager. Each caller then sends the outbox's
//! letters, but only the holder of the queue's sender lock may take letters out, always the oldest
//! first, including those of other callers. So no letter overtakes another, and no caller continues
//! before its own letters have been sent.
//!
//! A queue that loses no letters (`x-dead-letter-strategy: at-least-once`; RabbitMQ: "Quorum
//! Queues: At-Least-Once Dead-Lettering") keeps those that could not be routed. They stay where
//! they are in the store, count towards the queue's limits, and are sent again until there is a
//! route and every queue on it has room for them. Like all waiting messages they can be on disk.

use super::dead_letter::{DeadLetter, Origin, Reason};
use super::effects::Effects;
use super::entry::Entry;
use super::handle::Queue;
use super::machine::Machine;
use super::outcome::Parked;
use super::paging::{
    FirstMessage, JobResult, PageId, PageWork, Rank, Ranked, RankedPage, Section, Sorted,
    StoredForm,
};
use crate::engine::clock::Time;
use leveret_storage::{Op, Position, QueueId};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How long letters that could not be routed wait before they are retried.
const RETRY: Duration = Duration::from_secs(1);
/// Letters sent at a time.
const SLICE: usize = 4096;
/// Letters retried at a time. If this many could not be routed, those behind them wait (RabbitMQ:
/// 32, `dead_letter_worker_consumer_prefetch`).
const WINDOW: usize = 1024;
/// Approximate bytes of bodies retried at a time.
const WINDOW_BYTES: u64 = 8 << 20;
/// The minimum time between two log lines about what happens to letters repeatedly.
const QUIET: Duration = Duration::from_secs(60);

/// In the second half of a letter's rank, beside its reason: it has a place in the store.
const STORED: u64 = 1 << 8;

/// The dead letters of one queue.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Untried letters, which their callers are sending. They are newer than the kept ones.
    fresh: VecDeque<DeadLetter>,
    /// Letters that could not be routed, and those that wait behind them, by number.
    kept: Sorted,
    /// The number of letters that ever arrived, which is the next one's number.
    came: u64,
    /// Bytes of the bodies of kept letters.
    bytes: u64,
    /// When kept letters are retried.
    retry_at: Option<Time>,
    /// That time has come.
    is_due: bool,
    /// The first of them are being read from disk.
    reading: bool,
    /// Some kept letters have not been tried since others were retried: new letters wait behind them.
    untried: bool,
    /// The targets of the tried letters. No letter goes there before them.
    blocked: HashSet<QueueId>,
    /// Identifies the routes by which they were tried.
    routes: u64,
    /// Messages dropped because they would have cycled forever.
    cycles: LogThrottle,
    /// Letters that could not be routed.
    stuck: LogThrottle,
}

/// Counts events that are logged at most once in [`QUIET`].
#[derive(Debug, Default)]
struct LogThrottle {
    logged_at: Option<Time>,
    count: u64,
}

impl LogThrottle {
    /// Counts more events. Returns the number to log now, including those not logged before.
    fn add(&mut self, more: u64, now: Time) -> Option<u64> {
        self.count += more;
        if self.logged_at.is_some_and(|at| now < at + QUIET) {
            return None;
        }
        self.logged_at = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

/// Letters taken from a queue's outbox to be sent.
#[derive(Debug)]
pub struct Outgoing {
    /// Where they go; `None` if they are dropped.
    pub origin: Option<Arc<Origin>>,
    /// The letters, oldest first.
    pub letters: Vec<DeadLetter>,
    /// The targets of earlier letters that could not be routed.
    pub blocked: HashSet<QueueId>,
    /// There are more to take.
    pub more: bool,
    /// The number of kept letters among them.
    again: usize,
}

#[cfg(test)]
impl Outgoing {
    /// Returns the same with only some of its letters.
    pub fn part(&self, letters: &[DeadLetter]) -> Self {
        Outgoing {
            origin: self.origin.clone(),
            letters: letters.to_vec(),
            blocked: self.blocked.clone(),
            ..*self
        }
    }
}

impl Outbox {
    /// Returns the number of kept letters.
    pub(super) fn len(&self) -> u64 {
        self.kept.len() as u64
    }

    /// Returns the bytes of their bodies.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns counts for listings.
    pub(super) fn counts(&self) -> Parked {
        let paged = self.kept.paged();
        Parked {
            messages: self.len(),
            bytes: self.bytes,
            paged_out: paged.messages,
            paged_out_bytes: paged.bytes,
        }
    }

    /// Returns when the timer has to retry the kept letters, unless they have to be read first.
    pub(super) fn retry_at(&self) -> Option<Time> {
        self.retry_at.filter(|_| !self.reading && !self.is_due)
    }

    fn keep(&mut self, letter: DeadLetter) {
        let stored = letter.stored_at.map_or(0, |_| STORED);
        let rank = (letter.number, u64::from(letter.reason.code()) | stored);
        self.bytes += letter.bytes();
        let position = letter.stored_at.unwrap_or(Position(0));
        let entry = Entry::new(position, letter.message);
        self.kept.insert(rank, Ranked::new(entry));
    }

    /// Takes the first kept letter, if it is in memory.
    fn take_first(&mut self) -> Option<DeadLetter> {
        let (rank, ranked) = self.kept.pop_first()?;
        let letter = DeadLetter {
            message: ranked.entry.message,
            reason: Reason::of_code(rank.1 as u8),
            chained: false,
            number: rank.0,
            stored_at: (rank.1 & STORED != 0).then_some(ranked.entry.position),
        };
        self.bytes -= letter.bytes();
        Some(letter)
    }

    /// Takes letters to send, unless as many have been taken as had arrived at `until`. If letters may be lost, kept
    /// ones go first: none of them waits any more.
    fn take(&mut self, until: u64, routes: u64, loses_none: bool) -> Option<Outgoing> {
        if !self.kept.is_empty() && (self.routes != routes || !loses_none) {
            // The first of them may be routable by now.
            self.retry_at = Some(Time::from_millis(0));
            self.is_due = true;
        }
        self.routes = routes;
        if std::mem::take(&mut self.is_due)
            && let Some(again) = self.take_kept()
        {
            return Some(again);
        }
        if self.untried {
            while let Some(letter) = self.fresh.pop_front() {
                self.keep(letter);
            }
        }
        if self.fresh.is_empty() || self.no_longer_fresh() >= until {
            return None;
        }
        let letters = match self.fresh.len() <= SLICE {
            true => std::mem::take(&mut self.fresh).into(),
            false => self.fresh.drain(..SLICE).collect(),
        };
        Some(Outgoing {
            origin: None,
            letters,
            blocked: std::mem::take(&mut self.blocked),
            more: self.no_longer_fresh() < until,
            again: 0,
        })
    }

    /// Takes the first kept letters, if they are in memory.
    fn take_kept(&mut self) -> Option<Outgoing> {
        let (mut letters, mut bytes) = (Vec::new(), 0);
        while letters.len() < WINDOW
            && bytes < WINDOW_BYTES
            && let Some(letter) = self.take_first()
        {
            bytes += letter.bytes();
            letters.push(letter);
        }
        self.untried = !self.kept.is_empty();
        if letters.is_empty() {
            return None;
        }
        if !matches!(self.kept.first(), Some((_, FirstMessage::Away(_)))) {
            self.retry_at = None;
        }
        self.blocked.clear();
        Some(Outgoing {
            origin: None,
            again: letters.len(),
            letters,
            blocked: HashSet::new(),
            more: !self.fresh.is_empty(),
        })
    }

    /// Returns the number of letters that have left `fresh`, sent or kept.
    fn no_longer_fresh(&self) -> u64 {
        self.came - self.fresh.len() as u64
    }

    /// Records the result of sending letters: `stuck` could not be routed.
    fn tried(&mut self, outgoing: Outgoing, stuck: Vec<DeadLetter>, now: Time) {
        let moved = outgoing.again.saturating_sub(stuck.len());
        stuck.into_iter().for_each(|letter| self.keep(letter));
        self.blocked = outgoing.blocked;
        if self.kept.is_empty() {
            (self.retry_at, self.untried) = (None, false);
            self.blocked.clear();
            return;
        }
        // The next ones follow immediately if most of these were routed.
        let goes_on = self.untried && 2 * moved >= outgoing.again;
        match outgoing.again {
            // Letters that already wait are not delayed by later ones.
            0 => self.retry_at.get_or_insert(now + RETRY),
            _ => self
                .retry_at
                .insert(if goes_on { now } else { now + RETRY }),
        };
        self.untried |= self.kept.len() >= WINDOW;
    }
}

impl Machine {
    /// Adds a letter to be sent when the lock is released.
    pub(super) fn send_letter(&mut self, mut letter: DeadLetter, fx: &mut Effects) {
        let outbox = self.outbox.get_or_insert_default();
        letter.number = outbox.came;
        outbox.came += 1;
        outbox.fresh.push_back(letter);
        fx.note_letters();
    }

    /// Schedules the kept letters to be sent again, if it is time.
    pub(super) fn retry_letters(&mut self, fx: &mut Effects) {
        let Some(outbox) = self.outbox.as_deref_mut() else {
            return;
        };
        if !outbox.reading && outbox.retry_at.is_some_and(|at| at <= fx.now()) {
            outbox.is_due = true;
            fx.note_letters();
        }
    }

    /// Sends kept letters immediately if the queue is no longer set to keep them.
    pub(super) fn release_letters(&mut self, fx: &mut Effects) {
        let keeps = self.dead_letters.as_ref().is_some_and(|o| o.loses_none);
        if !keeps && self.outbox.as_ref().is_some_and(|o| !o.kept.is_empty()) {
            fx.note_letters();
        }
    }

    /// Returns how many letters have ever arrived.
    pub(super) fn letters(&self) -> u64 {
        self.outbox.as_ref().map_or(0, |outbox| outbox.came)
    }

    /// Returns the page of letters that has to be read before they can be retried.
    pub(super) fn letters_to_read(
        &mut self,
        fx: &mut Effects,
    ) -> Option<(Section, PageId, PageWork)> {
        let outbox = self.outbox.as_deref_mut()?;
        if outbox.reading || outbox.retry_at.is_none_or(|at| at > fx.now()) {
            return None;
        }
        let (_, FirstMessage::Away(_)) = outbox.kept.first()? else {
            return None;
        };
        let (page, spilled) = outbox.kept.next_read(0)?;
        outbox.reading = true;
        Some((Section::Parked, page, PageWork::ReadSorted(spilled)))
    }

    /// Returns the bytes of kept letters in memory.
    pub(super) fn parked_memory(&self) -> u64 {
        let outbox = self.outbox.as_deref();
        outbox.map_or(0, |outbox| outbox.kept.memory())
    }

    /// Pages out the letters that are sent last; see [`Sorted::page_out`].
    pub(super) fn page_out_parked(
        &mut self,
        bytes: u64,
        at_head: u64,
        kept: impl Fn(&Entry) -> StoredForm,
    ) -> Option<(PageId, Arc<RankedPage>)> {
        let letters = &mut self.outbox.as_deref_mut()?.kept;
        if letters.memory() < at_head + bytes.min(at_head) {
            return None;
        }
        let number = self.ready.next_page();
        letters.page_out(number, bytes, at_head, kept)
    }

    /// Handles the result of a job for a page of letters.
    pub(super) fn parked_page_done(&mut self, page: PageId, done: JobResult, fx: &mut Effects) {
        let Some(outbox) = self.outbox.as_deref_mut() else {
            return;
        };
        match done {
            JobResult::Written(spilled) => return outbox.kept.written(page, spilled),
            JobResult::NotRead => outbox.kept.not_read(page),
            JobResult::ReadSorted(entries) => {
                let bytes = |(_, ranked): &(Rank, Ranked)| ranked.entry.message.body().len() as u64;
                let found: u64 = entries.iter().map(bytes).sum();
                if let Some(known) = outbox.kept.page_read(page, entries) {
                    outbox.bytes = outbox.bytes + found - known.bytes;
                }
            }
            JobResult::Read(..) => {}
        }
        outbox.reading = false;
        self.retry_letters(fx);
    }

    /// Drops the kept letters and returns their number (`rabbit_fifo_dlx:purge`).
    pub(super) fn purge_letters(&mut self, fx: &mut Effects) -> u64 {
        let queue = self.id;
        let Some(outbox) = self.outbox.as_deref_mut() else {
            return 0;
        };
        let count = outbox.len();
        loop {
            if let Some(letter) = outbox.take_first() {
                if let Some(position) = letter.stored_at {
                    fx.store_settled(queue, position, &letter.message);
                }
            } else if let Some(page) = outbox.kept.drop_page() {
                for &(first, last) in &page.stored {
                    fx.store(Op::Ack { queue, first, last });
                }
                fx.discard(page);
            } else {
                break;
            }
        }
        (outbox.bytes, outbox.retry_at, outbox.untried) = (0, None, false);
        outbox.blocked.clear();
        count
    }

    /// Drops the kept letters of a deleted queue.
    pub(super) fn drop_kept_letters(&mut self, fx: &mut Effects) {
        if let Some(outbox) = &mut self.outbox {
            let pages = outbox.kept.clear();
            pages.into_iter().for_each(|page| fx.discard(page));
            (outbox.bytes, outbox.retry_at) = (0, None);
        }
    }
}

impl Queue {
    /// Takes the oldest letters to send, for the holder of the sender lock, until all that had
    /// arrived at `until` have been taken. `routes` identifies the current routes, to notice
    /// changes.
    pub fn take_letters(
        self: &Arc<Self>,
        until: u64,
        routes: u64,
        fx: &mut Effects,
    ) -> Option<Outgoing> {
        self.serve(fx, |machine, _| {
            let origin = machine.dead_letters.clone();
            let loses_none = origin.as_ref().is_some_and(|origin| origin.loses_none);
            let outbox = machine.outbox.as_mut()?;
            let outgoing = outbox.take(until, routes, loses_none)?;
            Some(Outgoing { origin, ..outgoing })
        })
    }

    /// Records the result of sending letters; `stuck` could not be routed and stay.
    pub fn letters_tried(
        self: &Arc<Self>,
        outgoing: Outgoing,
        stuck: Vec<DeadLetter>,
        fx: &mut Effects,
    ) {
        if stuck.is_empty() && outgoing.again == 0 && outgoing.blocked.is_empty() {
            return;
        }
        self.serve(fx, |machine, fx| {
            if !machine.is_deleted() {
                let outbox = machine.outbox.get_or_insert_default();
                outbox.tried(outgoing, stuck, fx.now());
            }
        });
    }

    /// Counts messages dropped because they would have cycled forever. Returns the number to log
    /// now, including those not logged before.
    pub fn count_cycles(&self, dropped: u64, fx: &mut Effects) -> Option<u64> {
        self.count(fx, |outbox, now| outbox.cycles.add(dropped, now))
    }

    /// Counts letters that could not be routed and stay in the outbox. Returns the number of all such letters if it
    /// should be logged now.
    pub fn count_stuck(&self, stuck: u64, fx: &mut Effects) -> Option<u64> {
        self.count(fx, |outbox, now| {
            outbox.stuck.add(stuck, now)?;
            Some(outbox.len() + stuck)
        })
    }

    fn count(
        &self,
        fx: &mut Effects,
        add: impl FnOnce(&mut Outbox, Time) -> Option<u64>,
    ) -> Option<u64> {
        let now = fx.now();
        self.with_machine(|machine| add(machine.outbox.get_or_insert_default(), now))
    }
}
