//! The firehose: copies of what the connection publishes and of what is delivered to it, while its virtual host is traced.

use super::Connection;
use super::content::Routed;
use crate::engine::queue::{Consumer, Entry, Queue};
use leveret_protocol::ChannelId;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Connection {
    /// Returns whether the virtual host is traced; asked once per batch of deliveries. Publishes ask the cache of routes.
    pub(super) fn is_traced(&self) -> bool {
        let caller = self.caller.as_ref();
        caller.is_some_and(|caller| caller.vhost().is_traced())
    }

    /// Copies a publish.
    #[cold]
    pub(super) fn trace_publish(&mut self, id: ChannelId, routed: &Routed) {
        if let Some(caller) = &self.caller {
            let (message, copies) = (&routed.message, &routed.target.copies);
            caller.trace_publish(id.0, message, copies, &routed.queues, &mut self.fx);
        }
    }

    /// Copies a delivery, unless its consumer is gone.
    #[cold]
    pub(super) fn trace_delivery(&mut self, consumer: &Arc<Consumer>, entry: &Entry) {
        let channel = self.channels.get(consumer.channel);
        let is_open = channel.is_some_and(|channel| !channel.closing);
        if is_open && !consumer.cancelled.load(Ordering::Relaxed) {
            self.trace_get(consumer.channel, &consumer.queue, entry);
        }
    }

    /// Copies a message that the connection got.
    #[cold]
    pub(super) fn trace_get(&mut self, id: ChannelId, queue: &Queue, entry: &Entry) {
        if let Some(caller) = &self.caller {
            caller.trace_delivery(id.0, queue, entry, &mut self.fx);
        }
    }
}
