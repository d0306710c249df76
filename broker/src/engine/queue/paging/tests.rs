//! Backlogs that leave memory and come back, at any moment and in any order, are the same backlogs.

mod leaving;
mod missing;
mod parts;

use crate::engine::message::MessageBuilder;
use crate::engine::queue::machine::Machine;
use crate::engine::queue::paging::{Holder, Job, Limits, PageMover, PageWork, Reading, Section};
use crate::engine::queue::{Effects, Entry, Environment, Queue, QueueSpec, Return};
use crate::plumbing::paging::{Pager, Records};
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_storage::{Op, Position, QueueId, Spill, StorageError};
use parking_lot::Mutex;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a store would keep.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<BTreeMap<u64, bytes::Bytes>>>);

impl Kept {
    fn take(&self, ops: &[Op]) {
        let mut kept = self.0.lock();
        for op in ops {
            match op {
                Op::Publish {
                    queue,
                    position,
                    message,
                    ..
                } if message.begin_write(*queue) => {
                    let mut encoded = Vec::new();
                    message.encode(&mut encoded);
                    kept.insert(position.0, encoded.into());
                }
                Op::Ack { first, last, .. } => {
                    for position in first.0..=last.0 {
                        kept.remove(&position);
                    }
                }
                _ => {}
            }
        }
    }
}

impl Records for Kept {
    fn read(
        &self,
        _queue: QueueId,
        from: Position,
        max_messages: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Position, bytes::Bytes)>, StorageError> {
        let kept = self.0.lock();
        let mut bytes = 0;
        let fits = |(_, stored): &(&u64, &bytes::Bytes)| {
            bytes += stored.len();
            bytes == stored.len() || bytes <= max_bytes
        };
        let found = kept.range(from.0..).take(max_messages).take_while(fits);
        Ok(found
            .map(|(at, bytes)| (Position(*at), bytes.clone()))
            .collect())
    }

    fn flush(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Plain,
    Priorities,
    Quorum,
}

#[derive(Clone, Debug)]
enum Step {
    Publish {
        persistent: bool,
        size: usize,
        priority: u8,
        count: usize,
    },
    Get {
        no_ack: bool,
        count: usize,
    },
    Settle(prop::sample::Index),
    Requeue(prop::sample::Index),
    RequeueAll,
    /// So much time goes by that what waits is ready.
    Time,
    Work {
        oldest: bool,
        count: usize,
    },
    /// Everything that can be leaves memory, or what the queue was not used for.
    PageOutIdle {
        everything: bool,
    },
    Purge,
}

fn step() -> impl Strategy<Value = Step> {
    let priority = prop_oneof![0u8..10, 28u8..40];
    let publish = (any::<bool>(), 0usize..9000, priority, 1usize..8).prop_map(
        |(persistent, size, priority, count)| Step::Publish {
            persistent,
            size,
            priority,
            count,
        },
    );
    // Long runs of one kind are what a store gives back by range.
    let run = (any::<bool>(), 0usize..600, 20usize..60).prop_map(|(persistent, size, count)| {
        Step::Publish {
            persistent,
            size,
            priority: 0,
            count,
        }
    });
    let get = (any::<bool>(), 1usize..20).prop_map(|(no_ack, count)| Step::Get { no_ack, count });
    let work = (any::<bool>(), 1usize..6).prop_map(|(oldest, count)| Step::Work { oldest, count });
    prop_oneof![
        4 => publish,
        4 => run,
        6 => get,
        2 => any::<prop::sample::Index>().prop_map(Step::Settle),
        2 => any::<prop::sample::Index>().prop_map(Step::Requeue),
        1 => Just(Step::RequeueAll),
        2 => Just(Step::Time),
        8 => work,
        3 => any::<bool>().prop_map(|everything| Step::PageOutIdle { everything }),
        1 => Just(Step::Purge),
    ]
}

/// How long what comes back waits, where it does.
const DELAY: Duration = Duration::from_secs(1);

/// A message as the model knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    position: u64,
    line: u8,
    stored: bool,
    size: u64,
}

