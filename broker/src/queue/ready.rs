//! The messages that are ready to be delivered, in the order in which they are.

use super::entry::Entry;
use super::line::Line;
use super::priority::Priorities;
use super::settings::{QueueKind, Settings};
use super::two_levels::TwoLevels;

/// Ready messages: in one line, or in several.
#[derive(Debug, Default)]
pub struct Ready {
    line: Line,
    /// Beside the line, which is empty then: a queue without priorities asks once whether it has
    /// any.
    lines: Option<Box<Lines>>,
    bytes: u64,
}

/// More lines than one.
#[derive(Debug)]
enum Lines {
    /// One for each priority.
    Priorities(Priorities),
    /// Those of a quorum queue.
    TwoLevels(TwoLevels),
}

impl Ready {
    /// An empty place for the messages of a queue that is set to this.
    pub fn new(kind: QueueKind, settings: &Settings) -> Self {
        let lines = match kind {
            QueueKind::Quorum => Some(Lines::TwoLevels(TwoLevels::default())),
            QueueKind::Classic | QueueKind::Stream => settings
                .max_priority
                .map(|max| Lines::Priorities(Priorities::new(max))),
        };
        Ready {
            lines: lines.map(Box::new),
            ..Ready::default()
        }
    }

    /// Adds a message at its place: behind all that were ever added, as a rule, or where it was
    /// reserved before others came.
    pub fn insert(&mut self, entry: Entry) {
        self.bytes += entry.message.body().len() as u64;
        match self.lines.as_deref_mut() {
            None => self.line.insert(entry),
            Some(Lines::Priorities(lines)) => lines.insert(entry),
            Some(Lines::TwoLevels(lines)) => lines.insert(entry),
        }
    }

    /// Puts a message back where it was.
    pub fn requeue(&mut self, entry: Entry) {
        self.bytes += entry.message.body().len() as u64;
        match self.lines.as_deref_mut() {
            None => self.line.requeue(entry),
            Some(Lines::Priorities(lines)) => lines.requeue(entry),
            Some(Lines::TwoLevels(lines)) => lines.requeue(entry),
        }
    }

    /// Takes the message whose turn it is: with priorities the oldest of the highest.
    pub fn pop(&mut self) -> Option<Entry> {
        let entry = match self.lines.as_deref_mut() {
            None => self.line.pop(),
            Some(Lines::Priorities(lines)) => lines.pop(),
            Some(Lines::TwoLevels(lines)) => lines.pop(),
        }?;
        self.bytes -= entry.message.body().len() as u64;
        Some(entry)
    }

    /// The message whose turn it is.
    pub fn first(&self) -> Option<&Entry> {
        match self.lines.as_deref() {
            None => self.line.first(),
            Some(Lines::Priorities(lines)) => lines.first(),
            Some(Lines::TwoLevels(lines)) => lines.first(),
        }
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        match self.lines.as_deref() {
            None => self.line.len(),
            Some(Lines::Priorities(lines)) => lines.len(),
            Some(Lines::TwoLevels(lines)) => lines.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets of their bodies.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}
