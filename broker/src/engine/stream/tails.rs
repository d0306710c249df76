//! A limit on the tails of all streams together: thousands of streams must not keep one of full size each. The oldest
//! tail is dropped first; its readers find the messages on disk.

use super::handle::Stream;
use super::tail::Change;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// Bytes that the tails of all streams may take together.
const BYTES_MAX: usize = 16 << 20;

/// The streams with tails, and their total size.
#[derive(Debug, Default)]
pub struct Tails {
    bytes: AtomicUsize,
    /// Streams with a tail, oldest first.
    streams: Mutex<VecDeque<Weak<Stream>>>,
}

impl Tails {
    /// Counts a change of a stream's tail, and drops other tails if there is too much. The caller must hold no stream's
    /// lock.
    pub fn count(&self, stream: &Arc<Stream>, change: Change) {
        self.add(change);
        if change.before == 0 {
            self.streams.lock().push_back(Arc::downgrade(stream));
        }
        while self.bytes.load(Ordering::Relaxed) > BYTES_MAX {
            let oldest = self.streams.lock().pop_front();
            let Some(oldest) = oldest else { return };
            if let Some(change) = oldest.upgrade().and_then(|stream| stream.drop_tail()) {
                self.add(change);
            }
        }
    }

    /// Counts a change without adding the stream: a deleted stream has no tail, and keeps its place
    /// in the list until its turn comes.
    pub fn add(&self, change: Change) {
        let difference = change.now.wrapping_sub(change.before);
        self.bytes.fetch_add(difference, Ordering::Relaxed);
    }

    /// Returns the approximate bytes of all tails.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::message::MessageBuilder;
    use crate::engine::queue::{Effects, Environment, Queue, QueueSpec};
    use crate::engine::stream::StreamReaders;
    use crate::plumbing::stream_readers::Readers;
    use leveret_protocol::values::{AMQPValue, FieldTable};
    use leveret_storage::{Options, Position, QueueId, Store};

    fn stream(id: u64) -> Arc<Queue> {
        let mut arguments = FieldTable::default();
        let kind = AMQPValue::LongString("stream".into());
        arguments.insert("x-queue-type".into(), kind);
        let spec = QueueSpec {
            name: "s".into(),
            durable: true,
            auto_delete: false,
            exclusive_to: None,
            arguments,
        };
        Arc::new(Queue::new(QueueId(id), "/".into(), spec, Position(0)))
    }

    #[test]
    fn the_tails_of_all_streams_are_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(directory.path())).unwrap().store;
        let readers = Arc::<Readers>::default();
        let environment = Environment {
            store: Some(store.clone()),
            readers: Some(readers.clone()),
            ..Environment::default()
        };
        let mut fx = Effects::on(environment, None);
        let streams: Vec<Arc<Queue>> = (1..400).map(stream).collect();
        let mut builder = MessageBuilder::new(b"", b"", &[0, 0], false, 100_000);
        builder.push(&[0; 100_000]).unwrap();
        let message = Arc::new(builder.finish(false));
        for round in 0..3 {
            for queue in &streams {
                let message = (message.clone(), None);
                queue.publish([message], false, &mut fx);
                assert!(readers.tails().bytes() <= BYTES_MAX, "{round}");
            }
        }
        assert!(readers.tails().bytes() > BYTES_MAX / 2);
        for queue in &streams {
            queue.stream().unwrap().delete(&mut fx);
        }
        assert_eq!(readers.tails().bytes(), 0);
        store.close().unwrap();
    }
}
