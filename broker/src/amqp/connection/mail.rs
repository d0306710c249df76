//! What other tasks send to the connection: deliveries, confirms, cancels, orders.

use super::Connection;
use super::channel::{TokenMeaning, channel_of};
use super::counting::Streak;
use super::unacked::{Delivery, Returning};
use crate::config::Limits;
use crate::engine::message::Message;
use crate::engine::queue::{Consumer, Entry, Return};
use crate::plumbing::mailbox::{Mail, Order};
use crate::plumbing::report::{ChannelReport, ConnectionReport};
use leveret_protocol::classes::{AMQPClass, basic};
use leveret_protocol::method;
use leveret_storage::Token;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Instant;

impl Connection {
    /// Processes what waits in the mailbox. Returns false if there was nothing, and then `waker` is
    /// woken by the next item.
    pub fn take_mail(&mut self, waker: Option<&Waker>, now: Instant) -> bool {
        self.begin_at(now);
        let any = self.replay_unread(now) | self.fetch_mail(waker);
        if any {
            self.moves();
        }
        self.take_tokens(now);
        self.flush();
        self.report_to_ledger();
        any
    }

    /// Returns whether the connection has committed something itself since the last call: nobody wakes it for the
    /// result, so it has to check.
    pub fn has_committed(&mut self) -> bool {
        std::mem::take(&mut self.has_committed)
    }

    /// Processes what the store has made durable while the output has no room for deliveries: a publisher that does not
    /// read must not pile up pending confirms. Returns whether there was anything.
    pub fn take_confirms(&mut self, now: Instant) -> bool {
        self.begin_at(now);
        let mut tokens = std::mem::take(&mut self.mail_batch.tokens);
        self.mailbox.take_tokens(&mut tokens);
        let any = !tokens.is_empty();
        self.tokens.extend(tokens.drain(..));
        self.mail_batch.tokens = tokens;
        if any {
            self.take_tokens(now);
            self.flush();
        }
        any
    }

    fn fetch_mail(&mut self, waker: Option<&Waker>) -> bool {
        let mut batch = std::mem::take(&mut self.mail_batch);
        self.mailbox.take(&mut batch, waker);
        let any = !batch.is_empty();
        let mut undeliverable = Vec::new();
        let mut delivered = 0;
        let is_traced = self.is_traced();
        let mut streak: Option<Streak> = None;
        for mail in batch.mail.drain(..) {
            match mail {
                Mail::Deliver(consumer, entry) => {
                    if !streak.as_ref().is_some_and(|it| it.is_of(&consumer)) {
                        let ended = streak.replace(Streak::new(&consumer, delivered));
                        ended.inspect(|ended| self.count_streak(ended, delivered));
                    }
                    let redelivered = entry.redelivered();
                    if is_traced {
                        self.trace_delivery(&consumer, &entry);
                    }
                    match self.deliver(consumer, entry) {
                        Ok(()) => {
                            delivered += 1;
                            if redelivered && let Some(streak) = &mut streak {
                                streak.redelivered += 1;
                            }
                        }
                        Err((consumer, entry)) => undeliverable.push(back(consumer, entry)),
                    }
                }
                Mail::Cancel(consumer) => self.cancelled_by_queue(&consumer),
                Mail::Reply(reply) => self.deliver_reply(&reply),
            }
        }
        if let Some(streak) = streak {
            self.count_streak(&streak, delivered);
        }
        self.info.delivered(delivered);
        if delivered > 0 {
            self.watch_acks();
        }
        if !undeliverable.is_empty() {
            undeliverable.retain(|(delivery, _)| {
                delivery
                    .consumer
                    .as_ref()
                    .is_none_or(|consumer| !consumer.no_ack)
            });
            self.requeue(undeliverable);
        }
        self.tokens.extend(batch.tokens.drain(..));
        if batch.resume {
            self.resume_all();
        }
        self.mail_batch = batch;
        any
    }

    /// Processes the store's tokens after the mail: the frames of a channel that waited may fetch
    /// mail again, whose tokens are then processed here and not recursively.
    pub(super) fn take_tokens(&mut self, now: Instant) {
        while let Some(token) = self.tokens.pop_front() {
            self.stored(token, now);
        }
    }

    /// Executes orders from the broker or an administrator; `waker` is woken by the next one.
    pub fn take_orders(&mut self, waker: &Waker, now: Instant) {
        self.begin_at(now);
        for order in self.mailbox.take_orders(waker) {
            match order {
                Order::Close(reason) => self.force_close(&reason, now),
                Order::Unblock => self.alarm_cleared(),
                Order::Limits(limits) => self.change_limits(&limits, now),
                Order::Report(answer) => {
                    // The requester may be gone.
                    let _ = answer.send(self.report());
                }
            }
        }
    }

    /// Applies new limits set by the operator. What was negotiated at login stays.
    fn change_limits(&mut self, limits: &Limits, now: Instant) {
        let Limits {
            channel_max,
            frame_max,
            heartbeat,
            ..
        } = self.limits;
        self.limits = Limits {
            channel_max,
            frame_max,
            heartbeat,
            ..*limits
        };
        self.shorten_timeouts(now);
    }