struct Bench {
    kind: Kind,
    queue: Arc<Queue>,
    pager: Arc<Pager>,
    kept: Kept,
    fx: Effects,
    next: u64,
    ready: BTreeMap<(u8, u64), Known>,
    unacked: Vec<(Entry, Known)>,
    /// What comes back waits.
    delays: bool,
    waiting: Vec<Known>,
    now: Instant,
    _directory: tempfile::TempDir,
}

impl Bench {
    fn new(kind: Kind) -> Self {
        Bench::with_delays(kind, false)
    }

    fn with_delays(kind: Kind, delays: bool) -> Self {
        Bench::with_budget(kind, delays, 0)
    }

    fn with_budget(kind: Kind, delays: bool, budget: u64) -> Self {
        let mut arguments = FieldTable::default();
        if delays {
            let all = AMQPValue::LongString("all".into());
            arguments.insert("x-delayed-retry-type".into(), all);
            let delay = AMQPValue::LongLongInt(DELAY.as_millis() as i64);
            arguments.insert("x-delayed-retry-min".into(), delay);
        }
        match kind {
            Kind::Plain => {}
            Kind::Priorities => {
                arguments.insert("x-max-priority".into(), AMQPValue::LongInt(3));
            }
            Kind::Quorum => {
                let value = AMQPValue::LongString("quorum".into());
                arguments.insert("x-queue-type".into(), value);
            }
        }
        let spec = QueueSpec {
            name: "q".into(),
            durable: true,
            auto_delete: false,
            exclusive_to: None,
            arguments,
        };
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept::default();
        let limits = Limits { budget, page: 4096 };
        let spill = Spill::open(directory.path()).unwrap();
        let pager = Arc::new(Pager::by_hand(limits, Some(Box::new(kept.clone())), spill));
        let environment = Environment {
            pager: Some(pager.clone()),
            ..Environment::default()
        };
        let (now, mut fx) = (Instant::now(), Effects::on(environment, None));
        fx.begin_at(now);
        Bench {
            kind,
            queue: Arc::new(Queue::new(QueueId(1), "/".into(), spec, Position(0))),
            pager,
            kept,
            fx,
            next: 0,
            ready: BTreeMap::new(),
            unacked: Vec::new(),
            delays,
            waiting: Vec::new(),
            now,
            _directory: directory,
        }
    }

    fn perform(&mut self) {
        self.kept.take(self.fx.ops());
        self.fx.perform();
    }

    /// Lower comes first.
    fn line(&self, priority: u8) -> u8 {
        match self.kind {
            Kind::Plain => 0,
            Kind::Priorities => 3 - priority.min(3),
            Kind::Quorum => 31 - priority.min(31),
        }
    }

    fn publish(&mut self, persistent: bool, size: usize, priority: u8) {
        let mode = if persistent { 2 } else { 1 };
        let properties = [1 << 4 | 1 << 3, 0, mode, priority];
        let mut builder = MessageBuilder::new(b"", b"key", &properties, persistent, size as u64);
        let mut body = vec![7; size];
        for (byte, mark) in body.iter_mut().zip(self.next.to_be_bytes()) {
            *byte = mark;
        }
        builder.push(&body).unwrap();
        let message = Arc::new(builder.finish(true));
        self.queue.publish([(message, None)], false, &mut self.fx);
        let known = Known {
            position: self.next,
            line: self.line(priority),
            stored: persistent || matches!(self.kind, Kind::Quorum),
            size: size as u64,
        };
        self.ready.insert((known.line, known.position), known);
        self.next += 1;
        self.perform();
    }

    /// The message whose turn it is.
    fn expected(&mut self) -> Option<Known> {
        self.ready.pop_first().map(|(_, known)| known)
    }

