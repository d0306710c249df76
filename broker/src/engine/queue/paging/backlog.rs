//! The part of a line behind its head: pages on disk, followed by the newest messages.

use super::page::{
    Dropped, HeadExpiry, Outline, Page, PageBuilder, PageId, PagedOut, Place, Reading, Source,
    StoredForm, Totals,
};
use crate::engine::queue::entry::Entry;
use leveret_storage::{Position, Spilled};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// The part of a line behind its head, if it has one.
#[derive(Debug, Default)]
pub struct Backlog {
    /// In the order of their messages.
    pages: VecDeque<Page>,
    /// The totals of all pages.
    totals: Totals,
    /// Bytes of pages that are in memory again, or being read.
    loaded: u64,
    /// The newest messages, in memory.
    tail: VecDeque<Entry>,
    /// The totals of the tail: a line without enough for a page must not be scanned each time.
    tail_totals: Totals,
}

impl Backlog {
    /// Creates a backlog of these messages, all in memory.
    pub fn of(tail: VecDeque<Entry>) -> Self {
        let mut tail_totals = Totals::default();
        for entry in &tail {
            tail_totals.count(entry, false);
        }
        Backlog {
            tail,
            tail_totals,
            ..Backlog::default()
        }
    }

    /// The totals of all pages.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Bytes of pages that are in memory again, or being read.
    pub fn loaded(&self) -> u64 {
        self.loaded
    }

    /// Returns when the first message expires if only its page is known. `None` if it is in memory or being read.
    pub fn head_expiry(&self) -> Option<HeadExpiry> {
        let page = self.pages.front()?;
        matches!(page.place, Place::Away(_)).then_some(page.head)
    }

    /// Number of messages.
    pub fn messages(&self) -> usize {
        // The count fits: they were counted one by one.
        self.totals.messages as usize + self.tail.len()
    }

    /// Returns the position of the first message; for a page on disk, a lower bound of it.
    pub fn first(&self) -> Option<Position> {
        // What a page was known by may have left it for another place when it was read.
        let here = self.peek().map(|entry| entry.position);
        here.or_else(|| self.pages.front().map(|page| page.first))
    }

    /// Returns the first message, if it is in memory.
    pub fn peek(&self) -> Option<&Entry> {
        match self.pages.front().map(|page| &page.place) {
            Some(Place::Leaving(entries)) => entries.first(),
            Some(Place::Here(entries, _)) => entries.first(),
            Some(Place::Away(_) | Place::Coming(_)) => None,
            None => self.tail.front(),
        }
    }

    /// Returns the position of the last message.
    pub fn last(&self) -> Option<Position> {
        let tail = self.tail.back().map(|entry| entry.position);
        tail.or_else(|| self.pages.back().map(|page| page.last))
    }

    /// Adds a message after all others.
    pub fn push(&mut self, entry: Entry) {
        self.tail_totals.count(&entry, false);
        self.tail.push_back(entry);
    }

    /// Takes messages from the front that are in memory: a page of them or the tail. `None` if the
    /// first page is on disk.
    pub fn take_head(&mut self) -> Option<VecDeque<Entry>> {
        let Some(page) = self.pages.pop_front() else {
            self.tail_totals = Totals::default();
            return Some(std::mem::take(&mut self.tail));
        };
        let loaded = page.loaded();
        let entries = match page.place {
            Place::Here(entries, _) => entries,
            // The writer shares it; what was written is then of no use.
            Place::Leaving(entries) => Arc::try_unwrap(entries).unwrap_or_else(|e| e.to_vec()),
            place @ (Place::Away(_) | Place::Coming(_)) => {
                self.pages.push_front(Page { place, ..page });
                return None;
            }
        };
        self.totals -= page.totals;
        self.loaded -= loaded;
        Some(entries.into())
    }

