//! Messages sorted by rank, any part of which can be on disk: requeued messages of a line, delayed messages, messages
//! waiting for a retry.
//!
//! Those taken last are paged out first. Pages may overlap, since later messages may belong between theirs; a page is
//! read when its turn comes, and its messages take their places among those in memory.

use super::page::{Dropped, PageBuilder, PageId, StoredForm, Totals};
use super::ranked::{Rank, Ranked, RankedPage};
use crate::engine::clock::Time;
use crate::engine::queue::entry::Entry;
use leveret_storage::{Position, Spilled};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// Messages sorted by rank.
#[derive(Debug, Default)]
pub struct Sorted {
    here: BTreeMap<Rank, Ranked>,
    /// Bytes of the messages in memory.
    weight: u64,
    away: Option<Box<OnDisk>>,
}

#[derive(Debug, Default)]
struct OnDisk {
    pages: BTreeMap<PageId, Page>,
    totals: Totals,
    /// Bytes of the messages being read.
    coming: u64,
}

#[derive(Debug)]
struct Page {
    totals: Totals,
    stored: Box<[(Position, Position)]>,
    /// When its first message expires.
    expiry: Option<Time>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// In memory while they are being written.
    Leaving(Arc<RankedPage>),
    Away(Arc<Spilled>),
    Coming(Arc<Spilled>),
}

/// Where the first message is.
#[derive(Clone, Copy, Debug)]
pub enum FirstMessage<'a> {
    /// In memory.
    Here(&'a Ranked),
    /// On disk; it expires at this time, which no longer matters once it is being read.
    Away(Option<Time>),
}

impl Sorted {
    /// Adds a message; its rank must be unique.
    pub fn insert(&mut self, rank: Rank, ranked: Ranked) {
        self.weight += ranked.weight();
        self.here.insert(rank, ranked);
    }

    fn first_page(&self) -> Option<(&PageId, &Page)> {
        let (id, page) = self.away.as_deref()?.pages.first_key_value()?;
        match self.here.first_key_value() {
            Some((rank, _)) if *rank < id.first => None,
            _ => Some((id, page)),
        }
    }

    /// Returns the first message and its rank.
    #[inline]
    pub fn first(&self) -> Option<(Rank, FirstMessage<'_>)> {
        if let Some((id, page)) = self.first_page() {
            let first = match &page.place {
                Place::Leaving(entries) => FirstMessage::Here(&entries.first()?.1),
                Place::Away(_) => FirstMessage::Away(page.expiry),
                Place::Coming(_) => FirstMessage::Away(None),
            };
            return Some((id.first, first));
        }
        let (rank, ranked) = self.here.first_key_value()?;
        Some((*rank, FirstMessage::Here(ranked)))
    }

    /// Removes and returns the first message. `None` also if it is on disk.
    pub fn pop_first(&mut self) -> Option<(Rank, Ranked)> {
        if let Some((id, page)) = self.first_page() {
            let (id, Place::Leaving(_)) = (*id, &page.place) else {
                return None;
            };
            self.take_back(id);
        }
        let (rank, ranked) = self.here.pop_first()?;
        self.weight -= ranked.weight();
        Some((rank, ranked))
    }

    /// Takes back a page that is being written. The writer shares it; what was written is then of no use.
    fn take_back(&mut self, id: PageId) {
        if let Some(Page {
            place: Place::Leaving(entries),
            ..
        }) = self.remove(id)
        {
            let entries = Arc::try_unwrap(entries).unwrap_or_else(|shared| shared.to_vec());
            self.extend(entries);
        }
    }

    fn extend(&mut self, entries: RankedPage) {
        for (rank, ranked) in entries {
            self.insert(rank, ranked);
        }
    }

    fn remove(&mut self, id: PageId) -> Option<Page> {
        let away = self.away.as_deref_mut()?;
        let page = away.pages.remove(&id)?;
        away.totals -= page.totals;
        if matches!(page.place, Place::Coming(_)) {
            away.coming -= page.totals.weight;
        }
        if away.pages.is_empty() {
            self.away = None;
        }
        Some(page)
    }

    /// Returns the number of messages.
    #[inline]
    pub fn len(&self) -> usize {
        // The count fits: they were counted one by one.
        self.here.len() + self.paged().messages as usize
    }

