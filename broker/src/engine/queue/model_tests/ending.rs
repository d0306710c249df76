//! Channels, connections and queues that end.

use super::fixtures::{Kind, new_channel, new_peer, new_queue};
use super::model::Model;
use super::world::{ConsumerIndex, World};
use super::{CHANNELS, PEERS};
use crate::engine::queue::Return;
use std::sync::atomic::Ordering;

impl World {
    pub(super) fn close_channel(&mut self, channel: usize) {
        let consumers: Vec<ConsumerIndex> = (0..self.consumers.len())
            .filter(|index| self.consumers[*index].channel == channel)
            .filter(|index| !self.consumers[*index].real.cancelled.load(Ordering::SeqCst))
            .collect();
        for index in &consumers {
            self.cancel(*index);
        }
        let fresh = new_channel(channel);
        let closed = std::mem::replace(&mut self.channels[channel], fresh);
        self.requeue(closed.unacked, Return::Failed);
        for index in consumers {
            self.serve_next(index);
        }
    }

    pub(super) fn end(&mut self, peer: usize, at_once: bool) {
        let mut mail = Vec::new();
        if at_once {
            mail = self.peers[peer].mailbox.close();
            // Whoever publishes now finds the mailbox closed and the consumers still there.
            (self.peers[peer].seen, self.peers[peer].bytes) = (0, usize::MAX);
            for queue in self.current {
                let persistent = true;
                self.publish(
                    &[queue],
                    1,
                    Kind {
                        persistent,
                        ..Kind::default()
                    },
                );
            }
        }
        for channel in (0..CHANNELS).filter(|c| c % PEERS == peer) {
            self.close_channel(channel);
        }
        mail.extend(self.peers[peer].mailbox.close());
        self.peers[peer] = new_peer();
        let mut returned = Vec::new();
        for mail in mail {
            self.receive(mail, &mut returned);
        }
        self.requeue(returned, Return::Unseen);
    }

    pub(super) fn delete(&mut self, slot: usize) {
        let queue = self.current[slot];
        let remains = self.queues[queue].delete_if(|_| Ok::<_, ()>(()), &mut self.fx);
        let remains = remains.unwrap().expect("deleted once");
        let mut told: Vec<_> = remains.consumers.iter().map(|c| c.id.0 as usize).collect();
        told.sort_unstable();
        self.models[queue].consumers.sort_unstable();
        assert_eq!(told, self.models[queue].consumers);
        assert_eq!(remains.messages, self.models[queue].deleted());
        self.judge(queue);
        for consumer in remains.consumers {
            consumer.cancelled.store(true, Ordering::SeqCst);
        }
        self.current[slot] = self.queues.len();
        let rules = self.rules[slot];
        let queue = new_queue(self.queues.len(), rules, &mut self.fx);
        self.queues.push(queue.clone());
        let model = Model::new(rules, self.time.elapsed(), self.time.epoch());
        self.models.push(model);
        self.follow_way(queue);
    }
}
