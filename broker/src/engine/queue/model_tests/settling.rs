//! What becomes of deliveries, and of those who waited for the credit.

use super::fixtures::Held;
use super::world::{ConsumerIndex, Subscriber, World};
use super::{Fate, PEERS};
use crate::engine::queue::{Entry, Return};
use proptest::sample::Index;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl World {
    pub(super) fn settle_some(&mut self, channel: usize, which: Index, multiple: bool, fate: Fate) {
        let unacked = &mut self.channels[channel].unacked;
        if unacked.is_empty() {
            return;
        }
        let at = which.index(unacked.len());
        let from = if multiple { 0 } else { at };
        let settled: Vec<Held> = unacked.drain(from..=at).collect();
        match fate {
            Fate::Requeued(how) => self.requeue(settled, how),
            _ => self.settle(settled, fate == Fate::Rejected),
        }
    }

    pub(super) fn settle(&mut self, settled: Vec<Held>, rejected: bool) {
        let waiting = self.give_back(&settled);
        for held in settled {
            if !self.models[held.queue].deleted {
                self.models[held.queue].settled(held.entry.position.0, rejected);
            }
            let queue = &self.queues[held.queue];
            if rejected {
                queue.reject([&held.entry], [], &mut self.fx);
            } else {
                queue.settle([&held.entry], [], &mut self.fx);
            }
            self.judge(held.queue);
        }
        self.resume(waiting);
    }

    /// As `Connection::requeue`: credit first, then each queue once, then who waited for credit.
    pub(super) fn requeue(&mut self, mut returned: Vec<Held>, how: Return) {
        let waiting = self.give_back(&returned);
        returned.sort_by_key(|held| held.queue);
        for run in returned.chunk_by(|a, b| a.queue == b.queue) {
            let queue = run[0].queue;
            let entries: Vec<(Entry, Return)> =
                run.iter().map(|held| (held.entry.clone(), how)).collect();
            for (entry, how) in &entries {
                if !self.models[queue].deleted {
                    self.models[queue].requeued(entry.position.0, *how);
                }
            }
            self.models[queue].drop_over_limit();
            self.queues[queue].requeue(entries, &mut self.fx);
            self.judge(queue);
        }
        self.resume(waiting);
    }

    /// Gives credit back; returns who has to be resumed.
    pub(super) fn give_back(&mut self, held: &[Held]) -> Vec<ConsumerIndex> {
        let mut waiting = Vec::new();
        for index in held.iter().filter_map(|held| held.consumer) {
            let consumer = &mut self.consumers[index];
            let channel = &mut self.channels[consumer.channel];
            consumer.used -= 1;
            if consumer.real.credit.give_back(1) {
                waiting.push(index);
            }
            // The consumer may be from before its channel was closed and opened again.
            if Arc::ptr_eq(&channel.credit, &consumer.real.channel_credit) {
                channel.used -= 1;
            }
            if consumer.real.channel_credit.give_back(1) {
                let number = consumer.channel;
                waiting.extend(self.blocked(|c| c.channel == number));
            }
        }
        waiting
    }

    pub(super) fn blocked(&self, wanted: impl Fn(&Subscriber) -> bool) -> Vec<ConsumerIndex> {
        let all = self.consumers.iter().enumerate();
        all.filter(|(_, c)| wanted(c) && c.real.blocked.load(Ordering::SeqCst))
            .filter(|(_, c)| !c.real.cancelled.load(Ordering::SeqCst))
            .map(|(index, _)| index)
            .collect()
    }

    pub(super) fn resume_blocked(&mut self, wanted: impl Fn(&Subscriber) -> bool) {
        self.resume(self.blocked(wanted));
    }

    pub(super) fn resume_blocked_of(&mut self, peer: usize) {
        self.resume_blocked(|c| c.channel % PEERS == peer);
    }

    pub(super) fn resume(&mut self, waiting: Vec<ConsumerIndex>) {
        for index in waiting {
            let (queue, id) = (self.consumers[index].queue, self.consumers[index].real.id);
            self.queues[queue].resume([id], &mut self.fx);
            self.judge(queue);
        }
    }
}
