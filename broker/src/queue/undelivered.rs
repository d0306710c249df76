//! Dead letters that found no way, of queues that lose none (`x-dead-letter-strategy:
//! at-least-once`; RabbitMQ: "Quorum Queues: At-Least-Once Dead-Lettering"). They stay where they
//! are in the store, count against the queue's limits, and are sent again until every queue that
//! they lead to has room for them, and there is one. Like all that waits they can be on disk.

use super::dead_letter::{DeadLetter, Origin, Reason};
use super::effects::Effects;
use super::entry::Entry;
use super::expiry::SLICE;
use super::handle::Queue;
use super::machine::Machine;
use super::outcome::Aside;
use super::paging::{Done, First, Kept, PageId, Rank, Ranked, RankedPage, Shelf, Sorted, Work};
use crate::clock::Time;
use leveret_storage::Position;
use std::sync::Arc;
use std::time::Duration;

/// How long letters wait before they are sent again.
const RETRY: Duration = Duration::from_secs(1);

/// In the second half of a letter's rank, beside its reason: it has a place in the store.
const STORED: u64 = 1 << 8;

/// The letters of one queue.
#[derive(Debug, Default)]
pub(super) struct Undelivered {
    /// In the order in which they came back.
    letters: Sorted,
    /// Letters that ever came back: the next one's rank.
    came: u64,
    /// Octets of their bodies.
    octets: u64,
    retry_at: Option<Time>,
    /// The first of them are being read.
    reading: bool,
}

impl Undelivered {
    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.letters.len() as u64
    }

    /// Octets of their bodies.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// For listings.
    pub(super) fn counts(&self) -> Aside {
        let paged = self.letters.paged();
        Aside {
            messages: self.len(),
            bytes: self.octets,
            paged_out: paged.messages,
            paged_out_bytes: paged.octets,
        }
    }

    /// When they are sent again, unless they have to be read first.
    pub(super) fn retry_at(&self) -> Option<Time> {
        self.retry_at.filter(|_| !self.reading)
    }

    fn is_due(&self, now: Time) -> bool {
        self.retry_at.is_some_and(|at| at <= now)
    }

    fn insert(&mut self, letter: DeadLetter) {
        let stored = letter.stored_at.map_or(0, |_| STORED);
        let rank = (self.came, u64::from(letter.reason.code()) | stored);
        self.came += 1;
        self.octets += letter.message.body().len() as u64;
        let position = letter.stored_at.unwrap_or(Position(0));
        let entry = Entry::new(position, letter.message);
        self.letters.insert(rank, Ranked::new(entry));
    }

    /// Takes the first letter, if it is in memory.
    fn pop(&mut self) -> Option<(Rank, Entry)> {
        let (rank, ranked) = self.letters.pop_first()?;
        self.octets -= ranked.entry.message.body().len() as u64;
        Some((rank, ranked.entry))
    }
}

/// A letter as it is to be sent, of a queue whose dead letters go there by now.
fn letter(rank: Rank, entry: Entry, origin: Arc<Origin>) -> DeadLetter {
    DeadLetter {
        origin,
        message: entry.message,
        reason: Reason::of_code(rank.1 as u8),
        stored_at: (rank.1 & STORED != 0).then_some(entry.position),
    }
}

impl Machine {
    /// Letters have found no way and come back.
    pub(super) fn keep_undelivered(&mut self, letters: Vec<DeadLetter>, fx: &mut Effects) {
        if self.is_deleted() {
            return;
        }
        let kept = self.undelivered.get_or_insert_default();
        letters.into_iter().for_each(|letter| kept.insert(letter));
        // Those that wait already are not put off by others that come after them.
        if kept.retry_at.is_none_or(|at| at <= fx.now()) {
            kept.retry_at = Some(fx.now() + RETRY);
        }
    }

    /// Sends letters again if it is time: a slice of them, the rest right after when these have
    /// found their way.
    pub(super) fn retry_undelivered(&mut self, fx: &mut Effects) {
        let Some(kept) = self.undelivered.as_deref_mut() else {
            return;
        };
        if !kept.is_due(fx.now()) {
            return;
        }
        let mut letters = Vec::new();
        while letters.len() < SLICE
            && let Some(next) = kept.pop()
        {
            letters.push(next);
        }
        if kept.letters.is_empty() {
            self.undelivered = None;
        }
        for (rank, entry) in letters {
            // As the queue is set to by now.
            match &self.dead_letters {
                Some(origin) => fx.dead_letter(letter(rank, entry, origin.clone())),
                // They are not dead letters any more: gone for good.
                None if rank.1 & STORED != 0 => {
                    fx.store_settled(self.id, entry.position, &entry.message);
                }
                None => {}
            }
        }
    }

    /// The page of letters that has to be read before they can be sent again.
    pub(super) fn undelivered_to_read(
        &mut self,
        fx: &mut Effects,
    ) -> Option<(Shelf, PageId, Work)> {
        let kept = self.undelivered.as_deref_mut()?;
        if kept.reading || !kept.is_due(fx.now()) {
            return None;
        }
        let (_, First::Away(_)) = kept.letters.first()? else {
            return None;
        };
        let (page, spilled) = kept.letters.next_read(0)?;
        kept.reading = true;
        Some((Shelf::Aside, page, Work::ReadSorted(spilled)))
    }

    /// Bytes of letters in memory.
    pub(super) fn aside_memory(&self) -> u64 {
        let kept = self.undelivered.as_deref();
        kept.map_or(0, |kept| kept.letters.memory())
    }

    /// Pages letters out, those that are sent last; see [`Sorted::page_out`].
    pub(super) fn page_out_aside(
        &mut self,
        bytes: u64,
        at_head: u64,
        kept: impl Fn(&Entry) -> Kept,
    ) -> Option<(PageId, Arc<RankedPage>)> {
        let letters = &mut self.undelivered.as_deref_mut()?.letters;
        if letters.memory() < at_head + bytes.min(at_head) {
            return None;
        }
        let number = self.ready.next_page();
        letters.page_out(number, bytes, at_head, kept)
    }

    /// What became of a page of letters.
    pub(super) fn aside_paged(&mut self, page: PageId, done: Done, fx: &mut Effects) {
        let Some(kept) = self.undelivered.as_deref_mut() else {
            return;
        };
        match done {
            Done::Written(spilled) => return kept.letters.written(page, spilled),
            Done::NotRead => kept.letters.not_read(page),
            Done::ReadSorted(entries) => {
                let octets =
                    |(_, ranked): &(Rank, Ranked)| ranked.entry.message.body().len() as u64;
                let found: u64 = entries.iter().map(octets).sum();
                if let Some(known) = kept.letters.arrived(page, entries) {
                    kept.octets = kept.octets + found - known.octets;
                }
            }
            Done::Read(..) => {}
        }
        kept.reading = false;
        self.retry_undelivered(fx);
    }

    /// The queue is deleted, or loses what is dead from now on.
    pub(super) fn drop_undelivered(&mut self, fx: &mut Effects) {
        if let Some(mut kept) = self.undelivered.take() {
            kept.letters
                .clear()
                .into_iter()
                .for_each(|page| fx.discard(page));
        }
    }
}

impl Queue {
    /// See [`Machine::keep_undelivered`].
    pub fn keep_undelivered(self: &Arc<Self>, letters: Vec<DeadLetter>, fx: &mut Effects) {
        self.serve(fx, |machine, fx| machine.keep_undelivered(letters, fx));
    }
}