    /// Makes a page of about this many bytes of the oldest messages of the tail, unless it has less than `least` bytes,
    /// or one of them has to stay.
    pub fn page_out(
        &mut self,
        number: u64,
        bytes: u64,
        least: u64,
        kept: impl Fn(&Entry) -> StoredForm,
    ) -> Option<PagedOut> {
        if self.tail_totals.weight < least {
            return None;
        }
        let (count, builder) = fill_page(&self.tail, bytes, kept)?;
        // For the tail, stored messages are not counted.
        let (stored, stored_bytes) = (0, 0);
        self.tail_totals -= Totals {
            stored,
            stored_bytes,
            ..builder.totals()
        };
        let entries = self.tail.drain(..count).collect();
        let page = builder.finish(number, entries)?;
        let paged = page.paged_out();
        self.totals += page.totals;
        self.pages.push_back(page);
        Some(paged)
    }

    /// Makes a page of about this many bytes of the last messages of a head, which precedes the whole backlog, unless
    /// one of them has to stay. `head` keeps the others.
    pub fn page_out_head(
        &mut self,
        number: u64,
        bytes: u64,
        head: &mut VecDeque<Entry>,
        kept: impl Fn(&Entry) -> StoredForm,
    ) -> Option<PagedOut> {
        let mut weight = 0;
        let fits = |entry: &&Entry| {
            let before = weight;
            weight += entry.weight();
            before < bytes
        };
        let from = head.len() - head.iter().rev().take_while(fits).count();
        let (_, builder) = fill_page(head.range(from..), u64::MAX, kept)?;
        let entries = head.drain(from..).collect();
        let page = builder.finish(number, entries)?;
        let paged = page.paged_out();
        self.totals += page.totals;
        self.pages.push_front(page);
        Some(paged)
    }

    /// Drops pages that were read ahead and are still on disk.
    pub fn let_go(&mut self) {
        for page in &mut self.pages {
            if let Place::Here(_, source @ Some(_)) = &mut page.place
                && let Some(source) = source.take()
            {
                self.loaded -= page.totals.weight;
                page.place = Place::Away(source);
            }
        }
    }

    /// Adds a page that the store kept across a restart, after all others.
    pub fn restore(&mut self, number: u64, restored: &Outline) {
        let page = Page::restored(number, restored);
        self.totals += page.totals;
        self.pages.push_back(page);
    }

    /// Returns the next page to read, if less than `bytes` of messages are loaded or being read;
    /// marks it as being read.
    pub fn next_read(&mut self, bytes: u64) -> Option<Reading> {
        let mut ahead = 0;
        for page in &mut self.pages {
            if ahead >= bytes {
                return None;
            }
            ahead += page.totals.weight;
            if let Place::Away(source) = &page.place {
                let source = source.clone();
                self.loaded += page.totals.weight;
                return Some(page.read(source));
            }
        }
        None
    }

    /// Returns the first page, if it is not in memory, for callers that cannot wait.
    pub fn head_to_read(&mut self) -> Option<Reading> {
        let page = self.pages.front_mut()?;
        let before = page.loaded();
        let (Place::Away(source) | Place::Coming(source)) = &page.place else {
            return None;
        };
        let source = source.clone();
        let reading = page.read(source);
        self.loaded = self.loaded - before + page.loaded();
        Some(reading)
    }

    fn find(&self, id: PageId) -> Option<usize> {
        self.pages.binary_search_by_key(&id, |page| page.id).ok()
    }

    fn page(&mut self, id: PageId) -> Option<&mut Page> {
        let at = self.find(id)?;
        self.pages.get_mut(at)
    }

    /// Handles a page that was written, or could not be: then it stays in memory.
    pub fn written(&mut self, id: PageId, spilled: io::Result<Arc<Spilled>>) {
        let Some(page) = self.page(id) else {
            return;
        };
        if let Place::Leaving(entries) = &mut page.place {
            match spilled {
                Ok(spilled) => page.place = Place::Away(Source::Spilled(spilled)),
                Err(_) => {
                    let entries = std::mem::take(entries);
                    let entries = Arc::try_unwrap(entries).unwrap_or_else(|e| e.to_vec());
                    page.place = Place::Here(entries, None);
                    self.loaded += page.totals.weight;
                }
            }
        }
    }

    /// Returns whether a page was requested and has not arrived.
    pub fn awaits(&self, id: PageId) -> bool {
        let at = self.find(id);
        at.is_some_and(|at| matches!(self.pages[at].place, Place::Coming(_)))
    }

