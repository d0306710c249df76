//! The dead letters of one queue, on their way out in the order in which they left it.
//!
//! A letter is put here under the queue's lock, by whoever made the queue bury the message: a
//! publisher, a consumer, the timer, the pager. All of them then send what is here, and only who
//! holds the queue's sender lock may take letters out, always the oldest, whoever put them here.
//! So none overtakes another, and nobody goes on before its own letters have been sent.
//!
//! A queue that loses no letter (`x-dead-letter-strategy: at-least-once`; RabbitMQ: "Quorum Queues:
//! At-Least-Once Dead-Lettering") keeps those that found no way. They stay where they are in the
//! store, count against the queue's limits, and are sent again until every queue that they lead to
//! has room for them, and there is one. Like all that waits they can be on disk.

use super::dead_letter::{DeadLetter, Origin, Reason};
use super::effects::Effects;
use super::entry::Entry;
use super::handle::Queue;
use super::machine::Machine;
use super::outcome::Aside;
use super::paging::{
    First, JobResult, Kept, PageId, Rank, Ranked, RankedPage, Shelf, Sorted, Work,
};
use crate::engine::clock::Time;
use leveret_storage::{Position, QueueId};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How long letters that found no way wait before they are sent again.
const RETRY: Duration = Duration::from_secs(1);
/// Letters that are sent at a time.
const SLICE: usize = 4096;
/// Letters that are sent again at a time. When so many have found no way, those behind them wait
/// (RabbitMQ: 32, `dead_letter_worker_consumer_prefetch`).
const WINDOW: usize = 1024;
/// Bytes of bodies that are sent again at a time, about.
const WINDOW_BYTES: u64 = 8 << 20;
/// How long nothing more is said of messages that were dropped because they went round.
const QUIET: Duration = Duration::from_secs(60);

/// In the second half of a letter's rank, beside its reason: it has a place in the store.
const STORED: u64 = 1 << 8;

/// The letters of one queue.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Those that have not been tried, while whoever put them here sends them. They are younger
    /// than those that are kept.
    fresh: VecDeque<DeadLetter>,
    /// Those that found no way, and those that wait behind them, by their numbers.
    kept: Sorted,
    /// Letters that have ever come: the next one's number.
    came: u64,
    /// Bytes of the bodies of those that are kept.
    bytes: u64,
    /// When those that are kept are sent again.
    retry_at: Option<Time>,
    /// That time has come.
    is_due: bool,
    /// The first of them are being read.
    reading: bool,
    /// Some of them were not tried since others were sent again: letters that come wait behind them.
    untried: bool,
    /// Where those would go that were tried. Nobody goes there before them.
    blocked: HashSet<QueueId>,
    /// The routes by which they were tried.
    routes: u64,
    cycles: Cycles,
}

/// Messages that were dropped because they would have gone round forever.
#[derive(Debug, Default)]
struct Cycles {
    told_at: Option<Time>,
    untold: u64,
}

/// Letters that were taken from a queue's outbox to be sent.
#[derive(Debug)]
pub struct Outgoing {
    /// Where they go; `None` if they are lost.
    pub origin: Option<Arc<Origin>>,
    /// The letters, oldest first.
    pub letters: Vec<DeadLetter>,
    /// Where letters before them would go that found no way.
    pub blocked: HashSet<QueueId>,
    /// More are to be taken.
    pub more: bool,
    /// They were kept, so many of them.
    again: usize,
}

#[cfg(test)]
impl Outgoing {
    /// The same, with some of its letters.
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
    /// How many are kept.
    pub(super) fn len(&self) -> u64 {
        self.kept.len() as u64
    }

    /// Bytes of their bodies.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// For listings.
    pub(super) fn counts(&self) -> Aside {
        let paged = self.kept.paged();
        Aside {
            messages: self.len(),
            bytes: self.bytes,
            paged_out: paged.messages,
            paged_out_bytes: paged.bytes,
        }
    }

    /// When the timer has to see to those that are kept, unless they have to be read first.
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

    /// Takes the first letter that is kept, if it is in memory.
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

    /// Takes letters to be sent, unless as many have been taken as had come when there were `until`.
    /// Those that are kept go first where letters may be lost: none of them waits any more.
    fn take(&mut self, until: u64, routes: u64, loses_none: bool) -> Option<Outgoing> {
        if !self.kept.is_empty() && (self.routes != routes || !loses_none) {
            // There may be a way for the first of them by now.
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
        if self.fresh.is_empty() || self.taken() >= until {
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
            more: self.taken() < until,
            again: 0,
        })
    }

