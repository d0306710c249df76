//! What is judged after each call of a queue: every delivery in turn, every record, every number.

use super::world::{ConsumerIndex, World};
use crate::engine::queue::Entry;
use crate::engine::queue::{Counts, Parked};
use crate::plumbing::mailbox::{DELIVERY_OVERHEAD, HIGH_MARK, Mail};
use std::sync::atomic::Ordering;

impl World {
    /// Judges what a call on `queue` has done since the last look.
    pub(super) fn judge(&mut self, queue: usize) {
        self.judge_deliveries(queue);
        let routes = self.vhost.generation();
        let outgoing = self.take_letters(queue, routes);
        self.models[queue].retry_early(routes);
        let letters = outgoing.as_ref().map_or(&[][..], |taken| &taken.letters);
        self.models[queue].buried(letters, self.fx.pager().is_some());
        let refused = std::mem::take(&mut self.fx.refused().count);
        assert_eq!(refused, std::mem::take(&mut self.models[queue].refused));
        let receiver = outgoing.and_then(|outgoing| self.send(queue, &outgoing));
        for queue in receiver.into_iter().chain([queue]) {
            let real = &self.queues[queue];
            self.models[queue].recorded(real.id, self.fx.ops());
            // Where a message is makes no difference.
            let counts = Counts {
                paged_out: 0,
                paged_out_bytes: 0,
                memory: 0,
                undelivered: in_memory(real.counts().undelivered),
                waiting: in_memory(real.counts().waiting),
                ..real.counts()
            };
            assert_eq!(counts, self.models[queue].counts());
        }
        self.fx.forget_ops();
        self.refresh_able();
    }

    /// Judges what consumers have got of a queue since the last look, and what left it besides.
    pub(super) fn judge_deliveries(&mut self, queue: usize) {
        self.judge_single_active(queue);
        for (index, entry) in self.new_deliveries(queue) {
            self.judge_delivery(queue, index, &entry);
        }
        self.models[queue].drop_over_limit();
        self.models[queue].expire();
    }

    /// Deliveries that the model has not seen, in the order in which they were handed out.
    fn new_deliveries(&mut self, queue: usize) -> Vec<(ConsumerIndex, Entry)> {
        let mut all = Vec::new();
        let model = &self.models[queue];
        let rank = |(_, entry): &(ConsumerIndex, Entry)| {
            let priority = entry.message.priority().unwrap_or(0);
            model.rank(entry.position.0, priority)
        };
        for peer in &mut self.peers {
            let seen = std::mem::take(&mut peer.seen);
            let fresh: Vec<(ConsumerIndex, Entry)> = peer.mailbox.peek(|mail| {
                peer.seen = mail.len();
                let deliveries = mail[seen..].iter().filter_map(|mail| match mail {
                    Mail::Deliver(consumer, entry) => Some((consumer.id.0 as usize, entry.clone())),
                    Mail::Cancel(_) | Mail::Reply(_) => None,
                });
                deliveries.collect()
            });
            assert!(
                fresh.is_sorted_by_key(rank),
                "out of order within one mailbox"
            );
            all.extend(fresh);
        }
        assert!(all.iter().all(|(c, _)| self.consumers[*c].queue == queue));
        all.sort_by_key(rank);
        all
    }

    fn judge_delivery(&mut self, queue: usize, index: ConsumerIndex, entry: &Entry) {
        self.now += 1;
        assert!(self.models[queue].consumers.contains(&index), "no consumer");
        assert!(self.may_serve(queue, index), "not its turn");
        assert!(self.can_take(index), "over its prefetch, or mailbox full");
        self.judge_turn(queue, index);
        let consumer = &mut self.consumers[index];
        consumer.last_served = self.now;
        let no_ack = consumer.real.no_ack;
        if !no_ack {
            consumer.used += 1;
            self.channels[consumer.channel].used += 1;
        }
        let bytes = entry.message.weight() as usize + DELIVERY_OVERHEAD;
        let peer = self.channels[consumer.channel].peer;
        self.peers[peer].bytes += bytes;
        self.models[queue].served(entry, no_ack);
    }

    /// Nobody of higher priority, and nobody of the same who has waited longer, was passed over.
    fn judge_turn(&self, queue: usize, index: ConsumerIndex) {
        let served = &self.consumers[index];
        let model = &self.models[queue];
        let rivals = model.consumers.iter().copied();
        for other in rivals.filter(|other| self.may_serve(queue, *other)) {
            let rival = &self.consumers[other];
            let Some(since) = rival.able_since.filter(|_| self.can_take(other)) else {
                continue;
            };
            assert!(
                rival.real.priority <= served.real.priority,
                "priority ignored"
            );
            let waited = since < served.last_served && rival.last_served < served.last_served;
            assert!(
                other == index || rival.real.priority < served.real.priority || !waited,
                "consumer {index} served twice before {other}"
            );
        }
    }

    /// Whether the model lets this consumer have one more.
    fn can_take(&self, index: ConsumerIndex) -> bool {
        let consumer = &self.consumers[index];
        let channel = &self.channels[consumer.channel];
        let room = |limit: u32, used: u32| limit == 0 || used < limit;
        self.peers[channel.peer].bytes < HIGH_MARK
            && room(channel.credit.limit(), channel.used)
            && (consumer.real.no_ack || room(consumer.real.credit.limit(), consumer.used))
    }

    fn refresh_able(&mut self) {
        for queue in self.current {
            for index in self.models[queue].consumers.clone() {
                let able = self.can_take(index)
                    && !self.consumers[index].real.blocked.load(Ordering::SeqCst);
                let now = self.now;
                let consumer = &mut self.consumers[index];
                consumer.able_since = able.then(|| consumer.able_since.unwrap_or(now));
            }
        }
    }

    /// After a step no message is ready that some consumer could take.
    pub(super) fn check_nobody_waits(&self) {
        for queue in self.current {
            let model = &self.models[queue];
            let mut consumers = model.consumers.iter();
            let idle = consumers.find(|c| self.may_serve(queue, **c) && self.can_take(**c));
            self.check_room_is_made(queue);
            assert!(
                model.ready.is_empty() || idle.is_none(),
                "consumer {idle:?} could take one of {} ready messages",
                model.ready.len()
            );
        }
    }
}

/// The same, as if none of it were on disk.
fn in_memory(parked: Parked) -> Parked {
    Parked {
        paged_out: 0,
        paged_out_bytes: 0,
        ..parked
    }
}
