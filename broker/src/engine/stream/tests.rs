//! Random life of a stream against a list: appends by several publishers whose commits come when
//! they come, consumers from anywhere, acknowledgements, retention, restarts. What was committed
//! and is kept is delivered to each consumer once, in order, and nothing else is.

use super::cursor::{AfterTurn, Read, Source};
use super::handle::Stream;
use super::record::{Record, Stored};
use super::start::StartAt;
use super::units::Unit;
use crate::engine::interfaces::ConnectionId;
use crate::engine::message::{MessageBuilder, SharedMessage};
use crate::engine::queue::{Consumer, ConsumerId, Credit, Effects, Queue, QueueSpec};
use crate::plumbing::ledger::Ledger;
use crate::plumbing::mailbox::{Mail, Mailbox};
use leveret_protocol::ChannelId;
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_storage::{Op, Position, QueueId, Storable};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Bytes of a message's body: 16 of them fill a unit.
const BODY: usize = 1000;

#[derive(Clone, Debug)]
enum Step {
    /// So many messages are handed to the store.
    Append(u8),
    /// The store commits one of the batches that wait.
    Commit(prop::sample::Index),
    Consume {
        start: u8,
        prefetch: u8,
    },
    Cancel(prop::sample::Index),
    /// A consumer acknowledges so many.
    Ack(prop::sample::Index, u8),
    Pass {
        millis: u16,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (1u8..30).prop_map(Step::Append),
        6 => index().prop_map(Step::Commit),
        2 => (0u8..60, 1u8..20).prop_map(|(start, prefetch)| Step::Consume { start, prefetch }),
        1 => index().prop_map(Step::Cancel),
        6 => (index(), 1u8..20).prop_map(|(at, count)| Step::Ack(at, count)),
        2 => (0u16..3000).prop_map(|millis| Step::Pass { millis }),
        1 => Just(Step::Restart),
    ]
}

/// What a consumer should have, and has.
struct Reader {
    consumer: Arc<Consumer>,
    mailbox: Arc<Mailbox>,
    /// The next offset that it may see.
    next: u64,
    seen: usize,
    unacked: u32,
    prefetch: u32,
}

struct World {
    queue: Arc<Queue>,
    /// What the store keeps: the time of each.
    kept: BTreeMap<u64, u64>,
    waiting: Vec<Range<u64>>,
    readers: Vec<Reader>,
    now: u64,
    next: u64,
    next_id: u64,
    ledger: Arc<Ledger>,
}

fn arguments() -> FieldTable {
    let mut arguments = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(text.into());
    arguments.insert("x-queue-type".into(), text("stream"));
    arguments.insert("x-max-age".into(), text("10s"));
    arguments.insert("x-max-length-bytes".into(), AMQPValue::LongInt(100_000));
    let unit = AMQPValue::LongInt(16 * 1024);
    arguments.insert("x-stream-max-segment-size-bytes".into(), unit);
    arguments
}

fn new_queue(next: u64) -> Arc<Queue> {
    let spec = QueueSpec {
        name: "s".into(),
        durable: true,
        auto_delete: false,
        exclusive_to: None,
        arguments: arguments(),
    };
    Arc::new(Queue::new(QueueId(1), "/".into(), spec, Position(next)))
}

fn message(number: u64) -> SharedMessage {
    let body = BODY as u64;
    let key = number.to_string();
    let mut builder = MessageBuilder::new(b"", key.as_bytes(), &[0, 0], false, body);
    builder.push(&[0; BODY]).unwrap();
    Arc::new(builder.finish(false))
}

impl World {
    fn new(read_ahead: u64) -> Self {
        World {
            ledger: Arc::new(Ledger::with_read_ahead(read_ahead)),
            queue: new_queue(0),
            kept: BTreeMap::new(),
            waiting: Vec::new(),
            readers: Vec::new(),
            now: 1_000_000,
            next: 0,
            next_id: 0,
        }
    }

    fn stream(&self) -> &Arc<Stream> {
        self.queue.stream().unwrap()
    }

