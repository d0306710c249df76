//! Two real queues with the connections around them, reduced to what queues see of connections.

use super::fixtures::{
    Channel, Held, Kind, Peer, Rules, message, new_channel, new_peer, new_queue,
};
use super::model::{Known, Model};
use super::time::SimulatedTime;
use super::{CHANNELS, Consume, Fate, PEERS, QUEUES, Step};
use crate::message::SharedMessage;
use crate::queue::{AfterRemoval, Consumer, ConsumerId, Credit, Effects, Entry, Queue};
use crate::server::mailbox::{Mail, Taken};
use leveret_protocol::ChannelId;
use leveret_storage::Position;
use proptest::sample::Index;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

pub(super) type ConsumerIndex = usize;

/// A consumer with what fairness is judged by.
pub(super) struct Subscriber {
    pub(super) real: Arc<Consumer>,
    pub(super) queue: usize,
    pub(super) channel: usize,
    pub(super) used: u32,
    pub(super) last_served: u64,
    /// Since when it could have been served at any time.
    pub(super) able_since: Option<u64>,
}

pub(super) struct World {
    pub(super) queues: Vec<Arc<Queue>>,
    pub(super) models: Vec<Model>,
    /// The queues that are not deleted.
    pub(super) current: [usize; QUEUES],
    pub(super) peers: Vec<Peer>,
    pub(super) channels: Vec<Channel>,
    pub(super) consumers: Vec<Subscriber>,
    pub(super) now: u64,
    rules: [Rules; QUEUES],
    next_id: u64,
    /// Messages that have places in queues and have not arrived.
    travelling: Vec<(usize, Position, Vec<SharedMessage>)>,
    pub(super) fx: Effects,
    pub(super) time: SimulatedTime,
}

impl World {
    /// A world whose second queue has rules.
    pub(super) fn new(rules: Rules) -> Self {
        let rules = [Rules::default(), rules];
        let (time, mut fx) = SimulatedTime::new();
        let mut new = |i| new_queue(i, rules[i], &mut fx);
        World {
            queues: (0..QUEUES).map(&mut new).collect(),
            models: rules.map(|rules| Model::new(rules, 0)).into(),
            rules,
            current: std::array::from_fn(|i| i),
            peers: (0..PEERS).map(|_| new_peer()).collect(),
            channels: (0..CHANNELS).map(new_channel).collect(),
            consumers: Vec::new(),
            now: 0,
            next_id: 0,
            travelling: Vec::new(),
            fx,
            time,
        }
    }

    pub(super) fn run(&mut self, step: Step) {
        match step {
            Step::Publish { queue, count, kind } => {
                self.publish(&[self.current[queue]], count, kind);
            }
            Step::PublishToBoth { kind } => self.publish(&self.current.clone(), 1, kind),
            Step::Reserve { queue, count, kind } => self.reserve(self.current[queue], count, kind),
            Step::Arrive => self.arrive(),
            Step::Consume(consume) => self.consume(&consume),
            Step::Cancel(which) => self.cancel_some(which),
            Step::Take { peer } => self.take(peer),
            Step::Settle {
                channel,
                which,
                multiple,
                fate,
            } => self.settle_some(channel, which, multiple, fate),
            Step::Get {
                queue,
                channel,
                no_ack,
            } => self.get(self.current[queue], channel, no_ack),
            Step::Purge { queue } => {
                let queue = self.current[queue];
                let count = self.queues[queue].purge(&mut self.fx);
                assert_eq!(count, self.models[queue].purged());
                self.judge(queue);
            }
            Step::Policy { queue, limit } => self.set_policy(self.current[queue], limit),
            Step::Limit { channel, limit } => {
                self.channels[channel].credit.set_limit(limit);
                self.resume_blocked(|c| c.channel == channel);
            }
            Step::CloseChannel { channel } => self.close_channel(channel),
            Step::End { peer, at_once } => self.end(peer, at_once),
            Step::Delete { queue } => self.delete(queue),
            Step::Write => {
                for (queue, model) in self.queues.iter().zip(&mut self.models) {
                    model.write(queue.id);
                }
            }
            Step::Wait { milliseconds } => self.wait(milliseconds),
        }
        self.check_nobody_waits();
        self.check_wakes();
    }

