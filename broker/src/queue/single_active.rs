//! x-single-active-consumer (RabbitMQ: "Single Active Consumer"): of a queue's consumers one is
//! served, the others wait for it to go.

use super::consumer::{Consumer, ConsumerId};
use std::sync::Arc;

/// Who is served.
///
/// The first consumer that comes is, until it leaves, even while its prefetch is used up: the queue
/// waits with it. Then the one with the highest priority takes its place, among equals the one that
/// has waited longest. Whoever comes with a higher priority waits all the same
/// (`rabbit_amqqueue_process`, classic queues).
#[derive(Debug, Default)]
pub struct SingleActive {
    holder: Option<Arc<Consumer>>,
}

impl SingleActive {
    /// The consumer that is served.
    pub fn holder(&self) -> Option<&Arc<Consumer>> {
        self.holder.as_ref()
    }

    /// A consumer has come.
    pub fn joined(&mut self, consumer: &Arc<Consumer>) {
        self.holder.get_or_insert_with(|| consumer.clone());
    }

    /// A consumer has left; `next` is the first of those that remain, by priority and then by age.
    pub fn left(&mut self, id: ConsumerId, next: Option<&Arc<Consumer>>) {
        if self.holder.as_ref().is_some_and(|holder| holder.id == id) {
            self.holder = next.cloned();
        }
    }
}