    /// The store does what it is told.
    fn store(&mut self, fx: &mut Effects) {
        for op in fx.ops() {
            match op {
                Op::Publish {
                    position, message, ..
                } => {
                    let mut bytes = Vec::new();
                    message.encode(&mut bytes);
                    assert_eq!(bytes.len(), message.encoded_len());
                    let stored = Stored::new(bytes.into()).unwrap();
                    self.kept.insert(position.0, stored.time);
                }
                Op::Ack { first, last, .. } => {
                    let end = self.end();
                    assert!(last.0 < end, "nothing goes before it is committed");
                    assert_eq!(self.kept.keys().next(), Some(&first.0), "from the front");
                    self.kept
                        .retain(|offset, _| !(first.0..=last.0).contains(offset));
                }
                _ => panic!("no other record"),
            }
        }
        fx.forget_ops();
    }

    /// Up to where everything is committed.
    fn end(&self) -> u64 {
        let is_waiting = |offset: &u64| self.waiting.iter().any(|range| range.contains(offset));
        (0..self.next).find(is_waiting).unwrap_or(self.next)
    }

    fn append(&mut self, count: u8) {
        let mut fx = Effects::default();
        let messages: Vec<SharedMessage> = (0..u64::from(count))
            .map(|n| message(self.next + n))
            .collect();
        let offsets = {
            let mut machine = self.stream().machine.lock();
            machine.append(
                messages.iter().map(|m| (m.clone(), None)),
                self.now,
                &mut fx,
            )
        };
        assert_eq!(offsets, self.next..self.next + u64::from(count));
        self.next = offsets.end;
        self.waiting.push(offsets);
        self.store(&mut fx);
    }

    fn commit(&mut self, at: &prop::sample::Index) {
        if self.waiting.is_empty() {
            return;
        }
        let offsets = self.waiting.remove(at.index(self.waiting.len()));
        let end = self.end();
        let cursors = self.stream().machine.lock().committed(offsets);
        for cursor in &cursors {
            assert!(
                self.readers
                    .iter()
                    .any(|r| r.consumer.id == cursor.consumer.id)
            );
        }
        assert_eq!(self.queue.counts().ready, end.saturating_sub(self.first()));
        let extent = self.stream().extent();
        assert_eq!(
            (extent.first, extent.next),
            (self.first(), end.max(self.first()))
        );
    }

    fn first(&self) -> u64 {
        self.kept.keys().next().copied().unwrap_or(self.next)
    }

    fn consume(&mut self, start: u8, prefetch: u8) {
        self.next_id += 1;
        let mailbox = Arc::new(Mailbox::counted(
            ConnectionId(self.next_id),
            self.ledger.clone(),
        ));
        let (first, end) = (self.first(), self.end());
        let asked = match start {
            0..10 => StartAt::First,
            10..20 => StartAt::Next,
            20..25 => StartAt::Last,
            25..40 => StartAt::Offset((self.next * u64::from(start - 25) / 12).max(1) - 1),
            _ => StartAt::Time(self.now.saturating_sub(u64::from(start - 40) * 1000)),
        };
        let next = match asked {
            StartAt::First => first,
            StartAt::Next => end,
            StartAt::Last => end.saturating_sub(1).max(first),
            StartAt::Offset(offset) => offset.max(first),
            StartAt::Time(time) => {
                let later = self.kept.range(first..).find(|(_, at)| **at >= time);
                later.map_or(end, |(offset, _)| *offset)
            }
        };
        let consumer = Arc::new(Consumer {
            id: ConsumerId(self.next_id),
            tag: "t".into(),
            channel: ChannelId(1),
            queue: self.queue.clone(),
            mailbox: mailbox.clone(),
            no_ack: false,
            exclusive: false,
            priority: 0,
            arguments: Default::default(),
            ack_timeout: None,
            credit: Credit::new(prefetch.into()),
            channel_credit: Arc::new(Credit::new(0)),
            blocked: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
        });
        let mut machine = self.stream().machine.lock();
        machine.consume(consumer.clone(), asked).unwrap();
        drop(machine);
        self.readers.push(Reader {
            consumer,
            mailbox,
            next,
            seen: 0,
            unacked: 0,
            prefetch: prefetch.into(),
        });
    }

    /// Every cursor goes as far as it can.
    fn run(&mut self) {
        for at in 0..self.readers.len() {
            let id = self.readers[at].consumer.id;
            let cursors = self.stream().machine.lock().cursors([id]);
            while cursors[0].turn(self.stream(), self) == AfterTurn::Again {}
            self.check(at);
            let reader = &self.readers[at];
            let shown = cursors[0].offset();
            assert!(
                reader.seen == 0 || shown >= reader.next,
                "it is past what was delivered"
            );
        }
    }

