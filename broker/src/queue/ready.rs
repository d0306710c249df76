//! The messages that are ready to be delivered, in the order in which they are.

use super::entry::Entry;
use super::line::Line;
use super::paging::{
    Dropped, HeadExpiry, Kept, Outline, PageId, PagedOut, RankedPage, Reading, Totals,
};
use super::priority::Priorities;
use super::settings::{QueueKind, Settings};
use super::two_levels::TwoLevels;
use leveret_storage::Spilled;
use std::io;
use std::sync::Arc;

/// Ready messages: in one line, or in several.
#[derive(Debug, Default)]
pub struct Ready {
    line: Line,
    /// Beside the line, which is empty then: a queue without priorities asks once whether it has
    /// any.
    lines: Option<Box<Lines>>,
    /// Octets of their bodies.
    bytes: u64,
    /// Bytes that all of them would take in memory.
    weight: u64,
    /// The number of the next page.
    next_page: u64,
}

/// More lines than one.
#[derive(Debug)]
enum Lines {
    /// One for each priority.
    Priorities(Priorities),
    /// Those of a quorum queue.
    TwoLevels(TwoLevels),
}

impl Ready {
    /// An empty place for the messages of a queue that is set to this.
    pub fn new(kind: QueueKind, settings: &Settings) -> Self {
        let lines = match kind {
            QueueKind::Quorum => Some(Lines::TwoLevels(TwoLevels::default())),
            QueueKind::Classic | QueueKind::Stream => settings
                .max_priority
                .map(|max| Lines::Priorities(Priorities::new(max))),
        };
        Ready {
            lines: lines.map(Box::new),
            ..Ready::default()
        }
    }

    /// Adds a message at its place: behind all that were ever added, as a rule, or where it was
    /// reserved before others came.
    pub fn insert(&mut self, entry: Entry) {
        self.bytes += entry.message.body().len() as u64;
        self.weight += entry.weight();
        match self.lines.as_deref_mut() {
            None => self.line.insert(entry),
            Some(Lines::Priorities(lines)) => lines.insert(entry),
            Some(Lines::TwoLevels(lines)) => lines.insert(entry),
        }
    }

    /// Puts a message back where it was.
    pub fn requeue(&mut self, entry: Entry) {
        self.bytes += entry.message.body().len() as u64;
        self.weight += entry.weight();
        match self.lines.as_deref_mut() {
            None => self.line.requeue(entry),
            Some(Lines::Priorities(lines)) => lines.requeue(entry),
            Some(Lines::TwoLevels(lines)) => lines.requeue(entry),
        }
    }

    /// Takes the message whose turn it is: with priorities the oldest of the highest. `None` also
    /// when that is on disk.
    pub fn pop(&mut self) -> Option<Entry> {
        let entry = match self.lines.as_deref_mut() {
            None => self.line.pop(),
            Some(Lines::Priorities(lines)) => lines.pop(),
            Some(Lines::TwoLevels(lines)) => lines.pop(),
        }?;
        self.bytes -= entry.message.body().len() as u64;
        self.weight -= entry.weight();
        Some(entry)
    }

    /// The message whose turn it is. `None` also when that is on disk.
    pub fn first(&self) -> Option<&Entry> {
        match self.lines.as_deref() {
            None => self.line.first(),
            Some(Lines::Priorities(lines)) => lines.first(),
            Some(Lines::TwoLevels(lines)) => lines.first(),
        }
    }

