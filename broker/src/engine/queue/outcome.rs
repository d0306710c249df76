//! What a queue answers: its numbers, and what became of a request.

use super::consumer::Consumer;
use std::sync::Arc;

/// Numbers that listings and replies show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages ready to be delivered.
    pub ready: u64,
    /// Messages that came back and wait before they are ready again; of those that were not read since
    /// a restart the bytes count as ready.
    pub waiting: Aside,
    /// Messages delivered and not yet acknowledged.
    pub unacked: u64,
    /// Persistent messages among all of them.
    pub persistent: u64,
    /// Bytes of the bodies of persistent messages among all of them.
    pub persistent_bytes: u64,
    /// Bytes of ready bodies.
    pub ready_bytes: u64,
    /// Messages that wait on disk.
    pub paged_out: u64,
    /// Bytes of their bodies.
    pub paged_out_bytes: u64,
    /// Bytes of unacknowledged bodies.
    pub unacked_bytes: u64,
    /// Dead letters that found no way yet, of a queue that loses none (RabbitMQ: `messages_dlx`).
    pub undelivered: Aside,
    /// Bytes of messages in memory, those that are not acknowledged left out.
    pub memory: u64,
    /// Consumers.
    pub consumers: u64,
}

impl Counts {
    /// Whether the queue holds no message that nobody was given.
    pub fn is_empty(&self) -> bool {
        self.ready + self.waiting.messages == 0
    }
}

/// Messages that wait for something else than a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aside {
    /// How many.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Those that wait on disk.
    pub paged_out: u64,
    /// Bytes of their bodies.
    pub paged_out_bytes: u64,
}

/// What a queue leaves behind when it is deleted.
#[derive(Debug)]
pub struct Remains {
    /// Messages that were ready.
    pub messages: u64,
    /// Consumers that have to be told.
    pub consumers: Vec<Arc<Consumer>>,
}

/// Why a consumer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumeRefused {
    /// Another consumer has the queue exclusively, or exclusivity was asked for and there are
    /// consumers, or it is a queue whose consumers wait for each other.
    InExclusiveUse,
    /// The queue was deleted.
    Deleted,
}

/// What became of a queue when a consumer left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRemoval {
    /// It stays.
    Stays,
    /// It was the last consumer of an auto-delete queue.
    AutoDelete,
}
