//! Backlogs do not live in memory. Past a budget that all queues share, a queue keeps a window at
//! its head and what came last; the messages between stand on disk and are known as pages. They are
//! read back ahead of need.
//!
//! A page whose messages are all in the store, one behind the other, is only forgotten, and read
//! from the store again. Any other is written to a place of its own, which a restart empties.
//!
//! The machine decides what leaves and what comes back ([`Work`]); it is done outside its lock, by
//! a [`PageMover`]'s threads, which tell the queue what became of it ([`JobResult`]). Until then a page that
//! leaves is still in memory, and can be taken from there.

mod backlog;
mod mover;
mod page;
mod rules;
mod sorted;
#[cfg(test)]
mod tests;
mod work;

pub use backlog::Backlog;
pub use mover::{Holder, PageMover, ReportedMemory};
pub use page::{
    Dropped, HeadExpiry, Kept, Outline, PageId, PagedOut, Reading, Shelf, Source, Totals,
};
pub use rules::{Paging, Wanted};
pub use sorted::{First, MoreKeys, Rank, Ranked, RankedPage, Sorted};
pub use work::{Job, JobResult, Missing, Owner, Work};

/// How much memory queues may use, and how much is moved at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of ready messages in memory, all queues together, before backlogs are paged out.
    pub budget: u64,
    /// Bytes that a page takes in memory, about; a single larger message is a page by itself.
    pub page: u64,
}

impl Limits {
    /// This budget, and pages of the usual size unless the budget is small.
    pub fn with_budget(budget: u64) -> Self {
        Limits {
            budget,
            page: (budget / 16).clamp(4 << 10, 256 << 10),
        }
    }
}

/// Bytes that a message which has not been read since a restart is presumed to take besides its body. Should they be
/// more, its page comes in several parts.
pub const PRESUMED_OVERHEAD: u64 = 200;
