//! Moving messages from one queue to another. A slice of them leaves one and enters the other in one batch of the store:
//! after a crash they are where they were, or where they went.

use super::Caller;
use super::firehose::NO_CHANNEL;
use crate::engine::message::SharedMessage;
use crate::engine::queue::{Effects, Entry, Queue, Return, Transfer};
use crate::engine::statistics::{MessageStats, Traffic};
use leveret_protocol::{AmqpError, ExchangeName, QueueName, ReplyCode, texts};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Messages at a time.
const SLICE: usize = 256;
/// Bytes of messages at a time, approximately.
const SLICE_BYTES: u64 = 8 << 20;
/// How long the caller waits for others who need the disk.
const PATIENCE: Duration = Duration::from_millis(20);

/// Which messages to move.
#[derive(Clone, Copy, Debug)]
pub struct MoveBounds {
    /// How many at most.
    pub count: u64,
    /// How many bytes at most, approximately; the first message may have more.
    pub bytes: u64,
    /// How long it may take at most, approximately.
    pub time: Duration,
}

/// What was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// How many messages.
    pub moved: u64,
    /// How many ready messages are left.
    pub remaining: u64,
    /// Whether the destination takes no more.
    pub is_full: bool,
}

/// A slice of messages that were taken from the source.
#[derive(Default)]
struct Slice {
    entries: Vec<Entry>,
    bytes: u64,
    transfer: Transfer,
    is_full: bool,
}

impl Caller {
    /// Moves messages from the head of a queue to another queue, as if they were published there through the default
    /// exchange. The first ones that the destination would reject stay where they are, as do all that have not left when the
    /// destination is deleted.
    ///
    /// # Errors
    /// 403 without the permission to read from the queue or to publish to the default exchange, 404 if a queue does not
    /// exist, 405 if the source is exclusive to a connection, 406 if both are the same, 540 if the source is a stream.
    pub fn move_messages(
        &self,
        from: &QueueName,
        to: &QueueName,
        bounds: MoveBounds,
        fx: &mut Effects,
    ) -> Result<Moved, AmqpError> {
        let source = self.queue_to_get_from(from)?;
        self.exchange_to_publish_to(&ExchangeName::from(""))?;
        let vhost = self.vhost();
        let destination = vhost.queue(to.as_str());
        let destination = destination.ok_or_else(|| texts::no_queue(to.as_str(), vhost.name()))?;
        if Arc::ptr_eq(&source, &destination) {
            let text = "messages cannot be moved to the queue that they are in";
            return Err(AmqpError::channel(ReplyCode::PreconditionFailed, text));
        }
        self.move_between(&source, &destination, bounds, fx)
    }

    /// Moves messages until there are no more, or a bound is reached, or one of the queues is deleted.
    fn move_between(
        &self,
        source: &Arc<Queue>,
        destination: &Arc<Queue>,
        bounds: MoveBounds,
        fx: &mut Effects,
    ) -> Result<Moved, AmqpError> {
        let until = Instant::now() + bounds.time;
        // Not those that come while others leave: that might never end.
        let wanted = bounds.count.min(source.counts().ready);
        let (mut moved, mut bytes, mut is_full) = (0, 0, false);
        while moved < wanted && bytes < bounds.bytes && !is_full && Instant::now() < until {
            if self.broker.store_is_behind() {
                std::thread::sleep(PATIENCE);
                continue;
            }
            let count = (wanted - moved).min(SLICE as u64) as usize;
            let size = SLICE_BYTES.min(bounds.bytes - bytes);
            let mut slice = take(source, destination, count, size, fx);
            is_full = slice.is_full;
            if slice.entries.is_empty() || !carry_over(source, &mut slice, fx) {
                break;
            }
            moved += slice.entries.len() as u64;
            bytes += slice.bytes;
            self.trace_moved(source, destination, &slice.entries, fx);
            self.count_moved(source, &slice.entries);
        }
        let mut ends = [source, destination].into_iter();
        if moved == 0
            && let Some(missing) = ends.find(|queue| queue.is_deleted())
        {
            return Err(texts::no_queue(
                missing.name().as_str(),
                self.vhost().name(),
            ));
        }
        Ok(Moved {
            moved,
            remaining: source.counts().ready,
            is_full,
        })
    }

