//! Removal of records that a crash left behind without their virtual host or queue.

use crate::domain::broker::Broker;
use crate::domain::durable::Definition;
use leveret_storage::{Op, QueueId};

/// Drops what was declared at the moment at which its virtual host was deleted. It must neither bring that
/// back nor appear in a later one with the same name.
pub(super) fn drop_definitions_without_vhost(broker: &Broker, objects: &mut Vec<Definition>) {
    let mut fx = broker.effects(None);
    objects.retain(|object| {
        let vhost_exists = object
            .vhost()
            .is_none_or(|name| broker.vhost(name).is_some());
        if !vhost_exists {
            tracing::warn!(
                ?object,
                "dropping a definition whose virtual host was deleted"
            );
            fx.store(object.delete());
        }
        vhost_exists
    });
    fx.perform();
}

/// Drops messages of queues without a definition, which means that the queue was deleted.
pub(super) fn drop_messages_without_queue(broker: &Broker, queues: impl Iterator<Item = QueueId>) {
    let mut fx = broker.effects(None);
    for queue in queues {
        tracing::info!(
            queue_id = queue.0,
            "dropping stored messages of a queue that was deleted"
        );
        fx.store(Op::DeleteQueue { queue });
    }
    fx.perform();
}
