//! The class basic, without publishes and acknowledgements: qos, consume, cancel, get.

use super::unacked::Delivery;
use super::{Connection, ack_timeout};
use crate::domain::auth::Access;
use crate::domain::operations::Subscription;
use crate::engine::message::Message;
use crate::engine::queue::{ConsumeRefused, Consumer, Credit, KeptArguments, QueueKind, ignored};
use crate::plumbing::replies::REPLY_TO;
use crate::text::names::server_generated;
use leveret_protocol::classes::{AMQPClass, basic};
use leveret_protocol::method;
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_protocol::{AmqpError, ChannelId, ConsumerTag, table};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

impl Connection {
    pub(super) fn basic_method(
        &mut self,
        id: ChannelId,
        method: basic::AMQPMethod,
    ) -> Result<(), AmqpError> {
        use basic::AMQPMethod as M;
        match method {
            M::Consume(consume) => self.consume(id, consume),
            M::Cancel(cancel) => self.cancel(id, &cancel),
            M::Get(get) => self.get(id, &get),
            M::Recover(recover) => self.recover(id, recover.requeue, true),
            M::RecoverAsync(recover) => self.recover(id, recover.requeue, false),
            // Some clients answer the server's basic.cancel.
            M::CancelOk(_) => Ok(()),
            _ => Err(texts::unimplemented_method()),
        }
    }

    /// basic.qos as RabbitMQ interprets it (RabbitMQ: "Consumer Prefetch"): `global` limits the
    /// whole channel; otherwise the limit is for each consumer started from now on, and the channel
    /// has none.
    pub(super) fn qos(&mut self, id: ChannelId, qos: method::Qos) -> Result<(), AmqpError> {
        let channel = self.open_channel(id)?;
        if qos.prefetch_size != 0 {
            let size = qos.prefetch_size;
            return Err(texts::not_implemented(format_args!(
                "prefetch_size!=0 ({size})"
            )));
        }
        // One limit replaces the other: a per-consumer prefetch lifts the channel's
        // (`rabbit_channel`), unless that is set again.
        let limit = if qos.global { qos.prefetch_count } else { 0 };
        if !qos.global {
            channel.prefetch = qos.prefetch_count.into();
        }
        channel.credit.set_limit(limit.into());
        if channel.credit.is_awaited() {
            self.share_out(id, 0);
        }
        self.perform();
        let ok = basic::QosOk {};
        self.reply(id, AMQPClass::Basic(basic::AMQPMethod::QosOk(ok)));
        Ok(())
    }

    fn consume(&mut self, id: ChannelId, consume: basic::Consume) -> Result<(), AmqpError> {
        let max = self.limits.consumer_max_per_channel;
        let consumers = &self.open_channel(id)?.consumers;
        let known = consumers.contains_key(consume.consumer_tag.as_str());
        if let Some(max) = max.filter(|max| !known && consumers.len() as u64 >= *max) {
            return Err(texts::consumer_limit(max));
        }
        if consume.queue.as_str() == REPLY_TO {
            return self.consume_replies(id, &consume);
        }
        let name = self.queue_name(id, consume.queue.as_str())?;
        self.caller()?
            .check_access(Access::Read, Entity::Queue(&name))?;
        let channel = self.open_channel(id)?;
        let tag: ConsumerTag = match consume.consumer_tag.as_str() {
            "" => server_generated("amq.ctag-").into(),
            tag => tag.into(),
        };
        if channel.consumers.contains_key(&tag) {
            return Err(texts::consumer_tag_reuse(tag.as_str()));
        }
        let (prefetch, mut channel_credit) = (channel.prefetch, channel.credit.clone());
        let has_channel_limit = channel_credit.limit() > 0;
        let caller = self.caller()?;
        let priority = priority(&consume.arguments, &name, caller.vhost().name())?;
        let subscription = Subscription {
            arguments: &consume.arguments,
            no_ack: consume.no_ack,
            has_prefetch: prefetch > 0,
            has_channel_limit,
        };
        let queue = caller.queue_to_consume_from(&name, &subscription)?;
        if queue.kind != QueueKind::Classic {
            // Neither kind supports a channel limit, nor one that is set later.
            channel_credit = Arc::default();
        }
        let arguments = KeptArguments::new(&consume.arguments);
        self.check_consumer_arguments(arguments.bytes())?;
        self.check_requests()?;
        self.expect_acks(&queue, Some(&consume.arguments));
        let consumer = Arc::new(Consumer {
            id: self.broker.next_consumer_id(),
            tag: tag.clone(),
            channel: id,
            queue: queue.clone(),
            mailbox: self.mailbox.clone(),
            no_ack: consume.no_ack,
            // A quorum queue ignores the flag (`rabbit_quorum_queue:consume`).
            exclusive: consume.exclusive && queue.kind != QueueKind::Quorum,
            priority,
            ack_timeout: ack_timeout::argument(&consume.arguments),
            arguments,
            credit: Credit::new(prefetch),
            channel_credit,
            blocked: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
        });
        let vhost = self.vhost()?.name().clone();
        // Deliveries wait in our own mailbox, so consume-ok is written before the first.
        queue
            .consume(consumer.clone(), &mut self.fx)
            .map_err(|refused| match refused {
                ConsumeRefused::InExclusiveUse => texts::exclusive_use(&name, &vhost),
                ConsumeRefused::Deleted => texts::no_queue(name.as_str(), &vhost),
            })?;
        let ignored = ignored::of_consumer(&consume.arguments, queue.kind);
        if let Some(caller) = &mut self.caller {
            caller.log_ignored("consumer", name.as_str(), ignored);
        }
        self.open_channel(id)?.add_consumer(consumer);
        if !consume.nowait {
            let ok = basic::ConsumeOk {
                consumer_tag: tag.as_str().into(),
            };
            self.reply(id, AMQPClass::Basic(basic::AMQPMethod::ConsumeOk(ok)));
        }
        self.perform();
        Ok(())
    }

