//! Messages in the order of their positions.

use super::entry::Entry;
use super::paging::{
    Backlog, Dropped, FirstMessage, HeadExpiry, Outline, PageId, PagedOut, Rank, Ranked, Reading,
    Sorted, StoredForm, Totals,
};
use leveret_storage::Spilled;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// Messages that never left are in a plain deque; the few that were requeued are kept sorted beside it, so that a
/// requeue keeps its position at logarithmic cost, without shifting the whole backlog. If the line was paged out, the
/// deque is only its head. Any part of all this can be on disk.
#[derive(Debug, Default)]
pub struct Line {
    fresh: VecDeque<Entry>,
    requeued: Sorted,
    /// What follows `fresh`, if the line was paged out.
    backlog: Option<Box<Backlog>>,
    /// While the head is shorter than this it is not checked for exceeding a page.
    split_from: usize,
}

/// The maximum unused capacity that a queue keeps after a backlog.
const KEPT_CAPACITY: usize = 256;

impl Line {
    /// Adds a message at its position: usually after all others, or where it was reserved before
    /// others came.
    #[inline]
    pub fn insert(&mut self, entry: Entry) {
        let backlog = self.backlog.as_deref().and_then(Backlog::last);
        let last = backlog.or_else(|| self.fresh.back().map(|last| last.position));
        match last {
            Some(last) if last > entry.position => self.requeue(entry),
            _ => self.push(entry),
        }
    }

    /// Adds a message after all others.
    #[inline]
    fn push(&mut self, entry: Entry) {
        match &mut self.backlog {
            None => self.fresh.push_back(entry),
            Some(backlog) => backlog.push(entry),
        }
    }

    /// Puts a message back at its position.
    pub fn requeue(&mut self, entry: Entry) {
        self.requeued.insert(rank(&entry), Ranked::new(entry));
    }

    /// Returns whether the first message is among those that were requeued. `None` if there is no
    /// message, or it is on disk.
    #[inline]
    fn requeued_first(&self) -> Option<bool> {
        if let Some(first) = self.requeued_before_others() {
            return matches!(first, FirstMessage::Here(_)).then_some(true);
        }
        self.first_in_order().map(|_| false)
    }

    /// Returns the first message that was not requeued, if it is in memory. It may be in a page that is being written.
    #[inline]
    fn first_in_order(&self) -> Option<&Entry> {
        let behind = || self.backlog.as_deref().and_then(Backlog::peek);
        self.fresh.front().or_else(behind)
    }