    fn get(&mut self, no_ack: bool) {
        let expected = self.expected();
        let taken = self.queue.get(no_ack, &mut self.fx);
        self.perform();
        let position = taken.as_ref().map(|(entry, _)| entry.position.0);
        assert_eq!(position, expected.map(|known| known.position));
        let (Some((entry, left)), Some(known)) = (taken, expected) else {
            return;
        };
        assert_eq!(left, self.ready.len() as u64);
        let body = entry.message.body();
        assert_eq!(body.len() as u64, known.size);
        let mark = known.position.to_be_bytes();
        assert!(body.iter().zip(mark).all(|(byte, mark)| *byte == mark));
        let persistent = entry.message.persistent();
        assert_eq!(
            persistent || matches!(self.kind, Kind::Quorum),
            known.stored
        );
        if !no_ack {
            self.unacked.push((entry, known));
        }
    }

    /// The reading of the next page that is on disk, under way.
    fn next_reading(&mut self) -> Option<Job> {
        let next = |machine: &mut Machine| machine.ready.next_read(u64::MAX);
        let (line, reading) = self.queue.with_machine(next)?;
        let Reading::Line(page, source, outline) = reading else {
            panic!("{reading:?}");
        };
        Some(Job {
            owner: self.queue.clone(),
            section: Section::Line(line),
            page,
            work: PageWork::Read(source, outline),
        })
    }

