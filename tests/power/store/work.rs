//! Random work on a store.
//!
//! Before a batch is submitted, a line about it goes to the marks: `S NUMBER OPS`, with ops separated by `;`: `p QUEUE
//! POSITION LENGTH` is a publish, `a QUEUE FIRST LAST` an acknowledgement, `x QUEUE` a deletion, `d KEY VERSION LENGTH`
//! a definition, `u KEY` its deletion. `T NUMBER` says that the store has confirmed this batch as durable, and so all
//! before it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leveret_storage::{Batch, CommitSink, Op, Opened, Position, QueueId, Storable, Store, Token};
use parking_lot::{Condvar, Mutex};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::contents::{definition, filling, options, shared_filling};

const QUEUES: u64 = 4;
/// The most batches that are submitted but not confirmed.
const WINDOW: u64 = 40;
/// The number of messages above which a queue is emptied rather than filled.
const BACKLOG: usize = 700;
/// How long a batch may take to become durable, with the disk failing for part of that time.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn work(dir: &Path, seed: u64, batches: u64) {
    let marks = std::env::var_os("LEVERET_POWER_MARKS").expect("a file for the marks");
    let marks = OpenOptions::new()
        .create(true)
        .append(true)
        .open(marks)
        .expect("the marks");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut worker = Worker::open(dir, marks);
    for _ in 0..batches {
        worker.step(&mut rng);
        // Restarts, some of them unclean.
        if rng.random_ratio(1, 400) {
            worker = worker.restart(dir);
        }
    }
    worker.wait_told(0);
    if rng.random() {
        worker.store.close().expect("a clean end");
    } else {
        // The process ends with the store open, as if killed.
        std::mem::forget(worker);
    }
}