    /// Returns the first requeued message, if it is the first of all.
    #[inline]
    fn requeued_before_others(&self) -> Option<FirstMessage<'_>> {
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
        matches!(self.requeued_before_others(), Some(FirstMessage::Away(_)))
    }

    /// Removes and returns the message with the lowest position. Returns `None` also if that is on
    /// disk.
    #[inline]
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

    /// Refills an empty head, which may have been longer before.
    fn refill_anew(&mut self) {
        self.split_from = 0;
        if self.fresh.capacity() > KEPT_CAPACITY {
            self.fresh.shrink_to(KEPT_CAPACITY);
        }
        self.refill();
    }

    /// Refills the head if it is empty and the next messages are in memory.
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

    /// Returns the message with the lowest position. `None` also if that is on disk.
    #[inline]
    pub fn first(&self) -> Option<&Entry> {
        match self.requeued_before_others() {
            Some(FirstMessage::Here(ranked)) => Some(&ranked.entry),
            Some(FirstMessage::Away(_)) => None,
            None => self.first_in_order(),
        }
    }

    /// Returns when the first message expires, if it is on disk. `None` if there is none, or it is in memory.
    pub fn head_expiry(&self) -> Option<HeadExpiry> {
        match self.requeued_before_others() {
            Some(FirstMessage::Here(_)) => None,
            Some(FirstMessage::Away(expiry)) => Some(HeadExpiry::Known(expiry)),
            None if self.fresh.is_empty() => self.backlog.as_deref()?.head_expiry(),
            None => None,
        }
    }

    /// Returns the number of messages.
    #[inline]
    pub fn len(&self) -> usize {
        let backlog = self.backlog.as_deref().map_or(0, Backlog::messages);
        self.fresh.len() + self.requeued.len() + backlog
    }

    /// Returns whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.requeued.is_empty() && self.backlog.is_none()
    }

    /// Returns the totals of its pages.
    pub fn paged(&self) -> Totals {
        let mut paged = self.requeued.paged();
        if let Some(backlog) = &self.backlog {
            paged += backlog.totals();
        }
        paged
    }

    /// Returns the bytes of pages that are in memory again, or being read.
    pub fn loaded(&self) -> u64 {
        self.backlog.as_deref().map_or(0, Backlog::loaded) + self.requeued.coming()
    }

    /// Pages out some of the oldest messages after the head, or the last requeued ones, as a page of about this many
    /// bytes if there are enough.
    pub fn page_out(
        &mut self,
        number: u64,
        bytes: u64,
        kept: impl Fn(&Entry) -> StoredForm,
    ) -> Option<PagedOut> {
        if self.backlog.is_none() {
            self.split_head(bytes);
        }
        if let Some(backlog) = &mut self.backlog
            && let Some(paged) = backlog.page_out(number, bytes, bytes, &kept)
        {
            return Some(paged);
        }
        // Messages just read because they are next must not leave again immediately.
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
        kept: impl Fn(&Entry) -> StoredForm,
    ) -> Option<PagedOut> {
        let paged = self.requeued.page_out(number, bytes, at_head, kept);
        paged.map(|(id, entries)| PagedOut::Sorted(id, entries))
    }

    /// Pages out about this many bytes of what is in memory, and leaves about `kept_bytes` at the head: for a queue
    /// that nobody currently consumes from.
    pub fn page_out_idle(
        &mut self,
        number: u64,
        bytes: u64,
        kept_bytes: u64,
        kept: impl Fn(&Entry) -> StoredForm,
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

    /// Leaves a page at the head and makes a backlog of the rest, if there is any.
    fn split_head(&mut self, bytes: u64) -> Option<()> {
        if self.fresh.len() < self.split_from {
            return None;
        }
        // One and a half times as many: each message is checked a few times, not whenever one
        // arrives.
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

    /// Adds a page that the store kept across a restart, after all others.
    pub fn restore(&mut self, number: u64, restored: &Outline) {
        self.backlog
            .get_or_insert_default()
            .restore(number, restored);
    }

    /// Returns what has to be read so that the first message is in memory, and `ahead` bytes of messages after the
    /// head.
    pub fn next_read(&mut self, ahead: u64) -> Option<Reading> {
        let wanted = if self.fresh.is_empty() {
            ahead.max(1)
        } else {
            ahead
        };
        // Requeued messages are read when it is their turn.
        if self.requeued_first_is_away() {
            let (id, spilled) = self.requeued.next_read(0)?;
            return Some(Reading::Sorted(id, spilled));
        }
        self.backlog.as_deref_mut()?.next_read(wanted)
    }

    /// Returns what has to be read before there is a first message.
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

    /// See [`Backlog::page_read`].
    pub fn page_read(
        &mut self,
        id: PageId,
        entries: Vec<Entry>,
        found: Totals,
        rest: Option<(u64, Outline)>,
    ) -> Option<(Totals, Totals)> {
        let backlog = self.backlog.as_deref_mut()?;
        let known = backlog.page_read(id, entries, found, rest);
        self.tidy();
        known
    }

    /// See [`Backlog::not_read`].
    pub fn not_read(&mut self, id: PageId) {
        if let Some(backlog) = &mut self.backlog {
            backlog.not_read(id);
        }
    }

    /// Returns the requeued messages, whose pages move without the line's help.
    pub fn requeued(&mut self) -> &mut Sorted {
        &mut self.requeued
    }

    /// Removes the page with the first message.
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

/// Returns the rank of a message among the requeued ones.
fn rank(entry: &Entry) -> Rank {
    (entry.position.0, 0)
}