    fn take_unacked(&mut self, index: &prop::sample::Index) -> Option<(Entry, Known)> {
        let count = self.unacked.len();
        (count > 0).then(|| self.unacked.swap_remove(index.index(count)))
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Publish {
                persistent,
                size,
                priority,
                count,
            } => (0..*count).for_each(|_| self.publish(*persistent, *size, *priority)),
            Step::Get { no_ack, count } => (0..*count).for_each(|_| self.get(*no_ack)),
            Step::Settle(index) => {
                if let Some((entry, _)) = self.take_unacked(index) {
                    self.queue.settle([&entry], [], &mut self.fx);
                }
            }
            Step::Requeue(index) => {
                let taken = self.take_unacked(index);
                self.requeue(taken.into_iter().collect());
            }
            Step::RequeueAll => {
                let all = std::mem::take(&mut self.unacked);
                self.requeue(all);
            }
            Step::Time => self.end_waits(),
            Step::Work { oldest, count } => {
                for _ in 0..*count {
                    self.pager.clone().perform_one_job(*oldest, &mut self.fx);
                    self.perform();
                }
            }
            Step::PageOutIdle { everything } => {
                let _holds = self.queue.clone().page_out_idle(*everything, &mut self.fx);
            }
            Step::Purge => {
                let purged = self.queue.purge(&mut self.fx);
                assert_eq!(purged, (self.ready.len() + self.waiting.len()) as u64);
                self.ready.clear();
                self.waiting.clear();
            }
        }
        self.perform();
        self.check();
    }

    fn requeue(&mut self, back: Vec<(Entry, Known)>) {
        for (_, known) in &back {
            if self.delays {
                self.waiting.push(*known);
            } else {
                self.ready.insert((known.line, known.position), *known);
            }
        }
        let back = back.into_iter();
        let back = back.map(|(entry, _)| (entry, Return::Released));
        self.queue.requeue(back, &mut self.fx);
    }

    /// What waits becomes ready, be it on disk.
    fn end_waits(&mut self) {
        self.now += DELAY;
        self.fx.begin_at(self.now);
        while self.queue.counts().waiting.messages > 0 {
            self.queue.run_due(&mut self.fx);
            self.perform();
            if self.queue.counts().waiting.messages > 0 {
                let worked = self.pager.clone().perform_one_job(true, &mut self.fx);
                assert!(worked, "it is due, and nobody reads it");
                self.perform();
            }
        }
        for known in self.waiting.drain(..) {
            self.ready.insert((known.line, known.position), known);
        }
    }

    fn check(&self) {
        let counts = self.queue.counts();
        let size = |known: &Known| known.size;
        let waiting = self.waiting.iter();
        assert_eq!(counts.waiting.messages, self.waiting.len() as u64);
        assert_eq!(counts.waiting.bytes, waiting.clone().map(size).sum::<u64>());
        assert_eq!(counts.ready, self.ready.len() as u64);
        assert_eq!(
            counts.ready_bytes,
            self.ready.values().map(size).sum::<u64>()
        );
        assert_eq!(counts.unacked, self.unacked.len() as u64);
        let unacked = self.unacked.iter().map(|(_, known)| known);
        let stored: Vec<&Known> = self
            .ready
            .values()
            .chain(unacked)
            .chain(waiting)
            .filter(|known| known.stored)
            .collect();
        assert_eq!(counts.persistent, stored.len() as u64);
        let bytes = stored.iter().map(|known| known.size).sum::<u64>();
        assert_eq!(counts.persistent_bytes, bytes);
        let mut positions: Vec<u64> = stored.iter().map(|known| known.position).collect();
        positions.sort_unstable();
        let kept: Vec<u64> = self.kept.0.lock().keys().copied().collect();
        assert_eq!(kept, positions, "what the store keeps");
    }

    /// Nothing stays behind: no file, no count.
    fn end(mut self) {
        self.end_waits();
        while !self.ready.is_empty() {
            self.get(true);
        }
        while let Some((entry, _)) = self.unacked.pop() {
            self.queue.settle([&entry], [], &mut self.fx);
        }
        self.perform();
        while self.pager.clone().perform_one_job(true, &mut self.fx) {
            self.perform();
        }
        self.check();
        assert_eq!(self.pager.memory(), 0);
        assert_eq!(self.pager.spilled(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_backlog_that_leaves_memory_is_the_same_backlog(
        kind in prop_oneof![Just(Kind::Plain), Just(Kind::Priorities), Just(Kind::Quorum)],
        delays in any::<bool>(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut bench = Bench::with_delays(kind, delays);
        for step in &steps {
            bench.run(step);
        }
        bench.end();
    }
}

#[test]
fn what_is_paged_out_is_not_in_memory() {
    for persistent in [false, true] {
        let mut bench = Bench::new(Kind::Plain);
        for _ in 0..1000 {
            bench.publish(persistent, 1000, 0);
            while bench.pager.clone().perform_one_job(true, &mut bench.fx) {}
        }
        // A page at the head, one that was read, and what does not fill one.
        assert!(bench.pager.memory() < 6 * 4096, "{}", bench.pager.memory());
        let spilled = bench.pager.spilled();
        assert_eq!(spilled > 900_000, !persistent, "{spilled}");
        bench.end();
    }
}

impl Bench {
    fn work(&mut self) {
        self.perform();
        while self.pager.clone().perform_one_job(true, &mut self.fx) {
            self.perform();
        }
    }
}

#[test]
fn messages_that_the_store_has_lost_are_passed_over() {
    let mut bench = Bench::new(Kind::Plain);
    for _ in 0..200 {
        bench.publish(true, 1000, 0);
    }
    while bench.pager.clone().perform_one_job(true, &mut bench.fx) {}
    bench
        .kept
        .0
        .lock()
        .retain(|position, _| !(100..110).contains(position));
    for expected in (0..100).chain(110..200) {
        let (entry, _) = bench.queue.get(true, &mut bench.fx).unwrap();
        bench.perform();
        assert_eq!(entry.position.0, expected);
    }
    assert!(bench.queue.get(true, &mut bench.fx).is_none());
    let counts = bench.queue.counts();
    assert_eq!(
        (counts.ready, counts.ready_bytes, counts.persistent),
        (0, 0, 0)
    );
}

#[test]
fn what_cannot_be_written_stays_in_memory() {
    let mut bench = Bench::new(Kind::Plain);
    let directory = bench._directory.path().to_owned();
    std::fs::remove_dir_all(&directory).unwrap();
    for _ in 0..200 {
        bench.publish(false, 1000, 0);
        while bench.pager.clone().perform_one_job(true, &mut bench.fx) {}
    }
    for _ in 0..200 {
        bench.get(true);
    }
    std::fs::create_dir_all(&directory).unwrap();
}
