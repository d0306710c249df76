//! Messages that came back and wait until they are ready again (RabbitMQ: "Delayed Retry"). Like all waiting messages
//! they can be on disk.

use super::entry::Entry;
use super::outcome::Parked;
use super::paging::{
    Dropped, FirstMessage, PageId, Ranked, RankedPage, Sorted, StoredForm, Totals,
};
use crate::engine::clock::Time;
use leveret_storage::{Position, Spilled};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// The waiting messages of one queue, by due time.
#[derive(Debug, Default)]
pub struct Waiting {
    messages: Sorted,
    /// Bytes of their bodies.
    bytes: u64,
    /// Messages that have waited since before a restart and have not been read: they are among the
    /// ready ones, on a page.
    unread: BTreeSet<(Time, Position)>,
    /// When the last of all is due.
    last_due: Option<Time>,
    /// The first of them are being read from disk.
    reading: bool,
}

/// A message that is due.
#[derive(Debug)]
pub enum Due {
    /// A message in memory.
    Message(Entry),
    /// One that has not been read since the restart.
    Unread,
}

impl Waiting {
    /// Adds a message that waits until `due`.
    pub fn insert(&mut self, due: Time, entry: Entry) {
        self.bytes += entry.message.body().len() as u64;
        self.unread.remove(&(due, entry.position));
        self.last_due = self.last_due.max(Some(due));
        let rank = (due.micros(), entry.position.0);
        self.messages.insert(rank, Ranked::new(entry));
    }

    /// Adds a message that the store kept across a restart, to be read later.
    pub fn insert_unread(&mut self, due: Time, position: Position) {
        self.last_due = self.last_due.max(Some(due));
        self.unread.insert((due, position));
    }

    /// Returns whether this message waits and has not been read.
    pub fn awaits(&self, due: Time, position: Position) -> bool {
        self.unread.contains(&(due, position))
    }

    /// Removes a message that was not read.
    pub fn forget_unread(&mut self, due: Time, position: Position) {
        self.unread.remove(&(due, position));
    }

    /// Removes and returns the first message that is due at `now`, if it is in memory.
    pub fn pop_due(&mut self, now: Time) -> Option<Due> {
        let first = self.messages.first();
        let (due, _) = first.map_or((u64::MAX, 0), |(rank, _)| rank);
        if let Some((at, _)) = self.unread.first().filter(|(at, _)| at.micros() <= due) {
            let is_due = *at <= now;
            return is_due.then(|| self.unread.pop_first().map(|_| Due::Unread))?;
        }
        match due <= now.micros() {
            true => self.pop().map(Due::Message),
            false => None,
        }
    }

    /// Removes and returns the first message that was read, due or not. `None` also if it is on
    /// disk.
    pub fn pop(&mut self) -> Option<Entry> {
        let (_, ranked) = self.messages.pop_first()?;
        self.bytes -= ranked.entry.message.body().len() as u64;
        Some(ranked.entry)
    }

    /// Removes the page with the first message. If there is none either, those not read are
    /// dropped, and nothing waits any more.
    pub fn drop_page(&mut self) -> Option<Dropped> {
        let page = self.messages.drop_page();
        match &page {
            Some(page) => self.bytes -= page.totals.bytes,
            None => *self = Waiting::default(),
        }
        page
    }

    /// Returns when the first message is due that is not being read from disk.
    pub fn first_due(&self) -> Option<Time> {
        let read = match self.messages.first() {
            Some((_, FirstMessage::Away(_))) if self.reading => None,
            first => first.map(|((due, _), _)| Time::from_micros(due)),
        };
        let unread = self.unread.first().map(|(due, _)| *due);
        read.into_iter().chain(unread).min()
    }

    /// Returns when the first and the last message are due.
    pub fn dues(&self) -> Option<(Time, Time)> {
        let read = self.messages.first();
        let read = read.map(|((due, _), _)| Time::from_micros(due));
        let unread = self.unread.first().map(|(due, _)| *due);
        let first = read.into_iter().chain(unread).min()?;
        Some((first, self.last_due?))
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.unread.is_empty()
    }

