//! When a queue pages out and in.

use super::mover::PageMover;
use super::mover::{Holder, ReportedMemory};
use super::page::{Dropped, Outline, PageId, PagedOut, Reading, Section, StoredForm, Totals};
use super::work::{Job, JobResult, Owner, PageWork};
use crate::engine::queue::Effects;
use crate::engine::queue::Queue;
use crate::engine::queue::QueueKind;
use crate::engine::queue::entry::Entry;
use crate::engine::queue::machine::Machine;
use leveret_storage::{Op, Position, QueueId};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Pages that are paged out at a time, under one lock.
const PAGES_AT_A_TIME: usize = 8;
/// Pages that are read ahead of consumers while there is room.
const PAGES_AHEAD: u64 = 4;
/// Bytes that stay at the head of a queue whose consumers currently take nothing, unless memory is very short.
const KEPT_HEAD: u64 = 16 << 10;
/// The maximum number of pages read for one basic.get.
const PATIENCE: usize = 64;

/// The paging state of a queue.
#[derive(Debug, Default)]
pub struct Paging {
    reported: ReportedMemory,
    /// The queue was used since it was last asked to give up memory.
    used: bool,
    /// Every stored message up to here was delivered before the restart.
    delivered_before: Option<Position>,
}

/// Work that the machine's pages need.
#[derive(Debug, Default)]
pub struct Wanted {
    pages: SmallVec<[(Section, PageId, PageWork); 1]>,
    /// The queue has to be registered as a holder.
    registers: bool,
}

impl Wanted {
    /// Returns whether there is nothing to do.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty() && !self.registers
    }

    /// Returns the number of messages to be written.
    pub(in crate::engine::queue) fn written(&self) -> u64 {
        let written = self.pages.iter().map(|(_, _, work)| match work {
            PageWork::Write(entries) => entries.len(),
            PageWork::WriteSorted(entries) => entries.len(),
            _ => 0,
        });
        written.sum::<usize>() as u64
    }

    /// Adds a page that was made, of a line or its requeued messages.
    fn paged_out(&mut self, line: usize, paged: PagedOut) {
        match paged {
            PagedOut::Stored => {}
            PagedOut::Line(page, entries) => {
                let section = Section::Line(line);
                self.pages.push((section, page, PageWork::Write(entries)));
            }
            PagedOut::Sorted(page, entries) => {
                let section = Section::Returned(line);
                self.pages
                    .push((section, page, PageWork::WriteSorted(entries)));
            }
        }
    }

    fn read(&mut self, line: usize, reading: Reading) {
        self.pages.push(reading.into_work(line));
    }
}

impl Reading {
    fn into_work(self, line: usize) -> (Section, PageId, PageWork) {
        match self {
            Reading::Line(page, source, outline) => {
                (Section::Line(line), page, PageWork::Read(source, outline))
            }
            Reading::Sorted(page, spilled) => {
                (Section::Returned(line), page, PageWork::ReadSorted(spilled))
            }
        }
    }
}

impl Machine {
    /// Returns the bytes of messages in memory.
    pub(in crate::engine::queue) fn memory(&self) -> u64 {
        self.ready.memory() + self.parked_memory() + self.waiting_memory()
    }

    /// Pages out if memory is short, and pages in what will be needed. Called at the end of every
    /// operation under the lock.
    #[inline]
    pub(in crate::engine::queue) fn pages(&mut self, fx: &mut Effects) -> Wanted {
        let mut wanted = Wanted::default();
        if fx.pager().is_none() {
            return wanted;
        }
        let paged = self.ready.is_paged();
        let able = paged && self.consumers.any_ready();
        // Dead letters go to other queues, which may have no room for them: then the timer continues here later, because
        // it waits for room as publishers do.
        let expired = match paged {
            true => self.expired_on_disk(fx),
            false => SmallVec::new(),
        };
        let over_limit = paged && self.is_over_limit();
        let dies = over_limit || !expired.is_empty();
        self.reads_later = dies && fx.pager().is_some_and(PageMover::over_mark);
        let reads = able || over_limit && !self.reads_later;
        if self.outbox.is_some() {
            wanted.pages.extend(self.letters_to_read(fx));
        }
        if self.returned.is_some() {
            wanted.pages.extend(self.waiting_to_read(fx));
        }
        if !self.reads_later {
            self.page_in_expired(expired, &mut wanted);
        }
        let Some(pager) = fx.pager() else {
            return wanted;
        };
        let memory = self.memory();
        wanted.registers = self.paging.reported.report(memory, pager);
        self.paging.used = true;
        if memory > 2 * pager.limits().page && pager.wants_room(!self.is_without_consumers()) {
            self.page_out(pager, &mut wanted);
        }
        if reads {
            self.page_in(pager, &mut wanted);
        }
        if !wanted.is_empty() {
            self.count_written(&wanted, fx);
        }
        wanted
    }

