//! The words the broker and the store speak to each other.

use std::{num::NonZeroU64, sync::Arc};

use bytes::Bytes;

/// A queue's identity in the store. The broker hands these out and keeps them in its definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u64);

/// A message's place in its queue. Positions of one queue only grow and are never used twice; a requeued message keeps
/// its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// What a submitter wants back when something of its is durable. The store never looks inside. It is one word, also where
/// there may be none: it travels with every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub NonZeroU64);

/// A message the store may have to write.
///
/// The broker passes its own `Arc<Message>` as `Arc<dyn Storable>`, so submitting allocates nothing.
pub trait Storable: Send + Sync + 'static {
    /// Claims the message for writing; called once per publish by the storage thread while it builds a commit.
    ///
    /// `false` means the message was acknowledged before it was written: then nothing is written, and its token counts
    /// as committed. After `true` the broker must submit an [`Op::Ack`] when the message is done with; after `false` it
    /// must not.
    fn begin_write(&self, queue: QueueId) -> bool;

    /// Calls the write off: the message is done with before it was written. `false` when
    /// [`Storable::begin_write`] came first; then the acknowledgement has to be written as well.
    ///
    /// Never to be called off is what enters several queues: those share the answer.
    fn cancel_write(&self) -> bool;

    /// How many bytes [`Storable::encode`] will append. Used for accounting, so it should be close and cheap.
    fn encoded_len(&self) -> usize;

    /// Appends the message in whatever encoding the broker reads back after a restart.
    fn encode(&self, out: &mut Vec<u8>);

    /// As [`Storable::encode`], but a large end that is shared memory may be given back instead of appended: the log is
    /// written from there, without a copy.
    fn encode_or_share(&self, out: &mut Vec<u8>) -> Option<Bytes> {
        self.encode(out);
        None
    }
}

/// Bytes that are written as they are, and in any case.
impl Storable for Bytes {
    fn begin_write(&self, _: QueueId) -> bool {
        true
    }

    fn cancel_write(&self) -> bool {
        false
    }

    fn encoded_len(&self) -> usize {
        self.len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn encode_or_share(&self, _: &mut Vec<u8>) -> Option<Bytes> {
        Some(self.clone())
    }
}

/// One change to what must survive a restart.
pub enum Op {
    /// A message entered a queue. Publishes of one queue may come slightly out of position order.
    Publish {
        /// The queue it entered.
        queue: QueueId,
        /// Its place there.
        position: Position,
        /// What to write, if it is still wanted when the commit is built.
        message: Arc<dyn Storable>,
        /// Given to the batch's sink once the message is synced or was acknowledged before.
        token: Option<Token>,
    },
    /// Every message of `first..=last` that the queue ever held is done with.
    ///
    /// Submitted only for messages whose [`Storable::begin_write`] said `true`, so an ack always stands in a later commit
    /// than its publish. `last` must not exceed what the queue has handed out: a later publish inside the range would be
    /// taken for acknowledged.
    Ack {
        /// The queue.
        queue: QueueId,
        /// First position of the range.
        first: Position,
        /// Last position of the range, itself included.
        last: Position,
    },
    /// A message is done with, whether it was written or not: if not, its write is called off, but only in the commit that
    /// this batch belongs to. So what takes part in a transaction leaves its queue exactly when the transaction is
    /// durable. Unlike an [`Op::Ack`] it may overtake the publish.
    Settle {
        /// The queue.
        queue: QueueId,
        /// The message's place there.
        position: Position,
        /// The message as it was published.
        message: Arc<dyn Storable>,
    },
    /// The queue and everything in it is gone.
    DeleteQueue {
        /// The queue.
        queue: QueueId,
    },
    /// Everything of the queue up to `through` has been delivered at least once (`redelivered` after a restart).
    ///
    /// Lazy: a high-water mark in memory, written along with something that has to be written anyway, or at close.
    Delivered {
        /// The queue.
        queue: QueueId,
        /// The last position delivered so far.
        through: Position,
    },
    /// A definition; the latest value of a key wins.
    PutDefinition {
        /// Its key, the broker's business.
        key: Bytes,
        /// Its value, the broker's business (and versioned by it).
        value: Bytes,
    },
    /// The definition is gone.
    DeleteDefinition {
        /// Its key.
        key: Bytes,
    },
    /// Nothing to write: this sink, which need not be the batch's, is called with the token when everything before it is
    /// committed, before any sink hears of this batch's other tokens.
    Tell {
        /// Who is told.
        sink: Arc<dyn CommitSink>,
        /// What it is told.
        token: Token,
    },
    /// Nothing to write: the token is due when everything before it is committed.
    Notify {
        /// The token.
        token: Token,
    },
}

/// Who is told what has been committed.
pub trait CommitSink: Send + Sync + 'static {
    /// Called by the storage thread, at most once per commit and sink, with tokens in the order of submission. Must not
    /// block: every publisher's confirm waits behind it.
    fn committed(&self, tokens: &[Token]);
}

/// Operations that become durable together: a batch is never split over two commits.
pub struct Batch {
    /// In the order in which they apply.
    pub ops: Vec<Op>,
    /// Who gets the tokens; without one they are dropped.
    pub sink: Option<Arc<dyn CommitSink>>,
}
