//! What quorum queues require of their clients, and tell them.

use super::Connection;
use crate::engine::queue::{Entry, Queue, QueueKind};
use crate::engine::stream::with_long;
use leveret_protocol::classes::queue;
use leveret_protocol::{AmqpError, ChannelId, texts};
use std::borrow::Cow;

/// The header with the number of failed deliveries of a message.
const DELIVERY_COUNT: &str = "x-delivery-count";
/// The header with the number of times that it was delivered and came back.
const ACQUIRED_COUNT: &str = "x-acquired-count";

/// Returns the properties to deliver a message with: its own, plus how often it came back, if its
/// queue counts that.
pub(super) fn properties(entry: &Entry) -> Cow<'_, [u8]> {
    let properties = entry.message.properties();
    let returns = entry.returns();
    if returns.is_zero() {
        return properties.into();
    }
    let properties = with_long(properties, ACQUIRED_COUNT, returns.all().into());
    match returns.failed {
        0 => properties.into(),
        failed => with_long(&properties, DELIVERY_COUNT, failed.into()).into(),
    }
}

impl Connection {
    /// Checks that the channel has no global prefetch, which quorum queues do not support
    /// (`rabbit_quorum_queue:consume`).
    pub(super) fn check_quorum_consumer(
        &mut self,
        id: ChannelId,
        queue: &Queue,
    ) -> Result<(), AmqpError> {
        let limited = self.open_channel(id)?.credit.limit() > 0;
        if queue.kind == QueueKind::Quorum && limited {
            return Err(texts::no_global_qos(queue.name(), &queue.vhost));
        }
        Ok(())
    }
}

/// Checks that basic.get is allowed: a quorum queue with a single active consumer refuses it.
pub(super) fn check_get(queue: &Queue) -> Result<(), AmqpError> {
    if queue.kind == QueueKind::Quorum && queue.settings().single_active_consumer {
        return Err(texts::no_get_beside_single_active(
            queue.name(),
            &queue.vhost,
        ));
    }
    Ok(())
}

/// Checks that a quorum queue is deleted without conditions (`rabbit_quorum_queue:delete`).
pub(super) fn check_delete(queue: &Queue, delete: &queue::Delete) -> Result<(), AmqpError> {
    let flag = match (queue.kind, delete.if_unused, delete.if_empty) {
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