    /// Reads first messages that have expired, even if no consumer wants them.
    fn page_in_expired(&mut self, lines: SmallVec<[usize; 1]>, wanted: &mut Wanted) {
        for line in lines {
            if let Some(reading) = self.ready.read_of(line, 0) {
                wanted.read(line, reading);
            }
        }
    }

    /// Returns how the store keeps a message.
    fn kept(&self, pager: &dyn PageMover) -> impl Fn(&Entry) -> StoredForm + use<> {
        let stores = self.storing();
        let before = self.paging.delivered_before;
        let has_records = pager.has_records();
        move |entry: &Entry| {
            if !stores(&entry.message) {
                return StoredForm::Not;
            }
            if !entry.message.is_claimed() {
                return StoredForm::Pending;
            }
            let redelivered = before.is_some_and(|before| entry.position <= before);
            let plain = entry.redelivered() == redelivered && entry.returns().is_zero();
            match plain && has_records {
                true => StoredForm::Complete,
                false => StoredForm::WithoutQueueState,
            }
        }
    }

    fn page_out(&mut self, pager: &dyn PageMover, wanted: &mut Wanted) {
        let (page, kept) = (pager.limits().page, self.kept(pager));
        for _ in 0..PAGES_AT_A_TIME {
            if let Some(work) = self.page_out_others(page, page, &kept) {
                wanted.pages.push(work);
                continue;
            }
            let Some((line, paged)) = self.ready.page_out(page, &kept) else {
                break;
            };
            wanted.paged_out(line, paged);
        }
        self.paging.reported.report(self.memory(), pager);
    }

    /// Pages out about this many bytes of messages that are not ready, and leaves the first `at_head` bytes.
    fn page_out_others(
        &mut self,
        bytes: u64,
        at_head: u64,
        kept: impl Fn(&Entry) -> StoredForm,
    ) -> Option<(Section, PageId, PageWork)> {
        let parked = self.page_out_parked(bytes, at_head, &kept);
        parked
            .map(|(page, entries)| (Section::Parked, page, PageWork::WriteSorted(entries)))
            .or_else(|| self.page_out_waiting(bytes, at_head, kept))
    }

    /// Pages out what is not about to be delivered; all that can be, if `everything`.
    fn page_out_idle(&mut self, everything: bool, pager: &dyn PageMover) -> (Wanted, bool) {
        let mut wanted = Wanted::default();
        // A queue in use pages out by itself, and what is at its head is about to be delivered.
        let used = std::mem::take(&mut self.paging.used);
        let spared = used && !everything && !(self.is_without_consumers() && pager.is_very_short());
        if !self.is_deleted() && !spared {
            let (page, kept) = (pager.limits().page, self.kept(pager));
            let at_head = match everything || self.is_without_consumers() {
                true => 0,
                false => KEPT_HEAD.min(page),
            };
            for _ in 0..PAGES_AT_A_TIME {
                if let Some(work) = self.page_out_others(page, 0, &kept) {
                    wanted.pages.push(work);
                    continue;
                }
                let Some((line, paged)) = self.ready.page_out_idle(page, at_head, &kept) else {
                    break;
                };
                wanted.paged_out(line, paged);
            }
        }
        self.paging.reported.report(self.memory(), pager);
        let holds = self.paging.reported.stays();
        (wanted, holds)
    }

    fn page_in(&mut self, pager: &dyn PageMover, wanted: &mut Wanted) {
        let ahead = match self.consumers.any_ready() && pager.has_room_ahead() {
            true => PAGES_AHEAD * pager.limits().page,
            false => 0,
        };
        while let Some((line, reading)) = self.ready.next_read(ahead) {
            wanted.read(line, reading);
        }
    }

