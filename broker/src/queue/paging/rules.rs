//! When a queue pages out and in.

use super::page::{Kept, Outline, PageId};
use super::pager::Pager;
use super::work::{Done, Job, Work};
use crate::queue::Effects;
use crate::queue::Queue;
use crate::queue::entry::Entry;
use crate::queue::machine::Machine;
use leveret_storage::{Op, Position};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

/// Pages that leave at a time, under one lock.
const PAGES_AT_A_TIME: usize = 8;
/// Pages that are read ahead of consumers.
const PAGES_AHEAD: u64 = 4;
/// A change of memory below this many octets is not worth a report, unless nothing is left.
const REPORT_STEP: u64 = 4096;
/// Pages that are read in a row for one basic.get.
const PATIENCE: usize = 64;

/// How long the start of the broker waits at a time for messages to be paged out.
const MOMENT: Duration = Duration::from_millis(1);

/// What a queue knows of its memory.
#[derive(Debug, Default)]
pub struct Paging {
    /// Octets that the pager knows of.
    reported: u64,
    /// Up to here every stored message was delivered before the restart.
    delivered_before: Option<Position>,
}

/// What the machine wants done for a page.
pub type Wanted = SmallVec<[(usize, PageId, Work); 1]>;

impl Paging {
    fn report(&mut self, memory: u64, pager: &Pager) {
        let changed = memory.abs_diff(self.reported);
        if changed >= REPORT_STEP || (memory == 0 && changed > 0) {
            pager.report(self.reported, memory);
            self.reported = memory;
        }
    }
}

impl Machine {
    /// Pages out if memory is short, and in what will be needed. Called at the end of whatever was
    /// done under one lock.
    #[inline]
    pub(in crate::queue) fn pages(&mut self, fx: &Effects) -> Wanted {
        let Some(pager) = fx.pager() else {
            return Wanted::new();
        };
        let memory = self.ready.memory();
        self.paging.report(memory, pager);
        let mut wanted = Wanted::new();
        if memory > 2 * pager.limits().page && pager.wants_room() {
            self.page_out(pager, &mut wanted);
        }
        if self.ready.is_paged() {
            self.page_in(pager, &mut wanted);
        }
        wanted
    }

    fn page_out(&mut self, pager: &Pager, wanted: &mut Wanted) {
        for _ in 0..PAGES_AT_A_TIME {
            let stores = self.storing();
            let before = self.paging.delivered_before;
            let kept = |entry: &Entry| {
                if !stores(&entry.message) {
                    return Kept::Not;
                }
                if !entry.message.is_claimed() {
                    return Kept::NotYet;
                }
                let redelivered = before.is_some_and(|before| entry.position <= before);
                let plain = entry.redelivered() == redelivered && entry.delivery_count() == 0;
                match plain && pager.has_records() {
                    true => Kept::Whole,
                    false => Kept::Partly,
                }
            };
            let Some((line, paged)) = self.ready.page_out(pager.limits().page, kept) else {
                break;
            };
            if let Some(entries) = paged.entries {
                wanted.push((line, paged.page, Work::Write(entries)));
            }
        }
        self.paging.report(self.ready.memory(), pager);
    }

    fn page_in(&mut self, pager: &Pager, wanted: &mut Wanted) {
        let ahead = match self.is_without_consumers() {
            true => 0,
            false => PAGES_AHEAD * pager.limits().page,
        };
        while let Some((line, reading)) = self.ready.next_read(ahead) {
            let work = Work::Read(reading.source, reading.outline);
            wanted.push((line, reading.page, work));
        }
    }

    /// The queue has let go of all that was ready.
    pub(in crate::queue) fn report_memory(&mut self, fx: &Effects) {
        if let Some(pager) = fx.pager() {
            self.paging.report(self.ready.memory(), pager);
        }
    }

    /// Takes over messages that the store kept over a restart, without reading them; call it in
    /// order of positions, then [`Machine::start`]. Up to `delivered` all were delivered before.
    pub fn restore_pages(&mut self, pages: &[Outline], delivered: Option<Position>) {
        self.paging.delivered_before = delivered;
        for page in pages {
            self.persistent += page.messages;
            self.persistent_bytes += page.octets;
            self.ready.restore_page(page);
        }
    }

