//! Paging of a delayed exchange: messages that are due last wait on disk, like the backlogs of queues and within the
//! same memory budget.

use super::{Delays, Waiting};
use crate::engine::queue::Effects;
use crate::engine::queue::paging::{
    Holder, Job, JobResult, Owner, PageId, PageMover, PageWork, ReportedMemory, Section, Sorted,
    StoredForm,
};
use leveret_storage::QueueId;
use std::sync::Arc;

/// Pages that are paged out at a time, under one lock.
const PAGES_AT_A_TIME: usize = 8;

/// The state of paging.
#[derive(Debug, Default)]
pub(super) struct Paging {
    reported: ReportedMemory,
    /// The number of the last page.
    pages: u64,
}

/// Work that its pages need.
#[derive(Default)]
pub(super) struct Wanted {
    pages: Vec<(PageId, PageWork)>,
    registers: bool,
}

impl Wanted {
    /// Reads the first messages if they are on disk.
    pub(super) fn read(&mut self, messages: &mut Sorted) {
        if let Some((page, spilled)) = messages.next_read(0) {
            self.pages.push((page, PageWork::ReadSorted(spilled)));
        }
    }
}

impl Waiting {
    /// Pages out the messages that are due last, in pages of about this many bytes, and leaves `at_head` bytes of those
    /// due first.
    fn page_out(&mut self, bytes: u64, at_head: u64, wanted: &mut Wanted) {
        for _ in 0..PAGES_AT_A_TIME {
            self.paging.pages += 1;
            let number = self.paging.pages;
            // Whether a message is stored is only determined when it leaves.
            let paged = self
                .messages
                .page_out(number, bytes, at_head, |_| StoredForm::Not);
            let Some((page, entries)) = paged else {
                return;
            };
            wanted.pages.push((page, PageWork::WriteSorted(entries)));
        }
    }

    /// Reports the memory used to the pager. Returns whether the holder has to be registered.
    pub(super) fn report(&mut self, fx: &Effects) -> bool {
        let memory = self.messages.memory();
        fx.pager()
            .is_some_and(|pager| self.paging.reported.report(memory, pager))
    }
}

impl Delays {
    /// Pages out if memory is short. Called under the lock after every change.
    pub(super) fn pages(&self, waiting: &mut Waiting, fx: &Effects) -> Wanted {
        let mut wanted = Wanted {
            registers: waiting.report(fx),
            ..Wanted::default()
        };
        if let Some(pager) = fx.pager() {
            let page = pager.limits().page;
            if waiting.messages.memory() > 2 * page && pager.wants_room(false) {
                waiting.page_out(page, page, &mut wanted);
                waiting.report(fx);
            }
        }
        wanted
    }

    /// Hands work to the pager, once the lock is released.
    pub(super) fn want(self: &Arc<Self>, wanted: Wanted, fx: &mut Effects) {
        if wanted.registers {
            fx.register_holder(self);
        }
        for (page, work) in wanted.pages {
            fx.page(Job {
                owner: self.clone(),
                section: Section::Parked,
                page,
                work,
            });
        }
    }
}

impl Owner for Delays {
    fn id(&self) -> QueueId {
        self.id
    }

    fn name(&self) -> &str {
        self.exchange.as_str()
    }

    fn has_ended(&self) -> bool {
        self.waiting.lock().ended
    }

    fn paged(self: Arc<Self>, _: Section, page: PageId, done: JobResult, fx: &mut Effects) {
        let mut waiting = self.waiting.lock();
        match done {
            JobResult::Written(spilled) => waiting.messages.written(page, spilled),
            JobResult::NotRead => waiting.messages.not_read(page),
            JobResult::ReadSorted(entries) => {
                waiting.messages.page_read(page, entries);
            }
            JobResult::Read(..) => {}
        }
        let wanted = self.pages(&mut waiting, fx);
        let earliest = waiting.earliest();
        drop(waiting);
        self.want(wanted, fx);
        if let Some(due) = earliest {
            fx.wake_at(self.clock.instant(due), self.clone());
        }
    }
}

impl Holder for Delays {
    fn page_out_idle(self: Arc<Self>, everything: bool, fx: &mut Effects) -> bool {
        let Some(page) = fx.pager().map(PageMover::limits).map(|limits| limits.page) else {
            return false;
        };
        let mut waiting = self.waiting.lock();
        let mut wanted = Wanted::default();
        // The messages that are due next stay, unless memory is very short.
        let at_head = if everything { 0 } else { page };
        waiting.page_out(page, at_head, &mut wanted);
        waiting.report(fx);
        let holds = waiting.paging.reported.stays();
        drop(waiting);
        self.want(wanted, fx);
        holds
    }
}
