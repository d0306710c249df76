//! Jobs for pages, and their results.

use super::page::{Outline, PageId, Section, Source};
use super::ranked::RankedPage;
use crate::engine::queue::Effects;
use crate::engine::queue::entry::Entry;
use leveret_storage::{QueueId, Spilled};
use std::fmt;
use std::io;
use std::sync::Arc;

/// An owner of pages: a queue or a delayed exchange.
pub trait Owner: Send + Sync {
    /// Returns the id under which its messages are stored.
    fn id(&self) -> QueueId;

    /// Returns its name, for the log.
    fn name(&self) -> &str;

    /// Returns whether it was deleted, and needs no pages any more.
    fn has_ended(&self) -> bool;

    /// Handles the result of a page's job.
    fn paged(self: Arc<Self>, section: Section, page: PageId, done: JobResult, fx: &mut Effects);
}

/// What a page needs.
#[derive(Debug)]
pub enum PageWork {
    /// Write it to the spill area.
    Write(Arc<Vec<Entry>>),
    /// The same, for messages with ranks.
    WriteSorted(Arc<RankedPage>),
    /// Read it.
    Read(Source, Outline),
    /// The same, for messages with ranks.
    ReadSorted(Arc<Spilled>),
}

/// A job for a page.
pub struct Job {
    /// The owner of the page.
    pub owner: Arc<dyn Owner>,
    /// The part of the owner that the page belongs to.
    pub section: Section,
    /// The page.
    pub page: PageId,
    /// The work.
    pub work: PageWork,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (owner, section, page) = (self.owner.id(), self.section, self.page);
        f.debug_tuple("Job")
            .field(&owner)
            .field(&section)
            .field(&page)
            .finish()
    }
}

/// The result of a job.
#[derive(Debug)]
pub enum JobResult {
    /// It was written, or could not be.
    Written(io::Result<Arc<Spilled>>),
    /// It was read, except for a rest that would take too much memory at once, and for what is missing. Whether that is
    /// lost is for the queue to decide, which knows whether it still waits for the page.
    Read(Vec<Entry>, Option<Outline>, Option<Missing>),
    /// It was read; what is missing is lost.
    ReadSorted(RankedPage),
    /// It cannot be read at the moment.
    NotRead,
}

impl JobResult {
    /// Returns the number of messages that were read.
    pub(super) fn messages_read(&self) -> u64 {
        match self {
            JobResult::Read(entries, ..) => entries.len() as u64,
            JobResult::ReadSorted(entries) => entries.len() as u64,
            JobResult::Written(_) | JobResult::NotRead => 0,
        }
    }
}

/// A page that was not found completely in the store, though nothing there is damaged.
#[derive(Clone, Copy, Debug)]
pub struct Missing {
    /// What was requested.
    pub outline: Outline,
    /// The number of messages found.
    pub found: usize,
}

impl Missing {
    /// Logs it.
    pub(super) fn log(&self, queue: &str) {
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
    /// Returns the number of bytes to be written.
    pub fn writing(&self) -> u64 {
        match &self.work {
            PageWork::Write(entries) => entries.iter().map(Entry::weight).sum(),
            PageWork::WriteSorted(entries) => {
                entries.iter().map(|(_, ranked)| ranked.weight()).sum()
            }
            PageWork::Read(..) | PageWork::ReadSorted(_) => 0,
        }
    }
}
