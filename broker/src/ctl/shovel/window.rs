//! The messages on their way: published, but not yet acknowledged at their source.

use std::collections::VecDeque;

use super::relay::Relayed;

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The destination has not said anything about it.
    Waiting,
    /// The destination has it.
    Confirmed,
    /// The destination does not have it, or may not have it: it goes back to the source.
    Back,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    relayed: Relayed,
    state: State,
}

/// What has been acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) messages: u64,
    /// The size of their bodies.
    pub(super) bytes: u64,
    /// How many of them are marked redelivered.
    pub(super) redelivered: u64,
}

impl Done {
    fn add(&mut self, relayed: Relayed) {
        self.messages += 1;
        self.bytes += relayed.size;
        self.redelivered += u64::from(relayed.redelivered);
    }
}

/// An acknowledgement for the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) tag: u64,
    /// It covers everything up to the tag.
    pub(super) multiple: bool,
}

/// The messages on their way, oldest first. The n-th message has the n-th number at the destination, which its confirms
/// refer to, because every message is published there in the order of its delivery.
#[derive(Debug, Default)]
pub(super) struct Window {
    messages: VecDeque<Message>,
    /// How many messages have left the window at its front.
    settled: u64,
    waiting: usize,
    back: usize,
    /// A message came back as unroutable, and nobody can tell which: from then on a confirm may be that of one that came
    /// back.
    doubtful: bool,
}

impl Window {
    /// Takes a message that was published.
    pub(super) fn sent(&mut self, relayed: Relayed) {
        let state = State::Waiting;
        self.messages.push_back(Message { relayed, state });
        self.waiting += 1;
    }

    /// Takes a confirm (`good`) or a refusal. Returns false if the destination has named a message that was not
    /// published, and changes nothing then.
    pub(super) fn settle(&mut self, number: u64, multiple: bool, good: bool) -> bool {
        let last = match (number, multiple) {
            (0, true) => self.messages.len(),
            (number, _) => {
                usize::try_from(number.saturating_sub(self.settled)).unwrap_or(usize::MAX)
            }
        };
        if last > self.messages.len() || last == 0 && !multiple {
            return false;
        }
        let first = if multiple { 0 } else { last - 1 };
        let good = good && !self.doubtful;
        for message in self.messages.range_mut(first..last) {
            if message.state != State::Waiting {
                continue;
            }
            self.waiting -= 1;
            self.back += usize::from(!good);
            message.state = match good {
                true => State::Confirmed,
                false => State::Back,
            };
        }
        true
    }

    /// Takes a message that came back as unroutable. It comes before its confirm, which is not believed, then.
    pub(super) fn returned(&mut self) {
        self.doubtful = true;
    }

    /// Returns whether a message came back as unroutable.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Returns the acknowledgement of all messages at the front that the destination has, and what they are.
    pub(super) fn acknowledge(&mut self) -> Option<(Ack, Done)> {
        let mut last = None;
        let mut done = Done::default();
        while let Some(message) = self.messages.front()
            && message.state == State::Confirmed
        {
            last = Some(message.relayed.tag);
            done.add(message.relayed);
            self.messages.pop_front();
            self.settled += 1;
        }
        // Whatever came before is acknowledged: else it would be at the front.
        let multiple = true;
        last.map(|tag| (Ack { tag, multiple }, done))
    }

    /// Returns the acknowledgements of everything that the destination has, and what they are, when no more is published.
    /// Everything else is left to the source, which takes it back.
    pub(super) fn acknowledge_the_rest(mut self) -> (Vec<Ack>, Done) {
        let (front, done) = self.acknowledge().unzip();
        let mut acks: Vec<Ack> = front.into_iter().collect();
        let mut done: Done = done.unwrap_or_default();
        for message in &self.messages {
            if message.state == State::Confirmed {
                done.add(message.relayed);
                let tag = message.relayed.tag;
                let multiple = false;
                acks.push(Ack { tag, multiple });
            }
        }
        (acks, done)
    }

    /// Returns how many messages wait for their confirms.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Returns how many messages go back to the source.
    pub(super) fn back(&self) -> usize {
        self.back
    }