    /// What became of a page.
    fn paged(&mut self, line: usize, page: PageId, done: Done, fx: &mut Effects) {
        if self.is_deleted() {
            return;
        }
        match done {
            Done::Written(spilled) => self.ready.written(line, page, spilled),
            Done::NotRead => self.ready.not_read(line, page),
            Done::Read(entries) => self.came(line, page, entries, fx),
        }
    }

    fn came(&mut self, line: usize, page: PageId, mut entries: Vec<Entry>, fx: &mut Effects) {
        let before = self.paging.delivered_before;
        for entry in &mut entries {
            if before.is_some_and(|before| entry.position <= before) {
                entry.mark_redelivered();
            }
            self.restore_count(entry);
            self.expiry.enters(entry);
        }
        let stores = self.storing();
        let stores = |entry: &Entry| stores(&entry.message);
        let Some((known, found)) = self.ready.arrived(line, page, entries, stores) else {
            return;
        };
        self.persistent = self.persistent + found.stored - known.stored;
        self.persistent_bytes = self.persistent_bytes + found.stored_octets - known.stored_octets;
        self.drop_over_limit(fx);
        self.dispatch(fx);
    }

    /// Drops the pages that are first, until there is something in memory again. Returns how many
    /// messages that were.
    pub(in crate::queue) fn drop_pages(&mut self, fx: &mut Effects) -> u64 {
        let mut count = 0;
        while self.ready.first().is_none()
            && let Some(page) = self.ready.drop_page()
        {
            let totals = page.totals();
            count += totals.messages;
            self.persistent -= totals.stored;
            self.persistent_bytes -= totals.stored_octets;
            for &(first, last) in page.stored() {
                let queue = self.id;
                fx.store(Op::Ack { queue, first, last });
                self.forget_counts_between(first, last, fx);
            }
            fx.discard(page);
        }
        count
    }
}

impl Queue {
    /// What became of a page, and what comes of that.
    pub fn paged(self: &Arc<Self>, line: usize, page: PageId, done: Done, fx: &mut Effects) {
        self.serve(fx, |machine, fx| machine.paged(line, page, done, fx));
    }

    fn job(self: &Arc<Self>, line: usize, page: PageId, work: Work) -> Job {
        let queue = self.clone();
        Job {
            queue,
            line,
            page,
            work,
        }
    }

    /// Work for the pager, to be done when the lock is released.
    pub(in crate::queue) fn want(self: &Arc<Self>, wanted: Wanted, fx: &mut Effects) {
        for (line, page, work) in wanted {
            let job = self.job(line, page, work);
            #[cfg(test)]
            if let Some(pager) = fx.shared_pager().filter(|pager| pager.works_at_once()) {
                pager.work_now(&job, fx);
                continue;
            }
            fx.page(job);
        }
    }

    /// Sees to it that the first message is in memory, if there is one: for whoever cannot wait for
    /// the pager. Blocks on the disk then.
    pub fn fetch_head(self: &Arc<Self>, fx: &mut Effects) {
        let Some(pager) = fx.shared_pager() else {
            return;
        };
        // What has come may have expired, and be gone.
        for _ in 0..PATIENCE {
            let head = self.with_machine(|machine| machine.ready.head_to_read());
            let Some((line, reading)) = head else {
                return;
            };
            let work = Work::Read(reading.source, reading.outline);
            let job = self.job(line, reading.page, work);
            pager.work_now(&job, fx);
        }
    }

    /// Whether there is a first message, and in memory.
    #[cfg(test)]
    pub fn has_head(&self) -> bool {
        self.with_machine(|machine| machine.ready.first().is_some())
    }

    /// Whether what is in the queue does not stand in the order in which it came.
    pub fn sorts_messages(&self) -> bool {
        self.with_machine(|machine| machine.ready.sorts_messages())
    }

    /// Pages out what is too much while messages are restored one by one, and waits for it.
    pub fn make_room(self: &Arc<Self>, fx: &mut Effects) {
        self.serve(fx, |_, _| ());
        fx.perform();
        let Some(pager) = fx.shared_pager() else {
            return;
        };
        while pager.is_behind() {
            std::thread::sleep(MOMENT);
            self.serve(fx, |_, _| ());
            fx.perform();
        }
    }

    /// See [`Machine::restore_pages`].
    pub fn restore_pages(&self, pages: &[Outline], delivered: Option<Position>) {
        self.with_machine(|machine| machine.restore_pages(pages, delivered));
    }
}
