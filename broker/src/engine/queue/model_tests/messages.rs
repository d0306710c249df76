//! Messages that come to queues, and are asked for one by one.

use super::fixtures::{Held, Kind, message};
use super::model::Known;
use super::world::World;
use leveret_storage::Position;

impl World {
    pub(super) fn publish(&mut self, to: &[usize], count: usize, kind: Kind) {
        let cancellable = to.len() == 1;
        let mut run = Vec::new();
        for _ in 0..count {
            self.next_id += 1;
            let message = message(self.next_id, kind, cancellable);
            let known = Known::new(self.next_id, kind, cancellable);
            run.push(((message, None), known));
        }
        for queue in to {
            let alone = kind.expiration.is_some();
            let at_once = match alone || self.models[*queue].rules.one_by_one() {
                true => 1,
                false => count,
            };
            for run in run.chunks(at_once) {
                for (_, known) in run {
                    self.models[*queue].publish(known.clone());
                }
                let messages = run.iter().map(|(incoming, _)| incoming.clone());
                self.queues[*queue].publish(messages, to.len() > 1, &mut self.fx);
                self.judge(*queue);
            }
        }
    }

    pub(super) fn reserve(&mut self, queue: usize, count: usize, kind: Kind) {
        let mut messages = Vec::new();
        for _ in 0..count {
            self.next_id += 1;
            messages.push(message(self.next_id, kind, true));
            let _place = self.models[queue].reserve(Known::new(self.next_id, kind, true));
        }
        let first = self.queues[queue].reserve(&messages, &mut self.fx);
        let first = first.expect("it is not deleted");
        self.travelling.push((queue, first, messages));
        self.judge(queue);
    }

    pub(super) fn arrive(&mut self) {
        for (queue, first, messages) in std::mem::take(&mut self.travelling) {
            // One by one: what is refused depends on who was served before.
            for (position, message) in (first.0..).zip(messages) {
                self.models[queue].arrived(position, false);
                let to = self.queues[queue].clone();
                to.publish_reserved(Position(position), [message], false, &mut self.fx);
                self.judge(queue);
            }
        }
    }

    pub(super) fn get(&mut self, queue: usize, channel: usize, no_ack: bool) {
        let taken = self.queues[queue].get(no_ack, &mut self.fx);
        self.models[queue].touch();
        self.models[queue].expire();
        assert_eq!(taken.is_some(), !self.models[queue].ready.is_empty());
        if let Some((entry, left)) = taken {
            self.models[queue].served(&entry, no_ack);
            self.models[queue].expire();
            assert_eq!(left, self.models[queue].ready.len() as u64);
            if !no_ack {
                self.channels[channel].unacked.push(Held {
                    queue,
                    consumer: None,
                    entry,
                });
            }
        }
        self.judge(queue);
    }
}
