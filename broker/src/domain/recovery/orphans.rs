//! What a crash has left behind that belongs to nothing any more.

use crate::domain::broker::Broker;
use crate::domain::definitions::Definition;
use leveret_storage::{Op, QueueId};

/// Drops what was declared in the instant in which its virtual host was deleted: it must neither
/// bring that back nor turn up in a later one of the same name.
pub(super) fn drop_strays(broker: &Broker, objects: &mut Vec<Definition>) {
    let mut fx = broker.effects(None);
    objects.retain(|object| {
        let known = object
            .vhost()
            .is_none_or(|name| broker.vhost(name).is_some());
        if !known {
            tracing::warn!(?object, "dropping a definition without its virtual host");
            fx.store(object.delete());
        }
        known
    });
    fx.perform();
}

/// Messages of queues that no definition knows: their queue was deleted.
pub(super) fn drop_orphans(broker: &Broker, orphans: impl Iterator<Item = QueueId>) {
    let mut fx = broker.effects(None);
    for queue in orphans {
        tracing::info!(
            queue = queue.0,
            "dropping stored messages of a deleted queue"
        );
        fx.store(Op::DeleteQueue { queue });
    }
    fx.perform();
}
