//! Messages in the order of their positions.

use super::entry::Entry;
use super::paging::{
    Backlog, Dropped, First, HeadExpiry, Kept, Outline, PageId, PagedOut, Rank, Ranked, Reading,
    Sorted, Totals,
};
use leveret_storage::Spilled;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// Messages that never left stand in a plain queue; the few that were requeued stand in order beside it, so that a
/// requeue keeps its position at the cost of a logarithm, not of a shift of the whole backlog. Of a line that was
/// paged out, the plain queue is the head only. Any part of all this can be on disk.
#[derive(Debug, Default)]
pub struct Line {
    fresh: VecDeque<Entry>,
    requeued: Sorted,
    /// What stands behind `fresh`, of a line that was paged out.
    backlog: Option<Box<Backlog>>,
    /// While the head is shorter than this it is not looked at whether there is more than a page
    /// of it.
    split_from: usize,
}

/// A queue that had a backlog keeps no more than this many empty places.
const KEPT_CAPACITY: usize = 256;

impl Line {
    /// Adds a message at its place: behind all that were ever added, usually, or where it was
    /// reserved before others came.
    pub fn insert(&mut self, entry: Entry) {
        let backlog = self.backlog.as_deref().and_then(Backlog::last);
        let last = backlog.or_else(|| self.fresh.back().map(|last| last.position));
        match last {
            Some(last) if last > entry.position => self.requeue(entry),
            _ => self.push(entry),
        }
    }

    /// Adds a message behind all that were ever added.
    fn push(&mut self, entry: Entry) {
        match &mut self.backlog {
            None => self.fresh.push_back(entry),
            Some(backlog) => backlog.push(entry),
        }
    }

    /// Puts a message back where it was.
    pub fn requeue(&mut self, entry: Entry) {
        self.requeued.insert(rank(&entry), Ranked::new(entry));
    }

    /// Whether the first message is among those that were requeued. `None` when there is no
    /// message, or it is on disk.
    fn requeued_first(&self) -> Option<bool> {
        if let Some(first) = self.requeued_before_others() {
            return matches!(first, First::Here(_)).then_some(true);
        }
        self.first_in_order().map(|_| false)
    }

    /// The first of those that were not requeued, if it is in memory. It may be in a page that is just being written.
    fn first_in_order(&self) -> Option<&Entry> {
        let behind = || self.backlog.as_deref().and_then(Backlog::peek);
        self.fresh.front().or_else(behind)
    }

