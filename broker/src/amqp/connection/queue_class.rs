//! The class queue: declare, bind, unbind, purge, delete.

use super::Connection;
use super::channel::{Deferred, Wait};
use super::reply_to;
use crate::domain::operations::{BindingSpec, QueueConditions, QueueDeclaration};
use crate::engine::queue::Queue;
use crate::text::names::without_line_ends;
use leveret_protocol::classes::{AMQPClass, queue};
use leveret_protocol::values::FieldTable;
use leveret_protocol::{AmqpError, ChannelId, QueueName, RoutingKey, texts};
use leveret_storage::Op;
use std::collections::VecDeque;
use std::sync::Arc;

impl Connection {
    pub(super) fn queue_method(
        &mut self,
        id: ChannelId,
        method: queue::AMQPMethod,
    ) -> Result<(), AmqpError> {
        use queue::AMQPMethod as M;
        match method {
            M::Declare(declare) if reply_to::is_name(declare.queue.as_str()) => {
                self.declare_replies(id, &declare)
            }
            M::Declare(declare) if declare.passive => self.declare_passive(id, &declare),
            M::Declare(declare) => self.declare(id, declare),
            M::Bind(bind) => self.bind(id, bind),
            M::Unbind(unbind) => self.unbind(id, unbind),
            M::Purge(purge) => self.purge(id, &purge),
            M::Delete(delete) => self.delete(id, &delete),
            _ => Err(leveret_protocol::texts::unimplemented_method()),
        }
    }

    /// Returns the queue that a method names; the empty name stands for the last one declared on
    /// the channel (spec 1.7.2.1).
    pub(super) fn queue_name(&mut self, id: ChannelId, name: &str) -> Result<QueueName, AmqpError> {
        if !name.is_empty() {
            return Ok(name.into());
        }
        self.open_channel(id)?
            .last_queue
            .clone()
            .ok_or_else(texts::no_previous_queue)
    }

    /// Replies; if `durable`, only after the store has everything submitted so far. Only this
    /// channel waits, and its later frames with it.
    pub(super) fn reply_when_stored(
        &mut self,
        id: ChannelId,
        reply: Option<AMQPClass>,
        durable: bool,
    ) -> Result<(), AmqpError> {
        let waits = durable && self.broker.store.is_some();
        match reply {
            Some(reply) if waits => {
                let channel = self.open_channel(id)?;
                let token = channel.wait_token();
                let notices = Vec::new();
                channel.deferred = Some(Deferred {
                    wait: Some(Wait {
                        token,
                        reply,
                        notices,
                    }),
                    frames: VecDeque::new(),
                });
                self.fx.store(Op::Notify { token });
            }
            Some(reply) => self.reply(id, reply),
            None => {}
        }
        self.perform();
        Ok(())
    }

