//! A stream as its queue holds it: the machine behind its lock, and the connection to the store.

use super::cursor::{Cursor, READ_BYTES, Read, Source, StreamReaders};
use super::machine::{Extent, Machine, NextMessages};
use super::start::StartAt;
use super::tail::Change;
use crate::engine::message::SharedMessage;
use crate::engine::queue::{
    ConsumeRefused, Consumer, ConsumerId, Counts, Deleted, Effects, Incoming, Queue, Settings,
};
use crate::engine::statistics::{MessageStats, Moved, SharedMessageStats, Statistics};
use leveret_storage::{CommitSink, Op, Position, QueueId, Store, Token};
use parking_lot::Mutex;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// A stream.
#[derive(Debug)]
pub struct Stream {
    pub(super) id: QueueId,
    pub(super) machine: Mutex<Machine>,
    /// Set when the first consumer arrives.
    backend: OnceLock<StreamBackend>,
    complained: AtomicBool,
    /// What its queue counts.
    pub stats: SharedMessageStats,
}

/// What streams are read with.
pub struct StreamBackend {
    /// `None` for a broker that keeps everything in memory: then the stream's tail is all there is.
    pub store: Option<Store>,
    /// `None` where tests give turns by hand.
    pub readers: Option<Arc<dyn StreamReaders>>,
    /// Where the stream reports that it moves.
    pub statistics: Option<Arc<Statistics>>,
}

impl StreamBackend {
    /// Returns the readers if they may drop tails. Without a store the tail is all there is, and
    /// stays.
    fn who_may_drop_tails(&self) -> Option<&dyn StreamReaders> {
        self.store.as_ref().and(self.readers.as_deref())
    }
}

impl std::fmt::Debug for StreamBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamBackend").finish_non_exhaustive()
    }
}

/// A range of submitted messages; the store reports here when they are committed.
#[derive(Debug)]
struct Written {
    stream: Arc<Stream>,
    offsets: Range<u64>,
}

impl CommitSink for Written {
    /// Before any publisher is told: consumers that start afterwards find what was confirmed.
    fn committed(&self, _tokens: &[Token]) {
        let stream = &self.stream;
        let ready = stream.machine.lock().committed(self.offsets.clone());
        stream.call(ready);
    }
}

/// Returns the wall clock time in milliseconds since the epoch.
pub(super) fn now() -> u64 {
    // A wall clock before 1970 is treated as 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.forget_tail();
    }
}

impl Source for Stream {
    fn read(&self, from: u64, max: usize) -> Read {
        let Some(store) = self
            .backend
            .get()
            .and_then(|backend| backend.store.as_ref())
        else {
            return Ok(None);
        };
        let read = store.read(self.id, Position(from), max, READ_BYTES);
        read.map(Some)
    }
}

impl Stream {
    /// Creates an empty stream whose first message will have `next_position`.
    pub fn new(id: QueueId, settings: &Settings, next_position: Position) -> Self {
        Stream {
            id,
            machine: Mutex::new(Machine::new(id, settings, next_position.0)),
            backend: OnceLock::new(),
            complained: AtomicBool::new(false),
            stats: SharedMessageStats::default(),
        }
    }

    /// Counts acknowledged deliveries.
    pub fn count_acknowledged(&self, ack: u64) {
        self.stats.add(&MessageStats {
            ack,
            ..MessageStats::default()
        });
    }

    /// Counts what a consumer was delivered in one turn, and what was read from disk for that.
    pub(super) fn count_delivered(&self, consumer: &Consumer, (count, disk_reads): (u64, u64)) {
        if count == 0 && disk_reads == 0 {
            return;
        }
        let no_ack = consumer.no_ack;
        self.stats.add(&MessageStats {
            deliver: if no_ack { 0 } else { count },
            deliver_no_ack: if no_ack { count } else { 0 },
            disk_reads,
            ..MessageStats::default()
        });
        let queue = &consumer.queue;
        let statistics = self.backend.get().and_then(|it| it.statistics.as_deref());
        if let Some(statistics) = statistics.filter(|_| queue.tracked.mark()) {
            statistics.has_moved(Moved::Queue(queue.vhost.clone(), queue.name().clone()));
        }
    }

    /// Applies new settings.
    pub fn configure(&self, settings: &Settings, fx: &mut Effects) {
        self.machine.lock().configure(settings, now(), fx);
    }

    /// Adds messages. They reach the store in the order of their offsets: after a crash none is
    /// missing before one that is there. Messages of a transaction reach it as a whole, slightly
    /// later.
    pub fn publish(
        self: &Arc<Self>,
        messages: impl IntoIterator<Item = Incoming>,
        fx: &mut Effects,
    ) {
        let mut machine = self.machine.lock();
        let offsets = machine.append(messages, now(), fx);
        let count = offsets.end - offsets.start;
        self.stats.add(&MessageStats {
            publish: count,
            disk_writes: count,
            ..MessageStats::default()
        });
        self.expect(offsets, fx);
        if !fx.is_atomic() {
            fx.submit();
        }
        let change = machine.tail_change();
        drop(machine);
        self.count_tail(change, fx);
    }

    /// Counts the tail among those of all streams.
    fn count_tail(self: &Arc<Self>, change: Option<Change>, fx: &Effects) {
        let Some(change) = change else { return };
        let backend = self.backend.get_or_init(|| fx.stream_backend());
        if let Some(readers) = backend.who_may_drop_tails() {
            readers.tails().count(self, change);
        }
    }

