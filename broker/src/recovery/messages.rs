//! What was stored under an identity: the messages of queues and of delayed exchanges.

use super::RecoveryError;
use crate::broker::Broker;
use crate::exchange::Delays;
use crate::queue::paging::{OVERHEAD, Outline};
use crate::queue::{self, Queue};
use leveret_protocol::ExchangeName;
use leveret_storage::{Position, QueueId, RecoveredQueue, StorageError, Store};
use std::sync::Arc;

/// Messages read from the store at a time.
const READ_MESSAGES: usize = 4096;
/// Octets read from the store at a time.
const READ_BYTES: usize = 8 << 20;

/// Octets of messages that are read when their queue starts, so that its head is known; the rest is
/// read as it is needed.
const HEAD_BYTES: u64 = 16 << 10;

/// The messages of a queue. They stay where they are, but for those of queues with priorities: their
/// order is in the messages.
pub(super) fn restore_messages(
    broker: &Broker,
    queue: &Arc<Queue>,
    found: &RecoveredQueue,
    store: &Store,
) -> Result<(), RecoveryError> {
    let mut fx = broker.effects(None);
    let by_pages = broker.pager.as_deref().filter(|_| !queue.sorts_messages());
    if let Some(pager) = by_pages {
        let pages = pages(store, queue.id, pager.limits().page)?;
        queue.restore_pages(&pages, found.delivered_through);
        return Ok(());
    }
    let clock = broker.clock;
    let mut read = 0;
    read_all(store, queue.id, |position, bytes| {
        read += bytes.len();
        let Some((message, expiry)) = queue::decode(bytes) else {
            let queue = queue.name().to_string();
            return Err(RecoveryError::Message { queue, position });
        };
        let redelivered = found.delivered_through.is_some_and(|seen| position <= seen);
        let expiry = expiry.map(|millis| clock.time_of_wall_millis(millis));
        queue.restore(position, Arc::new(message), redelivered, expiry);
        if read >= READ_BYTES {
            read = 0;
            queue.make_room(&mut fx);
        }
        Ok(())
    })?;
    queue.restored(&mut fx);
    fx.perform();
    Ok(())
}

/// What the store has of a queue, in pages: a small one first.
fn pages(store: &Store, queue: QueueId, octets: u64) -> Result<Vec<Outline>, StorageError> {
    let mut pages: Vec<Outline> = Vec::new();
    let memory = |messages: u64, weight: u64| weight + messages * OVERHEAD;
    for extent in store.extents(queue, HEAD_BYTES)? {
        let more = memory(extent.messages, extent.weight);
        let joins = |page: &Outline| memory(page.messages, page.octets) + more <= octets;
        let count = pages.len();
        match pages.last_mut() {
            Some(page) if count > 1 && joins(page) => {
                page.last = extent.last;
                page.messages += extent.messages;
                page.octets += extent.weight;
            }
            _ => pages.push(Outline {
                first: extent.first,
                last: extent.last,
                messages: extent.messages,
                octets: extent.weight,
            }),
        }
    }
    Ok(pages)
}

/// The messages that wait in a delayed exchange.
pub(super) fn restore_delayed(
    delays: &Delays,
    exchange: &ExchangeName,
    found: &RecoveredQueue,
    store: &Store,
) -> Result<(), RecoveryError> {
    delays.start_from(found.next_position);
    read_all(store, delays.id, |position, bytes| {
        delays
            .restore(position, bytes)
            .ok_or_else(|| RecoveryError::Message {
                queue: exchange.to_string(),
                position,
            })
    })
}

/// Hands out all that is stored under an identity, in order.
fn read_all(
    store: &Store,
    id: QueueId,
    mut take: impl FnMut(Position, bytes::Bytes) -> Result<(), RecoveryError>,
) -> Result<(), RecoveryError> {
    let mut from = Position(0);
    loop {
        let stored = store.read(id, from, READ_MESSAGES, READ_BYTES)?;
        let Some((last, _)) = stored.last() else {
            return Ok(());
        };
        from = Position(last.0 + 1);
        for (position, bytes) in stored {
            take(position, bytes)?;
        }
    }
}
