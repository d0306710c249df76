//! The messages that are ready to be delivered, in the order in which they are.

use super::entry::Entry;
use super::line::Line;
use super::priority::Priorities;
use super::settings::Settings;

/// Ready messages: in one line, or in one for each priority.
#[derive(Debug, Default)]
pub struct Ready {
    line: Line,
    /// Beside the line, which is empty then: a queue without priorities asks once whether it has
    /// any.
    priorities: Option<Box<Priorities>>,
    bytes: u64,
}

impl Ready {
    /// An empty place for the messages of a queue that is set to this.
    pub fn new(settings: &Settings) -> Self {
        Ready {
            priorities: settings
                .max_priority
                .map(|max| Box::new(Priorities::new(max))),
            ..Ready::default()
        }
    }

    /// Adds a message at its place: behind all that were ever added, as a rule, or where it was
    /// reserved before others came.
    pub fn insert(&mut self, entry: Entry) {
        self.bytes += entry.message.body().len() as u64;
        match &mut self.priorities {
            None => self.line.insert(entry),
            Some(priorities) => priorities.insert(entry),
        }
    }

    /// Puts a message back where it was.
    pub fn requeue(&mut self, entry: Entry) {
        self.bytes += entry.message.body().len() as u64;
        match &mut self.priorities {
            None => self.line.requeue(entry),
            Some(priorities) => priorities.requeue(entry),
        }
    }

    /// Takes the message whose turn it is: of the highest priority the one with the lowest
    /// position.
    pub fn pop(&mut self) -> Option<Entry> {
        let entry = match &mut self.priorities {
            None => self.line.pop(),
            Some(priorities) => priorities.pop(),
        }?;
        self.bytes -= entry.message.body().len() as u64;
        Some(entry)
    }

    /// The message whose turn it is.
    pub fn first(&self) -> Option<&Entry> {
        match &self.priorities {
            None => self.line.first(),
            Some(priorities) => priorities.first(),
        }
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        match &self.priorities {
            None => self.line.len(),
            Some(priorities) => priorities.len(),
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