    /// Drops the tail; returns by how much it shrank compared with what was counted.
    pub(super) fn drop_tail(&self) -> Option<Change> {
        let mut machine = self.machine.lock();
        machine.drop_tail();
        machine.tail_change()
    }

    fn forget_tail(&self) {
        let change = self.drop_tail();
        let readers = self
            .backend
            .get()
            .and_then(StreamBackend::who_may_drop_tails);
        if let (Some(change), Some(readers)) = (change, readers) {
            readers.tails().add(change);
        }
    }

    /// Adds messages that reach the store with the current batch.
    pub fn reserve(
        self: &Arc<Self>,
        messages: &[SharedMessage],
        fx: &mut Effects,
    ) -> Option<Position> {
        let messages = messages.iter().map(|message| (message.clone(), None));
        let (offsets, change) = {
            let mut machine = self.machine.lock();
            let offsets = machine.append(messages, now(), fx);
            (offsets, machine.tail_change())
        };
        self.count_tail(change, fx);
        let first = (!offsets.is_empty()).then_some(Position(offsets.start));
        self.expect(offsets, fx);
        first
    }

    fn expect(self: &Arc<Self>, offsets: Range<u64>, fx: &mut Effects) {
        if !offsets.is_empty() {
            let stream = self.clone();
            fx.store(Op::NotifySink {
                sink: Arc::new(Written { stream, offsets }),
                token: Token(NonZeroU64::MIN),
            });
        }
    }

    /// Adds a consumer, which starts where its arguments say.
    ///
    /// # Errors
    /// The stream was deleted.
    pub fn consume(&self, consumer: Arc<Consumer>, fx: &Effects) -> Result<(), ConsumeRefused> {
        self.backend.get_or_init(|| fx.stream_backend());
        // Checked before; if it were wrong, the default would do.
        let start = StartAt::of(&consumer.arguments.table(), now()).unwrap_or(StartAt::Next);
        let cursor = self.machine.lock().consume(consumer, start);
        self.call([cursor.ok_or(ConsumeRefused::Deleted)?]);
        Ok(())
    }

    /// Removes a consumer: after this, nothing more is put into its mailbox.
    pub fn cancel(&self, consumer: ConsumerId) {
        let cursor = self.machine.lock().cancel(consumer);
        if let Some(cursor) = cursor {
            cursor.close();
        }
    }

    /// Resumes consumers that lacked credit.
    pub fn resume(&self, consumers: impl IntoIterator<Item = ConsumerId>) {
        let cursors = self.machine.lock().cursors(consumers);
        self.call(cursors);
    }

    fn call(&self, cursors: impl IntoIterator<Item = Arc<Cursor>>) {
        if let Some(readers) = self
            .backend
            .get()
            .and_then(|backend| backend.readers.as_ref())
        {
            cursors.into_iter().for_each(|cursor| readers.call(cursor));
        }
    }

    /// See [`Machine::ahead`].
    pub(super) fn ahead(&self, consumer: ConsumerId, from: u64, max: usize) -> NextMessages {
        self.machine.lock().ahead(consumer, from, max)
    }

    /// See [`Machine::wait`].
    pub(super) fn wait(&self, consumer: ConsumerId) {
        self.machine.lock().wait(consumer);
    }

    /// Returns the first offset in memory, for a stream without a store.
    pub(super) fn skip_lost(&self) -> u64 {
        self.machine.lock().tail_first()
    }

    /// Logs that a stored message does not decode; only once.
    pub(super) fn complain(&self, offset: u64, queue: &Queue) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            tracing::error!(
                stream = %queue.name(), offset,
                "skipping a stored message that cannot be decoded, and not logging further ones of this stream: \
                 was it written by a newer version?"
            );
        }
    }

    /// Deletes the stream. RabbitMQ reports no number of messages, and does not check for
    /// consumers.
    pub fn delete(&self, fx: &mut Effects) -> Option<Deleted> {
        let cursors = self.machine.lock().delete(fx)?;
        self.forget_tail();
        cursors.iter().for_each(|cursor| cursor.close());
        let consumers = cursors.iter().map(|cursor| cursor.consumer.clone());
        Some(Deleted {
            messages: 0,
            consumers: consumers.collect(),
        })
    }

    /// Returns whether the stream was deleted while others still hold it.
    pub fn is_deleted(&self) -> bool {
        self.machine.lock().is_deleted()
    }

    /// Returns counts for listings and replies.
    pub fn counts(&self) -> Counts {
        self.machine.lock().counts()
    }

    /// Returns where it begins and ends, and in how many parts it is kept.
    pub fn extent(&self) -> Extent {
        self.machine.lock().extent()
    }

    /// Returns the cursors of all consumers, for listings.
    pub fn cursors(&self) -> Vec<Arc<Cursor>> {
        self.machine.lock().all_cursors()
    }

    /// Returns whether messages are on their way to the store.
    pub fn awaits_commit(&self) -> bool {
        self.machine.lock().awaits_commit()
    }

    /// Returns the consumers, for listings.
    pub fn consumers(&self) -> Vec<Arc<Consumer>> {
        self.machine.lock().consumers().cloned().collect()
    }
}