    /// Writes all waiting deliveries regardless of the output's mark: at most a full mailbox.
    pub(super) fn deliver_waiting(&mut self) {
        self.fetch_mail(None);
    }

    /// Writes a delivery, or returns it if its consumer is gone.
    fn deliver(
        &mut self,
        consumer: Arc<Consumer>,
        entry: Entry,
    ) -> Result<(), (Arc<Consumer>, Entry)> {
        let frame_max = self.tuned.frame_max;
        let Some(channel) = self.channels.get_mut(consumer.channel) else {
            return Err((consumer, entry));
        };
        if consumer.cancelled.load(Ordering::Relaxed) || channel.closing {
            return Err((consumer, entry));
        }
        let tag = channel.take_tag();
        let message = &entry.message;
        method::encode_deliver(
            self.out.buffer(),
            consumer.channel,
            consumer.tag.as_str(),
            tag,
            entry.redelivered(),
            message.exchange(),
            message.routing_key(),
        );
        let (properties, body) = (entry.delivered_properties(), message.body());
        self.out.content(
            consumer.channel,
            &properties,
            body,
            message.large_body(),
            frame_max,
        );
        if !consumer.no_ack {
            let mut delivery = delivery(consumer, entry);
            if delivery.queue.stream().is_some() {
                // Acknowledging a stream's message needs only its offset: the message stays where
                // it is.
                delivery.entry.message = self.no_message.clone();
            }
            Message::cut_out(&mut delivery.entry.message);
            channel.unacked.push(tag, delivery);
        }
        Ok(())
    }

    /// Ends a consumer whose user may no longer consume, as if its queue were gone.
    pub(super) fn end_consumer(&mut self, consumer: &Arc<Consumer>) {
        if let Some(caller) = &self.caller {
            caller.vhost().cancel_consumer(consumer, &mut self.fx);
        }
        self.perform();
        // What the queue had sent is delivered first, as with basic.cancel.
        self.deliver_waiting();
        self.cancelled_by_queue(consumer);
        self.serve_next([consumer.queue.clone()]);
        self.perform();
    }

    /// Handles the end of a consumer's queue (RabbitMQ: "Consumer Cancellation Notification").
    fn cancelled_by_queue(&mut self, consumer: &Arc<Consumer>) {
        if consumer.cancelled.swap(true, Ordering::Relaxed) {
            return;
        }
        let notify = self.wants_cancel_notice;
        let Some(channel) = self.channel_mut(consumer.channel) else {
            return;
        };
        channel.remove_consumer(consumer.tag.as_str());
        if notify && !channel.closing {
            let cancel = basic::Cancel {
                consumer_tag: consumer.tag.as_str().into(),
                nowait: true,
            };
            let notice = AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel));
            match channel
                .deferred
                .as_mut()
                .and_then(|deferred| deferred.wait.as_mut())
            {
                Some(wait) => wait.notices.push(notice),
                None => self.reply(consumer.channel, notice),
            }
        }
    }

    /// Handles a token from the store: something that a channel waited for is durable.
    fn stored(&mut self, token: Token, now: Instant) {
        let id = channel_of(token);
        let Some(channel) = self.channel_mut(id) else {
            return;
        };
        match channel.meaning(token) {
            TokenMeaning::Stale => {}
            TokenMeaning::Confirm(sequence) => {
                if let Some(confirms) = &mut channel.confirms {
                    confirms.complete(sequence);
                    self.news_of(id);
                }
            }
            TokenMeaning::Wait => {
                let Some(deferred) = &mut channel.deferred else {
                    return;
                };
                if let Some(wait) = deferred.wait.take_if(|wait| wait.token == token) {
                    let frames = std::mem::take(&mut deferred.frames);
                    channel.deferred = None;
                    self.reply(id, wait.reply);
                    for notice in wait.notices {
                        self.reply(id, notice);
                    }
                    self.replay(id, frames, now);
                }
            }
        }
    }

    fn report(&self) -> ConnectionReport {
        let channels = self.channels.iter().filter(|channel| !channel.closing);
        let report = channels.map(|channel| ChannelReport {
            number: channel.id,
            confirm: channel.confirms.is_some(),
            transactional: channel.transaction.is_some(),
            uncommitted: channel.transaction.as_ref().map_or(0, |tx| tx.publishes()),
            uncommitted_acks: channel.transaction.as_ref().map_or(0, |tx| tx.acks()),
            consumers: channel.consumers.len() as u64,
            unacknowledged: channel.unacked.len() as u64,
            unconfirmed: channel
                .confirms
                .as_ref()
                .map_or(0, |confirms| confirms.outstanding()),
            prefetch: channel.prefetch,
            global_prefetch: channel.credit.limit(),
            stats: channel.stats,
            tracked: channel.tracked.clone(),
        });
        ConnectionReport {
            stats: self.tally.total(),
            channels: report.collect(),
        }
    }
}

/// Builds a consumer's delivery.
fn delivery(consumer: Arc<Consumer>, entry: Entry) -> Delivery {
    Delivery {
        queue: consumer.queue.clone(),
        consumer: Some(consumer),
        entry,
    }
}

/// Builds the return of a delivery that the client never received.
pub(super) fn back(consumer: Arc<Consumer>, entry: Entry) -> Returning {
    (delivery(consumer, entry), Return::Unseen)
}
