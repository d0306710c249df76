//! What has to be done for a page, and what became of it.

use super::page::{Outline, PageId, Shelf, Source};
use super::sorted::RankedPage;
use crate::engine::queue::Effects;
use crate::engine::queue::entry::Entry;
use leveret_storage::{QueueId, Spilled};
use std::fmt;
use std::io;
use std::sync::Arc;

/// Who has pages: a queue or a delayed exchange.
pub trait Owner: Send + Sync {
    /// Under which the store keeps its messages.
    fn id(&self) -> QueueId;

    /// What it is called, for the log.
    fn name(&self) -> &str;

    /// Whether it was deleted, and wants no page any more.
    fn has_ended(&self) -> bool;

    /// Takes in what became of a page.
    fn paged(self: Arc<Self>, shelf: Shelf, page: PageId, done: JobResult, fx: &mut Effects);
}

/// What a page needs.
#[derive(Debug)]
pub enum Work {
    /// To be written, where a restart empties.
    Write(Arc<Vec<Entry>>),
    /// Likewise, messages with their ranks.
    WriteSorted(Arc<RankedPage>),
    /// To be read.
    Read(Source, Outline),
    /// Likewise, messages with their ranks.
    ReadSorted(Arc<Spilled>),
}

/// Work for a page.
pub struct Job {
    /// Whose page it is.
    pub owner: Arc<dyn Owner>,
    /// What of it the page belongs to.
    pub shelf: Shelf,
    /// The page.
    pub page: PageId,
    /// The work.
    pub work: Work,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (owner, shelf, page) = (self.owner.id(), self.shelf, self.page);
        f.debug_tuple("Job")
            .field(&owner)
            .field(&shelf)
            .field(&page)
            .finish()
    }
}

/// What became of it.
#[derive(Debug)]
pub enum JobResult {
    /// It was written, or could not be.
    Written(io::Result<Arc<Spilled>>),
    /// It was read, but for a rest that would take too much memory at once, and for what is missing. Whether that is lost
    /// is for the queue to say, which knows whether it still waits for the page.
    Read(Vec<Entry>, Option<Outline>, Option<Missing>),
    /// It was read; what is missing is lost.
    ReadSorted(RankedPage),
    /// It cannot be read for now.
    NotRead,
}

/// A page that was not found whole in the store, though nothing there is damaged.
#[derive(Clone, Copy, Debug)]
pub struct Missing {
    /// What was looked for.
    pub outline: Outline,
    /// How many were found.
    pub found: usize,
}

impl Missing {
    /// Says so in the log.
    pub(super) fn tell(&self, queue: &str) {
        let (first, last) = (self.outline.first.0, self.outline.last.0);
        tracing::error!(
            %queue,
            expected = self.outline.messages,
            found = self.found,
            "messages between {first} and {last} are missing from the store"
        );
    }
}

impl Job {
    /// Bytes that wait to be written.
    pub fn writing(&self) -> u64 {
        match &self.work {
            Work::Write(entries) => entries.iter().map(Entry::weight).sum(),
            Work::WriteSorted(entries) => entries.iter().map(|(_, ranked)| ranked.weight()).sum(),
            Work::Read(..) | Work::ReadSorted(_) => 0,
        }
    }
}
