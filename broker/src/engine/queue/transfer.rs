//! Transfers: messages leave one place and enter queues in one batch of the store; after a crash
//! they are still where they were, or in all of their queues.

use super::effects::Effects;
use super::handle::Queue;
use crate::engine::message::SharedMessage;
use leveret_storage::{Position, QueueId, Storable};
use std::collections::HashMap;
use std::sync::Arc;

/// Approximate bytes that a batch for the store may hold. A single message for so many durable
/// queues that its copies exceed this takes several batches: memory that a peer can ask for must be
/// limited, and after a crash between them the message is back in the queues that already had it.
const BATCH_MAX: usize = 64 << 20;

/// Messages on their way into queues.
#[derive(Debug, Default)]
pub struct Transfer {
    runs: Vec<Run>,
    index: HashMap<(QueueId, bool), usize>,
    bytes: usize,
    /// Whether queues count the messages as published.
    counts: bool,
}

/// The messages for one queue.
#[derive(Debug)]
struct Run {
    queue: Arc<Queue>,
    /// It was checked before that there is room for them.
    sure: bool,
    messages: Vec<SharedMessage>,
    /// Bytes of their bodies.
    bodies: u64,
}

impl Transfer {
    /// Creates a transfer of messages that are published, as those that a delayed exchange releases. Dead letters are
    /// not (`rabbit_core_metrics` knows publishes of channels, and the plugin's).
    pub fn of_publishes() -> Self {
        Transfer {
            counts: true,
            ..Transfer::default()
        }
    }

    /// Adds a message for these queues.
    pub fn add(&mut self, message: &SharedMessage, queues: &[Arc<Queue>]) {
        self.add_run(message, queues, false);
    }

    /// Adds a message for these queues if all of them have room for it in addition to what was
    /// added before; then they do not reject it. Otherwise it goes nowhere. Returns whether it was
    /// added.
    pub fn add_if_room(&mut self, message: &SharedMessage, queues: &[Arc<Queue>]) -> bool {
        let full = |queue: &Arc<Queue>| {
            let runs = [true, false].map(|sure| self.index.get(&(queue.id, sure)));
            let runs = runs.into_iter().flatten().map(|at| &self.runs[*at]);
            let (others, bodies) = runs.fold((0, 0), |(others, bodies), run| {
                (others + run.messages.len() as u64, bodies + run.bodies)
            });
            queue.has_no_room(message, others, bodies)
        };
        if queues.iter().any(full) {
            return false;
        }
        self.add_run(message, queues, true);
        true
    }

    fn add_run(&mut self, message: &SharedMessage, queues: &[Arc<Queue>], sure: bool) {
        for queue in queues {
            let next = self.runs.len();
            let at = *self.index.entry((queue.id, sure)).or_insert(next);
            if at == next {
                self.runs.push(Run {
                    queue: queue.clone(),
                    sure,
                    messages: Vec::new(),
                    bodies: 0,
                });
            }
            let run = &mut self.runs[at];
            run.messages.push(message.clone());
            run.bodies += message.body().len() as u64;
            self.bytes += stored_bytes(queue, message);
        }
    }

    /// Returns the bytes that the store will have to write for what was added so far.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Performs the transfer, in one batch with what `leave` records: that the messages leave their
    /// source.
    ///
    /// The batch reaches the store before any message reaches a consumer. So whatever a client does
    /// because of a message is stored after it, and no acknowledgement can survive while the
    /// message itself comes back.
    pub fn perform(&mut self, leave: impl FnOnce(&mut Effects), fx: &mut Effects) {
        let places = self.reserve(fx);
        self.complete(places, leave, fx);
    }

    /// Like [`Transfer::perform`], unless every queue has been deleted: then nothing leaves, and this returns false. A queue
    /// that is deleted from now on has had the messages.
    pub fn perform_if_any_exists(
        &mut self,
        leave: impl FnOnce(&mut Effects),
        fx: &mut Effects,
    ) -> bool {
        let places = self.reserve(fx);
        let exists = places.iter().any(Option::is_some);
        if exists {
            self.complete(places, leave, fx);
        } else {
            self.runs.clear();
            // Whatever the caller does with the messages now is no part of a transfer.
            fx.submit();
        }
        exists
    }

    /// Records the messages in their queues. Returns the first place in each; `None` if it was deleted.
    fn reserve(&mut self, fx: &mut Effects) -> Vec<Option<Position>> {
        self.index.clear();
        self.bytes = 0;
        let mut places = Vec::with_capacity(self.runs.len());
        let mut collected = 0;
        for Run {
            queue, messages, ..
        } in &self.runs
        {
            let bytes = messages
                .iter()
                .map(|m| stored_bytes(queue, m))
                .sum::<usize>();
            if collected + bytes > BATCH_MAX && collected > 0 {
                fx.submit();
                collected = 0;
            }
            collected += bytes;
            let first = queue.reserve(messages, fx);
            if self.counts && first.is_some() {
                queue.count_published(messages.len() as u64, fx);
            }
            places.push(first);
        }
        places
    }

    /// Lets the messages leave their source and appear in their queues.
    fn complete(
        &mut self,
        places: Vec<Option<Position>>,
        leave: impl FnOnce(&mut Effects),
        fx: &mut Effects,
    ) {
        leave(fx);
        fx.submit();
        for (run, first) in self.runs.drain(..).zip(places) {
            if let Some(first) = first {
                run.queue
                    .publish_reserved(first, run.messages, run.sure, fx);
            }
        }
    }
}

fn stored_bytes(queue: &Queue, message: &SharedMessage) -> usize {
    if queue.stores(message.persistent()) {
        message.encoded_len()
    } else {
        0
    }
}
