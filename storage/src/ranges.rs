//! Sets of positions, stored as ranges.

use std::{collections::BTreeMap, ops::Bound};

/// A set of positions, kept as disjoint, non-adjacent, inclusive ranges: its size depends on the number of gaps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RangeSet(BTreeMap<u64, u64>);

impl RangeSet {
    /// Adds `first..=last`, merging it with adjacent ranges.
    pub(crate) fn insert(&mut self, first: u64, last: u64) {
        let (mut first, mut last) = (first, last.max(first));
        let beyond = last.saturating_add(1);
        let joins_next = first < beyond
            && self
                .0
                .range((Bound::Excluded(first), Bound::Included(beyond)))
                .next()
                .is_some();
        if let Some((&start, end)) = self.0.range_mut(..=first).next_back()
            && end.saturating_add(1) >= first
        {
            if *end >= last {
                return;
            }
            if !joins_next {
                // The common case of positions in order needs no allocation.
                *end = last;
                return;
            }
            first = start;
        }
        while let Some((&start, &end)) = self.0.range(first..=beyond.max(first)).next() {
            last = last.max(end);
            self.0.remove(&start);
        }
        self.0.insert(first, last);
    }

    /// Adds all of `other`.
    pub(crate) fn merge(&mut self, other: &RangeSet) {
        for (first, last) in other.iter() {
            self.insert(first, last);
        }
    }

    pub(crate) fn contains(&self, position: u64) -> bool {
        self.covering(position).is_some()
    }

    /// Returns the range that contains `position`.
    pub(crate) fn covering(&self, position: u64) -> Option<(u64, u64)> {
        self.0
            .range(..=position)
            .next_back()
            .filter(|&(_, &last)| last >= position)
            .map(|(&first, &last)| (first, last))
    }

    /// Returns whether all of `first..=last` is in the set.
    pub(crate) fn covers(&self, first: u64, last: u64) -> bool {
        self.covering(first).is_some_and(|(_, end)| end >= last)
    }

    /// Returns the ranges in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().map(|(&first, &last)| (first, last))
    }

    /// Returns the part of each range that is inside `first..=last`.
    pub(crate) fn within(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let begin = self.covering(first).map_or(first, |(start, _)| start);
        self.0
            .range(begin..=last.max(begin))
            .map(move |(&start, &end)| (start.max(first), end.min(last)))
            .filter(|(start, end)| start <= end)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_range_set_is_a_set(ranges in prop::collection::vec((0u64..60, 0u64..8), 0..40), probe in (0u64..70, 0u64..10)) {
            let mut set = RangeSet::default();
            let mut model = BTreeSet::new();
            for (first, width) in ranges {
                set.insert(first, first + width);
                model.extend(first..=first + width);
            }
            for position in 0..80 {
                prop_assert_eq!(set.contains(position), model.contains(&position));
            }
            let flat: Vec<_> = set.iter().collect();
            for pair in flat.windows(2) {
                prop_assert!(pair[0].1 + 1 < pair[1].0, "{:?}", flat);
            }
            let (first, last) = (probe.0, probe.0 + probe.1);
            prop_assert_eq!(set.covers(first, last), (first..=last).all(|p| model.contains(&p)));
            let within: BTreeSet<u64> = set.within(first, last).flat_map(|(a, b)| a..=b).collect();
            prop_assert_eq!(within, model.range(first..=last).copied().collect::<BTreeSet<_>>());
        }
    }

    #[test]
    fn the_largest_position_does_not_overflow() {
        let mut set = RangeSet::default();
        set.insert(5, u64::MAX);
        set.insert(u64::MAX, u64::MAX);
        assert!(set.covers(5, u64::MAX));
    }
}
