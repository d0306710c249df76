//! What a queue answers: its counts, and the results of requests.

use super::consumer::Consumer;
use std::ops::{AddAssign, SubAssign};
use std::sync::Arc;

/// Counts for listings and replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ready messages.
    pub ready: u64,
    /// Messages that came back and wait before they are ready again; the bytes of those not read since a restart count
    /// as ready.
    pub waiting: Parked,
    /// Unacknowledged messages.
    pub unacked: u64,
    /// Persistent messages among all of these.
    pub persistent: u64,
    /// Bytes of the bodies of persistent messages among all of these.
    pub persistent_bytes: u64,
    /// Bytes of ready bodies.
    pub ready_bytes: u64,
    /// Paged out messages.
    pub paged_out: u64,
    /// Bytes of their bodies.
    pub paged_out_bytes: u64,
    /// Bytes of unacknowledged bodies.
    pub unacked_bytes: u64,
    /// Dead letters that could not be routed yet, of a queue that loses none (RabbitMQ:
    /// `messages_dlx`).
    pub undelivered: Parked,
    /// Bytes of messages in memory, excluding unacknowledged ones.
    pub memory: u64,
    /// Consumers.
    pub consumers: u64,
}

impl Counts {
    /// Returns whether the queue holds no undelivered messages.
    pub fn is_empty(&self) -> bool {
        self.ready + self.waiting.messages == 0
    }

    /// Counts all messages of the queue. As in RabbitMQ, they include those that wait for a retry or for dead-lettering
    /// (`rabbit_fifo:messages_total`).
    pub fn all(&self) -> Parked {
        let mut all = Parked {
            messages: self.ready + self.unacked,
            bytes: self.ready_bytes + self.unacked_bytes,
            paged_out: self.paged_out,
            paged_out_bytes: self.paged_out_bytes,
        };
        for parked in [&self.waiting, &self.undelivered] {
            all.messages += parked.messages;
            all.bytes += parked.bytes;
            all.paged_out += parked.paged_out;
            all.paged_out_bytes += parked.paged_out_bytes;
        }
        all
    }

    /// Combines each count with that of another queue.
    fn combine(&mut self, other: Self, with: impl Fn(&mut u64, u64)) {
        // Destructured, so that a count that is added later cannot be forgotten here.
        let Counts {
            ready,
            waiting,
            unacked,
            persistent,
            persistent_bytes,
            ready_bytes,
            paged_out,
            paged_out_bytes,
            unacked_bytes,
            undelivered,
            memory,
            consumers,
        } = other;
        self.waiting.combine(waiting, &with);
        self.undelivered.combine(undelivered, &with);
        with(&mut self.ready, ready);
        with(&mut self.unacked, unacked);
        with(&mut self.persistent, persistent);
        with(&mut self.persistent_bytes, persistent_bytes);
        with(&mut self.ready_bytes, ready_bytes);
        with(&mut self.paged_out, paged_out);
        with(&mut self.paged_out_bytes, paged_out_bytes);
        with(&mut self.unacked_bytes, unacked_bytes);
        with(&mut self.memory, memory);
        with(&mut self.consumers, consumers);
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.combine(other, |sum, more| *sum += more);
    }
}

impl SubAssign for Counts {
    fn sub_assign(&mut self, other: Self) {
        self.combine(other, |sum, less| *sum -= less);
    }
}

/// Messages that wait for a retry or for their dead-lettering, not for a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parked {
    /// The number of messages.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Those that are paged out.
    pub paged_out: u64,
    /// Bytes of their bodies.
    pub paged_out_bytes: u64,
}

impl Parked {
    fn combine(&mut self, other: Self, with: impl Fn(&mut u64, u64)) {
        // Destructured, so that a count that is added later cannot be forgotten here.
        let Parked {
            messages,
            bytes,
            paged_out,
            paged_out_bytes,
        } = other;
        with(&mut self.messages, messages);
        with(&mut self.bytes, bytes);
        with(&mut self.paged_out, paged_out);
        with(&mut self.paged_out_bytes, paged_out_bytes);
    }
}

/// What remains of a deleted queue.
#[derive(Debug)]
pub struct Deleted {
    /// Messages that were ready.
    pub messages: u64,
    /// Consumers that have to be notified.
    pub consumers: Vec<Arc<Consumer>>,
}

/// Why a consumer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumeRefused {
    /// Another consumer has the queue exclusively, exclusivity was requested and there are
    /// consumers, or it is a queue with a single active consumer.
    InExclusiveUse,
    /// The queue was deleted.
    Deleted,
}

/// What happens to a queue when a consumer has left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRemoval {
    /// It stays.
    Stays,
    /// It was the last consumer of an auto-delete queue.
    AutoDelete,
}
