//! The ready messages of a queue, in order.

use super::entry::Entry;
use super::line::Line;
use super::paging::{
    Dropped, HeadExpiry, Outline, PageId, PagedOut, RankedPage, Reading, StoredForm, Totals,
};
use super::priority::{Levels, Priorities};
use super::settings::{QueueKind, Settings};
use leveret_storage::Spilled;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Ready messages, in one line or several.
#[derive(Debug, Default)]
pub struct Ready {
    line: Line,
    /// Several lines, while `line` is empty. A queue without priorities checks this once; a queue
    /// has several lines from the first message on whose priority is not the default one.
    lines: Option<Box<Priorities>>,
    levels: Option<Levels>,
    /// Bytes of their bodies.
    bytes: u64,
    /// Bytes that all of them would take in memory.
    weight: u64,
    /// The number of the next page.
    next_page: u64,
}

impl Ready {
    /// Creates the empty store for a queue with these settings.
    pub fn new(kind: QueueKind, settings: &Settings) -> Self {
        Ready {
            levels: Levels::of(kind, settings),
            ..Ready::default()
        }
    }

    /// Adds a message at its position: usually after all others, or where it was reserved before
    /// others came.
    #[inline]
    pub fn insert(&mut self, entry: Entry) {
        self.bytes += entry.message.body().len() as u64;
        self.weight += entry.weight();
        match self.lines_for(&entry) {
            None => self.line.insert(entry),
            Some(lines) => lines.insert(entry),
        }
    }

    /// Returns the lines, if there must be several for this message.
    #[inline]
    fn lines_for(&mut self, entry: &Entry) -> Option<&mut Priorities> {
        let levels = self.levels?;
        if self.lines.is_none() && usize::from(levels.priority(&entry.message)) != levels.default()
        {
            let line = std::mem::take(&mut self.line);
            self.lines = Some(Box::new(Priorities::new(levels, line)));
        }
        self.lines.as_deref_mut()
    }

    /// Puts a message back at its position.
    pub fn requeue(&mut self, entry: Entry) {
        self.bytes += entry.message.body().len() as u64;
        self.weight += entry.weight();
        match self.lines_for(&entry) {
            None => self.line.requeue(entry),
            Some(lines) => lines.requeue(entry),
        }
    }

    /// Removes and returns the next message: with priorities the oldest of the highest. `None` also
    /// if it is on disk.
    #[inline]
    pub fn pop(&mut self) -> Option<Entry> {
        self.pop_from(self.served()?)
    }

    /// Removes and returns the first message of a line. `None` also if it is on disk.
    #[inline]
    pub fn pop_from(&mut self, line: usize) -> Option<Entry> {
        let entry = match self.lines.as_deref_mut() {
            None => self.line.pop(),
            Some(lines) => lines.pop(line),
        }?;
        self.bytes -= entry.message.body().len() as u64;
        self.weight -= entry.weight();
        Some(entry)
    }

    /// Returns the next message. `None` also if it is on disk.
    #[inline]
    pub fn first(&self) -> Option<&Entry> {
        self.line(self.served()?)?.first()
    }

    /// Returns whether the first message of a line is on disk.
    pub fn is_away(&self, line: usize) -> bool {
        let line = self.line(line);
        line.is_some_and(|line| line.first().is_none() && !line.is_empty())
    }

    /// Returns when the first message of a line expires.
    pub fn expiry_of(&self, line: usize) -> Option<HeadExpiry> {
        let line = self.line(line)?;
        match line.first() {
            Some(first) => Some(HeadExpiry::Known(first.expiry())),
            None => line.head_expiry(),
        }
    }

    /// Returns whether there is a next message and it is on disk.
    pub fn head_is_away(&self) -> bool {
        self.first().is_none() && !self.is_empty()
    }

