//! Publisher confirms of one channel (RabbitMQ: "Publisher Confirms"): which publishes are not yet
//! safe, and which acks and nacks can be combined.

use std::collections::VecDeque;

/// The publishes of a channel in confirm mode that are not confirmed yet.
///
/// Its size is proportional to the number of waiting publishes, however many came after them.
#[derive(Debug)]
pub struct Confirms {
    /// The sequence number of the next publish, starting with 1.
    next: u64,
    /// By sequence number. Publishes that were answered ahead of older ones leave empty slots,
    /// which are removed when they are the majority.
    slots: VecDeque<(u64, PublishState)>,
    /// Slots that have not been answered.
    unanswered: usize,
    /// Decided publishes behind undecided ones.
    ahead: Vec<u64>,
    changed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PublishState {
    /// This many queues have yet to store it; at 0 it is confirmed.
    Waits(u32),
    /// A queue has refused it.
    Refused,
    /// The client has had its ack or nack.
    Answered,
}

/// The answer to a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// basic.ack: every queue has it.
    Ack,
    /// basic.nack: some queue has not.
    Nack,
}

/// The number of bits of a sequence number that travel with a publish.
pub const LOW_BITS: u32 = 30;

/// The low bits of a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceBits(pub u32);

impl SequenceBits {
    pub fn of(sequence: u64) -> SequenceBits {
        SequenceBits((sequence & ((1 << LOW_BITS) - 1)) as u32)
    }
}

/// The number of empty slots that are tolerated.
const TOLERATED_HOLES: usize = 128;

impl PublishState {
    fn verdict(self) -> Option<Verdict> {
        match self {
            PublishState::Waits(0) => Some(Verdict::Ack),
            PublishState::Refused => Some(Verdict::Nack),
            PublishState::Waits(_) | PublishState::Answered => None,
        }
    }
}

impl Default for Confirms {
    fn default() -> Self {
        Confirms {
            next: 1,
            slots: VecDeque::new(),
            unanswered: 0,
            ahead: Vec::new(),
            changed: false,
        }
    }
}

impl Confirms {
    /// Counts a publish that is confirmed once `stores` queues have stored it (immediately if 0).
    /// Returns its sequence number.
    pub fn publish(&mut self, stores: u32) -> u64 {
        let sequence = self.next;
        self.next += 1;
        if stores == 0 {
            self.decided(self.slots.len(), sequence);
        }
        self.slots
            .push_back((sequence, PublishState::Waits(stores)));
        self.unanswered += 1;
        sequence
    }

    /// Finds the publishes whose numbers end with these bits, oldest first: more than one only if 2^30 others followed
    /// a publish that still waits.
    fn ending(&self, low: SequenceBits) -> impl Iterator<Item = usize> {
        let first = self.slots.front().map_or(self.next, |(first, _)| *first);
        let nearest = first + u64::from(SequenceBits::of(u64::from(low.0).wrapping_sub(first)).0);
        (nearest..self.next)
            .step_by(1 << LOW_BITS)
            .filter_map(|sequence| self.find(sequence))
    }

    fn find(&self, sequence: u64) -> Option<usize> {
        let (first, _) = self.slots.front()?;
        let guess = sequence.checked_sub(*first)? as usize;
        if self.slots.get(guess).is_some_and(|(s, _)| *s == sequence) {
            return Some(guess);
        }
        self.slots.binary_search_by_key(&sequence, |(s, _)| *s).ok()
    }

    fn decided(&mut self, index: usize, sequence: u64) {
        self.changed = true;
        if index > 0 {
            self.ahead.push(sequence);
        }
    }

    /// Records that one queue has stored the publish whose number ends with these bits. The store reports them in the
    /// order in which they came.
    pub fn complete(&mut self, low: SequenceBits) {
        let waits = |index: &usize| matches!(self.slots[*index].1, PublishState::Waits(1..));
        let Some(index) = self.ending(low).find(waits) else {
            return;
        };
        if let (sequence, PublishState::Waits(count @ 1..)) = &mut self.slots[index] {
            *count -= 1;
            if *count == 0 {
                let sequence = *sequence;
                self.decided(index, sequence);
            }
        }
    }

