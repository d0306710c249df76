//! A run of messages of one line that stand together on disk, or are on their way.

use super::OVERHEAD;
use crate::queue::entry::Entry;
use leveret_storage::{Position, Spilled};
use std::ops::{AddAssign, SubAssign};
use std::sync::Arc;

/// Tells the pages of one queue apart; later pages of a line have higher numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageId(pub u64);

/// Numbers of messages, and what they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages.
    pub messages: u64,
    /// Octets of their bodies.
    pub octets: u64,
    /// Those among them that the store keeps.
    pub stored: u64,
    /// Octets of the bodies of those.
    pub stored_octets: u64,
}

impl Totals {
    /// Counts one more.
    pub fn count(&mut self, entry: &Entry, stored: bool) {
        let octets = entry.message.body().len() as u64;
        self.messages += 1;
        self.octets += octets;
        if stored {
            self.stored += 1;
            self.stored_octets += octets;
        }
    }

    /// What they take in memory, about.
    pub(super) fn memory(&self) -> u64 {
        self.octets + self.messages * OVERHEAD
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.messages += other.messages;
        self.octets += other.octets;
        self.stored += other.stored;
        self.stored_octets += other.stored_octets;
    }
}

impl SubAssign for Totals {
    fn sub_assign(&mut self, other: Totals) {
        self.messages -= other.messages;
        self.octets -= other.octets;
        self.stored -= other.stored;
        self.stored_octets -= other.stored_octets;
    }
}

/// A run of messages in short: of those that the store kept over a restart all that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The first one's place.
    pub first: Position,
    /// The last one's place.
    pub last: Position,
    /// How many there are.
    pub messages: u64,
    /// Octets of their bodies.
    pub octets: u64,
}

/// Where a page is on disk.
#[derive(Clone, Debug)]
pub enum Source {
    /// In the store: nothing else of its queue stands between its first and its last message.
    Stored,
    /// In the place that is emptied by a restart.
    Spilled(Arc<Spilled>),
}

/// Where the messages of a page are.
#[derive(Debug)]
pub(super) enum Place {
    /// In memory still, while they are written.
    Leaving(Arc<Vec<Entry>>),
    /// On disk.
    Away(Source),
    /// On disk, and being read.
    Coming(Source),
    /// In memory again, waiting for their turn.
    Here(Vec<Entry>),
}

/// A page.
#[derive(Debug)]
pub struct Page {
    pub(super) id: PageId,
    pub(super) first: Position,
    pub(super) last: Position,
    pub(super) totals: Totals,
    /// Runs of places of those that the store keeps: to be acknowledged when they are not wanted.
    pub(super) stored: Box<[(Position, Position)]>,
    pub(super) place: Place,
}

impl Page {
    /// How many of what is dropped with the page.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Runs of places of the messages that the store keeps.
    pub fn stored(&self) -> &[(Position, Position)] {
        &self.stored
    }

    /// The first and the last place.
    pub fn span(&self) -> (Position, Position) {
        (self.first, self.last)
    }
}

/// What has to be known of a message to page it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The store does not keep it.
    Not,
    /// The store keeps it, and gives it back as it is.
    Whole,
    /// The store keeps it, but not all that the queue knows of it.
    Partly,
    /// The store has not got it yet: it has to stay.
    NotYet,
}

/// Notes what a page is made of.
#[derive(Debug, Default)]
pub(super) struct PageBuilder {
    totals: Totals,
    stored: Vec<(Position, Position)>,
    whole: bool,
}

impl PageBuilder {
    pub(super) fn new() -> Self {
        PageBuilder {
            whole: true,
            ..PageBuilder::default()
        }
    }

    /// Of the messages noted so far.
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// The next message.
    pub(super) fn note(&mut self, entry: &Entry, kept: Kept) {
        self.totals.count(entry, kept != Kept::Not);
        self.whole &= kept == Kept::Whole;
        if kept != Kept::Not {
            let place = entry.position;
            match self.stored.last_mut() {
                Some((_, last)) if last.0 + 1 == place.0 => *last = place,
                _ => self.stored.push((place, place)),
            }
        }
    }

    /// The page of these messages, which were noted. `None` when there are none.
    pub(super) fn finish(self, id: PageId, entries: Vec<Entry>) -> Option<Page> {
        let (first, last) = (entries.first()?.position, entries.last()?.position);
        // Where a place is missing, another message may stand there, now or later.
        let whole = self.whole && self.stored.len() == 1;
        let place = if whole {
            Place::Away(Source::Stored)
        } else {
            Place::Leaving(Arc::new(entries))
        };
        Some(Page {
            id,
            first,
            last,
            totals: self.totals,
            stored: self.stored.into(),
            place,
        })
    }
}

/// A page that has to be read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Which.
    pub page: PageId,
    /// Where it is.
    pub source: Source,
    /// What should be in it.
    pub outline: Outline,
}

/// A page was made.
#[derive(Debug)]
pub struct PagedOut {
    /// Its number.
    pub page: PageId,
    /// What has to be written, unless the store has all of it.
    pub entries: Option<Arc<Vec<Entry>>>,
}
