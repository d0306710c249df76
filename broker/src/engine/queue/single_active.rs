//! x-single-active-consumer (RabbitMQ: "Single Active Consumer"): of a queue's consumers one is
//! served, the others wait for it to go.

use super::consumer::{Consumer, ConsumerId};
use std::sync::Arc;

/// Who is served.
///
/// The first consumer that comes is, until it leaves, even while its prefetch is used up: the queue
/// waits with it. Then the one with the highest priority takes its place, among equals the one that
/// has waited longest. Whoever comes to a classic queue with a higher priority waits all the same
/// (`rabbit_amqqueue_process`); on a quorum queue the active one gets nothing more then, and makes
/// room when it has acknowledged what it holds (`rabbit_fifo:activate_next_consumer`).
#[derive(Debug)]
pub struct SingleActive {
    holder: Option<Arc<Consumer>>,
    /// It is a quorum queue.
    yields: bool,
    /// The holder makes room for another.
    leaving: bool,
}

impl SingleActive {
    /// Nobody yet; `yields`: to a consumer of higher priority.
    pub fn new(yields: bool) -> Self {
        SingleActive {
            holder: None,
            yields,
            leaving: false,
        }
    }

    /// The consumer that is served.
    pub fn holder(&self) -> Option<&Arc<Consumer>> {
        self.holder.as_ref()
    }

    /// Whether the holder is to get nothing more.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// A consumer has come.
    pub fn joined(&mut self, consumer: &Arc<Consumer>) {
        self.holder.get_or_insert_with(|| consumer.clone());
    }

    /// A consumer has left; `next` is the first of those that remain, by priority and then by age.
    pub fn left(&mut self, id: ConsumerId, next: Option<&Arc<Consumer>>) {
        if self.holder.as_ref().is_some_and(|holder| holder.id == id) {
            self.holder = next.cloned();
            self.leaving = false;
        }
    }

    /// `first` is before all others, by priority and then by age.
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

    /// All consumers have left.
    pub fn clear(&mut self) {
        self.holder = None;
        self.leaving = false;
    }
}
