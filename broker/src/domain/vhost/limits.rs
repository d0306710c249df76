//! The limits of a virtual host.

use super::Vhost;
use crate::domain::limits::VhostLimits;
use leveret_protocol::{AmqpError, QueueName, texts};

impl Vhost {
    /// Returns the limits, if any are set.
    pub fn limits(&self) -> Option<VhostLimits> {
        *self.limits.read()
    }

    /// Sets the limits. [`Broker::set_vhost_limits`](crate::domain::broker::Broker::set_vhost_limits) also stores
    /// them.
    pub fn set_limits(&self, limits: Option<VhostLimits>) {
        *self.limits.write() = limits;
    }

    /// Checks that another queue may be declared. Call it with the change lock held.
    ///
    /// # Errors
    /// 406 if the limit is reached.
    pub(super) fn check_queue_limit(&self, queue: &QueueName) -> Result<(), AmqpError> {
        match self.limits().and_then(VhostLimits::queues) {
            Some(limit) if self.queues.read().len() as u64 >= limit => {
                Err(texts::queue_limit(queue, &self.name, limit))
            }
            _ => Ok(()),
        }
    }
}
