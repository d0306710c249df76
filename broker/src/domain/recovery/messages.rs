//! Recovery of the messages of queues and of delayed exchanges, which are stored under an id.

use super::RecoveryError;
use crate::domain::broker::Broker;
use crate::engine::exchange::Delays;
use crate::engine::queue::paging::{Outline, PageMover};
use crate::engine::queue::{self, Effects, Queue};
use crate::plumbing::paging::Pager;
use leveret_protocol::ExchangeName;
use leveret_storage::{Position, QueueId, RecoveredQueue, StorageError, Store};
use std::sync::Arc;
use std::time::Duration;

/// The number of messages read from the store at a time.
const READ_MESSAGES: usize = 4096;
/// The number of bytes read from the store at a time.
const READ_BYTES: usize = 8 << 20;

/// How often recovery checks whether messages have been paged out.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// The size in bytes of the messages that are read when their queue starts, so that its head is known.
/// The rest is read when it is needed.
const HEAD_BYTES: u64 = 16 << 10;

/// Restores the messages of a queue. They stay on disk, except in queues with priorities, where the order
/// depends on the messages.
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
            page_out_excess(queue, broker.pager.as_deref(), &mut fx);
        }
        Ok(())
    })?;
    queue.restored(&mut fx);
    fx.perform();
    Ok(())
}

/// Returns the stored messages of a queue as pages, of which the first is small.
fn pages(store: &Store, queue: QueueId, page_size: u64) -> Result<Vec<Outline>, StorageError> {
    let mut pages: Vec<Outline> = Vec::new();
    for extent in store.extents(queue, HEAD_BYTES)? {
        let extent = Outline {
            first: extent.first,
            last: extent.last,
            messages: extent.messages,
            bytes: extent.weight,
        };
        let joins = |page: &Outline| page.weight() + extent.weight() <= page_size;
        let count = pages.len();
        match pages.last_mut() {
            Some(page) if count > 1 && joins(page) => {
                page.last = extent.last;
                page.messages += extent.messages;
                page.bytes += extent.bytes;
            }
            _ => pages.push(extent),
        }
    }
    Ok(pages)
}

/// Restores the messages that wait in a delayed exchange.
pub(super) fn restore_delayed(
    broker: &Broker,
    delays: &Arc<Delays>,
    exchange: &ExchangeName,
    found: &RecoveredQueue,
    store: &Store,
) -> Result<(), RecoveryError> {
    delays.start_from(found.next_position);
    let mut fx = broker.effects(None);
    let mut read = 0;
    read_all(store, delays.id, |position, bytes| {
        read += bytes.len();
        let restored = delays.restore(position, bytes, &mut fx);
        if read >= READ_BYTES {
            read = 0;
            fx.perform();
            wait_for_pager(broker);
        }
        restored.ok_or_else(|| RecoveryError::Message {
            queue: exchange.to_string(),
            position,
        })
    })?;
    fx.perform();
    Ok(())
}

/// Waits while far too much is in memory because it has not been paged out yet.
fn wait_for_pager(broker: &Broker) {
    while broker.pager.as_deref().is_some_and(Pager::is_behind) {
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Reads all messages that are stored under an id, in order.
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

/// Pages out what exceeds the budget while messages are restored one by one, and waits for it.
fn page_out_excess(queue: &Arc<Queue>, pager: Option<&Pager>, fx: &mut Effects) {
    loop {
        queue.after_restoring(fx);
        fx.perform();
        if !pager.is_some_and(Pager::is_behind) {
            return;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}
