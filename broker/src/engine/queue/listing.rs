//! What listings and replies show of a queue.

use super::consumer::Consumer;
use super::handle::Queue;
use super::machine::Machine;
use super::outbox::Outbox;
use super::outcome::Counts;
use crate::engine::clock::Time;
use std::sync::Arc;

impl Machine {
    /// Numbers for listings.
    pub fn counts(&self) -> Counts {
        let paged = self.ready.paged();
        let undelivered = self.outbox.as_deref();
        let undelivered = undelivered.map(Outbox::counts).unwrap_or_default();
        let waiting = self.returned.as_deref();
        let waiting = waiting.map(|returned| returned.waiting.counts());
        Counts {
            ready: self.ready_messages(),
            waiting: waiting.unwrap_or_default(),
            unacked: self.unacked,
            persistent: self.persistent,
            persistent_bytes: self.persistent_bytes,
            ready_bytes: self.ready.bytes(),
            paged_out: paged.messages,
            paged_out_bytes: paged.bytes,
            unacked_bytes: self.unacked_bytes,
            undelivered,
            memory: self.memory(),
            consumers: self.consumers.len() as u64,
        }
    }

    /// Number of messages that are ready.
    pub(super) fn ready_messages(&self) -> u64 {
        (self.ready.len() as u64).saturating_sub(self.unread_waiting())
    }

    /// Messages that wait and stand among those that are ready until they are read.
    fn unread_waiting(&self) -> u64 {
        let returned = self.returned.as_deref();
        returned.map_or(0, |returned| returned.waiting.unread())
    }

    /// When the first and the last of the messages that wait are ready again.
    pub fn waiting_until(&self) -> Option<(Time, Time)> {
        self.returned.as_deref()?.waiting.dues()
    }

    /// The queue's consumers.
    pub fn consumers(&self) -> impl Iterator<Item = &Arc<Consumer>> {
        self.consumers.iter()
    }

    /// The consumer that has the queue exclusively.
    pub fn exclusive_consumer(&self) -> Option<&Arc<Consumer>> {
        self.consumers.exclusive()
    }

    /// The consumer that is served while the others wait (`x-single-active-consumer`).
    pub fn single_active_consumer(&self) -> Option<&Arc<Consumer>> {
        self.consumers.single_active()
    }

    /// Whether only one consumer is served at a time.
    pub fn is_single_active(&self) -> bool {
        self.consumers.is_single_active()
    }
}

impl Queue {
    /// The queue's consumers, for listings.
    pub fn consumers(&self) -> Vec<Arc<Consumer>> {
        match self.stream() {
            Some(stream) => stream.consumers(),
            None => self.with_machine(|machine| machine.consumers().cloned().collect()),
        }
    }

    /// The consumer that is served while the others wait, and whether there is such a rule.
    pub fn single_active_consumer(&self) -> (Option<Arc<Consumer>>, bool) {
        self.with_machine(|machine| {
            let holder = machine.single_active_consumer().cloned();
            (holder, machine.is_single_active())
        })
    }

    /// The consumer that has the queue exclusively.
    pub fn exclusive_consumer(&self) -> Option<Arc<Consumer>> {
        self.with_machine(|machine| machine.exclusive_consumer().cloned())
    }
}
