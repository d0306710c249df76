//! What of a line is not at its head: pages on disk, and behind them what came last.

use super::page::{
    Kept, Outline, Page, PageBuilder, PageId, PagedOut, Place, Reading, Source, Totals,
};
use crate::queue::entry::Entry;
use leveret_storage::{Position, Spilled};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// The part of a line behind its head, of lines that have one.
#[derive(Debug, Default)]
pub struct Backlog {
    /// In the order of their messages.
    pages: VecDeque<Page>,
    /// Of all pages.
    totals: Totals,
    /// What came last, in memory.
    tail: VecDeque<Entry>,
    /// Of the tail: lines that have not enough for a page must not be gone through each time.
    tail_totals: Totals,
}

impl Backlog {
    /// A backlog of these messages, all of them in memory.
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

    /// Of all pages.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Number of messages.
    pub fn messages(&self) -> usize {
        // There are as many as were counted one by one.
        self.totals.messages as usize + self.tail.len()
    }

    /// The place of the first message.
    pub fn first(&self) -> Option<Position> {
        let page = self.pages.front().map(|page| page.first);
        page.or_else(|| self.tail.front().map(|entry| entry.position))
    }

    /// The place of the last message.
    pub fn last(&self) -> Option<Position> {
        let tail = self.tail.back().map(|entry| entry.position);
        tail.or_else(|| self.pages.back().map(|page| page.last))
    }

    /// Adds a message behind all others.
    pub fn push(&mut self, entry: Entry) {
        self.tail_totals.count(&entry, false);
        self.tail.push_back(entry);
    }

    /// Takes messages from the front that are in memory, a page of them or the tail. `None` when
    /// the first page is not.
    pub fn take_head(&mut self) -> Option<VecDeque<Entry>> {
        let Some(page) = self.pages.pop_front() else {
            self.tail_totals = Totals::default();
            return Some(std::mem::take(&mut self.tail));
        };
        let entries = match page.place {
            Place::Here(entries) => entries,
            // Whoever writes it has a share; what was written is of no use then.
            Place::Leaving(entries) => Arc::try_unwrap(entries).unwrap_or_else(|e| e.to_vec()),
            place @ (Place::Away(_) | Place::Coming(_)) => {
                self.pages.push_front(Page { place, ..page });
                return None;
            }
        };
        self.totals -= page.totals;
        Some(entries.into())
    }

    /// Makes a page of the oldest messages of the tail, unless they are fewer than a page holds or
    /// one of them has to stay.
    pub fn page_out(
        &mut self,
        id: PageId,
        octets: u64,
        kept: impl Fn(&Entry) -> Kept,
    ) -> Option<PagedOut> {
        if self.tail_totals.memory() < octets {
            return None;
        }
        let mut builder = PageBuilder::new();
        let mut count = 0;
        for entry in &self.tail {
            if builder.totals().memory() >= octets {
                break;
            }
            match kept(entry) {
                Kept::NotYet => return None,
                kept => builder.note(entry, kept),
            }
            count += 1;
        }
        // Of the tail it is not counted what is stored.
        let (stored, stored_octets) = (0, 0);
        self.tail_totals -= Totals {
            stored,
            stored_octets,
            ..builder.totals()
        };
        let entries = self.tail.drain(..count).collect();
        let page = builder.finish(id, entries)?;
        let entries = match &page.place {
            Place::Leaving(entries) => Some(entries.clone()),
            _ => None,
        };
        self.totals += page.totals;
        self.pages.push_back(page);
        Some(PagedOut { page: id, entries })
    }

    /// Adds a page that the store kept over a restart, behind all others.
    pub fn restore(&mut self, id: PageId, restored: &Outline) {
        let totals = Totals {
            messages: restored.messages,
            octets: restored.octets,
            stored: restored.messages,
            stored_octets: restored.octets,
        };
        self.totals += totals;
        self.pages.push_back(Page {
            id,
            first: restored.first,
            last: restored.last,
            totals,
            stored: [(restored.first, restored.last)].into(),
            place: Place::Away(Source::Stored),
        });
    }

    /// The next page to be read, if less than `octets` of messages are on their way or here; it is
    /// on its way from now on.
    pub fn next_read(&mut self, octets: u64) -> Option<Reading> {
        let mut ahead = 0;
        for page in &mut self.pages {
            if ahead >= octets {
                return None;
            }
            ahead += page.totals.memory();
            if let Place::Away(source) = &page.place {
                let source = source.clone();
                return Some(page.read(source));
            }
        }
        None
    }

    /// The first page, if it is not in memory, for whoever cannot wait.
    pub fn head_to_read(&mut self) -> Option<Reading> {
        let page = self.pages.front_mut()?;
        let (Place::Away(source) | Place::Coming(source)) = &page.place else {
            return None;
        };
        let source = source.clone();
        Some(page.read(source))
    }

    fn page(&mut self, id: PageId) -> Option<&mut Page> {
        let at = self.pages.binary_search_by_key(&id, |page| page.id).ok()?;
        self.pages.get_mut(at)
    }

    /// A page was written, or could not be: then it stays in memory.
    pub fn written(&mut self, id: PageId, spilled: io::Result<Arc<Spilled>>) {
        let Some(page) = self.page(id) else {
            return;
        };
        if let Place::Leaving(entries) = &mut page.place {
            page.place = match spilled {
                Ok(spilled) => Place::Away(Source::Spilled(spilled)),
                Err(_) => {
                    let entries = std::mem::take(entries);
                    Place::Here(Arc::try_unwrap(entries).unwrap_or_else(|e| e.to_vec()))
                }
            };
        }
    }

    /// Whether a page was asked for and has not come.
    pub fn awaits(&self, id: PageId) -> bool {
        let page = self.pages.binary_search_by_key(&id, |page| page.id);
        page.is_ok_and(|at| matches!(self.pages[at].place, Place::Coming(_)))
    }

    /// A page has come that was awaited, with these messages. Returns what was known of it.
    pub fn arrived(&mut self, id: PageId, entries: Vec<Entry>, found: Totals) -> Option<Totals> {
        let page = self.page(id)?;
        let known = std::mem::replace(&mut page.totals, found);
        page.place = Place::Here(entries);
        self.totals -= known;
        self.totals += found;
        Some(known)
    }

    /// A page could not be read; it may be asked for again.
    pub fn not_read(&mut self, id: PageId) {
        if let Some(page) = self.page(id)
            && let Place::Coming(source) = &page.place
        {
            page.place = Place::Away(source.clone());
        }
    }

    /// Takes the first page away, wherever it is.
    pub fn drop_page(&mut self) -> Option<Page> {
        let page = self.pages.pop_front()?;
        self.totals -= page.totals;
        Some(page)
    }

    /// Whether there are pages.
    pub fn has_pages(&self) -> bool {
        !self.pages.is_empty()
    }
}

impl Page {
    /// It is on its way from now on.
    fn read(&mut self, source: Source) -> Reading {
        self.place = Place::Coming(source.clone());
        let Totals {
            messages, octets, ..
        } = self.totals;
        Reading {
            page: self.id,
            source,
            outline: Outline {
                first: self.first,
                last: self.last,
                messages,
                octets,
            },
        }
    }
}
