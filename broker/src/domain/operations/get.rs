//! Getting several messages at once, without a channel: what is not consumed goes back before anybody waits for anything.

use super::Caller;
use super::firehose::NO_CHANNEL;
use crate::engine::message::SharedMessage;
use crate::engine::queue::{Effects, Entry, Queue, Return};
use crate::engine::statistics::Traffic;
use leveret_protocol::{AmqpError, QueueName};

/// Messages between two hand-overs to the store.
const SLICE: usize = 256;
/// What each message takes besides its contents, approximately: places in lists, and its answer.
const OVERHEAD: u64 = 256;
/// Bytes that one caller may get, even while memory is low.
const BYTES_MIN: u64 = 1 << 20;

/// Which messages a caller wants.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// How many at most.
    pub count: u64,
    /// How much memory they may take together, in bytes; the first may take more.
    pub bytes: u64,
    /// What becomes of them.
    pub settlement: Settlement,
}

/// What becomes of messages that were got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// They have left the queue.
    Acknowledged,
    /// They go back to their places in the queue.
    Requeued(Return),
    /// They leave the queue, and may be dead-lettered.
    Rejected,
}

/// A message that was got.
#[derive(Clone, Debug)]
pub struct Got {
    /// The message in its queue, as it was then.
    pub entry: Entry,
    /// How many ready messages were left.
    pub left: u64,
}

impl Got {
    /// Returns the message.
    pub fn message(&self) -> &SharedMessage {
        &self.entry.message
    }

    /// Returns the memory that it takes, approximately.
    pub fn weight(&self) -> u64 {
        self.entry.weight() + OVERHEAD
    }
}

impl Caller {
    /// Gets messages from the head of a queue, under the rules of basic.get, and settles them.
    ///
    /// # Errors
    /// See [`Caller::queue_to_get_from`].
    pub fn get(
        &self,
        name: &QueueName,
        wanted: Wanted,
        fx: &mut Effects,
    ) -> Result<Vec<Got>, AmqpError> {
        let queue = self.queue_to_get_from(name)?;
        let no_ack = wanted.settlement == Settlement::Acknowledged;
        let bytes = wanted
            .bytes
            .min(self.broker.ledger.deliveries_limit().max(BYTES_MIN));
        let (mut all, mut held) = (Vec::new(), 0);
        while (all.len() as u64) < wanted.count && held < bytes {
            let Some((entry, left)) = queue.get(no_ack, fx) else {
                break;
            };
            let got = Got { entry, left };
            held += got.weight();
            all.push(got);
            if all.len() % SLICE == 0 {
                fx.perform();
            }
        }
        if self.vhost().is_traced() {
            for got in &all {
                self.trace_delivery(NO_CHANNEL, &queue, &got.entry, fx);
            }
        }
        self.count_gets(
            &queue,
            no_ack,
            &all,
            wanted.count > all.len() as u64 && held < bytes,
        );
        let entries = || all.iter().map(|got| &got.entry);
        match wanted.settlement {
            Settlement::Acknowledged => {}
            Settlement::Requeued(how) => {
                queue.requeue(entries().map(|entry| (entry.clone(), how)), fx);
            }
            Settlement::Rejected => queue.reject(entries(), [], fx),
        }
        fx.perform();
        Ok(all)
    }

    /// Counts messages that were got, and whether the queue had no more.
    fn count_gets(&self, queue: &Queue, no_ack: bool, all: &[Got], was_empty: bool) {
        let mut traffic = Traffic::default();
        let stats = traffic.of(queue.kind);
        for got in all {
            stats.count_get(no_ack, got.entry.redelivered());
        }
        stats.get_empty = u64::from(was_empty);
        self.vhost().statistics.traffic.add(&traffic);
    }
}