    fn declare_ok(
        &mut self,
        id: ChannelId,
        queue: &Arc<Queue>,
        no_wait: bool,
    ) -> Option<AMQPClass> {
        if let Some(channel) = self.channel_mut(id) {
            channel.last_queue = Some(queue.name().clone());
        }
        let counts = queue.declared(&mut self.fx);
        let ok = queue::DeclareOk {
            queue: queue.name().as_str().into(),
            message_count: u32::try_from(counts.ready).unwrap_or(u32::MAX),
            consumer_count: match queue.stream() {
                // RabbitMQ counts them only in listings (`rabbit_stream_queue:stat`).
                Some(_) => 0,
                None => u32::try_from(counts.consumers).unwrap_or(u32::MAX),
            },
        };
        (!no_wait).then_some(AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok)))
    }

    fn declare_passive(
        &mut self,
        id: ChannelId,
        declare: &queue::Declare,
    ) -> Result<(), AmqpError> {
        // Here the empty name does not mean the last queue, and no queue has it.
        let name = declare.queue.as_str();
        let queue = self.caller()?.declare_queue_passively(name)?;
        let reply = self.declare_ok(id, &queue, declare.nowait);
        self.reply_when_stored(id, reply, false)
    }

    fn declare(&mut self, id: ChannelId, declare: queue::Declare) -> Result<(), AmqpError> {
        let declaration = QueueDeclaration {
            name: declare.queue.as_str(),
            durable: declare.durable,
            exclusive: declare.exclusive,
            auto_delete: declare.auto_delete,
            arguments: declare.arguments,
        };
        let (caller, fx) = self.caller_and_effects()?;
        let (queue, is_new) = caller.declare_queue(declaration, fx)?;
        if is_new && queue.spec.exclusive_to.is_some() {
            self.remember_exclusive(queue.clone());
        }
        let reply = self.declare_ok(id, &queue, declare.nowait);
        self.reply_when_stored(id, reply, queue.spec.is_stored())
    }

    /// Remembers a queue that has to end with the connection. Queues that ended earlier
    /// (auto-delete reply queues, one per request) are removed when they may be as many as the
    /// others.
    fn remember_exclusive(&mut self, queue: Arc<Queue>) {
        if self.exclusive_queues.len() >= self.exclusive_checked_at {
            self.exclusive_queues.retain(|queue| !queue.is_deleted());
            self.exclusive_checked_at = (self.exclusive_queues.len() * 2).max(16);
        }
        self.exclusive_queues.push(queue);
    }

    fn bind(&mut self, id: ChannelId, bind: queue::Bind) -> Result<(), AmqpError> {
        let ends = (bind.exchange.as_str(), bind.queue.as_str());
        let spec = self.binding(id, ends, bind.routing_key.as_str(), bind.arguments)?;
        let (caller, fx) = self.caller_and_effects()?;
        let stored = caller.bind(spec, fx)?;
        let ok = AMQPClass::Queue(queue::AMQPMethod::BindOk(queue::BindOk {}));
        self.reply_when_stored(id, (!bind.nowait).then_some(ok), stored)
    }

    fn unbind(&mut self, id: ChannelId, unbind: queue::Unbind) -> Result<(), AmqpError> {
        let ends = (unbind.exchange.as_str(), unbind.queue.as_str());
        let spec = self.binding(id, ends, unbind.routing_key.as_str(), unbind.arguments)?;
        let (caller, fx) = self.caller_and_effects()?;
        let stored = caller.unbind(spec, fx)?;
        let ok = AMQPClass::Queue(queue::AMQPMethod::UnbindOk(queue::UnbindOk {}));
        self.reply_when_stored(id, Some(ok), stored)
    }

    /// Returns the binding that queue.bind and queue.unbind name.
    fn binding(
        &mut self,
        id: ChannelId,
        (exchange, queue): (&str, &str),
        key: &str,
        arguments: FieldTable,
    ) -> Result<BindingSpec, AmqpError> {
        let name = self.queue_name(id, &without_line_ends(queue))?;
        let key: RoutingKey = match (queue, key) {
            // Both omitted: the last declared queue's name is the key (spec 1.7.2.3).
            ("", "") => name.as_str().into(),
            (_, key) => key.into(),
        };
        Ok(BindingSpec::of_queue(
            exchange,
            name.as_str(),
            key,
            arguments,
        ))
    }

    fn purge(&mut self, id: ChannelId, purge: &queue::Purge) -> Result<(), AmqpError> {
        let name = self.queue_name(id, purge.queue.as_str())?;
        let (caller, fx) = self.caller_and_effects()?;
        let (queue, count) = caller.purge_queue(&name, fx)?;
        let ok = queue::PurgeOk {
            message_count: u32::try_from(count).unwrap_or(u32::MAX),
        };
        let ok = AMQPClass::Queue(queue::AMQPMethod::PurgeOk(ok));
        self.reply_when_stored(id, (!purge.nowait).then_some(ok), queue.spec.is_stored())
    }

    fn delete(&mut self, id: ChannelId, delete: &queue::Delete) -> Result<(), AmqpError> {
        let name = self.queue_name(id, &without_line_ends(delete.queue.as_str()))?;
        let conditions = QueueConditions {
            if_empty: delete.if_empty,
            if_unused: delete.if_unused,
        };
        let (caller, fx) = self.caller_and_effects()?;
        let (mut count, mut stored) = (0, false);
        if let Some(deleted) = caller.delete_queue(name.as_str(), conditions, fx)? {
            let queue;
            (queue, count) = deleted;
            stored = queue.spec.is_stored();
            self.exclusive_queues
                .retain(|held| !Arc::ptr_eq(held, &queue));
        }
        let ok = queue::DeleteOk {
            message_count: u32::try_from(count).unwrap_or(u32::MAX),
        };
        let ok = AMQPClass::Queue(queue::AMQPMethod::DeleteOk(ok));
        self.reply_when_stored(id, (!delete.nowait).then_some(ok), stored)
    }
}
