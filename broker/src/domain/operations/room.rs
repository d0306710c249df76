//! Limits on the memory of declarations, which outlive the connection that made them.

use super::Caller;
use crate::domain::broker::Broker;
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::values::FieldTable;
use leveret_protocol::{AmqpError, table};

/// Bytes of arguments of a queue, an exchange or a binding: a quarter of a frame. RabbitMQ accepts what fits into a
/// frame; but all of it stays in memory, and takes up to twenty times as much when decoded.
const DECLARED_ARGUMENTS: usize = 32 << 10;
/// The same while memory is low.
const DECLARED_WHEN_LOW: usize = 1 << 10;

impl Caller {
    /// Checks that there is memory for a new queue, exchange or binding.
    ///
    /// # Errors
    /// 406 when memory is far above its watermark.
    pub(super) fn check_room_for(&self, what: Entity<'_>) -> Result<(), AmqpError> {
        match self.broker.alarms.is_exhausted() {
            true => Err(texts::no_memory_for(what, self.vhost().name())),
            false => Ok(()),
        }
    }

    /// Checks the size of the arguments of a new queue, exchange or binding.
    ///
    /// # Errors
    /// 406 when they are too large.
    pub(super) fn check_declared_arguments(&self, arguments: &FieldTable) -> Result<(), AmqpError> {
        self.broker.check_declared_arguments(arguments)
    }
}

impl Broker {
    /// Checks the size of the arguments of a new queue, exchange or binding.
    ///
    /// # Errors
    /// 406 when they are too large.
    pub fn check_declared_arguments(&self, arguments: &FieldTable) -> Result<(), AmqpError> {
        if arguments.inner().is_empty() {
            return Ok(());
        }
        let low = self.alarms.in_force().has_memory();
        let max = if low {
            DECLARED_WHEN_LOW
        } else {
            DECLARED_ARGUMENTS
        };
        let bytes = table::encode(arguments).len();
        if bytes > max {
            return Err(texts::arguments_limit(bytes, max));
        }
        Ok(())
    }
}