    /// Whether there is a first message, and it is on disk.
    pub fn head_is_away(&self) -> bool {
        self.first().is_none() && !self.is_empty()
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        match self.lines.as_deref() {
            None => self.line.len(),
            Some(Lines::Priorities(lines)) => lines.len(),
            Some(Lines::TwoLevels(lines)) => lines.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets of their bodies.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
    /// The lines: where there are several, what is taken first comes last.
    fn lines(&self) -> &[Line] {
        match self.lines.as_deref() {
            None => std::slice::from_ref(&self.line),
            Some(Lines::Priorities(lines)) => lines.lines(),
            Some(Lines::TwoLevels(lines)) => lines.lines(),
        }
    }

    fn with_line<T>(&mut self, line: usize, change: impl FnOnce(&mut Line) -> T) -> Option<T> {
        match self.lines.as_deref_mut() {
            None => Some(change(&mut self.line)),
            Some(Lines::Priorities(lines)) => lines.with_line(line, change),
            Some(Lines::TwoLevels(lines)) => lines.lines_mut().get_mut(line).map(change),
        }
    }

    /// Of a queue that was purged, whose turn it is does not depend on what was there.
    pub fn begin_anew(&mut self) {
        if let Some(Lines::TwoLevels(lines)) = self.lines.as_deref_mut() {
            lines.begin_anew();
        }
    }

    /// Whether messages do not stand in the order in which they came.
    pub fn sorts_messages(&self) -> bool {
        matches!(self.lines.as_deref(), Some(Lines::Priorities(_)))
    }

    /// Of all pages.
    pub fn paged(&self) -> Totals {
        let mut paged = Totals::default();
        for line in self.lines() {
            paged += line.paged();
        }
        paged
    }

    /// Bytes that ready messages take in memory, without those that were paged out.
    pub fn memory(&self) -> u64 {
        let (mut memory, mut paged) = (self.weight, 0);
        for line in self.lines() {
            paged += line.paged().weight;
            memory += line.loaded();
        }
        memory - paged
    }

    /// Whether there are pages.
    pub fn is_paged(&self) -> bool {
        self.lines().iter().any(|line| line.paged().messages > 0)
    }

    /// When the first message expires, if it is on disk. `None` when there is none, or it is in memory.
    pub fn head_expiry(&self) -> Option<HeadExpiry> {
        self.lines().get(self.turn()?)?.head_expiry()
    }

    /// The line whose turn it is.
    fn turn(&self) -> Option<usize> {
        match self.lines.as_deref() {
            Some(Lines::TwoLevels(lines)) => Some(lines.turn()),
            _ => self.lines().iter().rposition(|line| !line.is_empty()),
        }
    }

    /// Pages out messages, a page of about so many bytes, of what will be taken last. Says of which
    /// line.
    pub fn page_out(
        &mut self,
        bytes: u64,
        kept: impl Fn(&Entry) -> Kept,
    ) -> Option<(usize, PagedOut)> {
        self.first_page_of(|line, number| line.page_out(number, bytes, &kept))
    }

    /// As [`Ready::page_out`], of a queue that nobody takes anything from at present: `kept_bytes` stay in memory, about.
    pub fn squeeze(
        &mut self,
        bytes: u64,
        kept_bytes: u64,
        kept: impl Fn(&Entry) -> Kept,
    ) -> Option<(usize, PagedOut)> {
        self.first_page_of(|line, number| line.squeeze(number, bytes, kept_bytes, &kept))
    }

    fn first_page_of(
        &mut self,
        mut make: impl FnMut(&mut Line, u64) -> Option<PagedOut>,
    ) -> Option<(usize, PagedOut)> {
        let number = self.next_page();
        (0..self.lines().len()).find_map(|line| {
            let paged = self.with_line(line, |line| make(line, number));
            Some((line, paged.flatten()?))
        })
    }

    /// A number that no page of this queue has had.
    pub fn next_page(&mut self) -> u64 {
        self.next_page += 1;
        self.next_page
    }

    /// Adds a page that the store kept over a restart, behind all messages of the first line.
    pub fn restore_page(&mut self, outline: &Outline) {
        let number = self.next_page();
        self.bytes += outline.octets;
        self.weight += outline.weight();
        self.with_line(0, |line| line.restore(number, outline));
    }

    /// What has to be read so that the first message of the line whose turn it is is in memory, and `ahead` bytes of
    /// messages behind it.
    pub fn next_read(&mut self, ahead: u64) -> Option<(usize, Reading)> {
        let line = self.turn()?;
        let reading = self.with_line(line, |line| line.next_read(ahead));
        Some((line, reading.flatten()?))
    }

    /// What has to be read before there is a first message, for whoever cannot wait.
    pub fn head_to_read(&mut self) -> Option<(usize, Reading)> {
        if self.first().is_some() {
            return None;
        }
        (0..self.lines().len()).rev().find_map(|line| {
            let reading = self.with_line(line, Line::head_to_read).flatten()?;
            Some((line, reading))
        })
    }

    /// A page was written, or could not be: then it stays in memory.
    pub fn written(&mut self, line: usize, page: PageId, spilled: io::Result<Arc<Spilled>>) {
        self.with_line(line, |line| line.written(page, spilled));
    }

    /// Likewise, of what has come back to a line.
    pub fn returned_written(
        &mut self,
        line: usize,
        page: PageId,
        spilled: io::Result<Arc<Spilled>>,
    ) {
        self.with_line(line, |line| line.requeued().written(page, spilled));
    }

    /// A page has come; `rest` of it has to be read in its turn. Returns what was known of it and what it is, or `None`
    /// when it was not awaited any more. `stored` tells of a message whether the store keeps it.
    pub fn arrived(
        &mut self,
        line: usize,
        page: PageId,
        mut entries: Vec<Entry>,
        rest: Option<Outline>,
        stored: impl Fn(&Entry) -> bool,
    ) -> Option<(Totals, Totals)> {
        if !self.lines().get(line)?.awaits(page) {
            return None;
        }
        let found = totals_of(&entries, &stored);
        if let Some(Lines::TwoLevels(lines)) = self.lines.as_deref_mut() {
            lines.sort_out(line, &mut entries);
        }
        let left = totals_of(&entries, &stored);
        let rest = rest.map(|rest| (self.next_page(), rest));
        let arrived = |line: &mut Line| line.arrived(page, entries, left, rest);
        let (known, rest) = self.with_line(line, arrived)??;
        let mut found = found;
        found += rest;
        self.correct(known, found);
        Some((known, found))
    }

    /// Likewise, of what has come back to a line.
    pub fn returned_arrived(
        &mut self,
        line: usize,
        page: PageId,
        entries: RankedPage,
        stored: impl Fn(&Entry) -> bool,
    ) -> Option<(Totals, Totals)> {
        let mut found = Totals::default();
        for (_, ranked) in &entries {
            found.count(&ranked.entry, stored(&ranked.entry));
        }
        let known = self.with_line(line, |line| line.requeued().arrived(page, entries))??;
        self.correct(known, found);
        Some((known, found))
    }

    fn correct(&mut self, known: Totals, found: Totals) {
        self.bytes = self.bytes + found.octets - known.octets;
        self.weight = self.weight + found.weight - known.weight;
    }

    /// See [`Line::not_read`].
    pub fn not_read(&mut self, line: usize, page: PageId) {
        self.with_line(line, |line| line.not_read(page));
    }

    /// Likewise, of what has come back to a line.
    pub fn returned_not_read(&mut self, line: usize, page: PageId) {
        self.with_line(line, |line| line.requeued().not_read(page));
    }

    /// Takes a page away, wherever it is.
    pub fn drop_page(&mut self) -> Option<Dropped> {
        let page = (0..self.lines().len())
            .find_map(|line| self.with_line(line, Line::drop_page).flatten())?;
        self.bytes -= page.totals.octets;
        self.weight -= page.totals.weight;
        Some(page)
    }
}

fn totals_of(entries: &[Entry], stored: impl Fn(&Entry) -> bool) -> Totals {
    let mut totals = Totals::default();
    for entry in entries {
        totals.count(entry, stored(entry));
    }
    totals
}
