//! Who moves pages between memory and disk.

use super::Limits;
use super::page::Dropped;
use super::work::Job;
use crate::engine::queue::{Effects, Environment};
use std::fmt;
use std::sync::{Arc, Weak};

/// Who holds messages in memory.
pub trait Holder: Send + Sync {
    /// Pages out what is not about to be delivered; all that can be, if `hard`. Whoever was used since it was last asked
    /// is spared once, if not. Returns whether it holds anything still, or will say so anew.
    fn squeeze(self: Arc<Self>, hard: bool, fx: &mut Effects) -> bool;
}

/// Who moves pages, and counts what all queues and delayed exchanges have in memory, which is one budget.
pub trait PageMover: fmt::Debug + Send + Sync {
    /// How much is moved at a time, and from when on.
    fn limits(&self) -> &Limits;

    /// Whether messages can be read back from the store.
    fn has_records(&self) -> bool;

    /// Somebody holds this much in memory, where it had reported something else before.
    fn report(&self, before: u64, now: u64);

    /// One that holds something, from which it may be taken back.
    fn register(&self, holder: Weak<dyn Holder>);

    /// Whether more is in memory than should be.
    fn is_short(&self) -> bool;

    /// Whether so much more is in memory that those without consumers give theirs, used or not.
    fn is_very_short(&self) -> bool;

    /// Memory of the whole process is near its watermark, or above it: less of it is for messages that wait.
    fn is_tight(&self) -> bool;

    /// Whether there is room to read ahead of need.
    fn has_room_ahead(&self) -> bool;

    /// Whether queues should page out. One that is `consumed` a little later than others: what consumers are about to
    /// take is written for nothing.
    fn wants_room(&self, consumed: bool) -> bool;

    /// Makes sure that memory is taken back from those that are not used.
    fn call_sweeper(self: Arc<Self>, environment: &Environment);

    /// Takes on work. What it leads to is performed on the environment.
    fn submit(&self, job: Job, environment: Environment);

    /// Drops pages that nobody wants, on a thread that may block.
    fn discard(&self, pages: Vec<Dropped>);

    /// Does work at once, on this thread, for whoever cannot wait. Returns `false` if the disk fails.
    fn work_now(&self, job: Job, fx: &mut Effects) -> bool;

    /// Whether it does its work when it is asked to, so that nobody sees a difference.
    #[cfg(test)]
    fn works_at_once(&self) -> bool;
}

/// A change of memory below this many bytes is not worth a report, unless nothing is left.
const REPORT_STEP: u64 = 4096;

/// What a holder has told the pager.
#[derive(Debug, Default)]
pub struct ReportedMemory {
    /// Bytes that the pager knows of.
    reported: u64,
    /// The pager knows whom to ask for them.
    registered: bool,
}

impl ReportedMemory {
    /// Tells it that this many bytes are in memory. Returns whether the holder has to be registered.
    pub fn report(&mut self, memory: u64, pager: &dyn PageMover) -> bool {
        let changed = memory.abs_diff(self.reported);
        if changed < REPORT_STEP && (memory > 0 || changed == 0) {
            return false;
        }
        pager.report(self.reported, memory);
        self.reported = memory;
        let registers = memory > 0 && !self.registered;
        self.registered |= registers;
        registers
    }

    /// Returns whether the holder stays registered: it holds something, as far as it has told.
    pub fn stays(&mut self) -> bool {
        self.registered = self.reported > 0;
        self.registered
    }
}
