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

    /// Returns the number of the first of the last lines: of `count` at most, and of no more than `bytes` together, but of
    /// one at least.
    pub(super) fn start_of_last_within(&self, count: usize, bytes: usize) -> u64 {
        let mut left = bytes;
        let fitting = self.lines.iter().rev().take(count);
        let fitting = fitting.enumerate().take_while(|(at, line)| {
            let fits = *at == 0 || line.len() <= left;
            left = left.saturating_sub(line.len());
            fits
        });
        self.end() - fitting.count() as u64
    }

    /// Returns the lines from number `from` on, without their line feeds: `count` at most, and no more than `bytes` together,
    /// but one at least if there is any.
    pub(super) fn lines(&self, from: u64, count: usize, bytes: usize) -> (Vec<String>, Read) {
        let mut text = 0;
        let mut lines = Vec::new();
        let start = from.max(self.first);
        // It fits, because it is below the number of lines.
        let skipped = (start - self.first) as usize;
        for line in self.lines.iter().skip(skipped).take(count) {
            text += line.len();
            if text > bytes && !lines.is_empty() {
                break;
            }
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            lines.push(String::from_utf8_lossy(line).into_owned());
        }
        let (lost, next) = (start - from, start + lines.len() as u64);
        (lines, Read { lost, next })
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
    fn an_excerpt_has_whole_lines_and_a_bound() {
        let mut ring = Ring::default();
        assert_eq!(ring.start_of_last_within(5, 100), 0);
        for line in ["a\n", "bb\n", "ccc\n", "dddd\n"] {
            ring.push(line.as_bytes());
        }
        let read = |from, count, bytes| {
            let (lines, read) = ring.lines(from, count, bytes);
            assert_eq!(read.lost, 0);
            (lines.join(" "), read.next)
        };
        assert_eq!(read(0, 10, 100), ("a bb ccc dddd".to_owned(), 4));
        assert_eq!(read(1, 2, 100), ("bb ccc".to_owned(), 3));
        assert_eq!(read(0, 10, 5), ("a bb".to_owned(), 2));
        assert_eq!(read(3, 10, 1), ("dddd".to_owned(), 4));
        assert_eq!(read(4, 10, 100), (String::new(), 4));
        assert_eq!(ring.start_of_last_within(2, 100), 2);
        assert_eq!(ring.start_of_last_within(9, 100), 0);
        assert_eq!(ring.start_of_last_within(9, 9), 2);
        assert_eq!(ring.start_of_last_within(9, 1), 3);
        assert_eq!(ring.start_of_last_within(0, 100), 4);
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
