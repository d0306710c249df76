//! The types that the broker and the store exchange.

use std::{num::NonZeroU64, sync::Arc};

use bytes::Bytes;

/// The id of a queue in the store. The broker assigns ids and keeps them in its definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u64);

/// The position of a message in its queue. Positions of a queue only grow and are never reused; a requeued message
/// keeps its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// What a submitter gets back when one of its operations is durable. The store never interprets it. It is one word,
/// even when optional, because it travels with every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub NonZeroU64);

/// A message that the store may have to write.
///
/// The broker passes its own `Arc<Message>` as `Arc<dyn Storable>`, so submitting allocates nothing.
pub trait Storable: Send + Sync + 'static {
    /// Claims the message for writing. The storage thread calls this once per publish while it builds a commit.
    ///
    /// Returns false if the message was acknowledged before it was written: then nothing is written, and its token
    /// counts as committed. After true the broker must submit an [`Op::Ack`] when the message is acknowledged; after
    /// false it must not.
    fn begin_write(&self, queue: QueueId) -> bool;

    /// Cancels the write, because the message was acknowledged before it was written. Returns false if
    /// [`Storable::begin_write`] came first; the acknowledgement must be written then.
    ///
    /// Must not be used for messages in several queues, which would share the answer.
    fn cancel_write(&self) -> bool;

    /// Returns how many bytes [`Storable::encode`] will append. Used for accounting, so it should be cheap and
    /// approximately right.
    fn encoded_len(&self) -> usize;

    /// Appends the message in the encoding that the broker reads back after a restart.
    fn encode(&self, out: &mut Vec<u8>);

    /// Like [`Storable::encode`], but may return a large tail that is shared memory instead of appending it: the log is
    /// then written from there, without a copy.
    fn encode_or_share(&self, out: &mut Vec<u8>) -> Option<Bytes> {
        self.encode(out);
        None
    }
}

/// Bytes are always written, and as they are.
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

/// One change to the durable state.
pub enum Op {
    /// A message entered a queue. Publishes of one queue may come slightly out of position order.
    Publish {
        /// The queue it entered.
        queue: QueueId,
        /// Its position there.
        position: Position,
        /// The message, which is written unless it is acknowledged before the commit is built.
        message: Arc<dyn Storable>,
        /// Given to the batch's sink once the message is synced or was acknowledged first.
        token: Option<Token>,
    },
    /// The queue is finished with every message in `first..=last` that it ever held.
    ///
    /// Submitted only for messages whose [`Storable::begin_write`] returned true, so an ack is always in a later commit
    /// than its publish. `last` must not exceed the positions that the queue has assigned: a later publish inside the
    /// range would count as acknowledged.
    Ack {
        /// The queue.
        queue: QueueId,
        /// First position of the range.
        first: Position,
        /// Last position of the range, inclusive.
        last: Position,
    },
    /// The queue is finished with a message, whether it was written or not. If not, its write is cancelled, but only in
    /// the commit that contains this batch, so that a message that takes part in a transaction leaves its queue exactly
    /// when the transaction is durable. Unlike [`Op::Ack`], this may overtake the publish.
    Settle {
        /// The queue.
        queue: QueueId,
        /// The position of the message there.
        position: Position,
        /// The message as it was published.
        message: Arc<dyn Storable>,
    },
    /// The queue and everything in it is gone.
    DeleteQueue {
        /// The queue.
        queue: QueueId,
    },
    /// Everything in the queue up to `through` has been delivered at least once (and is marked `redelivered` after a
    /// restart).
    ///
    /// Lazy: this is a high-water mark in memory, written with the next commit or at close.
    Delivered {
        /// The queue.
        queue: QueueId,
        /// The last position delivered so far.
        through: Position,
    },
    /// A definition; the latest value of a key wins.
    PutDefinition {
        /// Its key, which only the broker interprets.
        key: Bytes,
        /// Its value, which only the broker interprets (and versions).
        value: Bytes,
    },
    /// A definition was deleted.
    DeleteDefinition {
        /// Its key.
        key: Bytes,
    },
    /// Writes nothing. Gives the token to this sink, which need not be that of the batch, when everything before it is
    /// committed and before any sink gets the other tokens of this batch.
    NotifySink {
        /// The sink to notify.
        sink: Arc<dyn CommitSink>,
        /// The token it gets.
        token: Token,
    },
    /// Writes nothing. The token is given back when everything before it is committed.
    Notify {
        /// The token.
        token: Token,
    },
}

/// A receiver of notifications about commits.
pub trait CommitSink: Send + Sync + 'static {
    /// Called by the storage thread, at most once per commit and sink, with tokens in the order of submission. Must not
    /// block: the confirm of every publisher waits for it.
    fn committed(&self, tokens: &[Token]);
}

/// Operations that become durable together: a batch is never split between two commits.
pub struct Batch {
    /// The operations, in the order in which they apply.
    pub ops: Vec<Op>,
    /// The receiver of the tokens; without one they are dropped.
    pub sink: Option<Arc<dyn CommitSink>>,
}

/// Returns the big-endian number at an offset, or `None` if the bytes end before it does.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

/// Returns the big-endian number at an offset, or `None` if the bytes end before it does.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(
        bytes.get(at..at.checked_add(8)?)?.try_into().ok()?,
    ))
}
