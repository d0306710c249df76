//! What was stored under an identity: the messages of queues and of delayed exchanges.

use super::RecoveryError;
use crate::clock::Clock;
use crate::exchange::Delays;
use crate::queue::{self, Queue};
use leveret_protocol::ExchangeName;
use leveret_storage::{Position, QueueId, RecoveredQueue, Store};
use std::sync::Arc;

/// Messages read from the store at a time.
const READ_MESSAGES: usize = 4096;
/// Octets read from the store at a time.
const READ_BYTES: usize = 8 << 20;

/// The messages of a queue, in the order in which they stood there.
pub(super) fn restore_messages(
    queue: &Queue,
    found: &RecoveredQueue,
    store: &Store,
    clock: Clock,
) -> Result<(), RecoveryError> {
    read_all(store, queue.id, |position, bytes| {
        let Some((message, expiry)) = queue::decode(bytes) else {
            let queue = queue.name().to_string();
            return Err(RecoveryError::Message { queue, position });
        };
        let redelivered = found.delivered_through.is_some_and(|seen| position <= seen);
        let expiry = expiry.map(|millis| clock.time_of_wall_millis(millis));
        queue.restore(position, Arc::new(message), redelivered, expiry);
        Ok(())
    })
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
