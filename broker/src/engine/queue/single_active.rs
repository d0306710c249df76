//! x-single-active-consumer (RabbitMQ: "Single Active Consumer"): one of a queue's consumers is
//! served, the others wait for it to leave.

use super::consumer::{Consumer, ConsumerId};
use std::sync::Arc;

/// Chooses the consumer that is served.
///
/// The first consumer is served until it leaves, even while its prefetch is used up: then the queue
/// waits. When it leaves, the one with the highest priority takes its place, and among equals the
/// one that has waited longest. A new consumer with a higher priority has to wait on a classic
/// queue (`rabbit_amqqueue_process`); on a quorum queue the active one gets no more messages, and
/// is replaced once it has acknowledged what it holds (`rabbit_fifo:activate_next_consumer`).
#[derive(Debug)]
pub struct SingleActive {
    holder: Option<Arc<Consumer>>,
    /// It is a quorum queue.
    yields: bool,
    /// The active consumer is being replaced.
    leaving: bool,
}

impl SingleActive {
    /// Creates the rule without an active consumer; `yields` says whether it gives way to a
    /// consumer of higher priority.
    pub fn new(yields: bool) -> Self {
        SingleActive {
            holder: None,
            yields,
            leaving: false,
        }
    }

    /// Returns the active consumer.
    pub fn holder(&self) -> Option<&Arc<Consumer>> {
        self.holder.as_ref()
    }

    /// Returns whether the active consumer gets no more messages.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Records that a consumer has joined.
    pub fn consumer_joined(&mut self, consumer: &Arc<Consumer>) {
        self.holder.get_or_insert_with(|| consumer.clone());
    }

    /// Records that a consumer has left; `next` is the first of the remaining ones, by priority and
    /// then by age.
    pub fn consumer_left(&mut self, id: ConsumerId, next: Option<&Arc<Consumer>>) {
        if self.holder.as_ref().is_some_and(|holder| holder.id == id) {
            self.holder = next.cloned();
            self.leaving = false;
        }
    }

    /// Replaces the active consumer if necessary; `first` precedes all others, by priority and then
    /// by age.
    pub fn promote(&mut self, first: &Arc<Consumer>) {
        let Some(holder) = self.holder.as_mut().filter(|_| self.yields) else {
            return;
        };
        self.leaving = first.priority > holder.priority;
        if self.leaving && holder.credit.used() == 0 {
            *holder = first.clone();
            self.leaving = false;
        }
    }

    /// Records that all consumers have left.
    pub fn clear(&mut self) {
        self.holder = None;
        self.leaving = false;
    }
}
