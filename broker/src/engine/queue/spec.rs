//! A queue as it was declared.

use super::settings::QueueKind;
use crate::engine::interfaces::ConnectionId;
use leveret_protocol::QueueName;
use leveret_protocol::values::FieldTable;

/// A queue as it was declared.
#[derive(Clone, Debug)]
pub struct QueueSpec {
    /// Its name.
    pub name: QueueName,
    /// It survives a restart.
    pub durable: bool,
    /// It is deleted when its last consumer leaves.
    pub auto_delete: bool,
    /// The only connection that may use it, and with which it is deleted.
    pub exclusive_to: Option<ConnectionId>,
    /// queue.declare's arguments.
    pub arguments: FieldTable,
}

impl QueueSpec {
    /// Its kind.
    pub fn kind(&self) -> QueueKind {
        QueueKind::of(&self.arguments)
    }

    /// Returns whether the queue and its persistent messages are stored: it is durable, and not
    /// tied to a connection, which no restart survives.
    pub fn is_stored(&self) -> bool {
        self.durable && self.exclusive_to.is_none()
    }
}
