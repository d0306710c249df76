//! A stream as its queue holds it: the machine behind its lock, and the way to the store.

use super::cursor::{Cursor, READ_OCTETS, Read, Source, StreamReaders};
use super::machine::{Ahead, Machine};
use super::start::StartAt;
use super::tails::Change;
use crate::engine::message::SharedMessage;
use crate::engine::queue::{
    ConsumeRefused, Consumer, ConsumerId, Counts, Effects, Incoming, Queue, Remains, Settings,
};
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
    /// Known once there is somebody to read for.
    home: OnceLock<Home>,
    complained: AtomicBool,
}

/// Where a stream is read, and by whom.
pub struct Home {
    /// None for a broker that keeps everything in memory: then the stream's tail is all there is.
    pub store: Option<Store>,
    /// None where turns are given by hand, in tests.
    pub readers: Option<Arc<dyn StreamReaders>>,
}

impl Home {
    /// Who counts tails. Without a store a tail is all there is, and stays.
    fn who_may_drop_tails(&self) -> Option<&dyn StreamReaders> {
        self.store.as_ref().and(self.readers.as_deref())
    }
}

impl std::fmt::Debug for Home {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Home").finish_non_exhaustive()
    }
}

/// Messages that the store was given; it says here when it has them.
#[derive(Debug)]
struct Written {
    stream: Arc<Stream>,
    offsets: Range<u64>,
}

impl CommitSink for Written {
    /// Before any publisher hears of it: who consumes from then on finds what was confirmed.
    fn committed(&self, _tokens: &[Token]) {
        let stream = &self.stream;
        let ready = stream.machine.lock().committed(self.offsets.clone());
        stream.call(ready);
    }
}

/// Milliseconds since the epoch by the wall clock.
pub(super) fn now() -> u64 {
    // A wall clock before 1970 is no worse than one that stands at 1970.
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
        let Some(store) = self.home.get().and_then(|home| home.store.as_ref()) else {
            return Ok(None);
        };
        let read = store.read(self.id, Position(from), max, READ_OCTETS);
        read.map(Some)
    }
}

impl Stream {
    /// An empty stream whose first message will have `next_position`.
    pub fn new(id: QueueId, settings: &Settings, next_position: Position) -> Self {
        Stream {
            id,
            machine: Mutex::new(Machine::new(id, settings, next_position.0)),
            home: OnceLock::new(),
            complained: AtomicBool::new(false),
        }
    }

    /// The stream is set to something else from now on.
    pub fn configure(&self, settings: &Settings, fx: &mut Effects) {
        self.machine.lock().configure(settings, now(), fx);
    }

    /// Adds messages. They reach the store in the order of their offsets: after a crash none is
    /// missing before one that is there. What belongs to a transaction reaches it as a whole, a
    /// moment later.
    pub fn publish(
        self: &Arc<Self>,
        messages: impl IntoIterator<Item = Incoming>,
        fx: &mut Effects,
    ) {
        let mut machine = self.machine.lock();
        let offsets = machine.append(messages, now(), fx);
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
        let home = self.home.get_or_init(|| fx.home());
        if let Some(readers) = home.who_may_drop_tails() {
            readers.tails().count(self, change);
        }
    }

    /// Lets go of the tail; returns how much smaller it is than was counted.
    pub(super) fn drop_tail(&self) -> Option<Change> {
        let mut machine = self.machine.lock();
        machine.drop_tail();
        machine.tail_change()
    }

    fn forget_tail(&self) {
        let change = self.drop_tail();
        let readers = self.home.get().and_then(Home::who_may_drop_tails);
        if let (Some(change), Some(readers)) = (change, readers) {
            readers.tails().add(change);
        }
    }

    /// Adds messages that reach the store with the batch that is being collected.
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

    /// Adds a consumer, which begins where its arguments say.
    ///
    /// # Errors
    /// The stream was deleted.
    pub fn consume(&self, consumer: Arc<Consumer>, fx: &Effects) -> Result<(), ConsumeRefused> {
        self.home.get_or_init(|| fx.home());
        // Checked before; were it wrong, the default would do.
        let start = StartAt::of(&consumer.arguments.table(), now()).unwrap_or(StartAt::Next);
        let cursor = self.machine.lock().consume(consumer, start);
        self.call([cursor.ok_or(ConsumeRefused::Deleted)?]);
        Ok(())
    }

    /// Removes a consumer: when this returns, nothing more is put into its mailbox.
    pub fn cancel(&self, consumer: ConsumerId) {
        let cursor = self.machine.lock().cancel(consumer);
        if let Some(cursor) = cursor {
            cursor.close();
        }
    }

    /// Consumers that were refused a message can take one again.
    pub fn resume(&self, consumers: impl IntoIterator<Item = ConsumerId>) {
        let cursors = self.machine.lock().cursors(consumers);
        self.call(cursors);
    }

    fn call(&self, cursors: impl IntoIterator<Item = Arc<Cursor>>) {
        if let Some(readers) = self.home.get().and_then(|home| home.readers.as_ref()) {
            cursors.into_iter().for_each(|cursor| readers.call(cursor));
        }
    }

    /// See [`Machine::ahead`].
    pub(super) fn ahead(&self, consumer: ConsumerId, from: u64, max: usize) -> Ahead {
        self.machine.lock().ahead(consumer, from, max)
    }

    /// See [`Machine::wait`].
    pub(super) fn wait(&self, consumer: ConsumerId) {
        self.machine.lock().wait(consumer);
    }

    /// Without a store: what is still in memory begins here.
    pub(super) fn skip_lost(&self) -> u64 {
        self.machine.lock().tail_first()
    }

    /// A stored message does not decode; said once.
    pub(super) fn complain(&self, offset: u64, queue: &Queue) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            tracing::error!(
                stream = %queue.name(), offset,
                "a message of a stream does not decode and is passed over, as are others like it: \
                 was it written by a newer version?"
            );
        }
    }

    /// Ends the stream. RabbitMQ tells no number of messages, and asks for no leave of consumers.
    pub fn delete(&self, fx: &mut Effects) -> Option<Remains> {
        let cursors = self.machine.lock().delete(fx)?;
        self.forget_tail();
        cursors.iter().for_each(|cursor| cursor.close());
        let consumers = cursors.iter().map(|cursor| cursor.consumer.clone());
        Some(Remains {
            messages: 0,
            consumers: consumers.collect(),
        })
    }

    /// Whether the stream was deleted while somebody still held it.
    pub fn is_deleted(&self) -> bool {
        self.machine.lock().is_deleted()
    }

    /// Numbers for listings and replies.
    pub fn counts(&self) -> Counts {
        self.machine.lock().counts()
    }

    /// The consumers, for listings.
    pub fn consumers(&self) -> Vec<Arc<Consumer>> {
        self.machine.lock().consumers().cloned().collect()
    }
}