    /// Records that a queue has rejected the publish whose number ends with these bits, whatever other queues do with
    /// it. Rejections are reported immediately: if several match, it is the latest.
    pub fn refuse(&mut self, low: SequenceBits) {
        let waits = |index: &usize| matches!(self.slots[*index].1, PublishState::Waits(_));
        let Some(index) = self.ending(low).filter(waits).last() else {
            return;
        };
        let (sequence, state) = &mut self.slots[index];
        *state = PublishState::Refused;
        let sequence = *sequence;
        self.decided(index, sequence);
    }

    /// Rejects every publish that waits for the store, because nothing more will be stored.
    pub fn refuse_waiting(&mut self) {
        for (_, state) in &mut self.slots {
            if matches!(state, PublishState::Waits(1..)) {
                *state = PublishState::Refused;
                self.changed = true;
            }
        }
    }

    /// Returns whether [`Confirms::flush`] has something to send.
    pub fn has_news(&self) -> bool {
        self.changed
    }

    /// Returns the number of unanswered publishes.
    pub fn outstanding(&self) -> u64 {
        self.unanswered as u64
    }

    /// Returns the number of publishes ever counted.
    #[cfg(test)]
    pub fn published(&self) -> u64 {
        self.next - 1
    }

    /// Passes decisions on as `(delivery tag, number of publishes up to it, verdict)`: one for each run with the same
    /// verdict that no older publish waits before, single ones for the rest.
    pub fn flush(&mut self, mut tell: impl FnMut(u64, u64, Verdict)) {
        self.changed = false;
        let mut run: Option<(Verdict, u64, u64)> = None;
        while let Some((sequence, state)) = self.slots.front().copied() {
            if let Some(verdict) = state.verdict() {
                self.unanswered -= 1;
                match &mut run {
                    Some((of, last, count)) if *of == verdict => {
                        (*last, *count) = (sequence, *count + 1);
                    }
                    _ => {
                        if let Some((of, last, count)) = run.replace((verdict, sequence, 1)) {
                            tell(last, count, of);
                        }
                    }
                }
            } else if state != PublishState::Answered {
                break;
            }
            self.slots.pop_front();
        }
        if let Some((of, last, count)) = run {
            tell(last, count, of);
        }
        let mut ahead = std::mem::take(&mut self.ahead);
        for sequence in ahead.drain(..) {
            let Some(index) = self.find(sequence) else {
                continue;
            };
            if let Some(verdict) = self.slots[index].1.verdict() {
                self.slots[index].1 = PublishState::Answered;
                self.unanswered -= 1;
                tell(sequence, 1, verdict);
            }
        }
        // Keeps the allocation.
        self.ahead = ahead;
        self.clear_holes();
    }

    /// Frees the memory of empty slots.
    pub fn release_memory(&mut self) {
        self.slots.shrink_to_fit();
        self.ahead.shrink_to_fit();
    }