    fn trace_moved(&self, from: &Queue, to: &Arc<Queue>, entries: &[Entry], fx: &mut Effects) {
        if !self.vhost().is_traced() {
            return;
        }
        for entry in entries {
            self.trace_delivery(NO_CHANNEL, from, entry, fx);
            let message = moved(&entry.message, to);
            self.trace_publish(NO_CHANNEL, &message, &[], std::slice::from_ref(to), fx);
        }
    }

    /// Counts messages as fetched and published.
    fn count_moved(&self, source: &Queue, entries: &[Entry]) {
        let mut traffic = Traffic::default();
        let count = entries.len() as u64;
        let stats = traffic.of(source.kind);
        for entry in entries {
            stats.count_get(false, entry.redelivered());
        }
        stats.ack += count;
        traffic.published = MessageStats {
            publish: count,
            publish_in: count,
            publish_out: count,
            ..MessageStats::default()
        };
        let statistics = &self.vhost().statistics;
        statistics.traffic.add(&traffic);
        statistics.default_exchange.add(count, count);
    }
}

/// Returns a message as if it was published to a queue through the default exchange.
fn moved(message: &SharedMessage, to: &Queue) -> SharedMessage {
    let name = to.name().as_str().as_bytes();
    let cancellable = to.stores(message.persistent());
    Arc::new(message.forwarded(b"", name, message.properties(), cancellable))
}

/// Takes messages from the head of a queue, as long as the other has room for them.
fn take(from: &Arc<Queue>, to: &Arc<Queue>, count: usize, bytes: u64, fx: &mut Effects) -> Slice {
    let mut slice = Slice {
        transfer: Transfer::of_publishes(),
        ..Slice::default()
    };
    let to = std::slice::from_ref(to);
    let mut bodies = 0;
    while slice.entries.len() < count && (slice.bytes < bytes || slice.entries.is_empty()) {
        // A message that has to stay had better never leave.
        let others = slice.entries.len() as u64;
        if let Some(head) = from.head()
            && to[0].has_no_room(&head, others, bodies)
        {
            slice.is_full = true;
            break;
        }
        let Some((entry, _)) = from.get(false, fx) else {
            break;
        };
        let message = moved(&entry.message, &to[0]);
        if !slice.transfer.add_if_room(&message, to) {
            from.requeue([(entry, Return::Unseen)], fx);
            slice.is_full = true;
            break;
        }
        bodies += entry.message.body().len() as u64;
        slice.bytes += entry.weight();
        slice.entries.push(entry);
    }
    slice
}

