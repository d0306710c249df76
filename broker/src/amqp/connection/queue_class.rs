//! queue.*

use super::Connection;
use super::channel::{Deferred, Wait};
use super::{quorum, reply_to};
use crate::domain::auth::Access;
use crate::domain::vhost::SYSTEM_PREFIX;
use crate::engine::exchange::{Binding, Destination};
use crate::engine::queue::{Counts, Queue, QueueKind, QueueSpec, arguments, ignored};
use crate::text::names::{server_generated, without_line_ends};
use leveret_protocol::classes::{AMQPClass, queue};
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::{AmqpError, ChannelId, ExchangeName, QueueName, RoutingKey};
use leveret_storage::Op;
use std::collections::VecDeque;
use std::sync::Arc;

/// The arguments of queue.bind and queue.unbind.
struct BindingEnds {
    exchange: ExchangeName,
    queue: QueueName,
    key: RoutingKey,
}

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

    /// Returns a queue that exists and is not exclusive to another connection.
    pub(super) fn usable_queue(&self, name: &QueueName) -> Result<Arc<Queue>, AmqpError> {
        let vhost = self.vhost()?;
        let Some(queue) = vhost.queue(name.as_str()) else {
            return Err(texts::no_queue(name.as_str(), vhost.name()));
        };
        if queue.is_locked_for(self.id) {
            return Err(texts::locked_queue(name, vhost.name()));
        }
        Ok(queue)
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
        let name = without_line_ends(declare.queue.as_str()).as_ref().into();
        let queue = self.usable_queue(&name)?;
        let reply = self.declare_ok(id, &queue, declare.nowait);
        self.reply_when_stored(id, reply, false)
    }

    /// The order of the checks is RabbitMQ's: a queue that exists is compared, and only a new
    /// one's arguments are looked at.
    fn declare(&mut self, id: ChannelId, mut declare: queue::Declare) -> Result<(), AmqpError> {
        let vhost = self.vhost()?.clone();
        let prefix = arguments::take_name_prefix(&mut declare)?;
        let name: QueueName = match &*without_line_ends(declare.queue.as_str()) {
            "" => server_generated(&format!("{prefix}-")).into(),
            name if name.starts_with(SYSTEM_PREFIX) => {
                return Err(texts::reserved_name("queue", name));
            }
            name => name.into(),
        };
        self.check_access(Access::Configure, Entity::Queue(&name))?;
        self.broker.statistics.churn.queue_declared.count();
        if vhost.queue(name.as_str()).is_none() {
            self.check_new_queue(&name, &declare)?;
            self.check_room_for(Entity::Queue(&name))?;
        }
        // For an existing queue only some arguments are compared; those that are not are logged,
        // too.
        let kind = QueueKind::of(&declare.arguments);
        let ignored = ignored::of_queue(&declare.arguments, kind);
        self.log_ignored("queue", name.as_str(), ignored);
        let spec = QueueSpec {
            name,
            // An exclusive queue ends with its connection, so it is never durable.
            durable: declare.durable && !declare.exclusive,
            auto_delete: declare.auto_delete,
            exclusive_to: declare.exclusive.then_some(self.id),
            arguments: declare.arguments,
        };
        let broker = self.broker.clone();
        let new_id = || broker.next_queue_id();
        let (queue, is_new) = vhost.declare_queue(spec, self.id, new_id, &mut self.fx)?;
        if is_new && queue.spec.exclusive_to.is_some() {
            self.remember_exclusive(queue.clone());
        }
        let reply = self.declare_ok(id, &queue, declare.nowait);
        self.reply_when_stored(id, reply, queue.spec.is_stored())
    }

    /// Checks the arguments, and the permissions for a dead letter exchange: messages are read from
    /// the queue and written to the exchange.
    fn check_new_queue(&self, name: &QueueName, declare: &queue::Declare) -> Result<(), AmqpError> {
        let vhost = self.vhost()?.name();
        let arguments = &declare.arguments;
        self.check_declared_arguments(arguments)?;
        if let Some(exchange) = arguments::dead_letter_exchange(arguments, name, vhost)? {
            self.check_access(Access::Read, Entity::Queue(name))?;
            self.check_access(Access::Write, Entity::Exchange(&exchange))?;
        }
        arguments::check(arguments, name, vhost)?;
        arguments::check_properties(declare, name, vhost)
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
        let ends = self.binding_ends(
            id,
            bind.exchange.as_str(),
            bind.queue.as_str(),
            bind.routing_key.as_str(),
        )?;
        let vhost = self.vhost()?.clone();
        let exchange = vhost
            .exchange(ends.exchange.as_str())
            .ok_or_else(|| texts::no_exchange(&ends.exchange, vhost.name()))?;
        let queue = self.usable_queue(&ends.queue)?;
        self.check_declared_arguments(&bind.arguments)?;
        let binding = Binding {
            destination: Destination::Queue(queue),
            key: ends.key,
            arguments: bind.arguments,
        };
        if !exchange.is_bound_by(&binding) {
            self.check_room_for(Entity::Exchange(exchange.name()))?;
        }
        self.log_ignored_in_binding(&exchange, &binding);
        let stored = vhost.bind(&exchange, binding, &mut self.fx)?;
        let ok = AMQPClass::Queue(queue::AMQPMethod::BindOk(queue::BindOk {}));
        self.reply_when_stored(id, (!bind.nowait).then_some(ok), stored)
    }

    /// Unbinding succeeds even if any part of the binding does not exist; so a queue that is
    /// exclusive to another connection matters only if the binding exists.
    fn unbind(&mut self, id: ChannelId, unbind: queue::Unbind) -> Result<(), AmqpError> {
        let ends = self.binding_ends(
            id,
            unbind.exchange.as_str(),
            unbind.queue.as_str(),
            unbind.routing_key.as_str(),
        )?;
        let vhost = self.vhost()?.clone();
        let mut stored = false;
        if let Some(exchange) = vhost.exchange(ends.exchange.as_str())
            && let Some(queue) = vhost.queue(ends.queue.as_str())
        {
            let binding = Binding {
                destination: Destination::Queue(queue.clone()),
                key: ends.key,
                arguments: unbind.arguments,
            };
            if queue.is_locked_for(self.id) && exchange.is_bound_by(&binding) {
                return Err(texts::locked_queue(&ends.queue, vhost.name()));
            }
            stored = vhost.unbind(&exchange, &binding, &mut self.fx);
        }
        let ok = AMQPClass::Queue(queue::AMQPMethod::UnbindOk(queue::UnbindOk {}));
        self.reply_when_stored(id, Some(ok), stored)
    }

    /// Returns the exchange, the queue and the key of queue.bind and queue.unbind after checking
    /// permissions. Whether they exist is checked later.
    fn binding_ends(
        &mut self,
        id: ChannelId,
        exchange: &str,
        queue: &str,
        key: &str,
    ) -> Result<BindingEnds, AmqpError> {
        let name = self.queue_name(id, &without_line_ends(queue))?;
        let key = match (queue, key) {
            // Both omitted: the last declared queue's name is the key (spec 1.7.2.3).
            ("", "") => name.as_str().into(),
            (_, key) => key.into(),
        };
        let exchange = ExchangeName::from(&*without_line_ends(exchange));
        if exchange.is_empty() {
            return Err(texts::default_exchange());
        }
        self.check_access(Access::Write, Entity::Queue(&name))?;
        self.check_access(Access::Read, Entity::Exchange(&exchange))?;
        Ok(BindingEnds {
            exchange,
            queue: name,
            key,
        })
    }

    fn purge(&mut self, id: ChannelId, purge: &queue::Purge) -> Result<(), AmqpError> {
        let name = self.queue_name(id, purge.queue.as_str())?;
        self.check_access(Access::Read, Entity::Queue(&name))?;
        let queue = self.usable_queue(&name)?;
        if queue.stream().is_some() {
            let vhost = self.vhost()?.name();
            return Err(texts::not_by_streams("queue.purge", &name, vhost));
        }
        let count = queue.purge(&mut self.fx);
        let ok = queue::PurgeOk {
            message_count: u32::try_from(count).unwrap_or(u32::MAX),
        };
        let ok = AMQPClass::Queue(queue::AMQPMethod::PurgeOk(ok));
        self.reply_when_stored(id, (!purge.nowait).then_some(ok), queue.spec.is_stored())
    }

    fn delete(&mut self, id: ChannelId, delete: &queue::Delete) -> Result<(), AmqpError> {
        let name = self.queue_name(id, &without_line_ends(delete.queue.as_str()))?;
        self.check_access(Access::Configure, Entity::Queue(&name))?;
        let vhost = self.vhost()?.clone();
        let (mut count, mut stored) = (0, false);
        if let Some(queue) = vhost.queue(name.as_str()) {
            if queue.is_locked_for(self.id) {
                return Err(texts::locked_queue(&name, vhost.name()));
            }
            quorum::check_delete(&queue, delete)?;
            let allowed = |counts: Counts| {
                if delete.if_empty && !counts.is_empty() {
                    Err(texts::queue_not_empty(&name, vhost.name()))
                } else if delete.if_unused && counts.consumers > 0 {
                    Err(texts::in_use(Entity::Queue(&name), vhost.name()))
                } else {
                    Ok(())
                }
            };
            let deleted = vhost.delete_queue(&queue, allowed, &mut self.fx)?;
            count = deleted.map_or(0, |deleted| deleted.messages);
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
