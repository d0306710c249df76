//! Handing over what a read batch has collected: acknowledgements, publishes, confirms.

use super::Connection;
use super::channel::{TokenMeaning, channel_of};
use super::confirms::Verdict;
use super::turns::ReservedCredit;
use super::unacked::{Delivery, Returning};
use crate::engine::queue::Queue;
use leveret_protocol::{ChannelId, DeliveryTag, method, texts};
use leveret_storage::Store;
use std::sync::Arc;

impl Connection {
    /// Hands everything over. Acknowledgements go before publishes, so that what a client
    /// acknowledged before a confirmed publish is as safe as that publish.
    pub(super) fn flush(&mut self) {
        self.flush_settled();
        self.flush_publishes();
        self.has_committed |= self.fx.perform_and_commit(&self.mailbox);
        if self.broker.store.as_ref().is_some_and(Store::has_ended) {
            self.give_up_on_store();
        }
        self.flush_confirms();
        self.report_counts();
    }

    /// Performs the collected effects.
    pub(super) fn perform(&mut self) {
        self.fx.perform();
    }

    /// Performs the collected effects and writes acknowledgements immediately: a client that is
    /// gone believes that they were stored.
    pub(super) fn perform_at_last(&mut self) {
        self.fx.perform();
        if let Some(store) = &self.broker.store {
            store.hurry();
        }
    }

    /// Publishes the run to its queues, locking each once.
    pub(super) fn flush_publishes(&mut self) {
        if !self.run.postponed.is_empty() {
            self.flush_postponed();
        }
        let published = self.run.published();
        if published == 0 {
            return;
        }
        self.info.published(published);
        self.run.hand_over(&mut self.fx);
        if self.fx.refused().count > 0 {
            self.refuse_publishes();
        }
    }

    /// Records which publishes queues have rejected; those without confirms are dropped silently
    /// (RabbitMQ: "Queue Length Limit").
    fn refuse_publishes(&mut self) {
        let refused = std::mem::take(self.fx.refused());
        for token in refused.tokens {
            let id = channel_of(token);
            let Some(channel) = self.channel_mut(id) else {
                continue;
            };
            if let (TokenMeaning::Confirm(sequence), Some(confirms)) =
                (channel.meaning(token), &mut channel.confirms)
            {
                confirms.refuse(sequence);
                self.news_of(id);
            }
        }
    }

    /// Records that the channel may have confirms to write.
    pub(super) fn news_of(&mut self, id: ChannelId) {
        if self.unconfirmed_news.last() != Some(&id) {
            self.unconfirmed_news.push(id);
        }
    }

    /// Rejects everything that waits for the store, because nothing more will be stored.
    fn give_up_on_store(&mut self) {
        let mut held = None;
        for id in self.channels.ids() {
            let Some(channel) = self.channel_mut(id) else {
                continue;
            };
            if channel.deferred.take().is_some() {
                held = Some(id);
            }
            if let Some(confirms) = &mut channel.confirms {
                confirms.refuse_waiting();
                self.news_of(id);
            }
        }
        if let Some(id) = held {
            self.fail(id, texts::store_ended(), self.now);
        }
    }

    /// Hands messages that have to wait to their delayed exchanges, locking each once per run.
    fn flush_postponed(&mut self) {
        let mut postponed = std::mem::take(&mut self.run.postponed);
        self.info.published(postponed.len() as u64);
        let mut rest = postponed.drain(..).peekable();
        while let Some((delays, first)) = rest.next() {
            let more = std::iter::from_fn(|| rest.next_if(|(next, _)| Arc::ptr_eq(next, &delays)));
            let run = std::iter::once(first).chain(more.map(|(_, postponed)| postponed));
            delays.hold(run, self.now, &mut self.fx);
        }
        drop(rest);
        self.run.postponed = postponed;
    }

    /// Settles acknowledged deliveries, with one lock per run of the same queue, and resumes the
    /// consumers that waited for their credit.
    pub(super) fn flush_settled(&mut self) {
        if !self.settled.is_empty() {
            let mut settled = std::mem::take(&mut self.settled);
            self.leave_queues(&settled, false);
            settled.clear();
            self.settled = settled;
        }
        if !self.discarded.is_empty() {
            let discarded = std::mem::take(&mut self.discarded);
            self.leave_queues(&discarded, true);
        }
    }

    /// Removes deliveries from their queues, acknowledged or rejected.
    fn leave_queues(&mut self, settled: &[Delivery], rejected: bool) {
        let mut owed = ReservedCredit::new();
        for run in settled.chunk_by(|a, b| Arc::ptr_eq(&a.queue, &b.queue)) {
            let queue = &run[0].queue;
            let waiting = self.give_back_credit(run, &mut owed);
            let waiting = waiting.iter().map(|consumer| consumer.id);
            let entries = run.iter().map(|d| &d.entry);
            if rejected {
                queue.reject(entries, waiting, &mut self.fx);
            } else {
                self.tally.of(queue.kind).ack += run.len() as u64;
                queue.settle(entries, waiting, &mut self.fx);
            }
        }
        self.share_out_all(owed);
    }

    /// Requeues deliveries, one queue at a time, so that no queue serves consumers before all are
    /// in place.
    pub(super) fn requeue(&mut self, mut deliveries: Vec<Returning>) {
        let mut owed = ReservedCredit::new();
        let coming_back = deliveries.iter().map(|(delivery, _)| delivery);
        let waiting = self.give_back_credit(coming_back, &mut owed);
        deliveries.sort_by_key(|(delivery, _)| delivery.queue.id);
        let mut deliveries = deliveries.into_iter().peekable();
        while let Some((first, how)) = deliveries.next() {
            let queue: Arc<Queue> = first.queue.clone();
            let mut entries = vec![(first.entry, how)];
            while let Some((next, how)) = deliveries.next_if(|(d, _)| Arc::ptr_eq(&d.queue, &queue))
            {
                entries.push((next.entry, how));
            }
            queue.requeue(entries, &mut self.fx);
        }
        self.resume(waiting);
        self.share_out_all(owed);
    }

    /// Writes the confirms that are ready.
    pub(super) fn flush_confirms(&mut self) {
        let mut news = std::mem::take(&mut self.unconfirmed_news);
        for id in news.drain(..) {
            let Some(channel) = self.channels.get_mut(id) else {
                continue;
            };
            let Some(confirms) = channel.confirms.as_mut().filter(|c| c.has_news()) else {
                continue;
            };
            let out = self.out.buffer();
            let mut confirmed = 0;
            confirms.flush(|tag, count, verdict| match verdict {
                Verdict::Ack => {
                    confirmed += count;
                    method::encode_ack(out, id, DeliveryTag(tag), count > 1);
                }
                Verdict::Nack => method::encode_nack(out, id, DeliveryTag(tag), count > 1),
            });
            channel.stats.confirm += confirmed;
            self.tally.published().confirm += confirmed;
        }
        self.unconfirmed_news = news;
    }
}
