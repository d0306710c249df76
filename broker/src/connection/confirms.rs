//! Publisher confirms of one channel (RabbitMQ: "Publisher Confirms"): which publishes are still
//! on their way to safety, and which acks can be told in one.

use std::collections::VecDeque;

/// The publishes of a channel in confirm mode that are not confirmed yet.
#[derive(Debug)]
pub struct Confirms {
    /// The sequence number of the front of `waits`; the first publish has 1.
    base: u64,
    /// For each publish from `base` on, how many queues have yet to store it.
    waits: VecDeque<Wait>,
    /// Completed publishes behind ones that are not.
    ahead: Vec<u64>,
    changed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    For(u32),
    /// The client was told already.
    Told,
}

impl Default for Confirms {
    fn default() -> Self {
        Confirms {
            base: 1,
            waits: VecDeque::new(),
            ahead: Vec::new(),
            changed: false,
        }
    }
}

impl Confirms {
    /// Counts a publish that is confirmed once `stores` queues have stored it (0: at once).
    /// Returns its sequence number.
    pub fn publish(&mut self, stores: u32) -> u64 {
        self.waits.push_back(Wait::For(stores));
        self.changed |= stores == 0;
        let sequence = self.base + self.waits.len() as u64 - 1;
        if stores == 0 && self.waits.len() > 1 {
            self.ahead.push(sequence);
        }
        sequence
    }

    /// One queue has stored the publish with this number.
    pub fn complete(&mut self, sequence: u64) {
        let Some(index) = sequence.checked_sub(self.base) else {
            return;
        };
        if let Some(Wait::For(count)) = self.waits.get_mut(index as usize) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.changed = true;
                if index > 0 {
                    self.ahead.push(sequence);
                }
            }
        }
    }

    /// Whether [`Confirms::flush`] has something to tell.
    pub fn has_news(&self) -> bool {
        self.changed
    }

    /// Publishes that are not confirmed yet.
    pub fn outstanding(&self) -> u64 {
        self.waits
            .iter()
            .filter(|wait| matches!(wait, Wait::For(_)))
            .count() as u64
    }

    /// Publishes that were ever counted.
    #[cfg(test)]
    pub fn published(&self) -> u64 {
        self.base + self.waits.len() as u64 - 1
    }

    /// Tells what was completed as `(delivery tag, multiple)`: one ack for all that no older
    /// publish is waiting before, single ones for the rest.
    pub fn flush(&mut self, mut ack: impl FnMut(u64, bool)) {
        self.changed = false;
        let (mut last, mut count) = (0, 0);
        while let Some(Wait::For(0) | Wait::Told) = self.waits.front() {
            if self.waits.pop_front() == Some(Wait::For(0)) {
                last = self.base;
                count += 1;
            }
            self.base += 1;
        }
        if count > 0 {
            ack(last, count > 1);
        }
        for sequence in self.ahead.drain(..) {
            let Some(index) = sequence.checked_sub(self.base) else {
                continue;
            };
            if let Some(wait) = self.waits.get_mut(index as usize)
                && *wait == Wait::For(0)
            {
                *wait = Wait::Told;
                ack(sequence, false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flushed(confirms: &mut Confirms) -> Vec<(u64, bool)> {
        let mut acks = Vec::new();
        confirms.flush(|tag, multiple| acks.push((tag, multiple)));
        acks
    }

    #[test]
    fn a_run_is_told_in_one_ack_and_stragglers_alone() {
        let mut confirms = Confirms::default();
        for _ in 0..5 {
            confirms.publish(1);
        }
        for tag in [1, 2, 4] {
            confirms.complete(tag);
        }
        assert_eq!(flushed(&mut confirms), [(2, true), (4, false)]);
        confirms.complete(3);
        assert_eq!(flushed(&mut confirms), [(3, false)]);
        confirms.complete(5);
        assert_eq!(flushed(&mut confirms), [(5, false)]);
        assert_eq!(confirms.outstanding(), 0);
    }

    proptest! {
        #[test]
        fn every_publish_is_confirmed_exactly_once_and_never_early(
            stores in prop::collection::vec(0u32..3, 1..40),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..120),
        ) {
            let mut confirms = Confirms::default();
            let mut left: Vec<u32> = Vec::new();
            let mut told = vec![false; stores.len()];
            let mut order = order.into_iter();
            for (i, count) in stores.iter().enumerate() {
                prop_assert_eq!(confirms.publish(*count), i as u64 + 1);
                left.push(*count);
                for index in order.by_ref().take(2) {
                    let at = index.index(left.len());
                    if left[at] > 0 {
                        left[at] -= 1;
                        confirms.complete(at as u64 + 1);
                    }
                }
                confirms.flush(|tag, multiple| {
                    let first = if multiple { 1 } else { tag };
                    for t in first..=tag {
                        assert_eq!(left[t as usize - 1], 0, "confirmed early");
                        assert!(multiple || !told[t as usize - 1], "told twice");
                        told[t as usize - 1] = true;
                    }
                });
                for (left, told) in left.iter().zip(&told) {
                    prop_assert_eq!(*left == 0, *told);
                }
            }
        }
    }
}
