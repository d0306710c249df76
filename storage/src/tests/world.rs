//! The building blocks of the tests.

use std::{
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{Batch, CommitSink, Op, Opened, Options, Position, QueueId, Storable, Store, Token};

/// A message that can be acknowledged before it is written.
pub(super) struct Message {
    body: Bytes,
    state: AtomicU8,
}

const PENDING: u8 = 0;
const CANCELLED: u8 = 1;
const CLAIMED: u8 = 2;

impl Message {
    pub(super) fn new(body: impl Into<Vec<u8>>) -> Arc<Message> {
        Self::with(body, PENDING)
    }

    pub(super) fn cancelled(body: impl Into<Vec<u8>>) -> Arc<Message> {
        Self::with(body, CANCELLED)
    }

    /// A message for several queues: its write is never cancelled.
    pub(super) fn shared(body: impl Into<Vec<u8>>) -> Arc<Message> {
        Self::with(body, CLAIMED)
    }

    /// A message that counts as already written.
    pub(super) fn written() -> Arc<Message> {
        Self::with("", CLAIMED)
    }

    fn with(body: impl Into<Vec<u8>>, state: u8) -> Arc<Message> {
        Arc::new(Message {
            body: body.into().into(),
            state: AtomicU8::new(state),
        })
    }

    fn swap(&self, to: u8) -> bool {
        self.state
            .compare_exchange(PENDING, to, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}

impl Storable for Message {
    fn begin_write(&self, _: QueueId) -> bool {
        self.swap(CLAIMED) || self.state.load(Ordering::SeqCst) == CLAIMED
    }

    fn cancel_write(&self) -> bool {
        self.swap(CANCELLED)
    }

    fn encoded_len(&self) -> usize {
        self.body.len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.body);
    }

    /// Every other length shares the second half, and some share everything.
    fn encode_or_share(&self, out: &mut Vec<u8>) -> Option<Bytes> {
        if self.body.len().is_multiple_of(2) {
            self.encode(out);
            return None;
        }
        let copied = self.body.len() % 4 / 2 * self.body.len() / 2;
        out.extend_from_slice(&self.body[..copied]);
        Some(self.body.slice(copied..))
    }
}

/// A sink that remembers.
#[derive(Default)]
pub(super) struct Told(pub(super) Mutex<Vec<u64>>);

impl CommitSink for Told {
    fn committed(&self, tokens: &[Token]) {
        self.0
            .lock()
            .extend(tokens.iter().map(|token| token.0.get() - 1));
    }
}

pub(super) fn token(seq: u64) -> Token {
    Token(NonZeroU64::MIN.saturating_add(seq))
}

/// The queue that a message in several queues names.
pub(super) const SEVERAL: u64 = 1 << 40;

/// Returns the body of a message, which differs from all others.
pub(super) fn body(queue: u64, position: u64, len: usize) -> Vec<u8> {
    let seed = queue.wrapping_mul(31).wrapping_add(position);
    let mut body = format!("{queue}:{position};").into_bytes();
    body.extend((0..len).map(|i| (seed.wrapping_mul(i as u64 + 7) >> 3) as u8));
    body
}

pub(super) fn publish(queue: u64, position: u64, len: usize) -> Op {
    publish_message(queue, position, Message::new(body(queue, position, len)))
}

pub(super) fn publish_message(queue: u64, position: u64, message: Arc<Message>) -> Op {
    Op::Publish {
        queue: QueueId(queue),
        position: Position(position),
        message,
        token: None,
    }
}

pub(super) fn settle(queue: u64, position: u64, message: Arc<Message>) -> Op {
    Op::Settle {
        queue: QueueId(queue),
        position: Position(position),
        message,
    }
}

pub(super) fn ack(queue: u64, first: u64, last: u64) -> Op {
    Op::Ack {
        queue: QueueId(queue),
        first: Position(first),
        last: Position(last),
    }
}

pub(super) fn put(key: &str, value: &str) -> Op {
    Op::PutDefinition {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
    }
}

/// Submits a batch that nobody waits for.
pub(super) fn submit(store: &Store, ops: impl IntoIterator<Item = Op>) {
    store.submit(Batch {
        ops: ops.into_iter().collect(),
        sink: None,
    });
}

/// Like [`Store::submit`], but the submitter commits directly if the storage thread sleeps.
pub(super) fn submit_directly(store: &Store, batch: Batch) {
    store.enqueue(batch);
    store.commit();
}

/// Small segments, so that a little work causes many folds.
pub(super) fn small(path: &std::path::Path) -> Options {
    Options {
        segment_size: 8 * 1024,
        log_bound: 64 * 1024,
        fold_delay_bytes: 0,
        // Whoever wants to commit may, on whatever disk.
        fast_sync: Duration::MAX,
        // A few checkpoints' worth; volumes that are hardly used go soon.
        volume_size: 4 << 20,
        waste: 8 << 20,
        // When things are done must not depend on how fast the machine is.
        busy: u64::MAX,
        ..Options::new(path)
    }
}

pub(super) fn open(path: &std::path::Path) -> Opened {
    Store::open(small(path)).unwrap()
}

/// Returns all positions in a queue, checking each body.
pub(super) fn positions(store: &Store, queue: u64) -> Vec<u64> {
    let mut found = Vec::new();
    let mut from = 0;
    loop {
        let messages = store.read(QueueId(queue), Position(from), 7, 4096).unwrap();
        let Some((last, _)) = messages.last() else {
            return found;
        };
        from = last.0 + 1;
        for (position, message) in messages {
            let is_of = |queue| message.starts_with(format!("{queue}:{};", position.0).as_bytes());
            assert!(
                is_of(queue) || is_of(SEVERAL),
                "queue {queue} position {} holds another message",
                position.0
            );
            found.push(position.0);
        }
    }
}

/// Waits for another thread to do something.
pub(super) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("never happened: {what}");
}