    /// The first of those that were requeued, if it is the first of all.
    fn requeued_before_others(&self) -> Option<First<'_>> {
        let ((place, _), first) = self.requeued.first()?;
        let behind = match self.fresh.front() {
            Some(entry) => Some(entry.position),
            None => self.backlog.as_deref().and_then(Backlog::first),
        };
        behind
            .is_none_or(|behind| place < behind.0)
            .then_some(first)
    }

    fn requeued_first_is_away(&self) -> bool {
        matches!(self.requeued_before_others(), Some(First::Away(_)))
    }

    /// Takes the message with the lowest position. `None` also when that is on disk.
    pub fn pop(&mut self) -> Option<Entry> {
        if self.requeued_first()? {
            return self.requeued.pop_first().map(|(_, ranked)| ranked.entry);
        }
        if self.fresh.is_empty() {
            self.refill();
        }
        let entry = self.fresh.pop_front();
        if self.fresh.is_empty() {
            self.refill_anew();
        }
        entry
    }

    /// The head is empty, and has been longer perhaps.
    fn refill_anew(&mut self) {
        self.split_from = 0;
        if self.fresh.capacity() > KEPT_CAPACITY {
            self.fresh.shrink_to(KEPT_CAPACITY);
        }
        self.refill();
    }

    /// The head follows up, if it is empty and what comes next is in memory.
    fn refill(&mut self) {
        while self.fresh.is_empty()
            && let Some(backlog) = &mut self.backlog
        {
            let last = !backlog.has_pages();
            let Some(head) = backlog.take_head() else {
                return;
            };
            self.fresh = head;
            if last {
                self.backlog = None;
            }
        }
    }

    /// The message with the lowest position. `None` also when that is on disk.
    pub fn first(&self) -> Option<&Entry> {
        match self.requeued_before_others() {
            Some(First::Here(ranked)) => Some(&ranked.entry),
            Some(First::Away(_)) => None,
            None => self.first_in_order(),
        }
    }

    /// When the first message expires, if it is on disk. `None` when there is none, or it is in memory.
    pub fn head_expiry(&self) -> Option<HeadExpiry> {
        match self.requeued_before_others() {
            Some(First::Here(_)) => None,
            Some(First::Away(expiry)) => Some(HeadExpiry::Known(expiry)),
            None if self.fresh.is_empty() => self.backlog.as_deref()?.head_expiry(),
            None => None,
        }
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        let backlog = self.backlog.as_deref().map_or(0, Backlog::messages);
        self.fresh.len() + self.requeued.len() + backlog
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.requeued.is_empty() && self.backlog.is_none()
    }

    /// Of its pages.
    pub fn paged(&self) -> Totals {
        let mut paged = self.requeued.paged();
        if let Some(backlog) = &self.backlog {
            paged += backlog.totals();
        }
        paged
    }

    /// Bytes of pages that are in memory again, or on their way there.
    pub fn loaded(&self) -> u64 {
        self.backlog.as_deref().map_or(0, Backlog::loaded) + self.requeued.coming()
    }

    /// Pages out some of the oldest messages behind the head or the last of those that were requeued, a page of about
    /// this many bytes, if there are as many.
    pub fn page_out(
        &mut self,
        number: u64,
        bytes: u64,
        kept: impl Fn(&Entry) -> Kept,
    ) -> Option<PagedOut> {
        if self.backlog.is_none() {
            self.split_head(bytes);
        }
        if let Some(backlog) = &mut self.backlog
            && let Some(paged) = backlog.page_out(number, bytes, bytes, &kept)
        {
            return Some(paged);
        }
        // What was just read, because its turn has come, must not leave at once.
        match self.requeued.memory() >= 2 * bytes {
            true => self.page_out_requeued(number, bytes, bytes, kept),
            false => None,
        }
    }

    fn page_out_requeued(
        &mut self,
        number: u64,
        bytes: u64,
        at_head: u64,
        kept: impl Fn(&Entry) -> Kept,
    ) -> Option<PagedOut> {
        let paged = self.requeued.page_out(number, bytes, at_head, kept);
        paged.map(|(id, entries)| PagedOut::Sorted(id, entries))
    }

    /// Pages out a page of about this many bytes of what is in memory, and leaves `kept_bytes` at the head, about: of a
    /// queue that nobody takes anything from for now.
    pub fn squeeze(
        &mut self,
        number: u64,
        bytes: u64,
        kept_bytes: u64,
        kept: impl Fn(&Entry) -> Kept,
    ) -> Option<PagedOut> {
        if self.backlog.is_none() {
            self.split_head(bytes);
        }
        if let Some(backlog) = &mut self.backlog {
            backlog.let_go();
            if let Some(paged) = backlog.page_out(number, bytes, 1, &kept) {
                return Some(paged);
            }
        }
        let paged = self.page_out_requeued(number, bytes, kept_bytes, &kept);
        if paged.is_some() {
            return paged;
        }
        let weight: u64 = self.fresh.iter().map(Entry::weight).sum();
        let some = bytes.min(weight.saturating_sub(kept_bytes));
        if some == 0 {
            return None;
        }
        let backlog = self.backlog.get_or_insert_default();
        let paged = backlog.page_out_head(number, some, &mut self.fresh, kept);
        self.tidy();
        if self.fresh.is_empty() {
            self.fresh = VecDeque::new();
            self.split_from = 0;
        }
        paged
    }

    /// Leaves a page at the head and makes a backlog of the rest, if there is one.
    fn split_head(&mut self, bytes: u64) -> Option<()> {
        if self.fresh.len() < self.split_from {
            return None;
        }
        // Half as many again: each message is looked at a few times, not each time one comes.
        self.split_from = self.fresh.len() + self.fresh.len().div_ceil(2);
        let mut memory = 0;
        let mut weigh = |entry: &Entry| {
            memory += entry.weight();
            memory > bytes
        };
        let head = self.fresh.iter().position(&mut weigh)? + 1;
        if head == self.fresh.len() {
            return None;
        }
        let tail = self.fresh.split_off(head);
        self.backlog = Some(Box::new(Backlog::of(tail)));
        Some(())
    }

    /// Adds a page that the store kept across a restart, behind all that were ever added.
    pub fn restore(&mut self, number: u64, restored: &Outline) {
        self.backlog
            .get_or_insert_default()
            .restore(number, restored);
    }

    /// What has to be read so that the first message is in memory, and `ahead` bytes of messages behind the head.
    pub fn next_read(&mut self, ahead: u64) -> Option<Reading> {
        let wanted = if self.fresh.is_empty() {
            ahead.max(1)
        } else {
            ahead
        };
        // Those that were requeued are read when it is their turn.
        if self.requeued_first_is_away() {
            let (id, spilled) = self.requeued.next_read(0)?;
            return Some(Reading::Sorted(id, spilled));
        }
        self.backlog.as_deref_mut()?.next_read(wanted)
    }

    /// What has to be read before there is a first message.
    pub fn head_to_read(&mut self) -> Option<Reading> {
        if self.requeued_first().is_some() {
            return None;
        }
        if self.requeued_first_is_away() {
            let (id, spilled) = self.requeued.head_to_read()?;
            return Some(Reading::Sorted(id, spilled));
        }
        self.backlog.as_deref_mut()?.head_to_read()
    }

    /// See [`Backlog::written`].
    pub fn written(&mut self, id: PageId, spilled: io::Result<Arc<Spilled>>) {
        if let Some(backlog) = &mut self.backlog {
            backlog.written(id, spilled);
        }
    }

    /// See [`Backlog::awaits`].
    pub fn awaits(&self, id: PageId) -> bool {
        self.backlog.as_deref().is_some_and(|b| b.awaits(id))
    }

    /// See [`Backlog::arrived`].
    pub fn arrived(
        &mut self,
        id: PageId,
        entries: Vec<Entry>,
        found: Totals,
        rest: Option<(u64, Outline)>,
    ) -> Option<(Totals, Totals)> {
        let backlog = self.backlog.as_deref_mut()?;
        let known = backlog.arrived(id, entries, found, rest);
        self.tidy();
        known
    }

    /// See [`Backlog::not_read`].
    pub fn not_read(&mut self, id: PageId) {
        if let Some(backlog) = &mut self.backlog {
            backlog.not_read(id);
        }
    }

    /// What has come back to it: pages of that are moved without the line's help.
    pub fn requeued(&mut self) -> &mut Sorted {
        &mut self.requeued
    }

    /// Takes the page away that the first message is in.
    pub fn drop_page(&mut self) -> Option<Dropped> {
        if self.requeued_first_is_away() {
            return self.requeued.drop_page();
        }
        let page = self.backlog.as_deref_mut()?.drop_page();
        self.tidy();
        page
    }

    fn tidy(&mut self) {
        self.backlog.take_if(|backlog| backlog.is_empty());
    }
}

/// Where a message stands among those that were requeued.
fn rank(entry: &Entry) -> Rank {
    (entry.position.0, 0)
}
