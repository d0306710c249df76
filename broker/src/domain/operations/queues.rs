//! Declaring, deleting and purging queues.

use super::Caller;
use crate::domain::auth::Access;
use crate::domain::vhost::SYSTEM_PREFIX;
use crate::engine::queue::{Counts, Effects, Queue, QueueKind, QueueSpec, arguments, ignored};
use crate::text::names::{server_generated, without_line_ends};
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::values::FieldTable;
use leveret_protocol::{AmqpError, QueueName};
use std::sync::Arc;

/// A queue as a caller declares it.
#[derive(Debug)]
pub struct QueueDeclaration<'a> {
    /// Its name; empty for one that the broker generates.
    pub name: &'a str,
    /// It survives a restart, unless it is exclusive.
    pub durable: bool,
    /// Only the caller's connection may use it, and it ends with that connection. A caller without a connection gets a
    /// queue that is neither exclusive nor durable (`rabbit_channel:handle_method`, with no connection as the owner).
    pub exclusive: bool,
    /// It is deleted when its last consumer leaves.
    pub auto_delete: bool,
    /// Its arguments.
    pub arguments: FieldTable,
}

/// When a queue may be deleted.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueConditions {
    /// Only if it has no messages.
    pub if_empty: bool,
    /// Only if it has no consumers.
    pub if_unused: bool,
}

impl Caller {
    /// Declares a queue, which needs the configure permission, and those for its dead letter exchange. Returns it, and
    /// whether it is new.
    ///
    /// The order of the checks is RabbitMQ's: a queue that exists is compared, and only a new one's arguments are looked
    /// at.
    ///
    /// # Errors
    /// 403 for a reserved name or a missing permission, 405 if it is exclusive to another connection, 406 if it exists
    /// with other properties, or if its arguments or a limit do not allow it.
    pub fn declare_queue(
        &mut self,
        declaration: QueueDeclaration<'_>,
        fx: &mut Effects,
    ) -> Result<(Arc<Queue>, bool), AmqpError> {
        let is_named = !declaration.name.is_empty();
        let exclusive = declaration.exclusive;
        let mut spec = QueueSpec {
            name: QueueName::from(&*without_line_ends(declaration.name)),
            // An exclusive queue ends with its connection, so it is never durable.
            durable: declaration.durable && !exclusive,
            auto_delete: declaration.auto_delete,
            exclusive_to: self.connection_id().filter(|_| exclusive),
            arguments: declaration.arguments,
        };
        let prefix = arguments::take_name_prefix(&mut spec)?;
        if spec.name.is_empty() {
            spec.name = server_generated(&format!("{prefix}-")).into();
        } else if spec.name.as_str().starts_with(SYSTEM_PREFIX) {
            return Err(texts::reserved_name("queue", spec.name.as_str()));
        }
        self.check_access(Access::Configure, Entity::Queue(&spec.name))?;
        self.broker.statistics.churn.queue_declared.count();
        if self.vhost().queue(spec.name.as_str()).is_none() {
            self.check_new_queue(&spec, is_named)?;
            self.check_room_for(Entity::Queue(&spec.name))?;
        }
        // For an existing queue only some arguments are compared; those that are not are logged,
        // too.
        let ignored = ignored::of_queue(&spec.arguments, spec.kind());
        self.log_ignored("queue", spec.name.as_str(), ignored);
        let new_id = || self.broker.next_queue_id();
        self.vhost()
            .declare_queue(spec, self.connection_id(), new_id, fx)
    }

    /// Checks the arguments, and the permissions for a dead letter exchange: messages are read from
    /// the queue and written to the exchange.
    fn check_new_queue(&self, spec: &QueueSpec, is_named: bool) -> Result<(), AmqpError> {
        let (vhost, name, arguments) = (self.vhost().name(), &spec.name, &spec.arguments);
        self.check_declared_arguments(arguments)?;
        if let Some(exchange) = arguments::dead_letter_exchange(arguments, name, vhost)? {
            self.check_access(Access::Read, Entity::Queue(name))?;
            self.check_access(Access::Write, Entity::Exchange(&exchange))?;
        }
        arguments::check(arguments, name, vhost)?;
        arguments::check_properties(spec, is_named, vhost)
    }

    /// Returns a queue that is declared passively, which needs no permission.
    ///
    /// # Errors
    /// 404 if it does not exist, 405 if it is exclusive to another connection.
    pub fn declare_queue_passively(&self, name: &str) -> Result<Arc<Queue>, AmqpError> {
        self.usable_queue(&QueueName::from(&*without_line_ends(name)))
    }

    /// Deletes a queue, which needs the configure permission. Returns it and the number of its ready messages, or `None` if
    /// it does not exist.
    ///
    /// # Errors
    /// 403 without the permission, 405 if it is exclusive to another connection, 406 if a condition is not met, 540 if
    /// its type does not support conditions.
    pub fn delete_queue(
        &self,
        name: &str,
        conditions: QueueConditions,
        fx: &mut Effects,
    ) -> Result<Option<(Arc<Queue>, u64)>, AmqpError> {
        let name = QueueName::from(&*without_line_ends(name));
        self.check_access(Access::Configure, Entity::Queue(&name))?;
        let vhost = self.vhost();
        let Some(queue) = vhost.queue(name.as_str()) else {
            return Ok(None);
        };
        self.check_exclusive(&queue)?;
        check_supported(conditions, &queue)?;
        let allowed = |counts: Counts| {
            if conditions.if_empty && !counts.is_empty() {
                Err(texts::queue_not_empty(&name, vhost.name()))
            } else if conditions.if_unused && counts.consumers > 0 {
                Err(texts::in_use(Entity::Queue(&name), vhost.name()))
            } else {
                Ok(())
            }
        };
        // Somebody else may have deleted it meanwhile, and its messages.
        let deleted = vhost.delete_queue(&queue, allowed, fx)?;
        let messages = deleted.map_or(0, |deleted| deleted.messages);
        Ok(Some((queue, messages)))
    }

    /// Deletes a queue's ready messages, which needs the read permission. Returns the queue and their number.
    ///
    /// # Errors
    /// 403 without the permission, 404 if the queue does not exist, 405 if it is exclusive to another connection, 540 if
    /// it is a stream.
    pub fn purge_queue(
        &self,
        name: &QueueName,
        fx: &mut Effects,
    ) -> Result<(Arc<Queue>, u64), AmqpError> {
        self.check_access(Access::Read, Entity::Queue(name))?;
        let queue = self.usable_queue(name)?;
        if queue.stream().is_some() {
            let vhost = self.vhost().name();
            return Err(texts::not_by_streams("queue.purge", name, vhost));
        }
        let count = queue.purge(fx);
        Ok((queue, count))
    }
}

/// Checks that a quorum queue is deleted without conditions (`rabbit_quorum_queue:delete`).
fn check_supported(conditions: QueueConditions, queue: &Queue) -> Result<(), AmqpError> {
    let flag = match (queue.kind, conditions.if_unused, conditions.if_empty) {
        (QueueKind::Quorum, true, _) => "if-unused",
        (QueueKind::Quorum, _, true) => "if-empty",
        _ => return Ok(()),
    };
    Err(texts::no_conditional_delete(
        queue.name(),
        &queue.vhost,
        flag,
    ))
}
