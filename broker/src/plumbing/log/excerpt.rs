//! The lines in memory, for those who ask for some now and then and say how far they are.

use super::Log;
use super::ring::{Read, Ring};

/// Some lines of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The lines, in order and whole.
    pub lines: Vec<String>,
    /// The number of the line after them.
    pub next: u64,
    /// How many lines before them are not kept any more.
    pub missed: u64,
}

impl Excerpt {
    fn of(ring: &Ring, from: u64, count: usize, bytes: usize) -> Self {
        let (lines, Read { lost, next }) = ring.lines(from, count, bytes);
        Excerpt {
            lines,
            next,
            missed: lost,
        }
    }
}

impl Log {
    /// Returns the last lines that are in memory: `count` at most, and no more than `bytes` together, but one at least.
    pub fn last(&self, count: usize, bytes: usize) -> Excerpt {
        let ring = &self.0.lines.lock().ring;
        let from = ring.start_of_last_within(count, bytes);
        Excerpt::of(ring, from, count, bytes)
    }

    /// Returns the lines from this number on, `count` at most, and no more than `bytes` together, but one at least if there
    /// are any; `None` if the number is that of no line so far, nor of the next.
    pub fn since(&self, from: u64, count: usize, bytes: usize) -> Option<Excerpt> {
        let ring = &self.0.lines.lock().ring;
        (from <= ring.end()).then(|| Excerpt::of(ring, from, count, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_again_and_again_gets_every_line_once_or_learns_how_many_are_missing() {
        let log = Log::default();
        let first = log.last(10, 1000);
        assert_eq!((first.next, first.missed, first.lines.len()), (0, 0, 0));
        log.push(b"one\n");
        log.push(b"two\n");
        log.push(b"three\n");
        assert_eq!(log.last(2, 1000).lines, ["two", "three"]);
        let some = log.since(first.next, 2, 1000).unwrap();
        assert_eq!(
            (some.lines, some.next),
            (vec!["one".to_owned(), "two".to_owned()], 2)
        );
        let rest = log.since(2, 2, 1000).unwrap();
        assert_eq!((rest.lines, rest.next), (vec!["three".to_owned()], 3));
        assert!(log.since(3, 2, 1000).unwrap().lines.is_empty());
        assert_eq!(log.since(4, 2, 1000), None);
        for _ in 0..2000 {
            log.push(&[b'x'; 1000]);
        }
        let some = log.since(3, 1, 1000).unwrap();
        assert_eq!((some.next, some.lines.len()), (3 + some.missed + 1, 1));
        assert!(some.missed > 900, "{}", some.missed);
    }
}
