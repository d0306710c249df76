//! Measures how fast commits are: `cargo run --release -p leveret-storage --example commit_rate [directory]`.
//!
//! One submitter waits for each commit, with 1, 128 and 1024 messages of 1 KiB per commit; then one keeps several
//! commits waiting, with and without acks; then opening is timed.

#![allow(clippy::expect_used)] // a tool: the first error ends it

use std::{
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use leveret_storage::{Batch, CommitSink, Op, Options, Position, QueueId, Store, Token};

const BODY: usize = 1024;
const TIME: Duration = Duration::from_secs(3);

struct Sink(Sender<u64>);

impl CommitSink for Sink {
    fn committed(&self, tokens: &[Token]) {
        for token in tokens {
            // The receiver goes first at the end.
            let _ = self.0.send(token.0.get() - 1);
        }
    }
}

struct Load {
    store: Store,
    sink: Arc<Sink>,
    told: Receiver<u64>,
    messages: Vec<Arc<Bytes>>,
    next: u64,
}

impl Load {
    fn new(store: Store) -> Load {
        let (sender, told) = channel();
        // Incompressible, and not all the same.
        let mut seed = 0x9E37_79B9_7F4A_7C15u64;
        let mut byte = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as u8
        };
        let messages = (0..256)
            .map(|_| Arc::new((0..BODY).map(|_| byte()).collect::<Bytes>()))
            .collect();
        Load {
            store,
            sink: Arc::new(Sink(sender)),
            told,
            messages,
            next: 0,
        }
    }

    /// Returns a batch of `size` publishes, with a token on the last one, and acks of messages `lag` positions back.
    fn submit(&mut self, size: u64, lag: Option<u64>) {
        let queue = QueueId(1);
        let mut ops = Vec::with_capacity(size as usize + 1);
        for i in 0..size {
            let position = Position(self.next);
            let message = self.messages[self.next as usize % self.messages.len()].clone();
            let token = (i + 1 == size).then(|| Token(NonZeroU64::MIN.saturating_add(self.next)));
            ops.push(Op::Publish {
                queue,
                position,
                message,
                token,
            });
            self.next += 1;
        }
        if let Some(last) = lag.and_then(|lag| self.next.checked_sub(lag)) {
            let first = Position(last.saturating_sub(size));
            ops.push(Op::Ack {
                queue,
                first,
                last: Position(last),
            });
        }
        self.store.submit(Batch {
            ops,
            sink: Some(self.sink.clone()),
        });
    }

    fn run(&mut self, name: &str, size: u64, window: usize, lag: Option<u64>) {
        let before = self.store.stats();
        let (start, first) = (Instant::now(), self.next);
        let mut times = Vec::new();
        let mut submitted = std::collections::VecDeque::new();
        while start.elapsed() < TIME || !submitted.is_empty() {
            while submitted.len() < window && start.elapsed() < TIME {
                submitted.push_back(Instant::now());
                self.submit(size, lag);
            }
            if let Some(at) = submitted.pop_front() {
                self.told.recv().expect("the store is alive");
                times.push(at.elapsed());
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        times.sort();
        let after = self.store.stats();
        let messages = (self.next - first) as f64;
        println!(
            "{name:34} {:>8.0} msg/s  p50 {:>6} us  p99 {:>6} us  log bytes/payload {:.3}  log {:>4} MB  sled {:>5} MB",
            messages / seconds,
            times[times.len() / 2].as_micros(),
            times[times.len() * 99 / 100].as_micros(),
            (after.bytes_written - before.bytes_written) as f64 / (messages * BODY as f64),
            after.log_bytes >> 20,
            after.sled_bytes >> 20,
        );
    }
}

fn rss() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status
        .lines()
        .filter(|l| l.starts_with("VmRSS") || l.starts_with("VmHWM"));
    lines
        .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(", ")
}

fn open(path: &Path, what: &str) -> Store {
    let start = Instant::now();
    let opened = Store::open(Options::new(path)).expect("opens");
    let (messages, replayed) = (
        opened.queues.iter().map(|q| q.messages).sum::<u64>(),
        opened.report.replayed_bytes,
    );
    println!(
        "open {what}: {:.1} ms, {messages} messages, {} MB of log replayed; {}",
        start.elapsed().as_secs_f64() * 1e3,
        replayed >> 20,
        rss()
    );
    opened.store
}

fn main() {
    let base = std::env::args()
        .nth(1)
        .map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let path = base.join(format!("commit-rate-{}", std::process::id()));
    {
        let mut load = Load::new(open(&path, "empty"));
        for size in [1, 128, 1024] {
            load.run(
                &format!("{size} per commit, acked 10000 behind"),
                size,
                1,
                Some(10_000),
            );
        }
        load.run("1000 in flight, acked 10000 behind", 10, 100, Some(10_000));
        load.run("1000 in flight, nothing acked", 10, 100, None);
        let start = Instant::now();
        load.store.close().expect("closes");
        println!(
            "close: {:.1} ms; {}",
            start.elapsed().as_secs_f64() * 1e3,
            rss()
        );
    }
    let store = open(&path, "with a backlog");
    let start = Instant::now();
    let (mut from, mut read) = (Position(0), 0);
    while start.elapsed() < TIME {
        let messages = store.read(QueueId(1), from, 1000, 1 << 20).expect("reads");
        let Some((last, _)) = messages.last() else {
            break;
        };
        from = Position(last.0 + 1);
        read += messages.len();
    }
    println!(
        "read {read} messages back: {:.0} msg/s; {}",
        read as f64 / start.elapsed().as_secs_f64(),
        rss()
    );
    store.close().expect("closes");
    drop(store);
    open(&path, "after a clean close").close().expect("closes");
    std::fs::remove_dir_all(&path).expect("cleans up");
}