    /// Returns how many messages are on their way.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn relayed(tag: u64) -> Relayed {
        Relayed {
            tag,
            size: tag,
            redelivered: tag.is_multiple_of(2),
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Publish,
        Settle {
            number: u64,
            multiple: bool,
            good: bool,
        },
        Return,
        Acknowledge,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Publish),
            6 => (0..40u64, any::<bool>(), prop::bool::weighted(0.9))
                .prop_map(|(number, multiple, good)| Step::Settle { number, multiple, good }),
            1 => Just(Step::Return),
            4 => Just(Step::Acknowledge),
        ]
    }

    /// The tags that an acknowledgement covers.
    fn covered(ack: Ack, delivered: &[u64], acked: &BTreeSet<u64>) -> Vec<u64> {
        let fits = |tag: &&u64| match ack.multiple {
            true => **tag <= ack.tag && !acked.contains(*tag),
            false => **tag == ack.tag,
        };
        delivered.iter().filter(fits).copied().collect()
    }

    proptest! {
        #[test]
        fn only_what_the_destination_has_is_acknowledged_and_in_order(
            steps in prop::collection::vec(step(), 0..120),
        ) {
            let mut window = Window::default();
            let mut delivered: Vec<u64> = Vec::new();
            let (mut confirmed, mut refused) = (BTreeSet::new(), BTreeSet::new());
            let mut acked = BTreeSet::new();
            let mut returned = false;
            for step in steps {
                match step {
                    Step::Publish => {
                        // Tags of the source may have gaps: those of messages that were not taken.
                        let tag = delivered.last().map_or(3, |last| last + 1 + last % 2);
                        delivered.push(tag);
                        window.sent(relayed(tag));
                    }
                    Step::Settle { number, multiple, good } => {
                        let valid = number <= delivered.len() as u64 && (number > 0 || multiple);
                        let already = number > 0 && !multiple && valid
                            && acked.contains(&delivered[number as usize - 1]);
                        prop_assert_eq!(window.settle(number, multiple, good), valid && !already);
                        if valid {
                            let last = if number == 0 { delivered.len() } else { number as usize };
                            let first = if multiple { 0 } else { last - 1 };
                            for tag in &delivered[first..last] {
                                if !confirmed.contains(tag) && !refused.contains(tag) {
                                    let set = if good && !returned { &mut confirmed } else { &mut refused };
                                    set.insert(*tag);
                                }
                            }
                        }
                    }
                    Step::Return => {
                        returned = true;
                        window.returned();
                    }
                    Step::Acknowledge => {
                        if let Some((ack, done)) = window.acknowledge() {
                            let tags = covered(ack, &delivered, &acked);
                            prop_assert_eq!(tags.len() as u64, done.messages);
                            prop_assert_eq!(tags.iter().sum::<u64>(), done.bytes);
                            acked.extend(tags);
                        }
                    }
                }
                prop_assert!(acked.is_subset(&confirmed));
                prop_assert_eq!(window.back(), refused.len());
                prop_assert_eq!(window.waiting(), delivered.len() - confirmed.len() - refused.len());
                prop_assert_eq!(window.len(), delivered.len() - acked.len());
            }
            for ack in window.acknowledge_the_rest().0 {
                let tags = covered(ack, &delivered, &acked);
                acked.extend(tags);
            }
            // All that was confirmed, and nothing else.
            prop_assert_eq!(acked, confirmed);
        }
    }

    #[test]
    fn a_confirm_after_a_return_is_not_believed() {
        let mut window = Window::default();
        (1..=3).for_each(|tag| window.sent(relayed(tag)));
        assert!(window.settle(1, false, true));
        window.returned();
        assert!(window.settle(3, true, true));
        assert_eq!((window.back(), window.waiting()), (2, 0));
        let ack = Ack {
            tag: 1,
            multiple: true,
        };
        assert_eq!(window.acknowledge_the_rest().0, [ack]);
    }

    #[test]
    fn behind_a_refused_message_others_are_acknowledged_one_by_one() {
        let mut window = Window::default();
        (1..=4).for_each(|tag| window.sent(relayed(tag)));
        assert!(window.settle(2, false, false));
        assert!(window.settle(4, true, true));
        assert!(!window.settle(5, true, true));
        let ack = |tag, multiple| Ack { tag, multiple };
        assert_eq!(
            window.acknowledge_the_rest(),
            (
                vec![ack(1, true), ack(3, false), ack(4, false)],
                Done {
                    messages: 3,
                    bytes: 8,
                    redelivered: 1,
                }
            )
        );
    }
}