    /// Reports the memory after all ready messages were dropped.
    pub(in crate::engine::queue) fn report_memory(&mut self, fx: &Effects) {
        if let Some(pager) = fx.pager() {
            self.paging.reported.report(self.memory(), pager);
        }
    }

    /// Restores messages that the store kept across a restart, without reading them; call it in
    /// order of positions, then [`Machine::start`]. All up to `delivered` were delivered before.
    pub fn restore_pages(&mut self, pages: &[Outline], delivered: Option<Position>) {
        self.paging.delivered_before = delivered;
        for page in pages {
            self.persistent += page.messages;
            self.persistent_bytes += page.bytes;
            self.ready.restore_page(page);
        }
    }

    /// Handles the result of a page job. Returns whether messages arrived that were still awaited: a page may be read
    /// twice while it is under way, and messages that the second reader no longer finds were taken and settled in
    /// between, or dropped.
    fn paged(&mut self, section: Section, page: PageId, done: JobResult, fx: &mut Effects) -> bool {
        if self.is_deleted() {
            return false;
        }
        let read = done.messages_read();
        if read > 0 {
            self.activity(fx).stats.disk_reads += read;
        }
        match (section, done) {
            (Section::Line(line), JobResult::Written(spilled)) => {
                self.ready.written(line, page, spilled);
            }
            (Section::Line(line), JobResult::NotRead) => self.ready.not_read(line, page),
            (Section::Line(line), JobResult::Read(entries, rest, _)) => {
                return self.came(line, page, entries, rest, fx);
            }
            (Section::Returned(line), JobResult::Written(spilled)) => {
                self.ready.returned_written(line, page, spilled);
            }
            (Section::Returned(line), JobResult::NotRead) => {
                self.ready.returned_not_read(line, page);
            }
            (Section::Returned(line), JobResult::ReadSorted(entries)) => {
                let stores = self.storing();
                let stores = |entry: &Entry| stores(&entry.message);
                let corrected = self.ready.returned_page_read(line, page, entries, stores);
                return self.page_read(corrected, fx);
            }
            (Section::Parked, done) => self.parked_page_done(page, done, fx),
            (Section::Waiting, done) => self.waiting_paged(page, done, fx),
            (Section::Line(_), JobResult::ReadSorted(_))
            | (Section::Returned(_), JobResult::Read(..)) => {
                debug_assert!(false, "a page of another kind than was asked for");
            }
        }
        false
    }

    fn came(
        &mut self,
        line: usize,
        page: PageId,
        mut entries: Vec<Entry>,
        rest: Option<Outline>,
        fx: &mut Effects,
    ) -> bool {
        let before = self.paging.delivered_before;
        let mut waits = BTreeMap::new();
        for entry in &mut entries {
            if before.is_some_and(|before| entry.position <= before) {
                entry.mark_redelivered();
            }
            match self.restore_count(entry) {
                Some(due) => drop(waits.insert(entry.position, due)),
                None => self.expiry.enters(entry),
            }
        }
        let waiting: Vec<Entry> = entries
            .extract_if(.., |entry| waits.contains_key(&entry.position))
            .collect();
        let stores = self.storing();
        let stores = |entry: &Entry| stores(&entry.message);
        let Some((known, mut found)) = self.ready.page_read(line, page, entries, rest, stores)
        else {
            return false;
        };
        for entry in waiting {
            found.count(&entry, stores(&entry));
            if let Some(due) = waits.get(&entry.position) {
                self.restore_waiting(*due, entry);
            }
        }
        self.page_read(Some((known, found)), fx)
    }

    /// Corrects what was assumed about a page that has arrived. Returns false if it was not awaited.
    fn page_read(&mut self, corrected: Option<(Totals, Totals)>, fx: &mut Effects) -> bool {
        let Some((known, found)) = corrected else {
            return false;
        };
        self.correct_stored(known, found);
        self.drop_over_limit(fx);
        self.dispatch(fx);
        true
    }

    /// Corrects the counts of stored messages by what was found.
    pub(in crate::engine::queue) fn correct_stored(&mut self, known: Totals, found: Totals) {
        self.persistent = self.persistent + found.stored - known.stored;
        self.persistent_bytes = self.persistent_bytes + found.stored_bytes - known.stored_bytes;
    }

