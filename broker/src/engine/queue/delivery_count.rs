//! The stored form of how often a message came back to its queue, where that is counted: a record beside the message.

use crate::engine::record;
use bytes::Bytes;
use leveret_storage::{Op, Position, QueueId};
use serde::{Deserialize, Serialize};

/// How often a message came back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeliveryCount {
    /// The id under which the queue's messages are stored.
    pub queue: u64,
    /// The message's position there.
    pub position: u64,
    /// How often its delivery failed.
    pub count: u16,
    /// How often it came back for other reasons.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub released: u16,
    /// When it is or was to become ready, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<u64>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_zero(count: &u16) -> bool {
    *count == 0
}

/// The encoding in the store, as one kind of definition.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum StoredDefinition<'a> {
    DeliveryCount(&'a DeliveryCount),
}

impl DeliveryCount {
    /// The record that stores it.
    pub fn put(&self) -> Op {
        let key = DeliveryCount::key(QueueId(self.queue), Position(self.position));
        record::put(key, &StoredDefinition::DeliveryCount(self))
    }

    /// The record that removes what was stored about a message.
    pub fn delete(queue: QueueId, position: Position) -> Op {
        Op::DeleteDefinition {
            key: DeliveryCount::key(queue, position),
        }
    }

    /// The key under which it is stored.
    pub fn key(queue: QueueId, position: Position) -> Bytes {
        record::key(b'c', &[&queue.0.to_be_bytes(), &position.0.to_be_bytes()])
    }
}