    /// Handles the arrival of an awaited page with these messages; `rest` did not fit into memory and is read later.
    /// Returns what was known of the page, and of the rest.
    pub fn page_read(
        &mut self,
        id: PageId,
        entries: Vec<Entry>,
        found: Totals,
        rest: Option<(u64, Outline)>,
    ) -> Option<(Totals, Totals)> {
        let at = self.find(id)?;
        let page = &mut self.pages[at];
        let Place::Coming(source) = &page.place else {
            return None;
        };
        // Otherwise state that only the queue knows would be lost, and messages that have moved elsewhere would appear
        // twice. The same holds for a rest: a page that came in parts is not requested again, so that a reader that
        // still uses its first outline is not believed.
        let plain = entries.iter().all(|entry| entry.returns().is_zero());
        let complete = rest.is_none() && found.messages == page.totals.messages;
        let source = Some(source.clone()).filter(|_| plain && complete);
        let known = std::mem::replace(&mut page.totals, found);
        self.loaded = self.loaded - known.weight + found.weight;
        if let Some(first) = entries.first() {
            page.head = HeadExpiry::Known(first.expiry());
        }
        page.place = Place::Here(entries, source);
        self.totals -= known;
        self.totals += found;
        let Some((number, outline)) = rest else {
            if found.messages == 0 {
                self.pages.remove(at);
            }
            return Some((known, Totals::default()));
        };
        page.last = Position(outline.first.0.saturating_sub(1));
        page.stored = [(page.first, page.last)].into();
        let rest = Page::restored(number, &outline);
        let added = rest.totals;
        self.totals += added;
        self.pages.insert(at + 1, rest);
        Some((known, added))
    }

    /// Handles a page that could not be read; it may be requested again.
    pub fn not_read(&mut self, id: PageId) {
        if let Some(page) = self.page(id)
            && let Place::Coming(source) = &page.place
        {
            let weight = page.totals.weight;
            page.place = Place::Away(source.clone());
            self.loaded -= weight;
        }
    }

    /// Removes the first page, wherever it is.
    pub fn drop_page(&mut self) -> Option<Dropped> {
        let page = self.pages.pop_front()?;
        self.totals -= page.totals;
        self.loaded -= page.loaded();
        Some(page.into_dropped())
    }

    /// Returns whether there is nothing left.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty() && self.tail.is_empty()
    }

    /// Returns whether there are pages.
    pub fn has_pages(&self) -> bool {
        !self.pages.is_empty()
    }
}

/// Collects messages for a page of about this many bytes; returns how many. `None` if there are none, or one of them
/// has to stay.
fn fill_page<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    bytes: u64,
    kept: impl Fn(&Entry) -> StoredForm,
) -> Option<(usize, PageBuilder)> {
    let mut builder = PageBuilder::new();
    let mut count = 0;
    for entry in entries {
        if builder.totals().weight >= bytes {
            break;
        }
        match kept(entry) {
            StoredForm::Pending => return None,
            kept => builder.note(entry, kept),
        }
        count += 1;
    }
    (count > 0).then_some((count, builder))
}

impl Page {
    /// Creates a page that the store kept across a restart.
    fn restored(number: u64, restored: &Outline) -> Page {
        Page {
            id: PageId::at(restored.first, number),
            first: restored.first,
            last: restored.last,
            totals: restored.totals(),
            stored: [(restored.first, restored.last)].into(),
            head: HeadExpiry::Unknown,
            place: Place::Away(Source::Stored),
        }
    }

    fn paged_out(&self) -> PagedOut {
        match &self.place {
            Place::Leaving(entries) => PagedOut::Line(self.id, entries.clone()),
            _ => PagedOut::Stored,
        }
    }

    /// Marks it as being read.
    fn read(&mut self, source: Source) -> Reading {
        self.place = Place::Coming(source.clone());
        let Totals {
            messages, bytes, ..
        } = self.totals;
        let outline = Outline {
            first: self.first,
            last: self.last,
            messages,
            bytes,
        };
        Reading::Line(self.id, source, outline)
    }
}
