//! The interface of whatever moves pages between memory and disk.

use super::Limits;
use super::page::Dropped;
use super::work::Job;
use crate::engine::queue::{Effects, Environment};
use std::fmt;
use std::sync::{Arc, Weak};
use std::task::Waker;

/// A holder of messages in memory.
pub trait Holder: Send + Sync {
    /// Pages out what is not about to be delivered; if `everything`, everything that can be. Otherwise a holder that was used
    /// since the last call is spared once. Returns whether it still holds anything, or will register again.
    fn page_out_idle(self: Arc<Self>, everything: bool, fx: &mut Effects) -> bool;
}

/// Moves pages, and counts what all queues and delayed exchanges have in memory, within one budget.
pub trait PageMover: fmt::Debug + Send + Sync {
    /// Returns the budget and the size of pages.
    fn limits(&self) -> &Limits;

    /// Returns whether messages can be read back from the store.
    fn has_records(&self) -> bool;

    /// Records that a holder has `now` bytes in memory, where it had reported `before`.
    fn report(&self, before: u64, now: u64);

    /// Registers a holder from which memory can be taken back.
    fn register(&self, holder: Weak<dyn Holder>);

    /// Returns whether memory is over budget.
    fn is_short(&self) -> bool;

    /// Returns whether memory is so far over budget that holders without consumers page out, used
    /// or not.
    fn is_very_short(&self) -> bool;

    /// Returns whether the memory of the whole process is near or above its watermark: then less of it is available for
    /// waiting messages.
    fn is_tight(&self) -> bool;

    /// Returns whether too much waits to be written or paged out, so that publishers must not be read.
    fn over_mark(&self) -> bool;

    /// Wakes the waker once [`PageMover::over_mark`] is false, perhaps at once.
    fn wake_when_below(&self, waker: Waker);

    /// Returns whether there is room to read ahead.
    fn has_room_ahead(&self) -> bool;

    /// Returns whether queues should page out. `consumed` queues do so a little later than others: writing what
    /// consumers are about to take is wasted.
    fn wants_room(&self, consumed: bool) -> bool;

    /// Makes sure that memory is taken back from idle holders.
    fn call_sweeper(self: Arc<Self>, environment: &Environment);

    /// Accepts a job. Its effects are performed on the environment.
    fn submit(&self, job: Job, environment: Environment);

    /// Drops pages on a thread that may block.
    fn discard(&self, pages: Vec<Dropped>);

    /// Performs a job immediately on this thread, for callers that cannot wait. Returns false if the disk fails.
    fn work_now(&self, job: Job, fx: &mut Effects) -> bool;

    /// Returns whether it works synchronously, as tests need it.
    #[cfg(test)]
    fn is_synchronous(&self) -> bool;
}

/// A change of memory below this many bytes is not reported, unless nothing is left.
const REPORT_STEP: u64 = 4096;

/// What a holder has reported to the pager.
#[derive(Debug, Default)]
pub struct ReportedMemory {
    /// Bytes that the pager knows of.
    reported: u64,
    /// The holder is registered.
    registered: bool,
}

impl ReportedMemory {
    /// Reports that this many bytes are in memory. Returns whether the holder has to be registered.
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

    /// Returns whether the holder stays registered, because it has reported memory.
    pub fn stays(&mut self) -> bool {
        self.registered = self.reported > 0;
        self.registered
    }
}
