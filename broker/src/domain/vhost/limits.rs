//! What an operator allows a virtual host.

use super::Vhost;
use crate::domain::limits::VhostLimits;
use leveret_protocol::{AmqpError, QueueName, texts};

impl Vhost {
    /// The limits, if anything was said.
    pub fn limits(&self) -> Option<VhostLimits> {
        *self.limits.read()
    }

    /// See [`Broker::set_vhost_limits`](crate::domain::broker::Broker::set_vhost_limits), which stores
    /// them, too.
    pub fn set_limits(&self, limits: Option<VhostLimits>) {
        *self.limits.write() = limits;
    }

    /// Whether there is a place for another queue, as long as the lock for changes is held.
    ///
    /// # Errors
    /// 406 when there is none.
    pub(super) fn check_queue_limit(&self, queue: &QueueName) -> Result<(), AmqpError> {
        match self.limits().and_then(VhostLimits::queues) {
            Some(limit) if self.queues.read().len() as u64 >= limit => {
                Err(texts::queue_limit(queue, &self.spec.name, limit))
            }
            _ => Ok(()),
        }
    }
}