    /// Returns whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.here.is_empty() && self.away.is_none()
    }

    /// Returns the totals of its pages.
    pub fn paged(&self) -> Totals {
        self.away
            .as_deref()
            .map(|away| away.totals)
            .unwrap_or_default()
    }

    /// Returns the bytes of messages in memory or being read.
    pub fn memory(&self) -> u64 {
        self.weight + self.coming()
    }

    /// Returns the bytes of messages being read.
    pub fn coming(&self) -> u64 {
        self.away.as_deref().map_or(0, |away| away.coming)
    }

    /// Makes a page of about this many bytes of the messages that are taken last, and leaves at least `at_head` bytes
    /// of those taken first in memory. Does nothing if one of them has to stay.
    pub fn page_out(
        &mut self,
        number: u64,
        bytes: u64,
        at_head: u64,
        kept: impl Fn(&Entry) -> StoredForm,
    ) -> Option<(PageId, Arc<RankedPage>)> {
        let mut weight = 0;
        let mut first = None;
        for (rank, ranked) in self.here.iter().rev() {
            let more = weight + ranked.weight();
            if weight >= bytes || self.weight < at_head + more {
                break;
            }
            if kept(&ranked.entry) == StoredForm::Pending {
                return None;
            }
            weight = more;
            first = Some(*rank);
        }
        let entries: Vec<_> = self.here.split_off(&first?).into_iter().collect();
        self.weight -= weight;
        let mut builder = PageBuilder::new();
        for (_, ranked) in &entries {
            builder.note(&ranked.entry, kept(&ranked.entry));
        }
        let (totals, stored) = builder.into_parts();
        let (first, ranked) = entries.first()?;
        let first = *first;
        let expiry = ranked.entry.expiry();
        let entries = Arc::new(entries);
        let id = PageId { first, number };
        let page = Page {
            totals,
            stored,
            expiry,
            place: Place::Leaving(entries.clone()),
        };
        let away = self.away.get_or_insert_default();
        away.totals += totals;
        away.pages.insert(id, page);
        Some((id, entries))
    }

    /// Handles a page that was written, or could not be: then it stays in memory.
    pub fn written(&mut self, id: PageId, spilled: io::Result<Arc<Spilled>>) {
        let away = self.away.as_deref_mut();
        let Some(page) = away.and_then(|away| away.pages.get_mut(&id)) else {
            return;
        };
        match (&page.place, spilled) {
            (Place::Leaving(_), Ok(spilled)) => page.place = Place::Away(spilled),
            (Place::Leaving(_), Err(_)) => self.take_back(id),
            _ => {}
        }
    }

    /// Returns the page to read now, if it has the first message or less than `ahead` bytes in memory precede it; marks
    /// it as being read.
    pub fn next_read(&mut self, ahead: u64) -> Option<(PageId, Arc<Spilled>)> {
        let memory = self.memory();
        let first = self.here.first_key_value().map(|(rank, _)| *rank);
        let away = self.away.as_deref_mut()?;
        let mut entry = away.pages.first_entry()?;
        let is_first = first.is_none_or(|rank| entry.key().first < rank);
        let Place::Away(spilled) = &entry.get().place else {
            return None;
        };
        if !is_first && memory >= ahead {
            return None;
        }
        let spilled = spilled.clone();
        entry.get_mut().place = Place::Coming(spilled.clone());
        away.coming += entry.get().totals.weight;
        Some((*entry.key(), spilled))
    }

    /// Returns the page with the first message, for callers that cannot wait.
    pub fn head_to_read(&mut self) -> Option<(PageId, Arc<Spilled>)> {
        let (id, page) = self.first_page()?;
        match &page.place {
            Place::Leaving(_) => None,
            Place::Coming(spilled) => Some((*id, spilled.clone())),
            Place::Away(_) => self.next_read(0),
        }
    }

    /// Returns whether a page was requested and has not arrived.
    pub fn awaits(&self, id: PageId) -> bool {
        let page = self.away.as_deref().and_then(|away| away.pages.get(&id));
        page.is_some_and(|page| matches!(page.place, Place::Coming(_)))
    }

    /// Handles the arrival of an awaited page with these messages. Returns what was known of it.
    pub fn page_read(&mut self, id: PageId, entries: RankedPage) -> Option<Totals> {
        if !self.awaits(id) {
            return None;
        }
        let page = self.remove(id)?;
        self.extend(entries);
        Some(page.totals)
    }

    /// Handles a page that could not be read; it may be requested again.
    pub fn not_read(&mut self, id: PageId) {
        if let Some(away) = self.away.as_deref_mut()
            && let Some(page) = away.pages.get_mut(&id)
            && let Place::Coming(spilled) = &page.place
        {
            page.place = Place::Away(spilled.clone());
            away.coming -= page.totals.weight;
        }
    }

    /// Removes the first page, if it has the first message.
    pub fn drop_page(&mut self) -> Option<Dropped> {
        let id = *self.first_page()?.0;
        Some(self.remove(id)?.into_dropped())
    }

    /// Drops all messages; returns their pages.
    pub fn clear(&mut self) -> Vec<Dropped> {
        let pages = std::mem::take(self).away.map(|away| away.pages);
        let pages = pages.unwrap_or_default().into_values();
        pages.map(Page::into_dropped).collect()
    }
}

impl Page {
    fn into_dropped(self) -> Dropped {
        let spilled = match self.place {
            Place::Away(spilled) | Place::Coming(spilled) => Some(spilled),
            Place::Leaving(_) => None,
        };
        Dropped {
            totals: self.totals,
            stored: self.stored,
            spilled,
        }
    }
}