    /// Number of messages.
    #[inline]
    pub fn len(&self) -> usize {
        match self.lines.as_deref() {
            None => self.line.len(),
            Some(lines) => lines.len(),
        }
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of their bodies.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the lines: if there are several, in ascending order of priority.
    fn lines(&self) -> &[Line] {
        match self.lines.as_deref() {
            None => std::slice::from_ref(&self.line),
            Some(lines) => lines.lines(),
        }
    }

    /// Returns the number of the line while there is only one: it keeps it when there are others.
    fn only(&self) -> usize {
        self.levels.map_or(0, Levels::default)
    }

    /// Returns the number of the line that is served next. `None` if there are several and all are
    /// empty.
    #[inline]
    pub fn served(&self) -> Option<usize> {
        match self.lines.as_deref() {
            None => Some(self.only()),
            Some(lines) => lines.highest(),
        }
    }

    /// Returns the numbers of the lines, in ascending order of priority.
    pub fn line_numbers(&self) -> Range<usize> {
        match self.lines.as_deref() {
            None => self.only()..self.only() + 1,
            Some(lines) => 0..lines.lines().len(),
        }
    }

    #[inline]
    fn line(&self, line: usize) -> Option<&Line> {
        match self.lines.as_deref() {
            None => (line == self.only()).then_some(&self.line),
            Some(lines) => lines.lines().get(line),
        }
    }

    fn with_line<T>(&mut self, line: usize, change: impl FnOnce(&mut Line) -> T) -> Option<T> {
        match self.lines.as_deref_mut() {
            None => (line == self.only()).then(|| change(&mut self.line)),
            Some(lines) => lines.with_line(line, change),
        }
    }

    /// Returns the totals of all pages.
    pub fn paged(&self) -> Totals {
        let mut paged = Totals::default();
        for line in self.lines() {
            paged += line.paged();
        }
        paged
    }

    /// Returns the memory of ready messages that are not paged out, in bytes.
    pub fn memory(&self) -> u64 {
        let (mut memory, mut paged) = (self.weight, 0);
        for line in self.lines() {
            paged += line.paged().weight;
            memory += line.loaded();
        }
        memory - paged
    }

    /// Returns whether there are pages.
    pub fn is_paged(&self) -> bool {
        self.lines().iter().any(|line| line.paged().messages > 0)
    }

    /// Pages out the messages that are taken last, a page of about this many bytes. Returns the line.
    pub fn page_out(
        &mut self,
        bytes: u64,
        kept: impl Fn(&Entry) -> StoredForm,
    ) -> Option<(usize, PagedOut)> {
        self.first_page_of(|line, number| line.page_out(number, bytes, &kept))
    }

    /// Like [`Ready::page_out`], for a queue that nobody currently consumes from: about `kept_bytes` stay in memory.
    pub fn page_out_idle(
        &mut self,
        bytes: u64,
        kept_bytes: u64,
        kept: impl Fn(&Entry) -> StoredForm,
    ) -> Option<(usize, PagedOut)> {
        self.first_page_of(|line, number| line.page_out_idle(number, bytes, kept_bytes, &kept))
    }

    fn first_page_of(
        &mut self,
        mut make: impl FnMut(&mut Line, u64) -> Option<PagedOut>,
    ) -> Option<(usize, PagedOut)> {
        let number = self.next_page();
        self.line_numbers().find_map(|line| {
            let paged = self.with_line(line, |line| make(line, number));
            Some((line, paged.flatten()?))
        })
    }

    /// Returns a page number that has not been used in this queue.
    pub fn next_page(&mut self) -> u64 {
        self.next_page += 1;
        self.next_page
    }

    /// Adds a page that the store kept across a restart, after all messages of the only line.
    pub fn restore_page(&mut self, outline: &Outline) {
        let number = self.next_page();
        self.bytes += outline.bytes;
        self.weight += outline.weight();
        self.line.restore(number, outline);
    }

    /// Returns what has to be read so that the next message is in memory, and `ahead` bytes of messages after it.
    pub fn next_read(&mut self, ahead: u64) -> Option<(usize, Reading)> {
        let line = self.served()?;
        Some((line, self.read_of(line, ahead)?))
    }

    /// The same, for any line.
    pub fn read_of(&mut self, line: usize, ahead: u64) -> Option<Reading> {
        self.with_line(line, |line| line.next_read(ahead)).flatten()
    }

    /// Returns what has to be read before there is a next message, for callers that cannot wait.
    pub fn head_to_read(&mut self) -> Option<(usize, Reading)> {
        if self.first().is_some() {
            return None;
        }
        self.line_numbers().rev().find_map(|line| {
            let reading = self.with_line(line, Line::head_to_read).flatten()?;
            Some((line, reading))
        })
    }

    /// Handles a page that was written, or could not be: then it stays in memory.
    pub fn written(&mut self, line: usize, page: PageId, spilled: io::Result<Arc<Spilled>>) {
        self.with_line(line, |line| line.written(page, spilled));
    }

    /// The same, for the requeued messages of a line.
    pub fn returned_written(
        &mut self,
        line: usize,
        page: PageId,
        spilled: io::Result<Arc<Spilled>>,
    ) {
        self.with_line(line, |line| line.requeued().written(page, spilled));
    }

    /// Handles the arrival of a page; `rest` of it is read later. Returns what was known of it and what it is, or
    /// `None` if it was no longer awaited. `stored` says whether a message is stored.
    pub fn page_read(
        &mut self,
        line: usize,
        page: PageId,
        mut entries: Vec<Entry>,
        rest: Option<Outline>,
        stored: impl Fn(&Entry) -> bool,
    ) -> Option<(Totals, Totals)> {
        if !self.line(line)?.awaits(page) {
            return None;
        }
        let mut found = totals_of(&entries, &stored);
        self.move_to_own_lines(line, &mut entries);
        let left = totals_of(&entries, &stored);
        let rest = rest.map(|rest| (self.next_page(), rest));
        let arrived = |line: &mut Line| line.page_read(page, entries, left, rest);
        let (known, rest) = self.with_line(line, arrived)??;
        let mut in_line = left;
        in_line += rest;
        self.correct(known, in_line);
        found += rest;
        Some((known, found))
    }

    /// Moves messages with other priorities to their lines, after a restart has put all into one; leaves the rest.
    fn move_to_own_lines(&mut self, line: usize, entries: &mut Vec<Entry>) {
        let Some(levels) = self.levels else {
            return;
        };
        let belongs = |entry: &Entry| usize::from(levels.priority(&entry.message)) == line;
        for entry in entries.extract_if(.., |entry| !belongs(entry)) {
            self.requeue(entry);
        }
    }

    /// The same, for the requeued messages of a line.
    pub fn returned_page_read(
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
        let known = self.with_line(line, |line| line.requeued().page_read(page, entries))??;
        self.correct(known, found);
        Some((known, found))
    }

    fn correct(&mut self, known: Totals, found: Totals) {
        self.bytes = self.bytes + found.bytes - known.bytes;
        self.weight = self.weight + found.weight - known.weight;
    }

    /// See [`Line::not_read`].
    pub fn not_read(&mut self, line: usize, page: PageId) {
        self.with_line(line, |line| line.not_read(page));
    }

    /// The same, for the requeued messages of a line.
    pub fn returned_not_read(&mut self, line: usize, page: PageId) {
        self.with_line(line, |line| line.requeued().not_read(page));
    }

    /// Removes a page, wherever it is.
    pub fn drop_page(&mut self) -> Option<Dropped> {
        let page = self
            .line_numbers()
            .find_map(|line| self.with_line(line, Line::drop_page).flatten())?;
        self.bytes -= page.totals.bytes;
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
