//! Who alone is served, where there is such a rule.

use super::world::{ConsumerIndex, World};
use std::sync::atomic::Ordering;

impl World {
    /// Whether the rules let this consumer be served. On a quorum queue nobody is while the active
    /// one makes room for another.
    pub(super) fn may_serve(&self, queue: usize, consumer: ConsumerIndex) -> bool {
        let model = &self.models[queue];
        if !model.rules.single_active {
            return true;
        }
        let yields = || model.rules.quorum.is_some() && self.has_better(queue, consumer);
        model.single == Some(consumer) && !yields()
    }

    /// Whether somebody of higher priority could be active in place of a consumer.
    fn has_better(&self, queue: usize, consumer: ConsumerIndex) -> bool {
        self.best(queue)
            .is_some_and(|best| best > self.priority(consumer))
    }

    /// The highest priority among those that were not passed over.
    fn best(&self, queue: usize) -> Option<i32> {
        let waiting = self.models[queue].consumers.iter().copied();
        let able = waiting.filter(|c| !self.consumers[*c].real.blocked.load(Ordering::SeqCst));
        able.map(|consumer| self.priority(consumer)).max()
    }

    fn priority(&self, consumer: ConsumerIndex) -> i32 {
        self.consumers[consumer].real.priority
    }

    /// An active consumer is about to leave the real queue, too. Who takes its place is chosen at
    /// that moment: a page that comes back in the same call may be served, and show that its mailbox
    /// is full.
    pub(super) fn note_heirs(&mut self, queue: usize) {
        self.models[queue].best_heir = self.best(queue);
    }

    /// The active consumer of a quorum queue: there is one while there are any; it makes room for
    /// one of higher priority when it holds nothing, and for nobody else; when it leaves, its place
    /// is taken by one of the highest priority.
    pub(super) fn judge_single_active(&mut self, queue: usize) {
        let model = &self.models[queue];
        if !model.rules.single_active || model.rules.quorum.is_none() {
            return;
        }
        let (holder, single) = self.queues[queue].single_active_consumer();
        assert!(single);
        let holder = holder.map(|consumer| consumer.id.0 as usize);
        assert_eq!(
            holder.is_none(),
            model.consumers.is_empty(),
            "nobody is active"
        );
        let Some(now) = holder.filter(|now| model.single != Some(*now)) else {
            return;
        };
        assert!(model.consumers.contains(&now), "gone, and active");
        match model.single {
            Some(before) => {
                assert!(self.priority(now) > self.priority(before), "ousted");
                assert_eq!(self.consumers[before].used, 0, "ousted with deliveries");
            }
            None => {
                let best = model.best_heir;
                assert!(
                    best.is_none_or(|best| self.priority(now) == best),
                    "not the first"
                );
            }
        }
        self.models[queue].single = Some(now);
    }

    /// Nobody of higher priority waits for an active consumer that holds nothing.
    pub(super) fn check_room_is_made(&self, queue: usize) {
        let model = &self.models[queue];
        let Some(holder) = model.single.filter(|_| model.rules.quorum.is_some()) else {
            return;
        };
        let idle = self.consumers[holder].used == 0 && !model.ready.is_empty();
        assert!(!idle || !self.has_better(queue, holder), "it makes no room");
    }
}
