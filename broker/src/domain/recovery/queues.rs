//! Recovery of durable queues.

use super::RecoveryError;
use super::delivery_counts::DeliveryCounts;
use super::messages::restore_messages;
use crate::domain::broker::Broker;
use crate::domain::durable::Definition;
use crate::domain::vhost::spec::VhostSpec;
use crate::engine::queue::{Queue, QueueSpec};
use leveret_storage::{Position, QueueId, RecoveredQueue, Store};
use std::collections::HashMap;
use std::sync::Arc;

/// Restores a queue with its messages.
pub(super) fn restore_queue(
    broker: &Broker,
    definition: Definition,
    recovered: &mut HashMap<QueueId, RecoveredQueue>,
    counts: &mut DeliveryCounts,
    store: &Store,
) -> Result<(), RecoveryError> {
    let Definition::Queue {
        vhost,
        name,
        id,
        auto_delete,
        arguments,
    } = definition
    else {
        return Ok(());
    };
    let id = QueueId(id);
    broker.reserve_queue_id(id);
    let found = recovered.remove(&id);
    let next = found
        .as_ref()
        .map_or(Position(0), |found| found.next_position);
    let spec = QueueSpec {
        name: name.as_str().into(),
        durable: true,
        auto_delete,
        exclusive_to: None,
        arguments,
    };
    let vhost = broker.restore_vhost(VhostSpec::named(&vhost));
    let queue = Arc::new(Queue::new(id, vhost.name().clone(), spec, next));
    let mut fx = broker.effects(None);
    vhost.configure_queue(&queue, &mut fx);
    if let Some(stream) = queue.stream() {
        stream.recover(store, &mut fx)?;
    } else if let Some(found) = found {
        queue.restore_returned(counts.take(id));
        restore_messages(broker, &queue, &found, store)?;
    }
    fx.perform();
    vhost.restore_queue(queue);
    Ok(())
}
