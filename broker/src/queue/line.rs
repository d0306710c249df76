//! Messages in the order of their positions.

use super::entry::Entry;
use super::paging::{Backlog, Kept, OVERHEAD, Outline, Page, PageId, PagedOut, Reading, Totals};
use leveret_storage::{Position, Spilled};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

/// Messages that never left stand in a plain queue; the few that were requeued stand in a map
/// beside it, so that a requeue keeps its position at the cost of a logarithm, not of a shift of
/// the whole backlog. Of a line that was paged out, the plain queue is the head only.
#[derive(Debug, Default)]
pub struct Line {
    fresh: VecDeque<Entry>,
    requeued: BTreeMap<Position, Entry>,
    /// What stands behind `fresh`, of a line that was paged out.
    backlog: Option<Box<Backlog>>,
    /// While the head is shorter than this it is not looked at whether there is more than a page
    /// of it.
    split_from: usize,
}

/// A queue that had a backlog keeps no more than this many empty places.
const KEPT_CAPACITY: usize = 256;

impl Line {
    /// Adds a message at its place: behind all that were ever added, as a rule, or where it was
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
        self.requeued.insert(entry.position, entry);
    }

    /// Whether the first message is among those that were requeued. `None` when there is no
    /// message, or it is on disk.
    fn requeued_first(&self) -> Option<bool> {
        let requeued = self.requeued.first_key_value().map(|(place, _)| *place);
        if let Some(fresh) = self.fresh.front() {
            return Some(requeued.is_some_and(|place| place < fresh.position));
        }
        let paged = self.backlog.as_deref().and_then(Backlog::first);
        match (requeued, paged) {
            (Some(place), Some(paged)) => (place < paged).then_some(true),
            (requeued, _) => requeued.map(|_| true),
        }
    }

    /// Takes the message with the lowest position. `None` also when that is on disk.
    pub fn pop(&mut self) -> Option<Entry> {
        if self.requeued_first()? {
            return self.requeued.pop_first().map(|(_, entry)| entry);
        }
        let entry = self.fresh.pop_front();
        if self.fresh.is_empty() {
            self.split_from = 0;
            if self.fresh.capacity() > KEPT_CAPACITY {
                self.fresh.shrink_to(KEPT_CAPACITY);
            }
            self.refill();
        }
        entry
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
        if self.requeued_first()? {
            self.requeued.first_key_value().map(|(_, entry)| entry)
        } else {
            self.fresh.front()
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

    /// Whether there is something at the head that was never requeued.
    pub fn has_head(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Of its pages.
    pub fn paged(&self) -> Totals {
        self.backlog
            .as_deref()
            .map(Backlog::totals)
            .unwrap_or_default()
    }

    /// Pages out some of the oldest messages behind the head, a page of about so many octets, if
    /// there are as many.
    pub fn page_out(
        &mut self,
        id: PageId,
        octets: u64,
        kept: impl Fn(&Entry) -> Kept,
    ) -> Option<PagedOut> {
        if self.backlog.is_none() {
            self.split_head(octets)?;
        }
        self.backlog.as_deref_mut()?.page_out(id, octets, kept)
    }

    /// Leaves a page at the head and makes a backlog of the rest, if there is one.
    fn split_head(&mut self, octets: u64) -> Option<()> {
        if self.fresh.len() < self.split_from {
            return None;
        }
        // Half as many again: each message is looked at a few times, not each time one comes.
        self.split_from = self.fresh.len() + self.fresh.len().div_ceil(2);
        let mut memory = 0;
        let mut weigh = |entry: &Entry| {
            memory += entry.message.body().len() as u64 + OVERHEAD;
            memory > octets
        };
        let head = self.fresh.iter().position(&mut weigh)? + 1;
        if head == self.fresh.len() {
            return None;
        }
        let tail = self.fresh.split_off(head);
        self.backlog = Some(Box::new(Backlog::of(tail)));
        Some(())
    }

    /// Adds a page that the store kept over a restart, behind all that were ever added.
    pub fn restore(&mut self, id: PageId, restored: &Outline) {
        self.backlog.get_or_insert_default().restore(id, restored);
    }

    /// What has to be read so that `octets` of messages are ready behind the head.
    pub fn next_read(&mut self, octets: u64) -> Option<Reading> {
        self.backlog.as_deref_mut()?.next_read(octets)
    }

    /// What has to be read before there is a first message.
    pub fn head_to_read(&mut self) -> Option<Reading> {
        if !self.fresh.is_empty() || self.requeued_first().is_some() {
            return None;
        }
        self.backlog.as_deref_mut()?.head_to_read()
    }

    /// See [`Backlog::written`].
    pub fn written(&mut self, id: PageId, spilled: io::Result<Arc<Spilled>>) {
        if let Some(backlog) = &mut self.backlog {
            backlog.written(id, spilled);
            self.refill();
        }
    }

    /// See [`Backlog::awaits`].
    pub fn awaits(&self, id: PageId) -> bool {
        self.backlog.as_deref().is_some_and(|b| b.awaits(id))
    }

    /// See [`Backlog::arrived`].
    pub fn arrived(&mut self, id: PageId, entries: Vec<Entry>, found: Totals) -> Option<Totals> {
        let known = self.backlog.as_deref_mut()?.arrived(id, entries, found);
        self.refill();
        known
    }

    /// See [`Backlog::not_read`].
    pub fn not_read(&mut self, id: PageId) {
        if let Some(backlog) = &mut self.backlog {
            backlog.not_read(id);
        }
    }

    /// Takes the first page away, wherever it is.
    pub fn drop_page(&mut self) -> Option<Page> {
        let page = self.backlog.as_deref_mut()?.drop_page();
        self.refill();
        page
    }
}
