//! Paging: backlogs do not stay in memory. Above a budget that all queues share, a queue keeps a
//! window at its head and the newest messages; those in between are on disk, known as pages. They
//! are read back ahead of need.
//!
//! A page whose messages are all in the store, contiguously, is simply dropped from memory and read
//! from the store again. Any other is written to the spill area, which is emptied on restart.
//!
//! The machine decides what is paged out and in ([`PageWork`]); the threads of a [`PageMover`] do it outside the machine's
//! lock, and report the result to the queue ([`JobResult`]). Until then a page that is being written is still in
//! memory, and can be taken from there.

mod backlog;
mod mover;
mod page;
mod ranked;
mod rules;
mod sorted;
#[cfg(test)]
mod tests;
mod work;

pub use backlog::Backlog;
pub use mover::{Holder, PageMover, ReportedMemory};
pub use page::{
    Dropped, HeadExpiry, Outline, PageId, PagedOut, Reading, Section, Source, StoredForm, Totals,
};
pub use ranked::{MoreKeys, Rank, Ranked, RankedPage};
pub use rules::{Paging, Wanted};
pub use sorted::{FirstMessage, Sorted};
pub use work::{Job, JobResult, Missing, Owner, PageWork};

/// How much memory queues may use, and the size of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of ready messages in memory, of all queues together, above which backlogs are paged
    /// out.
    pub budget: u64,
    /// Approximate bytes that a page takes in memory; a single larger message is a page by itself.
    pub page: u64,
}

impl Limits {
    /// Creates limits with this budget, and pages of the usual size unless the budget is small.
    pub fn with_budget(budget: u64) -> Self {
        Limits {
            budget,
            page: (budget / 16).clamp(4 << 10, 256 << 10),
        }
    }
}

/// Bytes that a message not read since a restart is assumed to take besides its body. If they are more, its page is
/// read in several parts.
pub const PRESUMED_OVERHEAD: u64 = 200;