/// Lets the messages leave the queue and enter the other. Puts them back into their places if the other has been deleted,
/// and returns false.
fn carry_over(from: &Arc<Queue>, slice: &mut Slice, fx: &mut Effects) -> bool {
    fx.perform();
    fx.begin_atomic();
    let leave = |fx: &mut Effects| from.settle(&slice.entries, [], fx);
    // Under the lock with which it is deleted: a look before would say nothing about the moment when they enter.
    let entered = slice.transfer.perform_if_any_exists(leave, fx);
    if !entered {
        let back = slice.entries.drain(..);
        from.requeue(back.map(|entry| (entry, Return::Unseen)), fx);
    }
    fx.perform();
    entered
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Calls, broker};
    use super::*;
    use crate::domain::operations::{NewMessage, Published, QueueConditions};
    use leveret_protocol::values::{AMQPValue, FieldTable};
    use leveret_storage::Op;

    const ALL: MoveBounds = MoveBounds {
        count: u64::MAX,
        bytes: 64 << 20,
        time: Duration::from_secs(60),
    };

    fn table(arguments: &[(&str, AMQPValue)]) -> FieldTable {
        let mut table = FieldTable::default();
        for (name, value) in arguments {
            table.insert((*name).into(), value.clone());
        }
        table
    }

    /// Returns calls with the queues `a`, which has as many messages, and `b` with these arguments.
    fn world(messages: usize, arguments: &[(&str, AMQPValue)]) -> Calls {
        let mut calls = Calls::alone(&broker(), "guest");
        assert_eq!(calls.declare_with("a", "", FieldTable::default()), Ok(()));
        assert_eq!(calls.declare_with("b", "", table(arguments)), Ok(()));
        for n in 0..messages {
            let message = NewMessage {
                exchange: "",
                routing_key: b"a",
                properties: &[0, 0],
                body: n.to_string().into_bytes().into(),
            };
            let published = calls.caller.publish(message, &mut calls.fx);
            assert_eq!(published, Ok(Published::Routed));
        }
        calls.fx.perform();
        calls
    }

    fn moves(calls: &mut Calls, from: &str, to: &str, bounds: MoveBounds) -> Result<Moved, String> {
        let moved = calls
            .caller
            .move_messages(&from.into(), &to.into(), bounds, &mut calls.fx);
        calls.fx.perform();
        moved.map_err(|error| error.text)
    }

    /// Takes all messages of a queue.
    fn bodies(calls: &mut Calls, queue: &str) -> Vec<(String, bool)> {
        let queue = calls.caller.vhost().queue(queue).unwrap();
        let mut bodies = Vec::new();
        while let Some((entry, _)) = queue.get(true, &mut calls.fx) {
            let body = String::from_utf8_lossy(entry.message.body()).into_owned();
            bodies.push((body, entry.redelivered()));
        }
        bodies
    }

    fn numbers(range: std::ops::Range<usize>) -> Vec<(String, bool)> {
        range.map(|n| (n.to_string(), false)).collect()
    }

    #[test]
    fn messages_are_moved_in_their_order() {
        let mut calls = world(1000, &[]);
        let some = MoveBounds { count: 300, ..ALL };
        let expected = |moved, remaining| {
            Ok(Moved {
                moved,
                remaining,
                is_full: false,
            })
        };
        assert_eq!(moves(&mut calls, "a", "b", some), expected(300, 700));
        assert_eq!(moves(&mut calls, "a", "b", ALL), expected(700, 0));
        assert_eq!(moves(&mut calls, "a", "b", ALL), expected(0, 0));
        assert_eq!(bodies(&mut calls, "b"), numbers(0..1000));
        let source = calls.caller.vhost().queue("a").unwrap();
        assert_eq!(source.counts().unacked, 0);
    }

    #[test]
    fn one_message_is_moved_even_if_it_is_too_large() {
        let mut calls = world(10, &[]);
        let little = MoveBounds { bytes: 1, ..ALL };
        assert_eq!(moves(&mut calls, "a", "b", little).unwrap().moved, 1);
    }

    #[test]
    fn what_a_full_queue_would_reject_stays_as_it_was() {
        let reject = AMQPValue::LongString("reject-publish".into());
        let limits = [
            ("x-max-length", AMQPValue::LongInt(3)),
            ("x-overflow", reject),
        ];
        let mut calls = world(10, &limits);
        let full = Moved {
            moved: 3,
            remaining: 7,
            is_full: true,
        };
        assert_eq!(moves(&mut calls, "a", "b", ALL), Ok(full));
        let more = Moved { moved: 0, ..full };
        assert_eq!(moves(&mut calls, "a", "b", ALL), Ok(more));
        assert_eq!(bodies(&mut calls, "a"), numbers(3..10));
        assert_eq!(bodies(&mut calls, "b"), numbers(0..3));
    }

    /// Deletes a queue, and returns how many messages it had.
    fn delete(calls: &mut Calls, queue: &str) -> u64 {
        let conditions = QueueConditions::default();
        let deleted = calls.caller.delete_queue(queue, conditions, &mut calls.fx);
        calls.fx.perform();
        deleted.unwrap().unwrap().1
    }

    #[test]
    fn what_has_not_left_when_the_destination_is_deleted_stays_in_its_place() {
        let mut calls = world(10, &[]);
        let [a, b] = ["a", "b"].map(|name| calls.caller.vhost().queue(name).unwrap());
        let mut slice = take(&a, &b, 4, 1 << 20, &mut calls.fx);
        assert_eq!((slice.entries.len(), a.counts().ready), (4, 6));
        delete(&mut calls, "b");
        assert!(!carry_over(&a, &mut slice, &mut calls.fx));
        assert_eq!((a.counts().ready, a.counts().unacked), (10, 0));
        let refused = calls.caller.move_between(&a, &b, ALL, &mut calls.fx);
        calls.fx.perform();
        let text = refused.unwrap_err().text;
        assert!(text.starts_with("NOT_FOUND - no queue 'b'"), "{text}");
        assert_eq!(bodies(&mut calls, "a"), numbers(0..10));
        delete(&mut calls, "a");
        let refused = calls.caller.move_between(&a, &b, ALL, &mut calls.fx);
        let text = refused.unwrap_err().text;
        assert!(text.starts_with("NOT_FOUND - no queue 'a'"), "{text}");
    }

    #[test]
    fn a_destination_that_is_deleted_meanwhile_takes_no_more_with_it_than_entered() {
        const ALL_MESSAGES: usize = 20_000;
        let mut calls = world(ALL_MESSAGES, &[]);
        let mut other = Calls::alone(&calls.caller.broker, "guest");
        let deleting = std::thread::spawn(move || {
            let queue = other.caller.vhost().queue("b").unwrap();
            while queue.counts().ready == 0 {
                std::thread::yield_now();
            }
            delete(&mut other, "b")
        });
        let moved = moves(&mut calls, "a", "b", ALL).unwrap();
        let deleted = deleting.join().unwrap();
        // A slice that is on its way when the queue is deleted is not counted there.
        assert!(
            moved.moved - deleted <= SLICE as u64,
            "{moved:?}: {deleted}"
        );
        assert_eq!(moved.moved + moved.remaining, ALL_MESSAGES as u64);
        let left = numbers(moved.moved as usize..ALL_MESSAGES);
        assert_eq!(bodies(&mut calls, "a"), left);
    }

    #[test]
    fn what_cannot_be_moved_is_refused() {
        let mut calls = world(1, &[]);
        let stream = [("x-queue-type", AMQPValue::LongString("stream".into()))];
        assert_eq!(calls.declare_with("s", "durable", table(&stream)), Ok(()));
        for (from, to, reason) in [
            ("a", "a", "PRECONDITION_FAILED - messages cannot be moved"),
            ("a", "nowhere", "NOT_FOUND - no queue 'nowhere'"),
            ("nowhere", "a", "NOT_FOUND - no queue 'nowhere'"),
            ("s", "a", "NOT_IMPLEMENTED"),
        ] {
            let refused = moves(&mut calls, from, to, ALL).unwrap_err();
            assert!(refused.starts_with(reason), "{refused}");
        }
        assert_eq!(moves(&mut calls, "a", "s", ALL).unwrap().moved, 1);
    }

    #[test]
    fn leaving_and_entering_are_one_batch() {
        let mut fx = Effects::default();
        let durable = |id: u64, name: &str| {
            let spec = crate::engine::queue::QueueSpec {
                name: name.into(),
                durable: true,
                auto_delete: false,
                exclusive_to: None,
                arguments: FieldTable::default(),
            };
            let id = leveret_storage::QueueId(id);
            Arc::new(Queue::new(
                id,
                "/".into(),
                spec,
                leveret_storage::Position(0),
            ))
        };
        let (from, to) = (durable(1, "a"), durable(2, "b"));
        let builder = crate::engine::message::MessageBuilder::new(b"", b"a", &[0, 0], true, 0);
        from.publish([(Arc::new(builder.finish(true)), None)], false, &mut fx);
        fx.forget_ops();
        let mut slice = take(&from, &to, 10, 1 << 20, &mut fx);
        assert_eq!(slice.entries.len(), 1);
        fx.forget_ops();
        fx.begin_atomic();
        slice.transfer.perform(
            |fx| {
                from.settle(&slice.entries, [], fx);
                let ops = fx.ops();
                let published = ops.iter().position(|op| matches!(op, Op::Publish { .. }));
                let settled = ops.iter().position(|op| matches!(op, Op::Settle { .. }));
                assert!(published.is_some() && published < settled, "{}", ops.len());
            },
            &mut fx,
        );
        assert_eq!((from.counts().unacked, to.counts().ready), (0, 1));
    }
}
