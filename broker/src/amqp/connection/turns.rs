//! Fairness when several queues wait for the same thing: credit of a channel (basic.qos with
//! `global`), or room in the connection's mailbox.
//!
//! A queue serves its consumers in turn itself. But if it were given all free credit, it would
//! serve them until it is empty or no credit is left, and the others would starve. So the
//! connection hands out credit in rounds: the queue after the last one comes first, and each gets
//! its share of what there is.

use super::Connection;
use super::channel::Channel;
use super::unacked::Delivery;
use crate::engine::interfaces::Inbox;
use crate::engine::queue::{Consumer, Credit, Queue};
use leveret_protocol::ChannelId;
use leveret_storage::QueueId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Credit of channels that is kept back because several queues wait for it.
pub(super) type ReservedCredit = BTreeMap<ChannelId, u32>;

impl Connection {
    /// Releases the credit of settled deliveries. Returns consumers to resume that were blocked for
    /// lack of it, each of a queue that one of the deliveries came from. Credit that other queues
    /// wait for, too, is left in `owed`, for [`Connection::share_out_all`].
    pub(super) fn give_back_credit<'a>(
        &self,
        deliveries: impl IntoIterator<Item = &'a Delivery>,
        owed: &mut ReservedCredit,
    ) -> Vec<Arc<Consumer>> {
        let mut waiting = Vec::new();
        let consumers = deliveries.into_iter().filter_map(|d| d.consumer.as_ref());
        let mut consumers = consumers.peekable();
        while let Some(consumer) = consumers.next() {
            let mut count = 1;
            while consumers
                .next_if(|next| Arc::ptr_eq(next, consumer))
                .is_some()
            {
                count += 1;
            }
            if consumer.credit.give_back(count) {
                waiting.push(consumer.clone());
            }
            self.give_back_to_channel(consumer, count, &mut waiting, owed);
        }
        waiting
    }

    fn give_back_to_channel(
        &self,
        consumer: &Consumer,
        count: u32,
        waiting: &mut Vec<Arc<Consumer>>,
        owed: &mut ReservedCredit,
    ) {
        let credit = &consumer.channel_credit;
        let awaited = credit.is_awaited();
        if !awaited && !credit.give_back(count) {
            return;
        }
        let kept = if awaited { count } else { 0 };
        let channel = self.channels.get(consumer.channel);
        // Another channel may have the number by now: nobody waits for the credit of the old one.
        let channel = channel.filter(|channel| Arc::ptr_eq(&channel.credit, credit));
        match channel {
            Some(channel) if !channel.consumes_only_from(&consumer.queue) => {
                *owed.entry(consumer.channel).or_default() += kept;
            }
            channel => {
                // In this order: a consumer refused from here on either sees the credit or leaves
                // the mark again.
                credit.set_awaited(false);
                credit.put_back(kept);
                waiting.extend(channel.into_iter().flat_map(Channel::blocked_consumers));
            }
        }
    }

    /// Hands out the credit that [`Connection::give_back_credit`] kept back.
    pub(super) fn share_out_all(&mut self, owed: ReservedCredit) {
        for (id, kept) in owed {
            self.share_out(id, kept);
        }
    }

    /// Hands out a channel's free credit, including `kept`, which was not released: each waiting
    /// queue gets its share in turn, until nothing is left or nobody waits.
    pub(super) fn share_out(&mut self, id: ChannelId, mut kept: u32) {
        loop {
            let Some(channel) = self.channels.get(id) else {
                return;
            };
            let credit = channel.credit.clone();
            // Consumers refused from here on leave the mark again.
            credit.set_awaited(false);
            let waiting = by_turns(channel.blocked_consumers().collect(), channel.last_turn);
            let free = credit.hold_rest(std::mem::take(&mut kept));
            self.share(id, &credit, free, &waiting);
            if !credit.is_awaited() || credit.is_full() {
                return;
            }
        }
    }

    /// Hands out one round.
    fn share(&mut self, id: ChannelId, credit: &Credit, free: u32, waiting: &[Arc<Consumer>]) {
        let turns = || waiting.chunk_by(|a, b| Arc::ptr_eq(&a.queue, &b.queue));
        let takes = |turn: &&[Arc<Consumer>]| turn.iter().any(|consumer| !consumer.no_ack);
        let share = free.div_ceil(turns().filter(takes).count().max(1) as u32);
        let mut left = free;
        for turn in turns() {
            if left == 0 && credit.is_full() {
                // The remaining ones come first the next time.
                credit.set_awaited(true);
                return;
            }
            let given = share.min(left);
            left -= given;
            credit.put_back(given);
            let queue = &turn[0].queue;
            if let Some(channel) = self.channels.get_mut(id) {
                channel.last_turn = Some(queue.id);
            }
            queue.resume(turn.iter().map(|consumer| consumer.id), &mut self.fx);
        }
        credit.put_back(left);
    }

    /// Resumes all consumers that queues have passed over while the mailbox has room; the remaining
    /// ones come first the next time.
    pub(super) fn resume_all(&mut self) {
        let channels = self.channels.iter();
        let waiting = channels.flat_map(Channel::blocked_consumers).collect();
        let waiting = by_turns(waiting, self.last_turn);
        for turn in waiting.chunk_by(|a, b| Arc::ptr_eq(&a.queue, &b.queue)) {
            // The mailbox remembers that it is full.
            if self.mailbox.is_full() {
                return;
            }
            self.last_turn = Some(turn[0].queue.id);
            turn[0]
                .queue
                .resume(turn.iter().map(|consumer| consumer.id), &mut self.fx);
        }
    }

    /// Resumes consumers, all of a queue at once, so that they share its ready messages.
    pub(super) fn resume(&mut self, consumers: Vec<Arc<Consumer>>) {
        let consumers = by_turns(consumers, None);
        for run in consumers.chunk_by(|a, b| Arc::ptr_eq(&a.queue, &b.queue)) {
            run[0].queue.resume(run.iter().map(|c| c.id), &mut self.fx);
        }
    }
}

/// Sorts consumers by queue, beginning with the queue after the one that had the last turn.
fn by_turns(mut consumers: Vec<Arc<Consumer>>, last: Option<QueueId>) -> Vec<Arc<Consumer>> {
    consumers.sort_by_key(|consumer| consumer.queue.id);
    let behind = consumers.partition_point(|consumer| Some(consumer.queue.id) <= last);
    consumers.rotate_left(behind);
    consumers
}

impl Channel {
    /// Returns the channel's consumers that their queues have passed over.
    fn blocked_consumers(&self) -> impl Iterator<Item = Arc<Consumer>> {
        let blocked = |c: &&Arc<Consumer>| c.blocked.load(Ordering::SeqCst);
        self.consumers.values().filter(blocked).cloned()
    }

    fn consumes_only_from(&self, queue: &Arc<Queue>) -> bool {
        let mut consumers = self.consumers.values();
        consumers.all(|consumer| Arc::ptr_eq(&consumer.queue, queue))
    }
}
