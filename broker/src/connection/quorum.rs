//! What quorum queues ask of those who use them, and tell them.

use super::Connection;
use crate::queue::{Entry, Queue, QueueKind};
use crate::stream::with_long;
use leveret_protocol::classes::queue;
use leveret_protocol::{AmqpError, ChannelId, texts};
use std::borrow::Cow;

/// The header that says how often a message came back.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// The properties that a message goes out with: those it came with, and how often it came back to
/// a quorum queue, if it did.
pub(super) fn properties(entry: &Entry) -> Cow<'_, [u8]> {
    let properties = entry.message.properties();
    match entry.delivery_count() {
        0 => properties.into(),
        count => with_long(properties, DELIVERY_COUNT, count.into()).into(),
    }
}

impl Connection {
    /// A quorum queue serves no consumers of a channel that has a prefetch for all of them
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

/// From a quorum queue with a single active consumer nothing can be had by basic.get.
pub(super) fn check_get(queue: &Queue) -> Result<(), AmqpError> {
    if queue.kind == QueueKind::Quorum && queue.settings().single_active_consumer {
        return Err(texts::no_get_beside_single_active(
            queue.name(),
            &queue.vhost,
        ));
    }
    Ok(())
}

/// A quorum queue is deleted without conditions (`rabbit_quorum_queue:delete`).
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