    /// Lets everybody take and acknowledge all there is: nothing may be left.
    pub(super) fn finish(&mut self) {
        self.run(Step::Arrive);
        for channel in 0..CHANNELS {
            self.run(Step::Limit { channel, limit: 0 });
        }
        for peer in 0..PEERS {
            self.end(peer, false);
        }
        for queue in self.current {
            let unacked = &self.models[queue].unacked;
            assert!(unacked.is_empty(), "lost: {unacked:?}");
            while !self.models[queue].ready.is_empty() {
                self.get(queue, 0, true);
            }
            assert!(self.queues[queue].get(true, &mut self.fx).is_none());
        }
    }

    fn publish(&mut self, to: &[usize], count: usize, kind: Kind) {
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
                let messages = run.iter().map(|(incoming, _)| incoming);
                self.queues[*queue].publish(messages, to.len() > 1, &mut self.fx);
                self.judge(*queue);
            }
        }
    }

    fn reserve(&mut self, queue: usize, count: usize, kind: Kind) {
        let mut messages = Vec::new();
        for _ in 0..count {
            self.next_id += 1;
            messages.push(message(self.next_id, kind, true));
            self.models[queue].reserve(Known::new(self.next_id, kind, true));
        }
        let first = self.queues[queue].reserve(&messages, &mut self.fx);
        let first = first.expect("it is not deleted");
        self.travelling.push((queue, first, messages));
        self.judge(queue);
    }

    fn arrive(&mut self) {
        for (queue, first, messages) in std::mem::take(&mut self.travelling) {
            // One by one: what is refused depends on who was served before.
            for (position, message) in (first.0..).zip(messages) {
                self.models[queue].arrived(position);
                let to = self.queues[queue].clone();
                to.publish_reserved(Position(position), [message], false, &mut self.fx);
                self.judge(queue);
            }
        }
    }

    fn consume(&mut self, wanted: &Consume) {
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

    fn cancel_some(&mut self, which: Index) {
        let consuming = self.current.iter().flat_map(|q| &self.models[*q].consumers);
        let consuming: Vec<ConsumerIndex> = consuming.copied().collect();
        if !consuming.is_empty() {
            let index = *which.get(&consuming);
            self.cancel(index);
            self.serve_next(index);
        }
    }

    /// Takes a consumer off its queue, and follows auto-delete.
    fn cancel(&mut self, index: ConsumerIndex) {
        let consumer = self.consumers[index].real.clone();
        consumer.cancelled.store(true, Ordering::SeqCst);
        let queue = self.consumers[index].queue;
        let model = &mut self.models[queue];
        let was_there = model.consumers.contains(&index);
        let priority = |other: ConsumerIndex| self.consumers[other].real.priority;
        model.left(index, priority);
        let last = was_there && model.consumers.is_empty();
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
    fn serve_next(&mut self, left: ConsumerIndex) {
        let queue = self.consumers[left].queue;
        self.queues[queue].serve_next(&mut self.fx);
        self.judge(queue);
    }

    /// What a connection's task does when its bell rings.
    fn take(&mut self, peer: usize) {
        let mut taken = Taken::default();
        loop {
            let waker = Waker::from(self.peers[peer].bell.clone());
            self.peers[peer].bell.0.store(false, Ordering::SeqCst);
            self.peers[peer].mailbox.take(&mut taken, Some(&waker));
            self.peers[peer].asleep = taken.is_empty();
            if taken.is_empty() {
                return;
            }
            (self.peers[peer].seen, self.peers[peer].octets) = (0, 0);
            let mut returned = Vec::new();
            for mail in taken.mail.drain(..) {
                self.receive(mail, &mut returned);
            }
            self.requeue(returned, false);
            if taken.resume {
                self.resume_blocked_of(peer);
            }
        }
    }

    fn receive(&mut self, mail: Mail, returned: &mut Vec<Held>) {
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

    fn settle_some(&mut self, channel: usize, which: Index, multiple: bool, fate: Fate) {
        let unacked = &mut self.channels[channel].unacked;
        if unacked.is_empty() {
            return;
        }
        let at = which.index(unacked.len());
        let from = if multiple { 0 } else { at };
        let settled: Vec<Held> = unacked.drain(from..=at).collect();
        match fate {
            Fate::Requeued => self.requeue(settled, true),
            _ => self.settle(settled, fate == Fate::Rejected),
        }
    }

    fn settle(&mut self, settled: Vec<Held>, rejected: bool) {
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
    fn requeue(&mut self, mut returned: Vec<Held>, mark: bool) {
        let waiting = self.give_back(&returned);
        returned.sort_by_key(|held| held.queue);
        for run in returned.chunk_by(|a, b| a.queue == b.queue) {
            let queue = run[0].queue;
            let mut entries: Vec<Entry> = run.iter().map(|held| held.entry.clone()).collect();
            for entry in &mut entries {
                if mark {
                    self.queues[queue].note_return(entry);
                }
                if !self.models[queue].deleted {
                    self.models[queue].requeued(entry.position.0, mark);
                }
            }
            self.models[queue].drop_over_limit();
            self.queues[queue].requeue(entries, &mut self.fx);
            self.judge(queue);
        }
        self.resume(waiting);
    }

    /// Gives credit back; returns who has to be resumed.
    fn give_back(&mut self, held: &[Held]) -> Vec<ConsumerIndex> {
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

    fn blocked(&self, wanted: impl Fn(&Subscriber) -> bool) -> Vec<ConsumerIndex> {
        let all = self.consumers.iter().enumerate();
        all.filter(|(_, c)| wanted(c) && c.real.blocked.load(Ordering::SeqCst))
            .filter(|(_, c)| !c.real.cancelled.load(Ordering::SeqCst))
            .map(|(index, _)| index)
            .collect()
    }

    fn resume_blocked(&mut self, wanted: impl Fn(&Subscriber) -> bool) {
        self.resume(self.blocked(wanted));
    }

    fn resume_blocked_of(&mut self, peer: usize) {
        self.resume_blocked(|c| c.channel % PEERS == peer);
    }

    fn resume(&mut self, waiting: Vec<ConsumerIndex>) {
        for index in waiting {
            let (queue, id) = (self.consumers[index].queue, self.consumers[index].real.id);
            self.queues[queue].resume([id], &mut self.fx);
            self.judge(queue);
        }
    }

    fn get(&mut self, queue: usize, channel: usize, no_ack: bool) {
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

    fn close_channel(&mut self, channel: usize) {
        let consumers: Vec<ConsumerIndex> = (0..self.consumers.len())
            .filter(|index| self.consumers[*index].channel == channel)
            .filter(|index| !self.consumers[*index].real.cancelled.load(Ordering::SeqCst))
            .collect();
        for index in &consumers {
            self.cancel(*index);
        }
        let fresh = new_channel(channel);
        let closed = std::mem::replace(&mut self.channels[channel], fresh);
        self.requeue(closed.unacked, true);
        for index in consumers {
            self.serve_next(index);
        }
    }

    fn end(&mut self, peer: usize, at_once: bool) {
        let mut mail = Vec::new();
        if at_once {
            mail = self.peers[peer].mailbox.close();
            // Whoever publishes now finds the mailbox closed and the consumers still there.
            (self.peers[peer].seen, self.peers[peer].octets) = (0, usize::MAX);
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
        self.requeue(returned, false);
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
        self.queues.push(queue);
        self.models.push(Model::new(rules, self.time.elapsed()));
    }

    fn check_wakes(&mut self) {
        self.fx.perform();
        for peer in self.peers.iter().filter(|peer| peer.asleep) {
            let waits = peer.mailbox.peek(|mail| !mail.is_empty());
            let woken = peer.bell.0.load(Ordering::SeqCst);
            assert!(woken || !waits, "mail waits and nobody is woken");
        }
    }
}
