//! What operators say about a virtual host, and the default type of its queues.

use super::Vhost;
use crate::domain::vhost::spec::VhostMetadata;
use crate::engine::queue::QueueSpec;
use leveret_protocol::values::AMQPValue;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const QUEUE_TYPE: &str = "x-queue-type";

impl Vhost {
    /// Returns the metadata.
    pub fn metadata(&self) -> Arc<VhostMetadata> {
        self.metadata.read().clone()
    }

    /// Replaces the metadata. [`Broker::update_vhost`](crate::domain::broker::Broker::update_vhost) also stores it.
    pub fn set_metadata(&self, metadata: VhostMetadata) {
        *self.metadata.write() = Arc::new(metadata);
    }

    /// Returns whether messages are traced, see `operations`.
    #[inline]
    pub fn is_traced(&self) -> bool {
        self.tracing.load(Ordering::Relaxed)
    }

    /// Sets whether messages are traced, until the broker stops. Cached routes end, because publishes on traced virtual
    /// hosts take the slow path.
    pub fn set_traced(&self, traced: bool) {
        self.tracing.store(traced, Ordering::Relaxed);
        self.changed();
    }

    /// Adds `x-queue-type` to a declaration that does not have it, if the virtual host has a default: the type belongs
    /// to the queue from then on, whatever becomes of the default (`rabbit_amqqueue:augment_declare_args`).
    pub fn add_default_queue_type(&self, spec: &mut QueueSpec, exclusive: bool) {
        if spec.arguments.inner().contains_key(QUEUE_TYPE) {
            return;
        }
        let metadata = self.metadata.read();
        if let Some(kind) = metadata.queue_type_for(spec.durable, exclusive, spec.auto_delete) {
            let value = AMQPValue::LongString(kind.as_str().into());
            spec.arguments.insert(QUEUE_TYPE.into(), value);
        }
    }
}
