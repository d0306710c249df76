//! What a queue machine wants done once its lock is released.

use crate::server::mailbox::Mailbox;
use leveret_storage::{Batch, CommitSink, Op, Position, QueueId, Store};
use std::sync::Arc;

/// Effects of one or more operations on queues: records for the store and connections to wake.
/// The buffer is reused by its owner.
#[derive(Default)]
pub struct Effects {
    ops: Vec<Op>,
    wakes: Vec<Arc<Mailbox>>,
}

impl Effects {
    /// A record to be stored.
    pub fn store(&mut self, op: Op) {
        self.ops.push(op);
    }

    /// An acknowledgement to be stored; runs of positions become one record.
    pub fn store_ack(&mut self, queue: QueueId, position: Position) {
        if let Some(Op::Ack { queue: q, last, .. }) = self.ops.last_mut()
            && *q == queue
            && last.0 + 1 == position.0
        {
            *last = position;
            return;
        }
        self.ops.push(Op::Ack {
            queue,
            first: position,
            last: position,
        });
    }

    /// A connection that has new mail.
    pub fn wake(&mut self, mailbox: &Arc<Mailbox>) {
        self.wakes.push(mailbox.clone());
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.wakes.is_empty()
    }

    /// Does it all: hands the records to the store, whose tokens go to `sink`, and wakes.
    pub fn perform(&mut self, store: Option<&Store>, sink: Option<&Arc<Mailbox>>) {
        if !self.ops.is_empty() {
            let capacity = self.ops.capacity();
            let ops = std::mem::take(&mut self.ops);
            if let Some(store) = store {
                self.ops.reserve(capacity.min(64));
                let sink = sink.map(|mailbox| mailbox.clone() as Arc<dyn CommitSink>);
                store.submit(Batch { ops, sink });
            }
        }
        for mailbox in self.wakes.drain(..) {
            mailbox.wake();
        }
    }

    /// Appends what `other` holds.
    pub fn append(&mut self, other: &mut Effects) {
        self.ops.append(&mut other.ops);
        self.wakes.append(&mut other.wakes);
    }

    /// The records, for tests of machines without a store.
    #[cfg(test)]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Drops the records and keeps the rest.
    #[cfg(test)]
    pub fn forget_ops(&mut self) {
        self.ops.clear();
    }
}
