//! Counts and other facts for listings and replies.

use super::consumer::Consumer;
use super::handle::Queue;
use super::machine::Machine;
use super::outbox::Outbox;
use super::outcome::Counts;
use crate::engine::clock::Time;
use leveret_protocol::content::{Property, property};
use std::sync::Arc;

impl Machine {
    /// Returns counts for listings.
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

    /// Returns the number of ready messages.
    pub(super) fn ready_messages(&self) -> u64 {
        (self.ready.len() as u64).saturating_sub(self.unread_waiting())
    }

    /// Returns the number of waiting messages that are among the ready ones until they are read.
    fn unread_waiting(&self) -> u64 {
        let returned = self.returned.as_deref();
        returned.map_or(0, |returned| returned.waiting.unread())
    }

    /// Returns when the first and the last of the waiting messages become ready again.
    pub fn waiting_until(&self) -> Option<(Time, Time)> {
        self.returned.as_deref()?.waiting.dues()
    }

    /// Iterates over the queue's consumers.
    pub fn consumers(&self) -> impl Iterator<Item = &Arc<Consumer>> {
        self.consumers.iter()
    }

    /// Returns the consumer that has the queue exclusively.
    pub fn exclusive_consumer(&self) -> Option<&Arc<Consumer>> {
        self.consumers.exclusive()
    }

    /// Returns the consumer that is served while the others wait (`x-single-active-consumer`).
    pub fn single_active_consumer(&self) -> Option<&Arc<Consumer>> {
        self.consumers.single_active()
    }

    /// Returns whether only one consumer is served at a time.
    pub fn is_single_active(&self) -> bool {
        self.consumers.is_single_active()
    }
}

impl Queue {
    /// Returns the queue's consumers.
    pub fn consumers(&self) -> Vec<Arc<Consumer>> {
        match self.stream() {
            Some(stream) => stream.consumers(),
            None => self.with_machine(|machine| machine.consumers().cloned().collect()),
        }
    }

    /// Returns the single active consumer, and whether there is such a rule.
    pub fn single_active_consumer(&self) -> (Option<Arc<Consumer>>, bool) {
        self.with_machine(|machine| {
            let holder = machine.single_active_consumer().cloned();
            (holder, machine.is_single_active())
        })
    }

    /// Returns the `timestamp` of the first message, in seconds since the epoch; `None` if it has none, or is on disk.
    pub fn head_timestamp(&self) -> Option<u64> {
        self.with_machine(|machine| {
            let message = &machine.ready.first()?.message;
            let timestamp = property(message.properties(), Property::Timestamp)?;
            Some(u64::from_be_bytes(timestamp.try_into().ok()?))
        })
    }

    /// Returns the consumer that has the queue exclusively.
    pub fn exclusive_consumer(&self) -> Option<Arc<Consumer>> {
        self.with_machine(|machine| machine.exclusive_consumer().cloned())
    }
}
