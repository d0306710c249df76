//! A run of messages of one line that stand together on disk, or are on their way.

use super::PRESUMED_OVERHEAD;
use super::sorted::{Rank, RankedPage};
use crate::engine::clock::Time;
use crate::engine::queue::entry::Entry;
use leveret_storage::{Position, Spilled};
use std::ops::{AddAssign, SubAssign};
use std::sync::Arc;

/// Tells pages apart; pages of one place stand in the order of their first messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageId {
    /// Where its first message stands.
    pub first: Rank,
    /// No two pages of a queue have the same.
    pub number: u64,
}

impl PageId {
    /// Of a page whose first message has this place in its queue.
    pub fn at(first: Position, number: u64) -> Self {
        let first = (first.0, 0);
        PageId { first, number }
    }
}

/// Numbers of messages, and what they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages.
    pub messages: u64,
    /// Bytes of their bodies: what listings and limits are about.
    pub bytes: u64,
    /// Bytes that they take in memory when they are there; see [`Entry::weight`].
    pub weight: u64,
    /// Those among them that the store keeps.
    pub stored: u64,
    /// Bytes of the bodies of those.
    pub stored_bytes: u64,
}

impl Totals {
    /// Counts one more.
    pub fn count(&mut self, entry: &Entry, stored: bool) {
        let bytes = entry.message.body().len() as u64;
        self.messages += 1;
        self.bytes += bytes;
        self.weight += entry.weight();
        if stored {
            self.stored += 1;
            self.stored_bytes += bytes;
        }
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.weight += other.weight;
        self.stored += other.stored;
        self.stored_bytes += other.stored_bytes;
    }
}

impl SubAssign for Totals {
    fn sub_assign(&mut self, other: Totals) {
        self.messages -= other.messages;
        self.bytes -= other.bytes;
        self.weight -= other.weight;
        self.stored -= other.stored;
        self.stored_bytes -= other.stored_bytes;
    }
}

/// A run of messages in short: of those that the store kept across a restart all that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The first one's place.
    pub first: Position,
    /// The last one's place.
    pub last: Position,
    /// How many there are.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

impl Outline {
    /// What is presumed of them before they are read: that their properties are small.
    pub fn totals(&self) -> Totals {
        Totals {
            messages: self.messages,
            bytes: self.bytes,
            weight: self.weight(),
            stored: self.messages,
            stored_bytes: self.bytes,
        }
    }

    /// Bytes that they are presumed to take in memory.
    pub fn weight(&self) -> u64 {
        self.bytes + self.messages * PRESUMED_OVERHEAD
    }
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
    /// In memory again, waiting for their turn; on disk still, unless they never got there.
    Here(Vec<Entry>, Option<Source>),
}

/// When the first message of a page expires, which nobody must miss while the page is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadExpiry {
    /// It has not been read yet.
    Unknown,
    /// At this time, or never.
    Known(Option<Time>),
}

/// What is left of a page that nobody needs any more.
#[derive(Debug)]
pub struct Dropped {
    /// Of its messages.
    pub totals: Totals,
    /// Runs of places of the messages that the store keeps.
    pub stored: Box<[(Position, Position)]>,
    /// Its place on disk, if it has one: to let go of it is work.
    pub spilled: Option<Arc<Spilled>>,
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
    pub(super) head: HeadExpiry,
    pub(super) place: Place,
}

impl Page {
    /// What is left when nobody wants it any more.
    pub(super) fn into_dropped(self) -> Dropped {
        let spilled = match self.place {
            Place::Away(Source::Spilled(spilled))
            | Place::Coming(Source::Spilled(spilled))
            | Place::Here(_, Some(Source::Spilled(spilled))) => Some(spilled),
            _ => None,
        };
        Dropped {
            totals: self.totals,
            stored: self.stored,
            spilled,
        }
    }

    /// Bytes that it takes in memory, or will when it has come.
    pub(super) fn loaded(&self) -> u64 {
        match self.place {
            Place::Coming(_) | Place::Here(..) => self.totals.weight,
            Place::Leaving(_) | Place::Away(_) => 0,
        }
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

    /// What was noted: the totals, and the runs of places of those that the store keeps.
    pub(super) fn into_parts(self) -> (Totals, Box<[(Position, Position)]>) {
        (self.totals, self.stored.into())
    }

    /// The page of these messages, which were noted. `None` when there are none.
    pub(super) fn finish(self, number: u64, entries: Vec<Entry>) -> Option<Page> {
        let (first, last) = (entries.first()?.position, entries.last()?.position);
        let head = HeadExpiry::Known(entries.first()?.expiry());
        // Where a place is missing, another message may stand there, now or later.
        let whole = self.whole && self.stored.len() == 1;
        let place = if whole {
            Place::Away(Source::Stored)
        } else {
            Place::Leaving(Arc::new(entries))
        };
        Some(Page {
            id: PageId::at(first, number),
            first,
            last,
            totals: self.totals,
            stored: self.stored.into(),
            head,
            place,
        })
    }
}

/// What of a queue a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// A line of its ready messages.
    Line(usize),
    /// What has come back to a line.
    Returned(usize),
    /// Messages that wait for something else than a consumer.
    Aside,
    /// Messages that have come back and wait before they are ready again.
    Waiting,
}

/// A page that has to be read.
#[derive(Clone, Debug)]
pub enum Reading {
    /// One of a line.
    Line(PageId, Source, Outline),
    /// One of what has come back to a line.
    Sorted(PageId, Arc<Spilled>),
}

/// A page was made.
#[derive(Debug)]
pub enum PagedOut {
    /// The store has all of it.
    Stored,
    /// It has to be written.
    Line(PageId, Arc<Vec<Entry>>),
    /// It has to be written, of what has come back to a line.
    Sorted(PageId, Arc<RankedPage>),
}