    /// The consumer was delivered what it should have been.
    fn check(&mut self, at: usize) {
        let (first, end) = (self.first(), self.end());
        let reader = &mut self.readers[at];
        let came = reader.mailbox.peek(|mail| {
            let offsets = mail[reader.seen..].iter().map(|mail| match mail {
                Mail::Deliver(_, entry) => {
                    let number = std::str::from_utf8(entry.message.routing_key()).unwrap();
                    assert_eq!(number, entry.position.0.to_string());
                    assert!(!entry.redelivered());
                    entry.position.0
                }
                _ => panic!("only deliveries"),
            });
            offsets.collect::<Vec<u64>>()
        });
        for offset in &came {
            // What was read ahead may have been forgotten meanwhile, so less is skipped than could.
            assert!(*offset >= reader.next, "in order, each once");
            let skipped = reader.next..*offset;
            assert!(
                skipped.end <= first || skipped.is_empty(),
                "{skipped:?} of {first}"
            );
            assert!(*offset < end, "only what is committed");
            reader.next = offset + 1;
        }
        reader.seen += came.len();
        reader.unacked += came.len() as u32;
        assert!(reader.unacked <= reader.prefetch);
        assert_eq!(reader.unacked, reader.consumer.credit.used());
        if reader.unacked < reader.prefetch {
            assert!(reader.next.max(first) >= end, "nothing is held back");
        }
    }

    fn ack(&mut self, at: &prop::sample::Index, count: u8) {
        if self.readers.is_empty() {
            return;
        }
        let at = at.index(self.readers.len());
        let reader = &mut self.readers[at];
        let count = u32::from(count).min(reader.unacked);
        reader.unacked -= count;
        let _ = reader.consumer.credit.give_back(count);
    }

    fn cancel_all(&mut self) {
        for reader in std::mem::take(&mut self.readers) {
            self.stream().cancel(reader.consumer.id);
        }
    }

    /// The broker starts again with what the store has: what was not committed may be there too.
    fn restart(&mut self) {
        self.cancel_all();
        self.waiting.clear();
        let queue = new_queue(self.next);
        let mut units: Vec<Unit> = Vec::new();
        for (offset, &time) in &self.kept {
            match units.last_mut() {
                Some(unit) if unit.bytes < 16 * 1024 - BODY as u64 => {
                    unit.bytes += BODY as u64;
                    unit.last_time = time;
                }
                _ => units.push(Unit {
                    first: *offset,
                    first_time: time,
                    last_time: time,
                    bytes: BODY as u64,
                }),
            }
        }
        queue.stream().unwrap().machine.lock().restore(units);
        self.queue = queue;
    }
}

impl Source for World {
    fn read(&self, from: u64, max: usize) -> Read {
        let found = self.kept.range(from..).take(max.min(20));
        let found = found.map(|(offset, time)| {
            let record = Record {
                time: *time,
                message: message(*offset),
            };
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            (Position(*offset), bytes.into())
        });
        Ok(Some(found.collect()))
    }
}

proptest! {
    #[test]
    fn a_stream_is_a_list(
        steps in prop::collection::vec(step(), 0..120),
        read_ahead in prop::sample::select(vec![0, 4 * BODY as u64, 1 << 30]),
    ) {
        let mut world = World::new(read_ahead);
        for step in steps {
            match step {
                Step::Append(count) => world.append(count),
                Step::Commit(at) => world.commit(&at),
                Step::Consume { start, prefetch } => world.consume(start, prefetch),
                Step::Cancel(at) if !world.readers.is_empty() => {
                    let gone = world.readers.remove(at.index(world.readers.len()));
                    world.stream().cancel(gone.consumer.id);
                }
                Step::Cancel(_) => {}
                Step::Ack(at, count) => world.ack(&at, count),
                Step::Pass { millis } => world.now += u64::from(millis),
                Step::Restart => world.restart(),
            }
            world.run();
        }
        world.cancel_all();
        prop_assert_eq!(world.ledger.read_ahead().used(), 0);
    }
}
