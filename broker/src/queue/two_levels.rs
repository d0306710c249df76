//! The priorities of a quorum queue (RabbitMQ 4.0 to 4.2, `rabbit_fifo_q`): two levels, of which
//! the higher one gets two turns out of three.

use super::entry::Entry;
use super::line::Line;

/// Messages from this priority on are of the high level.
const HIGH: u8 = 5;
/// Turns of the high level before the normal one has its own.
const WEIGHT: u8 = 2;

/// The two lines of one queue.
#[derive(Debug, Default)]
pub struct TwoLevels {
    /// The normal one, and the high one.
    lines: [Line; 2],
    turn: u8,
}

const NORMAL: usize = 0;
const HIGH_LEVEL: usize = 1;

impl TwoLevels {
    fn line_for(&mut self, entry: &Entry) -> &mut Line {
        &mut self.lines[TwoLevels::level_of(entry)]
    }

    fn level_of(entry: &Entry) -> usize {
        match entry.message.priority() {
            Some(priority) if priority >= HIGH => HIGH_LEVEL,
            _ => NORMAL,
        }
    }

    /// The lines, that of the normal level first.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Likewise.
    pub fn lines_mut(&mut self) -> &mut [Line] {
        &mut self.lines
    }

    /// Of messages that stood in one line over a restart, those that belong to the other take their
    /// places there; the rest is left.
    pub fn sort_out(&mut self, line: usize, entries: &mut Vec<Entry>) {
        for entry in entries.extract_if(.., |entry| TwoLevels::level_of(entry) != line) {
            self.line_for(&entry).requeue(entry);
        }
    }

    /// Adds a message at its place in its line; see [`Line::insert`].
    pub fn insert(&mut self, entry: Entry) {
        self.line_for(&entry).insert(entry);
    }

    /// Puts a message back where it was.
    pub fn requeue(&mut self, entry: Entry) {
        self.line_for(&entry).requeue(entry);
    }

    /// Takes the message whose turn it is.
    pub fn pop(&mut self) -> Option<Entry> {
        let entry = match self.is_normals_turn() {
            true => self.lines[NORMAL].pop(),
            false => self.lines[HIGH_LEVEL].pop(),
        }?;
        self.turn = (self.turn + 1) % (WEIGHT + 1);
        Some(entry)
    }

    /// The message whose turn it is.
    pub fn first(&self) -> Option<&Entry> {
        match self.is_normals_turn() {
            true => self.lines[NORMAL].first(),
            false => self.lines[HIGH_LEVEL].first(),
        }
    }

    /// The line whose turn it is.
    pub fn turn(&self) -> usize {
        match self.is_normals_turn() {
            true => NORMAL,
            false => HIGH_LEVEL,
        }
    }

    fn is_normals_turn(&self) -> bool {
        let [normal, high] = &self.lines;
        high.is_empty() || self.turn == WEIGHT && !normal.is_empty()
    }

    /// The next turn is the first (`rabbit_fifo_q:new`, as a purge makes one).
    pub fn begin_anew(&mut self) {
        self.turn = 0;
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        self.lines.iter().map(Line::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageBuilder;
    use leveret_storage::Position;
    use std::sync::Arc;

    #[test]
    fn the_high_level_has_two_turns_out_of_three() {
        let mut levels = TwoLevels::default();
        for (position, priority) in (0..).zip([0, 4, 5, 255, 9, 7, 1]) {
            let properties = [1 << 3, 0, priority];
            let message = MessageBuilder::new(b"", b"", &properties, false, 0).finish(true);
            levels.insert(Entry::new(Position(position), Arc::new(message)));
        }
        assert_eq!(levels.len(), 7);
        let order: Vec<u64> = std::iter::from_fn(|| levels.pop())
            .map(|entry| entry.position.0)
            .collect();
        assert_eq!(order, [2, 3, 0, 4, 5, 1, 6]);
    }
}