    fn cancel(&mut self, id: ChannelId, cancel: &basic::Cancel) -> Result<(), AmqpError> {
        let tag = cancel.consumer_tag.as_str();
        self.cancel_replies(id, tag)?;
        let consumer = self.open_channel(id)?.consumers.get(tag).cloned();
        let mut left = None;
        if let Some(consumer) = consumer {
            if let Some(caller) = &self.caller {
                caller.vhost().cancel_consumer(&consumer, &mut self.fx);
            }
            self.perform();
            // What the queue had sent is delivered before cancel-ok, as RabbitMQ does.
            self.deliver_waiting();
            consumer
                .cancelled
                .store(true, std::sync::atomic::Ordering::Relaxed);
            self.open_channel(id)?.remove_consumer(tag);
            left = Some(consumer.queue.clone());
        }
        if !cancel.nowait {
            let ok = basic::CancelOk {
                consumer_tag: cancel.consumer_tag.clone(),
            };
            self.reply(id, AMQPClass::Basic(basic::AMQPMethod::CancelOk(ok)));
        }
        self.serve_next(left);
        self.perform();
        Ok(())
    }

    fn get(&mut self, id: ChannelId, get: &basic::Get) -> Result<(), AmqpError> {
        let name = self.queue_name(id, get.queue.as_str())?;
        let queue = self.caller()?.queue_to_get_from(&name)?;
        if !get.no_ack {
            self.check_get()?;
        }
        let got = queue.get(get.no_ack, &mut self.fx);
        self.perform();
        let Some((mut entry, left)) = got else {
            self.open_channel(id)?.stats.get_empty += 1;
            self.tally.of(queue.kind).get_empty += 1;
            let empty = basic::GetEmpty {};
            self.reply(id, AMQPClass::Basic(basic::AMQPMethod::GetEmpty(empty)));
            return Ok(());
        };
        self.expect_acks(&queue, None);
        if self.is_traced() {
            self.trace_get(id, &queue, &entry);
        }
        let frame_max = self.tuned.frame_max;
        let redelivered = entry.redelivered();
        self.tally.of(queue.kind).count_get(get.no_ack, redelivered);
        let channel = self.open_channel(id)?;
        channel.stats.count_get(get.no_ack, redelivered);
        let tag = channel.take_tag();
        if !get.no_ack {
            Message::cut_out(&mut entry.message);
        }
        let message = entry.message.clone();
        let delivered = entry.clone();
        if !get.no_ack {
            let delivery = Delivery {
                queue,
                consumer: None,
                entry,
            };
            channel.unacked.push(tag, delivery);
        }
        method::encode_get_ok(
            self.out.buffer(),
            id,
            tag,
            redelivered,
            message.exchange(),
            message.routing_key(),
            u32::try_from(left).unwrap_or(u32::MAX),
        );
        let (properties, body) = (delivered.delivered_properties(), message.body());
        self.out
            .content(id, &properties, body, message.large_body(), frame_max);
        self.watch_acks();
        Ok(())
    }
}

/// `x-priority` (RabbitMQ: "Consumer Priorities").
fn priority(
    arguments: &FieldTable,
    queue: &leveret_protocol::QueueName,
    vhost: &leveret_protocol::VhostName,
) -> Result<i32, AmqpError> {
    let Some(value) = arguments.inner().get("x-priority") else {
        return Ok(0);
    };
    let invalid = |value: &AMQPValue| {
        let reason = format!("\"expected integer, got {}\"", table::type_name(value));
        texts::invalid_argument("x-priority", Entity::Queue(queue), vhost, reason)
    };
    let number = table::as_integer(value).ok_or_else(|| invalid(value))?;
    Ok(number.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
}