    /// Returns the number of messages that were read.
    pub fn len(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Returns the number of messages that were not read.
    pub fn unread(&self) -> u64 {
        self.unread.len() as u64
    }

    /// Returns the bytes of the bodies of those that were read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns counts for listings; the bytes of those not read count elsewhere.
    pub fn counts(&self) -> Parked {
        let paged = self.messages.paged();
        Parked {
            messages: self.len() + self.unread(),
            bytes: self.bytes,
            paged_out: paged.messages,
            paged_out_bytes: paged.bytes,
        }
    }

    /// Returns the bytes of those in memory.
    pub fn memory(&self) -> u64 {
        self.messages.memory()
    }

    /// Returns the page to read now because its first message is due, and marks it as being read. `now` is evaluated
    /// only if there is a page.
    pub fn next_read(&mut self, now: impl FnOnce() -> Time) -> Option<(PageId, Arc<Spilled>)> {
        let ((due, _), FirstMessage::Away(_)) = self.messages.first()? else {
            return None;
        };
        if self.reading || due > now().micros() {
            return None;
        }
        let page = self.messages.next_read(0)?;
        self.reading = true;
        Some(page)
    }

    /// Pages out those that are due last; see [`Sorted::page_out`].
    pub fn page_out(
        &mut self,
        number: u64,
        bytes: u64,
        at_head: u64,
        kept: impl Fn(&Entry) -> StoredForm,
    ) -> Option<(PageId, Arc<RankedPage>)> {
        if self.messages.memory() < at_head + bytes.min(at_head) {
            return None;
        }
        self.messages.page_out(number, bytes, at_head, kept)
    }

    /// See [`Sorted::written`].
    pub fn written(&mut self, id: PageId, spilled: io::Result<Arc<Spilled>>) {
        self.messages.written(id, spilled);
    }

    /// See [`Sorted::not_read`].
    pub fn not_read(&mut self, id: PageId) {
        self.reading = false;
        self.messages.not_read(id);
    }

    /// Handles the arrival of a page. Returns what was known of it, or `None` if it was no longer
    /// awaited; `found` is what it is.
    pub fn page_read(&mut self, id: PageId, entries: RankedPage, found: Totals) -> Option<Totals> {
        self.reading = false;
        let known = self.messages.page_read(id, entries)?;
        self.bytes = self.bytes + found.bytes - known.bytes;
        Some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::message::MessageBuilder;

    fn entry(position: u64) -> Entry {
        let mut builder = MessageBuilder::new(b"", b"", &[0, 0], true, 3);
        builder.push(b"abc").unwrap();
        Entry::new(Position(position), Arc::new(builder.finish(true)))
    }

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn due(waiting: &mut Waiting, now: u64) -> Vec<Option<u64>> {
        let place = |due| match due {
            Due::Message(entry) => Some(entry.position.0),
            Due::Unread => None,
        };
        std::iter::from_fn(|| waiting.pop_due(at(now)))
            .map(place)
            .collect()
    }

    #[test]
    fn messages_come_when_they_are_due_and_those_of_one_time_in_their_order() {
        let mut waiting = Waiting::default();
        for (millis, position) in [(30, 1), (10, 5), (20, 9), (20, 2)] {
            waiting.insert(at(millis), entry(position));
        }
        assert_eq!((waiting.len(), waiting.bytes()), (4, 12));
        assert_eq!(waiting.first_due(), Some(at(10)));
        assert_eq!(waiting.dues(), Some((at(10), at(30))));
        assert_eq!(due(&mut waiting, 9), []);
        assert_eq!(due(&mut waiting, 20), [Some(5), Some(2), Some(9)]);
        assert_eq!(waiting.dues(), Some((at(30), at(30))));
        assert_eq!(waiting.pop().map(|entry| entry.position.0), Some(1));
        assert!(waiting.drop_page().is_none() && waiting.is_empty());
        assert_eq!((waiting.bytes(), waiting.memory()), (0, 0));
        assert_eq!(waiting.dues(), None);
    }

    #[test]
    fn what_has_not_been_read_waits_without_being_there() {
        let mut waiting = Waiting::default();
        for position in 1..=4 {
            waiting.insert_unread(at(10 * position), Position(position));
            waiting.insert_unread(at(10 * position), Position(position));
        }
        assert_eq!((waiting.len(), waiting.unread()), (0, 4));
        waiting.insert(at(20), entry(2));
        waiting.forget_unread(at(30), Position(3));
        waiting.forget_unread(at(20), Position(2));
        assert!(waiting.awaits(at(40), Position(4)) && !waiting.awaits(at(20), Position(2)));
        assert_eq!((waiting.len(), waiting.unread()), (1, 2));
        assert_eq!(waiting.counts().messages, 3);
        assert_eq!(due(&mut waiting, 99), [None, Some(2), None]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn what_is_due_last_leaves_memory_and_is_read_when_it_is_due() {
        let directory = tempfile::tempdir().unwrap();
        let spill = leveret_storage::Spill::open(directory.path()).unwrap();
        let mut waiting = Waiting::default();
        for position in 1..=4 {
            waiting.insert(at(10 * position), entry(position));
        }
        let each = waiting.memory() / 4;
        let page = |waiting: &mut Waiting, number| {
            let paged = waiting.page_out(number, 2 * each, 0, |_| StoredForm::Not);
            let (id, entries) = paged.expect("a page");
            let spilled = spill.write(1, |out| out.write_all(b"x")).map(Arc::new);
            waiting.written(id, spilled);
            (id, entries)
        };
        let (_, last) = page(&mut waiting, 1);
        assert_eq!(
            last.iter().map(|(rank, _)| rank.1).collect::<Vec<_>>(),
            [3, 4]
        );
        let (first, entries) = page(&mut waiting, 2);
        assert_eq!(
            (waiting.memory(), waiting.len(), waiting.bytes()),
            (0, 4, 12)
        );
        assert_eq!(waiting.first_due(), Some(at(10)));
        assert!(due(&mut waiting, 10).is_empty(), "it is on disk");
        assert!(waiting.next_read(|| at(9)).is_none(), "not yet");
        let (id, _) = waiting.next_read(|| at(10)).expect("the first page");
        assert_eq!(id, first);
        assert!(waiting.first_due().is_none(), "the clock need not look");
        assert!(waiting.next_read(|| at(10)).is_none(), "once");
        assert_eq!(waiting.dues(), Some((at(10), at(40))));
        let mut found = Totals::default();
        for (_, ranked) in entries.iter() {
            found.count(&ranked.entry, false);
        }
        let known = waiting.page_read(id, entries.to_vec(), found);
        assert_eq!(known, Some(found));
        assert_eq!(due(&mut waiting, 20), [Some(1), Some(2)]);
        assert_eq!((waiting.len(), waiting.bytes()), (2, 6));
        let dropped = waiting.drop_page().expect("the other page");
        assert_eq!(dropped.totals.messages, 2);
        assert!(waiting.drop_page().is_none() && waiting.is_empty());
    }
}
