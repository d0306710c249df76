//! Joins small runs of live messages into larger ones.

use crate::stats::Extent;

/// Joins runs that arrive nearly in order into disjoint, ordered extents of about `size` encoded bytes.
#[derive(Debug)]
pub(crate) struct Runs {
    size: u64,
    pub(crate) extents: Vec<Extent>,
}

impl Runs {
    pub(crate) fn new(size: u64) -> Runs {
        Runs {
            size,
            extents: Vec::new(),
        }
    }

    /// Adds a run. A run that begins before the end of the previous ones, because publishes were slightly out of order,
    /// is joined with what it overlaps regardless of size.
    pub(crate) fn add(&mut self, mut run: Extent) {
        if run.messages == 0 {
            return;
        }
        while let Some(last) = self.extents.last_mut() {
            let overlaps = run.first <= last.last;
            if !overlaps && last.bytes.saturating_add(run.bytes) > self.size {
                break;
            }
            if overlaps && run.first < last.first {
                // It may overlap the previous extent, too.
                run = last.joined(&run);
                self.extents.pop();
                continue;
            }
            *last = last.joined(&run);
            return;
        }
        self.extents.push(run);
    }
}

impl Extent {
    /// Returns one extent that covers both.
    pub(crate) fn joined(&self, other: &Extent) -> Extent {
        Extent {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            messages: self.messages + other.messages,
            bytes: self.bytes + other.bytes,
            weight: self.weight.saturating_add(other.weight),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::Position;

    proptest! {
        #[test]
        fn runs_become_disjoint_extents_in_order_that_lose_nothing(
            runs in prop::collection::vec((0u64..40, 0u64..6, 0u64..9), 0..40), size in 0u64..40
        ) {
            let mut joined = Runs::new(size);
            let (mut messages, mut bytes, mut weight) = (0, 0, 0);
            for (i, (ahead, width, count)) in (0u64..).zip(&runs) {
                let first = i * 4 + ahead;
                joined.add(Extent {
                    first: Position(first),
                    last: Position(first + width),
                    messages: *count,
                    bytes: count * 3,
                    weight: count * 2,
                });
                (messages, bytes, weight) = (messages + count, bytes + count * 3, weight + count * 2);
            }
            let extents = joined.extents;
            for pair in extents.windows(2) {
                prop_assert!(pair[0].last < pair[1].first, "{:?}", extents);
            }
            prop_assert_eq!(extents.iter().map(|e| e.messages).sum::<u64>(), messages);
            prop_assert_eq!(extents.iter().map(|e| e.bytes).sum::<u64>(), bytes);
            prop_assert_eq!(extents.iter().map(|e| e.weight).sum::<u64>(), weight);
        }
    }

    #[test]
    fn an_extent_is_as_large_as_asked_for() {
        let mut joined = Runs::new(250);
        for at in 0..5 {
            joined.add(Extent {
                first: Position(at * 10),
                last: Position(at * 10 + 9),
                messages: 10,
                bytes: 100,
                weight: 0,
            });
        }
        let bytes: Vec<_> = joined.extents.iter().map(|extent| extent.bytes).collect();
        assert_eq!(bytes, [200, 200, 100]);
    }
}