    /// Drops the first pages until there is something in memory again. Returns the number of
    /// messages dropped.
    pub(in crate::engine::queue) fn drop_pages(&mut self, fx: &mut Effects) -> u64 {
        let mut count = 0;
        while self.ready.first().is_none()
            && let Some(page) = self.ready.drop_page()
        {
            count += self.forget_page(page, fx);
        }
        count
    }

    /// Removes what is kept of the messages of a page that are gone for good. Returns their number.
    pub(in crate::engine::queue) fn forget_page(&mut self, page: Dropped, fx: &mut Effects) -> u64 {
        let totals = page.totals;
        self.persistent -= totals.stored;
        self.persistent_bytes -= totals.stored_bytes;
        for &(first, last) in &page.stored {
            let queue = self.id;
            fx.store(Op::Ack { queue, first, last });
            self.forget_counts_between(first, last, fx);
        }
        fx.discard(page);
        totals.messages
    }
}

impl Owner for Queue {
    fn id(&self) -> QueueId {
        self.id
    }

    fn name(&self) -> &str {
        Queue::name(self).as_str()
    }

    fn has_ended(&self) -> bool {
        Queue::has_ended(self)
    }

    fn paged(self: Arc<Self>, section: Section, page: PageId, done: JobResult, fx: &mut Effects) {
        let missing = match &done {
            JobResult::Read(_, _, missing) => *missing,
            JobResult::ReadSorted(_) | JobResult::Written(_) | JobResult::NotRead => None,
        };
        let awaited = self.serve(fx, |machine, fx| machine.paged(section, page, done, fx));
        if let Some(missing) = missing.filter(|_| awaited) {
            missing.log(Queue::name(&self).as_str());
        }
    }
}

impl Holder for Queue {
    fn page_out_idle(self: Arc<Self>, everything: bool, fx: &mut Effects) -> bool {
        let Some(pager) = fx.shared_pager() else {
            return false;
        };
        let (wanted, holds) = self.with_machine(|machine| {
            let (wanted, holds) = machine.page_out_idle(everything, &*pager);
            machine.count_written(&wanted, fx);
            (wanted, holds)
        });
        self.moves(fx);
        self.want(wanted, fx);
        holds
    }
}

impl Queue {
    fn job(self: &Arc<Self>, (section, page, work): (Section, PageId, PageWork)) -> Job {
        Job {
            owner: self.clone(),
            section,
            page,
            work,
        }
    }

    /// Hands work to the pager, once the lock is released.
    pub(in crate::engine::queue) fn want(self: &Arc<Self>, wanted: Wanted, fx: &mut Effects) {
        if wanted.registers {
            fx.register_holder(self);
        }
        for work in wanted.pages {
            let job = self.job(work);
            #[cfg(test)]
            if let Some(pager) = fx.shared_pager().filter(|pager| pager.is_synchronous()) {
                pager.work_now(job, fx);
                continue;
            }
            fx.page(job);
        }
    }

    /// Makes sure that the first message, if any, is in memory, for callers that cannot wait for
    /// the pager. Blocks on the disk if necessary. Returns false if the disk fails.
    pub fn fetch_head(self: &Arc<Self>, fx: &mut Effects) -> bool {
        let Some(pager) = fx.shared_pager() else {
            return true;
        };
        // The messages read may have expired and be gone.
        for _ in 0..PATIENCE {
            let head = self.with_machine(|machine| machine.ready.head_to_read());
            let Some((line, reading)) = head else {
                return true;
            };
            let job = self.job(reading.into_work(line));
            if !pager.work_now(job, fx) {
                return false;
            }
        }
        true
    }

    /// Returns whether there is a first message in memory.
    #[cfg(test)]
    pub fn has_head(&self) -> bool {
        self.with_machine(|machine| machine.ready.first().is_some())
    }

    /// Returns whether the queue's messages are not in the order in which they arrived. A quorum queue's are not
    /// either, but its pages' messages are sorted when they are read.
    pub fn sorts_messages(&self) -> bool {
        self.kind == QueueKind::Classic && self.settings().max_priority.is_some()
    }

    /// Pages out what is too much after messages were restored.
    pub fn after_restoring(self: &Arc<Self>, fx: &mut Effects) {
        self.serve(fx, |_, _| ());
    }

    /// See [`Machine::restore_pages`].
    pub fn restore_pages(&self, pages: &[Outline], delivered: Option<Position>) {
        self.with_machine(|machine| machine.restore_pages(pages, delivered));
    }
}
