//! Consumers that come and go, and connections that take their mail.

use super::Consume;
use super::fixtures::Held;
use super::world::{ConsumerIndex, Subscriber, World};
use crate::engine::queue::{AfterRemoval, Consumer, ConsumerId, Credit, Return};
use crate::plumbing::mailbox::{Mail, MailBatch};
use leveret_protocol::ChannelId;
use proptest::sample::Index;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

impl World {
    pub(super) fn consume(&mut self, wanted: &Consume) {
        let queue = self.current[wanted.queue];
        let channel = &self.channels[wanted.channel];
        let real = Arc::new(Consumer {
            id: ConsumerId(self.consumers.len() as u64),
            tag: self.consumers.len().to_string().as_str().into(),
            channel: ChannelId(wanted.channel as u16),
            queue: self.queues[queue].clone(),
            mailbox: self.peers[channel.peer].mailbox.clone(),
            no_ack: wanted.no_ack,
            exclusive: wanted.exclusive,
            priority: wanted.priority,
            arguments: Default::default(),
            ack_timeout: None,
            credit: Credit::new(wanted.prefetch),
            channel_credit: channel.credit.clone(),
            blocked: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
        });
        let held = &self.models[queue].consumers;
        let single = self.models[queue].rules.single_active;
        let refused = held.iter().any(|c| self.consumers[*c].real.exclusive)
            || wanted.exclusive && (single || !held.is_empty());
        let index = self.consumers.len();
        self.consumers.push(Subscriber {
            real: real.clone(),
            queue,
            channel: wanted.channel,
            used: 0,
            last_served: 0,
            able_since: None,
        });
        if !refused {
            self.models[queue].joined(index);
        }
        let result = self.queues[queue].consume(real, &mut self.fx);
        assert_eq!(result.is_err(), refused);
        self.judge(queue);
    }

    pub(super) fn cancel_some(&mut self, which: Index) {
        let consuming = self.current.iter().flat_map(|q| &self.models[*q].consumers);
        let consuming: Vec<ConsumerIndex> = consuming.copied().collect();
        if !consuming.is_empty() {
            let index = *which.get(&consuming);
            self.cancel(index);
            self.serve_next(index);
        }
    }

    /// Takes a consumer off its queue, and follows auto-delete.
    pub(super) fn cancel(&mut self, index: ConsumerIndex) {
        let consumer = self.consumers[index].real.clone();
        consumer.cancelled.store(true, Ordering::SeqCst);
        let queue = self.consumers[index].queue;
        let model = &mut self.models[queue];
        let was_there = model.consumers.contains(&index);
        let priority = |other: ConsumerIndex| self.consumers[other].real.priority;
        model.left(index, priority);
        let last = was_there && model.consumers.is_empty();
        self.note_heirs(queue);
        let expected = if last && consumer.queue.spec.auto_delete {
            AfterRemoval::AutoDelete
        } else {
            AfterRemoval::Stays
        };
        assert_eq!(
            self.queues[queue].cancel(consumer.id, &mut self.fx),
            expected
        );
        if expected == AfterRemoval::AutoDelete {
            let slot = self.current.iter().position(|q| *q == queue);
            self.delete(slot.expect("a deleted queue has no consumers"));
        } else {
            self.judge(queue);
        }
    }

    /// Whoever took the place of a consumer that has left is served.
    pub(super) fn serve_next(&mut self, left: ConsumerIndex) {
        let queue = self.consumers[left].queue;
        self.queues[queue].serve_next(&mut self.fx);
        self.judge(queue);
    }

    /// What a connection's task does when its bell rings.
    pub(super) fn take(&mut self, peer: usize) {
        let mut taken = MailBatch::default();
        loop {
            let waker = Waker::from(self.peers[peer].bell.clone());
            self.peers[peer].bell.0.store(false, Ordering::SeqCst);
            self.peers[peer].mailbox.take(&mut taken, Some(&waker));
            self.peers[peer].asleep = taken.is_empty();
            if taken.is_empty() {
                return;
            }
            (self.peers[peer].seen, self.peers[peer].bytes) = (0, 0);
            let mut returned = Vec::new();
            for mail in taken.mail.drain(..) {
                self.receive(mail, &mut returned);
            }
            self.requeue(returned, Return::Unseen);
            if taken.resume {
                self.resume_blocked_of(peer);
            }
        }
    }

    pub(super) fn receive(&mut self, mail: Mail, returned: &mut Vec<Held>) {
        let Mail::Deliver(consumer, entry) = mail else {
            return;
        };
        let index = consumer.id.0 as usize;
        let held = Held {
            queue: self.consumers[index].queue,
            consumer: Some(index),
            entry,
        };
        match (consumer.no_ack, consumer.cancelled.load(Ordering::SeqCst)) {
            (true, _) => {}
            (false, true) => returned.push(held),
            (false, false) => {
                let channel = self.consumers[index].channel;
                self.channels[channel].unacked.push(held);
            }
        }
    }
}
