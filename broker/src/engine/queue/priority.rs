//! Priorities: one line of messages for each, the highest first: `x-max-priority` (RabbitMQ:
//! "Classic Queues Support Priorities") and quorum queues ("Quorum Queues: Message Priorities").

use super::entry::Entry;
use super::line::Line;
use super::settings::{QueueKind, Settings};
use crate::engine::message::Message;

/// The priorities of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// Higher priorities count as this one.
    max: u8,
    /// The priority of messages without one.
    default: u8,
}

impl Levels {
    /// The levels of every quorum queue (RabbitMQ 4.3, `rabbit_fifo:msg_priority`).
    const QUORUM: Levels = Levels {
        max: 31,
        default: 4,
    };

    /// Returns the levels of a queue with these settings; `None` if priorities do not count.
    pub fn of(kind: QueueKind, settings: &Settings) -> Option<Levels> {
        match kind {
            QueueKind::Quorum => Some(Levels::QUORUM),
            QueueKind::Classic | QueueKind::Stream => {
                let max = settings.max_priority?;
                Some(Levels { max, default: 0 })
            }
        }
    }

    /// Returns the priority that a message has here.
    pub fn priority(self, message: &Message) -> u8 {
        message.priority().unwrap_or(self.default).min(self.max)
    }

    /// The priority of messages without one.
    pub fn default(self) -> usize {
        usize::from(self.default)
    }
}

/// The lines of one queue. Messages are taken from the highest line that is not empty, also when a
/// queue over its limit drops its head (`rabbit_priority_queue:drop`).
#[derive(Debug)]
pub struct Priorities {
    levels: Levels,
    /// By priority, up to the highest that ever occurred.
    lines: Vec<Line>,
    /// A bit for each line that is not empty, to avoid checking all 255 of them.
    occupied: [u64; 4],
    len: usize,
}

impl Priorities {
    /// Creates the lines from these messages, which have the default priority.
    pub fn new(levels: Levels, line: Line) -> Self {
        let mut priorities = Priorities {
            levels,
            lines: Vec::new(),
            occupied: [0; 4],
            len: line.len(),
        };
        if !line.is_empty() {
            *priorities.line(levels.default()) = line;
        }
        priorities
    }

    /// Adds a message to the line of its priority; see [`Line::insert`].
    pub fn insert(&mut self, entry: Entry) {
        self.line_for(&entry).insert(entry);
    }

    /// Puts a message back at its position.
    pub fn requeue(&mut self, entry: Entry) {
        self.line_for(&entry).requeue(entry);
    }

    /// Returns the line for this message.
    fn line_for(&mut self, entry: &Entry) -> &mut Line {
        self.len += 1;
        let priority = self.levels.priority(&entry.message);
        self.line(usize::from(priority))
    }

    /// Returns the line with this number, creating it if necessary.
    fn line(&mut self, at: usize) -> &mut Line {
        if self.lines.len() <= at {
            self.lines.resize_with(at + 1, Line::default);
        }
        self.occupied[at / 64] |= 1 << (at % 64);
        &mut self.lines[at]
    }

    /// Removes and returns the oldest message of a priority. `None` also if it is on disk.
    pub fn pop(&mut self, at: usize) -> Option<Entry> {
        let line = self.lines.get_mut(at)?;
        let entry = line.pop();
        self.len -= usize::from(entry.is_some());
        self.note_empty(at);
        entry
    }

    fn note_empty(&mut self, at: usize) {
        if self.lines[at].is_empty() {
            self.occupied[at / 64] &= !(1 << (at % 64));
        }
    }

    /// Returns the lines, lowest priority first.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Applies a change to a line that may change its number of messages.
    pub fn with_line<T>(&mut self, at: usize, change: impl FnOnce(&mut Line) -> T) -> Option<T> {
        let line = self.lines.get_mut(at)?;
        let before = line.len();
        let result = change(line);
        self.len = self.len + line.len() - before;
        self.note_empty(at);
        Some(result)
    }

    /// Returns the highest priority that has messages.
    pub fn highest(&self) -> Option<usize> {
        let word = (0..self.occupied.len()).rfind(|word| self.occupied[*word] != 0)?;
        let bit = self.occupied[word].ilog2() as usize;
        Some(word * 64 + bit)
    }

    /// Returns the number of messages.
    pub fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::message::MessageBuilder;
    use leveret_storage::Position;
    use std::sync::Arc;

    fn entry(position: u64, priority: Option<u8>) -> Entry {
        const PRIORITY: u16 = 1 << 11;
        let properties = match priority {
            Some(priority) => [&PRIORITY.to_be_bytes()[..], &[priority]].concat(),
            None => vec![0, 0],
        };
        let message = MessageBuilder::new(b"", b"", &properties, false, 0).finish(true);
        Entry::new(Position(position), Arc::new(message))
    }

    fn priorities(max: u8) -> Priorities {
        Priorities::new(Levels { max, default: 0 }, Line::default())
    }

    fn drain(priorities: &mut Priorities) -> Vec<u64> {
        std::iter::from_fn(|| priorities.pop(priorities.highest()?))
            .map(|entry| entry.position.0)
            .collect()
    }

    #[test]
    fn the_highest_comes_first_and_within_one_the_oldest() {
        let mut priorities = priorities(255);
        let sent = [
            None,
            Some(255),
            Some(63),
            Some(0),
            Some(64),
            Some(255),
            Some(63),
        ];
        for (position, priority) in (0..).zip(sent) {
            priorities.insert(entry(position, priority));
        }
        assert_eq!(priorities.len(), 7);
        assert_eq!(drain(&mut priorities), [1, 5, 4, 2, 6, 0, 3]);
        assert_eq!(priorities.len(), 0);
    }

    #[test]
    fn above_the_maximum_is_the_maximum() {
        let mut priorities = priorities(2);
        for (position, priority) in [(0, 2), (1, 200), (2, 1), (3, 2)] {
            priorities.insert(entry(position, Some(priority)));
        }
        assert_eq!(drain(&mut priorities), [0, 1, 3, 2]);
    }

    #[test]
    fn a_quorum_queue_has_thirty_two_priorities_and_takes_none_for_the_fourth() {
        let mut line = Line::default();
        line.insert(entry(0, None));
        line.insert(entry(1, Some(4)));
        let mut priorities = Priorities::new(Levels::QUORUM, line);
        for (position, priority) in [(2, None), (3, Some(3)), (4, Some(5)), (5, Some(31))] {
            priorities.insert(entry(position, priority));
        }
        priorities.insert(entry(6, Some(255)));
        priorities.insert(entry(7, Some(0)));
        assert_eq!(priorities.len(), 8);
        assert_eq!(drain(&mut priorities), [5, 6, 4, 0, 1, 2, 3, 7]);
    }

    #[test]
    fn what_comes_back_keeps_its_priority_and_its_place() {
        let mut priorities = priorities(9);
        for (position, priority) in [(0, 5), (1, 5), (2, 7), (3, 5)] {
            priorities.insert(entry(position, Some(priority)));
        }
        let pop = |_| priorities.pop(priorities.highest()?);
        let taken: Vec<Entry> = (0..3).filter_map(pop).collect();
        for entry in taken {
            priorities.requeue(entry);
        }
        assert_eq!(drain(&mut priorities), [2, 0, 1, 3]);
    }

    #[test]
    fn as_many_levels_as_there_are_cost_memory_only_when_used() {
        let mut priorities = priorities(255);
        priorities.insert(entry(0, Some(3)));
        assert_eq!(priorities.lines.len(), 4);
    }
}
