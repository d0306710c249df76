//! A page: a run of messages of one line that are on disk, or being moved.

use super::PRESUMED_OVERHEAD;
use super::ranked::{Rank, RankedPage};
use crate::engine::clock::Time;
use crate::engine::queue::entry::Entry;
use leveret_storage::{Position, Spilled};
use std::ops::{AddAssign, SubAssign};
use std::sync::Arc;

/// Identifies a page; pages of one section are in the order of their first messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageId {
    /// The rank of its first message.
    pub first: Rank,
    /// Unique within its queue.
    pub number: u64,
}

impl PageId {
    /// Creates the id of a page whose first message has this position.
    pub fn at(first: Position, number: u64) -> Self {
        let first = (first.0, 0);
        PageId { first, number }
    }
}

/// The number of messages, and their sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages.
    pub messages: u64,
    /// Bytes of their bodies, which listings and limits use.
    pub bytes: u64,
    /// Bytes that they take in memory; see [`Entry::weight`].
    pub weight: u64,
    /// The stored ones among them.
    pub stored: u64,
    /// Bytes of the bodies of those.
    pub stored_bytes: u64,
}

impl Totals {
    /// Adds one message.
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

/// A summary of a run of messages: all that is known of messages that the store kept across a
/// restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The first position.
    pub first: Position,
    /// The last position.
    pub last: Position,
    /// The number of messages.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

impl Outline {
    /// Returns what is assumed before they are read: that their properties are small.
    pub fn totals(&self) -> Totals {
        Totals {
            messages: self.messages,
            bytes: self.bytes,
            weight: self.weight(),
            stored: self.messages,
            stored_bytes: self.bytes,
        }
    }

    /// Returns the bytes that they are assumed to take in memory.
    pub fn weight(&self) -> u64 {
        self.bytes + self.messages * PRESUMED_OVERHEAD
    }
}

/// Where a page is on disk.
#[derive(Clone, Debug)]
pub enum Source {
    /// In the store: no other message of its queue is between its first and its last message.
    Stored,
    /// In the spill area.
    Spilled(Arc<Spilled>),
}

/// Where the messages of a page are.
#[derive(Debug)]
pub(super) enum Place {
    /// Still in memory, while they are written.
    Leaving(Arc<Vec<Entry>>),
    /// On disk.
    Away(Source),
    /// On disk, and being read.
    Coming(Source),
    /// In memory again, waiting for their turn; also on disk, unless they never got there.
    Here(Vec<Entry>, Option<Source>),
}

/// When the first message of a page expires, which must not be missed while the page is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadExpiry {
    /// It has not been read yet.
    Unknown,
    /// At this time, or never.
    Known(Option<Time>),
}

/// What remains of a page that is no longer needed.
#[derive(Debug)]
pub struct Dropped {
    /// The totals of its messages.
    pub totals: Totals,
    /// Ranges of positions of its stored messages.
    pub stored: Box<[(Position, Position)]>,
    /// Its place in the spill area, if any: releasing that is work.
    pub spilled: Option<Arc<Spilled>>,
}

/// A page.
#[derive(Debug)]
pub struct Page {
    pub(super) id: PageId,
    pub(super) first: Position,
    pub(super) last: Position,
    pub(super) totals: Totals,
    /// Ranges of positions of its stored messages, to be acknowledged when they are no longer
    /// needed.
    pub(super) stored: Box<[(Position, Position)]>,
    pub(super) head: HeadExpiry,
    pub(super) place: Place,
}

impl Page {
    /// Returns what remains when it is no longer needed.
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

    /// Returns the bytes that it takes in memory, or will after being read.
    pub(super) fn loaded(&self) -> u64 {
        match self.place {
            Place::Coming(_) | Place::Here(..) => self.totals.weight,
            Place::Leaving(_) | Place::Away(_) => 0,
        }
    }
}

/// How the store keeps a message, which decides how to page it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredForm {
    /// It is not stored.
    Not,
    /// It is stored completely.
    Complete,
    /// It is stored, but without all of the queue's state.
    WithoutQueueState,
    /// The store has not committed it yet: it has to stay.
    Pending,
}

/// Collects the contents of a page.
#[derive(Debug, Default)]
pub(super) struct PageBuilder {
    totals: Totals,
    stored: Vec<(Position, Position)>,
    /// All messages so far are stored completely.
    all_stored: bool,
}

impl PageBuilder {
    pub(super) fn new() -> Self {
        PageBuilder {
            all_stored: true,
            ..PageBuilder::default()
        }
    }

    /// Returns the totals of the messages so far.
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// Adds the next message.
    pub(super) fn note(&mut self, entry: &Entry, kept: StoredForm) {
        self.totals.count(entry, kept != StoredForm::Not);
        self.all_stored &= kept == StoredForm::Complete;
        if kept != StoredForm::Not {
            let place = entry.position;
            match self.stored.last_mut() {
                Some((_, last)) if last.0 + 1 == place.0 => *last = place,
                _ => self.stored.push((place, place)),
            }
        }
    }

    /// Returns the totals, and the ranges of positions of stored messages.
    pub(super) fn into_parts(self) -> (Totals, Box<[(Position, Position)]>) {
        (self.totals, self.stored.into())
    }

    /// Returns the page of these messages, which must have been added. `None` if there are none.
    pub(super) fn finish(self, number: u64, entries: Vec<Entry>) -> Option<Page> {
        let (first, last) = (entries.first()?.position, entries.last()?.position);
        let head = HeadExpiry::Known(entries.first()?.expiry());
        // At a missing position there may be another message, now or later.
        let can_be_read_back = self.all_stored && self.stored.len() == 1;
        let place = if can_be_read_back {
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

/// The part of a queue that a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// A line of its ready messages.
    Line(usize),
    /// The requeued messages of a line.
    Returned(usize),
    /// Dead letters that could not be routed, and delayed messages of an exchange.
    Parked,
    /// Messages that came back and wait before they are ready again.
    Waiting,
}

/// A page to be read.
#[derive(Clone, Debug)]
pub enum Reading {
    /// A page of a line.
    Line(PageId, Source, Outline),
    /// A page of a line's requeued messages.
    Sorted(PageId, Arc<Spilled>),
}

/// A page that was made.
#[derive(Debug)]
pub enum PagedOut {
    /// It is completely in the store.
    Stored,
    /// It has to be written.
    Line(PageId, Arc<Vec<Entry>>),
    /// It has to be written; its messages were requeued.
    Sorted(PageId, Arc<RankedPage>),
}
