//! How channels and connections release what they hold: consumers leave their queues,
//! unacknowledged deliveries are requeued in order, exclusive queues are deleted.

use super::memory_limits::CHANNEL;
use super::unacked::Returning;
use super::{Connection, Phase, mail};
use crate::engine::queue::{Consumer, Queue, Return};
use crate::plumbing::mailbox::Mail;
use leveret_protocol::classes::{AMQPClass, channel as channel_class};
use leveret_protocol::{ChannelId, DeliveryTag};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Connection {
    /// Handles channel.close from the peer.
    pub(super) fn close_channel(&mut self, id: ChannelId) {
        self.flush();
        self.release_channel(id);
        let close_ok = channel_class::CloseOk {};
        self.reply(
            id,
            AMQPClass::Channel(channel_class::AMQPMethod::CloseOk(close_ok)),
        );
        self.forget_channel(id);
    }

    pub(super) fn forget_channel(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.remove(id) {
            self.info.channel_closed();
            if channel.stats.publish > 0 {
                self.uncount_publisher();
            }
            self.broker.statistics.churn.channel_closed.count();
            if let Some(usage) = &mut self.usage {
                usage.close_channel();
            }
        }
    }

    /// Removes a channel's consumers from their queues and requeues what it has not acknowledged.
    pub(super) fn release_channel(&mut self, id: ChannelId) {
        let mut returned = Vec::new();
        let left = self.detach_channel(id, &mut returned);
        self.withdraw_mail(&mut returned);
        self.requeue(returned);
        self.serve_next(left);
        self.perform_at_last();
    }

    pub(super) fn release_all_channels(&mut self) {
        let mut returned = Vec::new();
        let mut left = Vec::new();
        for id in self.channels.ids() {
            left.extend(self.detach_channel(id, &mut returned));
        }
        self.withdraw_mail(&mut returned);
        // Only when none of our consumers is left: none of it may come back to us.
        self.requeue(returned);
        self.serve_next(left);
        self.perform_at_last();
        for id in self.channels.ids() {
            self.forget_channel(id);
        }
        self.delete_exclusive_queues();
        // Before the peer is told: if it reconnects at once, its slot is free.
        self.usage = None;
    }

    /// Removes a channel's consumers from their queues, which must be served once the `returned`
    /// messages are back in place.
    fn detach_channel(&mut self, id: ChannelId, returned: &mut Vec<Returning>) -> Vec<Arc<Queue>> {
        self.abandon_transaction(id);
        let Some(channel) = self.channels.get_mut(id) else {
            return Vec::new();
        };
        let consumers: Vec<Arc<Consumer>> = std::mem::take(&mut channel.consumers)
            .into_values()
            .collect();
        if let Some(all) = channel.unacked.take_through(DeliveryTag(0)) {
            returned.extend(all.map(|(_, delivery)| (delivery, Return::Failed)));
        }
        channel.content = super::content::Content::Method;
        channel.unfinished.set(0);
        channel.declared.set(CHANNEL);
        channel.confirms = None;
        channel.transaction = None;
        channel.replies = None;
        if let Some(deferred) = channel.deferred.take() {
            let bytes: usize = deferred.frames.iter().map(|(frame, _)| frame.total()).sum();
            self.deferred_bytes = self.deferred_bytes.saturating_sub(bytes);
        }
        let detach = |consumer: Arc<Consumer>| {
            self.detach_consumer(&consumer);
            consumer.queue.clone()
        };
        consumers.into_iter().map(detach).collect()
    }

    /// Makes queues that a consumer has left serve whichever consumer took its place.
    pub(super) fn serve_next(&mut self, left: impl IntoIterator<Item = Arc<Queue>>) {
        for queue in left {
            queue.serve_next(&mut self.fx);
        }
    }

    /// Takes back deliveries to detached consumers that never reached the client, together with
    /// those that did: if they were requeued later, messages published meanwhile would overtake
    /// them.
    fn withdraw_mail(&mut self, returned: &mut Vec<Returning>) {
        let withdrawn = self.mailbox.withdraw().into_iter();
        returned.extend(
            withdrawn
                .filter(|(consumer, _)| !consumer.no_ack)
                .map(|(consumer, entry)| mail::back(consumer, entry)),
        );
    }

    /// Removes a consumer from its queue.
    pub(super) fn detach_consumer(&mut self, consumer: &Arc<Consumer>) {
        consumer.cancelled.store(true, Ordering::Relaxed);
        if let Some(caller) = &self.caller {
            caller.vhost().cancel_consumer(consumer, &mut self.fx);
        }
    }

    fn delete_exclusive_queues(&mut self) {
        let Some(caller) = &self.caller else { return };
        for queue in std::mem::take(&mut self.exclusive_queues) {
            caller.vhost().end_queue(&queue, &mut self.fx);
        }
        self.perform();
    }

    /// Releases everything when the socket is gone or about to be. Called once, last.
    pub fn end(&mut self) {
        self.flush();
        self.release_all_channels();
        let mut returned = Vec::new();
        for mail in self.mailbox.close() {
            if let Mail::Deliver(consumer, entry) = mail
                && !consumer.no_ack
            {
                returned.push(mail::back(consumer, entry));
            }
        }
        self.requeue(returned);
        self.fx.perform();
        self.phase = Phase::Ending;
        self.report_to_ledger();
        self.count_end();
    }
}

impl Drop for Connection {
    /// A task that panicked must not lose messages, nor the records and wake-ups that queues asked
    /// for.
    fn drop(&mut self) {
        if self.phase != Phase::Ending || !self.channels.is_empty() {
            self.end();
        }
    }
}
