//! The latest lines of the log, in bounded memory.

use std::collections::VecDeque;

/// Bytes of lines that are kept at most. They last for more than a tenth of a second at 50 000 lines a second.
const CAPACITY: usize = 1 << 20;
/// What a line takes besides its text, roughly.
const OVERHEAD: usize = 32;

/// The latest lines. Each has a number; the first line of the process is 0.
#[derive(Debug, Default)]
pub(super) struct Ring {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// The number of the oldest line that is kept.
    first: u64,
}

/// What was read of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// The lines before those that were read which are not kept any more.
    pub(super) lost: u64,
    /// The number of the next line to read.
    pub(super) next: u64,
}

impl Ring {
    /// Adds a line, which ends with a line feed, and forgets the oldest ones that there is no room for.
    pub(super) fn push(&mut self, line: &[u8]) {
        self.bytes += line.len() + OVERHEAD;
        self.lines.push_back(line.into());
        while self.bytes > CAPACITY && self.lines.len() > 1 {
            if let Some(oldest) = self.lines.pop_front() {
                self.bytes -= oldest.len() + OVERHEAD;
                self.first += 1;
            }
        }
    }

    /// Returns the number of the oldest line that is kept.
    pub(super) fn start(&self) -> u64 {
        self.first
    }

    /// Returns the number that the next line will have.
    pub(super) fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    /// Returns the number of the first of the last `count` lines that are kept.
    pub(super) fn start_of_last(&self, count: u64) -> u64 {
        self.first.max(self.end().saturating_sub(count))
    }

    /// Appends the lines from number `from` on to `text`, whole ones, until it has `enough` bytes or there are no more.
    pub(super) fn read(&self, from: u64, text: &mut Vec<u8>, enough: usize) -> Read {
        let mut next = from.max(self.first);
        let lost = next - from;
        // It fits, because it is below the number of lines.
        let skipped = (next - self.first) as usize;
        for line in self.lines.iter().skip(skipped) {
            if text.len() >= enough {
                break;
            }
            text.extend_from_slice(line);
            next += 1;
        }
        Read { lost, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_in_order_and_whole() {
        let mut ring = Ring::default();
        for line in ["a\n", "bb\n", "ccc\n"] {
            ring.push(line.as_bytes());
        }
        let mut text = Vec::new();
        assert_eq!(ring.read(0, &mut text, 3), Read { lost: 0, next: 2 });
        assert_eq!(text, b"a\nbb\n");
        assert_eq!(ring.read(2, &mut text, 100), Read { lost: 0, next: 3 });
        assert_eq!(text, b"a\nbb\nccc\n");
        assert_eq!(ring.read(3, &mut text, 100), Read { lost: 0, next: 3 });
        assert_eq!(ring.start_of_last(2), 1);
        assert_eq!(ring.start_of_last(u64::MAX), 0);
    }

    #[test]
    fn memory_is_bounded_and_a_slow_reader_learns_how_much_it_missed() {
        let mut ring = Ring::default();
        let line = [b'x'; 999];
        for _ in 0..10_000 {
            ring.push(&line);
        }
        assert!(ring.bytes <= CAPACITY);
        let kept = ring.lines.len() as u64;
        let mut text = Vec::new();
        let read = ring.read(7, &mut text, usize::MAX);
        assert_eq!((read.lost, read.next), (10_000 - kept - 7, 10_000));
        assert_eq!(text.len() as u64, kept * 999);
        // One that is longer than all the room is kept alone.
        ring.push(&vec![b'y'; 2 * CAPACITY]);
        assert_eq!(ring.lines.len(), 1);
    }
}