/// Opens the store, retrying while the disk fails.
fn open(dir: &Path) -> Opened {
    let until = Instant::now() + PATIENCE;
    loop {
        match Store::open(options(dir)) {
            Ok(opened) => return opened,
            Err(error) => assert!(Instant::now() < until, "open: {error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

struct Message(u64, u64, usize);

impl Storable for Message {
    fn begin_write(&self, _: QueueId) -> bool {
        true
    }

    fn cancel_write(&self) -> bool {
        false
    }

    fn encoded_len(&self) -> usize {
        self.2
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(filling(self.0, self.1, self.2));
    }

    fn encode_or_share(&self, out: &mut Vec<u8>) -> Option<bytes::Bytes> {
        if self.2 < 8_000 {
            self.encode(out);
            return None;
        }
        Some(filling(self.0, self.1, self.2).into())
    }
}

/// Writes a mark for each confirmed batch.
struct Told {
    marks: File,
    last: Mutex<u64>,
    changed: Condvar,
}

impl CommitSink for Told {
    fn committed(&self, tokens: &[Token]) {
        let last = tokens.iter().map(|token| token.0.get()).max().unwrap_or(0);
        (&self.marks)
            .write_all(format!("T {last}").as_bytes())
            .expect("a mark");
        *self.last.lock() = last;
        self.changed.notify_all();
    }
}

struct Worker {
    store: Store,
    told: Arc<Told>,
    submitted: u64,
    next: BTreeMap<u64, u64>,
    /// Published and not acknowledged messages, by batch; and what the store has confirmed.
    fresh: VecDeque<(u64, u64, u64)>,
    live: BTreeMap<u64, VecDeque<u64>>,
    versions: u64,
}

impl Worker {
    fn open(dir: &Path, marks: File) -> Worker {
        let Opened {
            store,
            definitions,
            queues,
            ..
        } = open(dir);
        let mut live = BTreeMap::new();
        let mut next = BTreeMap::new();
        for queue in queues {
            next.insert(queue.queue.0, queue.next_position.0);
            let mut positions = VecDeque::new();
            while let Ok(messages) = store.read(
                queue.queue,
                Position(positions.back().map_or(0, |last| last + 1)),
                1000,
                1 << 20,
            ) {
                if messages.is_empty() {
                    break;
                }
                positions.extend(messages.iter().map(|(position, _)| position.0));
            }
            live.insert(queue.queue.0, positions);
        }
        let version = |value: &[u8]| value.first_chunk().map_or(0, |v| u64::from_be_bytes(*v));
        Worker {
            store,
            told: Arc::new(Told {
                marks,
                last: Mutex::new(0),
                changed: Condvar::new(),
            }),
            submitted: 0,
            next,
            fresh: VecDeque::new(),
            live,
            versions: definitions
                .iter()
                .map(|(_, value)| version(value))
                .max()
                .unwrap_or(0),
        }
    }

    fn restart(self, dir: &Path) -> Worker {
        self.wait_told(0);
        self.store.close().expect("a clean end");
        let Worker {
            submitted,
            mut next,
            told,
            versions,
            ..
        } = self;
        drop(self.store);
        let marks = told.marks.try_clone().expect("a descriptor");
        let mut worker = Worker::open(dir, marks);
        worker.submitted = submitted;
        *worker.told.last.lock() = submitted;
        // Positions are never reused, not even those of a deleted queue.
        next.append(&mut worker.next);
        worker.next = next;
        worker.versions = worker.versions.max(versions);
        worker
    }

    /// Waits until at most this many batches are unconfirmed.
    fn wait_told(&self, window: u64) {
        let until = Instant::now() + PATIENCE;
        let mut last = self.told.last.lock();
        while *last + window < self.submitted {
            let late = self.told.changed.wait_until(&mut last, until).timed_out();
            assert!(
                !late,
                "batch {} is not told: {:?}",
                *last + 1,
                self.store.stats()
            );
        }
    }

    fn step(&mut self, rng: &mut StdRng) {
        self.wait_told(WINDOW);
        let told = *self.told.last.lock();
        while let Some(&(batch, queue, position)) = self.fresh.front() {
            if batch > told {
                break;
            }
            self.live.entry(queue).or_default().push_back(position);
            self.fresh.pop_front();
        }
        let (mut ops, mut words) = (Vec::new(), Vec::new());
        for _ in 0..rng.random_range(1..4) {
            self.change(rng, &mut ops, &mut words);
        }
        self.submitted += 1;
        let number = self.submitted;
        let mark = format!("S {number} {}", words.join(";"));
        (&self.told.marks)
            .write_all(mark.as_bytes())
            .expect("a mark");
        ops.push(Op::Notify {
            // The first has number 1.
            token: Token(NonZeroU64::MIN.saturating_add(number - 1)),
        });
        let sink = Some(self.told.clone() as Arc<dyn CommitSink>);
        if number.is_multiple_of(2) {
            self.store.submit(Batch { ops, sink });
        } else {
            // A small batch is committed directly if the storage thread sleeps.
            self.store.enqueue(Batch { ops, sink });
            self.store.commit();
        }
    }

    fn change(&mut self, rng: &mut StdRng, ops: &mut Vec<Op>, words: &mut Vec<String>) {
        let queue = rng.random_range(0..QUEUES);
        let backlog = self.live.get(&queue).map_or(0, VecDeque::len);
        match rng.random_range(0..1000) {
            0..2 => {
                ops.push(Op::DeleteQueue {
                    queue: QueueId(queue),
                });
                words.push(format!("x {queue}"));
                self.live.remove(&queue);
                self.fresh.retain(|(_, of, _)| *of != queue);
            }
            2..30 => self.define(rng, ops, words),
            30..500 if backlog > 0 => self.acknowledge(queue, rng, ops, words),
            500.. if backlog > BACKLOG => self.acknowledge(queue, rng, ops, words),
            500..530 => self.fan_out(rng, ops, words),
            _ => {
                for _ in 0..rng.random_range(1..8) {
                    let len = match rng.random_range(0..200) {
                        0 => rng.random_range(60_000..400_000),
                        1..10 => rng.random_range(8_000..40_000),
                        _ => rng.random_range(0..2_000),
                    };
                    self.publish(queue, len, ops, words);
                }
            }
        }
    }

    fn publish(&mut self, queue: u64, len: usize, ops: &mut Vec<Op>, words: &mut Vec<String>) {
        let position = self.next.get(&queue).copied().unwrap_or(0);
        let message = Arc::new(Message(queue, position, len));
        self.publish_message(queue, message, ops, words);
    }

    /// Publishes a large message to some of the queues.
    fn fan_out(&mut self, rng: &mut StdRng, ops: &mut Vec<Op>, words: &mut Vec<String>) {
        let len = rng.random_range(17_000..120_000);
        let message = Arc::new(bytes::Bytes::from(shared_filling(len)));
        let first = rng.random_range(0..QUEUES);
        for queue in first..first + rng.random_range(2..=QUEUES) {
            self.publish_message(queue % QUEUES, message.clone(), ops, words);
        }
    }

    fn publish_message(
        &mut self,
        queue: u64,
        message: Arc<dyn Storable>,
        ops: &mut Vec<Op>,
        words: &mut Vec<String>,
    ) {
        let len = message.encoded_len();
        let next = self.next.entry(queue).or_insert(0);
        let position = *next;
        *next += 1;
        ops.push(Op::Publish {
            queue: QueueId(queue),
            position: Position(position),
            message,
            token: None,
        });
        words.push(format!("p {queue} {position} {len}"));
        self.fresh.push_back((self.submitted + 1, queue, position));
    }

    fn define(&mut self, rng: &mut StdRng, ops: &mut Vec<Op>, words: &mut Vec<String>) {
        let key: u64 = rng.random_range(0..6);
        let name = bytes::Bytes::from(key.to_string().into_bytes());
        if rng.random_ratio(1, 4) {
            ops.push(Op::DeleteDefinition { key: name });
            words.push(format!("u {key}"));
            return;
        }
        self.versions += 1;
        let len = if rng.random_ratio(1, 5) {
            rng.random_range(10_000..50_000)
        } else {
            rng.random_range(0..300)
        };
        ops.push(Op::PutDefinition {
            key: name,
            value: definition(key, self.versions, len).into(),
        });
        words.push(format!("d {key} {} {len}", self.versions));
    }

    fn acknowledge(
        &mut self,
        queue: u64,
        rng: &mut StdRng,
        ops: &mut Vec<Op>,
        words: &mut Vec<String>,
    ) {
        let Some(live) = self.live.get_mut(&queue) else {
            return;
        };
        let (first, last) = if rng.random_ratio(1, 3) {
            // One out of the middle.
            let at = rng.random_range(0..live.len());
            let position = live.remove(at).expect("within");
            (position, position)
        } else {
            let count = rng.random_range(1..12).min(live.len());
            let taken: Vec<u64> = live.drain(..count).collect();
            (taken[0], taken[count - 1])
        };
        ops.push(Op::Ack {
            queue: QueueId(queue),
            first: Position(first),
            last: Position(last),
        });
        words.push(format!("a {queue} {first} {last}"));
    }
}