    fn clear_holes(&mut self) {
        let holes = self.slots.len() - self.unanswered;
        if holes > TOLERATED_HOLES && holes > self.unanswered {
            self.slots
                .retain(|(_, state)| *state != PublishState::Answered);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flushed(confirms: &mut Confirms) -> Vec<(u64, bool, Verdict)> {
        let mut told = Vec::new();
        confirms.flush(|tag, count, verdict| told.push((tag, count > 1, verdict)));
        told
    }

    #[test]
    fn numbers_that_end_alike_are_told_apart_by_their_order() {
        let mut confirms = Confirms::default();
        let first = confirms.publish(1);
        // As if a thousand million transient ones had come and gone while the first waited.
        confirms.next = first + (1 << LOW_BITS);
        let (second, third) = (confirms.publish(1), confirms.publish(2));
        assert_eq!(SequenceBits::of(first), SequenceBits::of(second));
        confirms.complete(SequenceBits::of(third));
        confirms.complete(SequenceBits::of(first));
        assert_eq!(flushed(&mut confirms), [(first, false, Verdict::Ack)]);
        confirms.complete(SequenceBits::of(second));
        confirms.complete(SequenceBits::of(third));
        assert_eq!(flushed(&mut confirms), [(third, true, Verdict::Ack)]);

        let old = confirms.publish(1);
        confirms.next = old + (1 << LOW_BITS);
        let refused = confirms.publish(1);
        confirms.refuse(SequenceBits::of(refused));
        assert_eq!(flushed(&mut confirms), [(refused, false, Verdict::Nack)]);
        confirms.complete(SequenceBits::of(old));
        assert_eq!(flushed(&mut confirms), [(old, false, Verdict::Ack)]);
    }

    #[test]
    fn a_run_is_told_in_one_ack_and_stragglers_alone() {
        let mut confirms = Confirms::default();
        for _ in 0..5 {
            confirms.publish(1);
        }
        for tag in [1, 2, 4] {
            confirms.complete(SequenceBits::of(tag));
        }
        let ack = Verdict::Ack;
        assert_eq!(flushed(&mut confirms), [(2, true, ack), (4, false, ack)]);
        confirms.complete(SequenceBits::of(3));
        assert_eq!(flushed(&mut confirms), [(3, false, ack)]);
        confirms.complete(SequenceBits::of(5));
        assert_eq!(flushed(&mut confirms), [(5, false, ack)]);
        assert_eq!(confirms.outstanding(), 0);
    }

    #[test]
    fn runs_of_acks_and_of_nacks_are_told_in_one_each() {
        let mut confirms = Confirms::default();
        for stores in [0, 0, 2, 0, 0, 1] {
            confirms.publish(stores);
        }
        confirms.refuse(SequenceBits::of(3));
        confirms.refuse(SequenceBits::of(4));
        assert_eq!(
            flushed(&mut confirms),
            [
                (2, true, Verdict::Ack),
                (4, true, Verdict::Nack),
                (5, false, Verdict::Ack)
            ]
        );
        confirms.complete(SequenceBits::of(3));
        assert_eq!(flushed(&mut confirms), []);
        confirms.refuse_waiting();
        assert_eq!(flushed(&mut confirms), [(6, false, Verdict::Nack)]);
    }

    #[test]
    fn one_that_waits_for_ever_costs_nothing_for_those_behind_it() {
        let mut confirms = Confirms::default();
        confirms.publish(1);
        for _ in 0..100_000 {
            confirms.publish(0);
            assert_eq!(flushed(&mut confirms).len(), 1);
        }
        assert!(confirms.slots.len() <= TOLERATED_HOLES + 2);
        confirms.complete(SequenceBits::of(1));
        assert_eq!(flushed(&mut confirms), [(1, false, Verdict::Ack)]);
        assert!(confirms.slots.is_empty());
    }

    /// What may happen to a publish besides being stored.
    #[derive(Clone, Copy, Debug)]
    struct Happening {
        which: prop::sample::Index,
        refuse: bool,
    }

    fn happening() -> impl Strategy<Value = Happening> {
        (any::<prop::sample::Index>(), prop::bool::weighted(0.2))
            .prop_map(|(which, refuse)| Happening { which, refuse })
    }

    proptest! {
        #[test]
        fn every_publish_is_told_of_exactly_once_and_never_early(
            stores in prop::collection::vec(0u32..3, 1..40),
            happenings in prop::collection::vec(happening(), 0..120),
        ) {
            let mut confirms = Confirms::default();
            let mut left: Vec<u32> = Vec::new();
            let mut refused = vec![false; stores.len()];
            let mut told = vec![None; stores.len()];
            let mut happenings = happenings.into_iter();
            for (i, count) in stores.iter().enumerate() {
                prop_assert_eq!(confirms.publish(*count), i as u64 + 1);
                left.push(*count);
                for Happening { which, refuse } in happenings.by_ref().take(2) {
                    let at = which.index(left.len());
                    if refuse {
                        refused[at] |= told[at].is_none();
                        confirms.refuse(SequenceBits::of(at as u64 + 1));
                    } else if left[at] > 0 {
                        left[at] -= 1;
                        confirms.complete(SequenceBits::of(at as u64 + 1));
                    }
                }
                confirms.flush(|tag, count, verdict| {
                    let multiple = count > 1;
                    let first = if multiple { 1 } else { tag };
                    let mut news = 0;
                    for t in first..=tag {
                        let at = t as usize - 1;
                        assert!(multiple || told[at].is_none(), "told twice");
                        news += u64::from(told[at].is_none());
                        told[at].get_or_insert(verdict);
                    }
                    assert_eq!(news, count);
                });
                for (at, told) in told.iter().enumerate().take(left.len()) {
                    let due = match (refused[at], left[at]) {
                        (true, _) => Some(Verdict::Nack),
                        (false, 0) => Some(Verdict::Ack),
                        (false, _) => None,
                    };
                    prop_assert_eq!(*told, due);
                }
                let unanswered = told.iter().take(left.len()).filter(|t| t.is_none()).count();
                prop_assert_eq!(confirms.outstanding(), unanswered as u64);
            }
        }
    }
}
