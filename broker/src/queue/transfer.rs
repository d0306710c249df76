//! Messages that leave one place and enter queues in one batch of the store: after a crash they are
//! still where they were, or in every one of their queues.

use super::effects::Effects;
use super::handle::Queue;
use crate::message::SharedMessage;
use leveret_storage::{QueueId, Storable};
use std::collections::HashMap;
use std::sync::Arc;

/// Octets that a batch for the store may hold, about. A single message for so many durable queues
/// that its copies are more than this goes in several batches: memory that a peer can ask for must
/// have a limit, and a crash between them brings that message back to the queues that had it.
const BATCH_MAX: usize = 64 << 20;

/// Messages on their way into queues.
#[derive(Debug, Default)]
pub struct Transfer {
    runs: Vec<(Arc<Queue>, Vec<SharedMessage>)>,
    index: HashMap<QueueId, usize>,
    octets: usize,
}

impl Transfer {
    /// Adds a message that goes to these queues.
    pub fn add(&mut self, message: &SharedMessage, queues: &[Arc<Queue>]) {
        for queue in queues {
            let at = *self.index.entry(queue.id).or_insert(self.runs.len());
            if at == self.runs.len() {
                self.runs.push((queue.clone(), Vec::new()));
            }
            self.runs[at].1.push(message.clone());
            self.octets += stored_octets(queue, message);
        }
    }

    /// Octets that the store will have to write for what was added so far.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// Carries it out, in one batch with what `leave` records: that the messages leave the place
    /// they come from.
    ///
    /// The batch reaches the store before any message reaches a consumer. So whatever a client does
    /// on account of a message is stored behind it, and nobody's acknowledgement can be kept while
    /// the message itself comes back.
    pub fn perform(&mut self, leave: impl FnOnce(&mut Effects), fx: &mut Effects) {
        self.index.clear();
        self.octets = 0;
        let mut places = Vec::with_capacity(self.runs.len());
        let mut collected = 0;
        for (queue, messages) in &self.runs {
            let octets = messages
                .iter()
                .map(|m| stored_octets(queue, m))
                .sum::<usize>();
            if collected + octets > BATCH_MAX && collected > 0 {
                fx.submit();
                collected = 0;
            }
            collected += octets;
            places.push(queue.reserve(messages, fx));
        }
        leave(fx);
        fx.submit();
        for ((queue, messages), first) in self.runs.drain(..).zip(places) {
            if let Some(first) = first {
                queue.publish_reserved(first, messages, fx);
            }
        }
    }
}

fn stored_octets(queue: &Queue, message: &SharedMessage) -> usize {
    if queue.stores(message.persistent()) {
        message.encoded_len()
    } else {
        0
    }
}