    /// Takes the first of those that are kept, if they are in memory.
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
        if !matches!(self.kept.first(), Some((_, First::Away(_)))) {
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

    /// How many have been taken, or kept, of those that have ever come.
    fn taken(&self) -> u64 {
        self.came - self.fresh.len() as u64
    }

    /// Letters were tried; these found no way.
    fn tried(&mut self, outgoing: Outgoing, stuck: Vec<DeadLetter>, now: Time) {
        let moved = outgoing.again.saturating_sub(stuck.len());
        stuck.into_iter().for_each(|letter| self.keep(letter));
        self.blocked = outgoing.blocked;
        if self.kept.is_empty() {
            (self.retry_at, self.untried) = (None, false);
            self.blocked.clear();
            return;
        }
        // The next ones right after these, if most of these have found their way.
        let goes_on = self.untried && 2 * moved >= outgoing.again;
        match outgoing.again {
            // Those that wait already are not put off by others that come after them.
            0 => self.retry_at.get_or_insert(now + RETRY),
            _ => self
                .retry_at
                .insert(if goes_on { now } else { now + RETRY }),
        };
        self.untried |= self.kept.len() >= WINDOW;
    }
}

impl Machine {
    /// A letter is to be sent when the lock is released.
    pub(super) fn send_letter(&mut self, mut letter: DeadLetter, fx: &mut Effects) {
        let outbox = self.outbox.get_or_insert_default();
        letter.number = outbox.came;
        outbox.came += 1;
        outbox.fresh.push_back(letter);
        fx.note_letters();
    }

    /// Letters that are kept are to be sent again, if it is time.
    pub(super) fn retry_letters(&mut self, fx: &mut Effects) {
        let Some(outbox) = self.outbox.as_deref_mut() else {
            return;
        };
        if !outbox.reading && outbox.retry_at.is_some_and(|at| at <= fx.now()) {
            outbox.is_due = true;
            fx.note_letters();
        }
    }

    /// Letters that are kept go at once when the queue is not set to keep them any more.
    pub(super) fn release_letters(&mut self, fx: &mut Effects) {
        let keeps = self.dead_letters.as_ref().is_some_and(|o| o.loses_none);
        if !keeps && self.outbox.as_ref().is_some_and(|o| !o.kept.is_empty()) {
            fx.note_letters();
        }
    }

    /// How many letters have ever come.
    pub(super) fn letters(&self) -> u64 {
        self.outbox.as_ref().map_or(0, |outbox| outbox.came)
    }

    /// The page of letters that has to be read before they can be sent again.
    pub(super) fn letters_to_read(&mut self, fx: &mut Effects) -> Option<(Shelf, PageId, Work)> {
        let outbox = self.outbox.as_deref_mut()?;
        if outbox.reading || outbox.retry_at.is_none_or(|at| at > fx.now()) {
            return None;
        }
        let (_, First::Away(_)) = outbox.kept.first()? else {
            return None;
        };
        let (page, spilled) = outbox.kept.next_read(0)?;
        outbox.reading = true;
        Some((Shelf::Aside, page, Work::ReadSorted(spilled)))
    }

    /// Bytes of letters that are kept in memory.
    pub(super) fn aside_memory(&self) -> u64 {
        let outbox = self.outbox.as_deref();
        outbox.map_or(0, |outbox| outbox.kept.memory())
    }

    /// Pages letters out, those that are sent last; see [`Sorted::page_out`].
    pub(super) fn page_out_aside(
        &mut self,
        bytes: u64,
        at_head: u64,
        kept: impl Fn(&Entry) -> Kept,
    ) -> Option<(PageId, Arc<RankedPage>)> {
        let letters = &mut self.outbox.as_deref_mut()?.kept;
        if letters.memory() < at_head + bytes.min(at_head) {
            return None;
        }
        let number = self.ready.next_page();
        letters.page_out(number, bytes, at_head, kept)
    }

    /// What became of a page of letters.
    pub(super) fn aside_paged(&mut self, page: PageId, done: JobResult, fx: &mut Effects) {
        let Some(outbox) = self.outbox.as_deref_mut() else {
            return;
        };
        match done {
            JobResult::Written(spilled) => return outbox.kept.written(page, spilled),
            JobResult::NotRead => outbox.kept.not_read(page),
            JobResult::ReadSorted(entries) => {
                let bytes = |(_, ranked): &(Rank, Ranked)| ranked.entry.message.body().len() as u64;
                let found: u64 = entries.iter().map(bytes).sum();
                if let Some(known) = outbox.kept.arrived(page, entries) {
                    outbox.bytes = outbox.bytes + found - known.bytes;
                }
            }
            JobResult::Read(..) => {}
        }
        outbox.reading = false;
        self.retry_letters(fx);
    }

    /// The queue is deleted, and with it the letters that are kept.
    pub(super) fn drop_kept_letters(&mut self, fx: &mut Effects) {
        if let Some(outbox) = &mut self.outbox {
            let pages = outbox.kept.clear();
            pages.into_iter().for_each(|page| fx.discard(page));
            (outbox.bytes, outbox.retry_at) = (0, None);
        }
    }
}

impl Queue {
    /// Takes the oldest letters to be sent, for whoever holds the sender lock: until all have been
    /// taken that had come when there were `until`. `routes` tells ways apart that are not the same
    /// as before.
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

    /// Letters that were taken have been tried; `stuck` found no way and stay.
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

    /// Messages were dropped because they would have gone round forever. Says of how many it is
    /// to be told now, those that nothing was said of included.
    pub fn count_cycles(&self, dropped: u64, fx: &mut Effects) -> Option<u64> {
        let now = fx.now();
        self.with_machine(|machine| {
            let cycles = &mut machine.outbox.get_or_insert_default().cycles;
            cycles.untold += dropped;
            if cycles.told_at.is_some_and(|at| now < at + QUIET) {
                return None;
            }
            cycles.told_at = Some(now);
            Some(std::mem::take(&mut cycles.untold))
        })
    }
}
