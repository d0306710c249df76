//! Measures the cost of a large backlog: `cargo run --release -p leveret-storage --example backlog -- DIRECTORY STEP
//! [MESSAGES]`.
//!
//! Steps: `fill` publishes messages of 1 KiB (10 million) to one queue and kills its own process; `fill-clean` closes
//! the store instead; `open` reports how long opening takes; `drain` reads everything in order and acknowledges it;
//! `watch` keeps the store open and reports its size every few seconds; `churn` publishes this many messages, and reads
//! and acknowledges those that are 200 000 messages older. Each reports the memory of the process.

#![allow(clippy::expect_used)] // a tool: the first error ends it

use std::{
    fs,
    path::Path,
    process,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use leveret_storage::{Batch, Op, Opened, Options, Position, QueueId, Store};

const BODY: usize = 1024;
const MESSAGES: u64 = 10_000_000;
/// The number of messages per batch, and of batches between two reports.
const BATCH: u64 = 256;
const REPORT: u64 = 4096;
/// How many messages wait while others come and go.
const CHURNING: u64 = 200_000;
const QUEUE: QueueId = QueueId(1);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let usage = "DIRECTORY STEP [MESSAGES]";
    let directory = arguments.next().expect(usage);
    let step = arguments.next().expect(usage);
    let messages = arguments
        .next()
        .map_or(MESSAGES, |n| n.parse().expect("a number"));
    let directory = Path::new(&directory);
    let start = Instant::now();
    let opened = Store::open(Options {
        weigh: |message| message.len() as u64,
        ..Options::new(directory)
    })
    .expect("opens");
    println!("opened after {:.2?}: {:?}", start.elapsed(), opened.report);
    state("opened", &opened.store, directory);
    match step.as_str() {
        "fill" | "fill-clean" => fill(&opened, messages, directory),
        "drain" => drain(&opened, directory),
        "churn" => churn(&opened, messages, directory),
        "watch" => watch(&opened.store, directory),
        _ => take_stock(&opened),
    }
    if step == "fill" {
        // As kill -9 would: nothing is closed.
        process::abort();
    }
    opened.store.close().expect("closes");
    println!("closed");
    drop(opened);
    println!("directory: {} MB", size(directory) / 1_000_000);
}

fn take_stock(opened: &Opened) {
    let start = Instant::now();
    for queue in &opened.queues {
        let extents = opened.store.extents(queue.queue, 1 << 20).expect("extents");
        println!(
            "{queue:?}\n{} extents in {:.2?}",
            extents.len(),
            start.elapsed()
        );
    }
    let start = Instant::now();
    let head = opened.store.read(QUEUE, Position(0), 100, 1 << 20);
    println!(
        "{} messages at the head in {:.2?}",
        head.expect("reads").len(),
        start.elapsed()
    );
}

fn fill(opened: &Opened, messages: u64, directory: &Path) {
    let store = &opened.store;
    let mut next = opened
        .queues
        .first()
        .map_or(0, |queue| queue.next_position.0);
    let bodies = bodies();
    let (end, start) = (next + messages, Instant::now());
    let mut batches = 0;
    while next < end {
        let ops = (next..next + BATCH)
            .map(|position| Op::Publish {
                queue: QUEUE,
                position: Position(position),
                message: bodies[position as usize % bodies.len()].clone(),
                token: None,
            })
            .collect();
        next += BATCH;
        store.submit(Batch { ops, sink: None });
        while store.backlog_over_mark() {
            thread::sleep(Duration::from_millis(1));
        }
        batches += 1;
        if batches % REPORT == 0 {
            state(
                &format!("{next} after {:.1?}", start.elapsed()),
                store,
                directory,
            );
        }
    }
    store.flush().expect("flushes");
    state(
        &format!("filled {next} in {:.1?}", start.elapsed()),
        store,
        directory,
    );
}

fn drain(opened: &Opened, directory: &Path) {
    let store = &opened.store;
    let (mut from, mut count, start) = (Position(0), 0u64, Instant::now());
    let mut reported = 0;
    loop {
        let messages = store.read(QUEUE, from, 1024, 1 << 20).expect("reads");
        let (Some((first, _)), Some((last, _))) = (messages.first(), messages.last()) else {
            break;
        };
        count += messages.len() as u64;
        from = Position(last.0 + 1);
        let ack = Op::Ack {
            queue: QUEUE,
            first: *first,
            last: *last,
        };
        store.submit(Batch {
            ops: vec![ack],
            sink: None,
        });
        if count / (REPORT * BATCH) > reported {
            reported = count / (REPORT * BATCH);
            state(
                &format!("{count} after {:.1?}", start.elapsed()),
                store,
                directory,
            );
        }
    }
    store.flush().expect("flushes");
    state(
        &format!("drained {count} in {:.1?}", start.elapsed()),
        store,
        directory,
    );
    watch(store, directory);
}

fn churn(opened: &Opened, messages: u64, directory: &Path) {
    let store = &opened.store;
    let bodies = bodies();
    let mut from = Position(0);
    let start = Instant::now();
    for batch in 0..messages / BATCH {
        let first = batch * BATCH;
        let publish = |position: u64| Op::Publish {
            queue: QUEUE,
            position: Position(position),
            message: bodies[position as usize % bodies.len()].clone(),
            token: None,
        };
        let mut ops: Vec<_> = (first..first + BATCH).map(publish).collect();
        if first >= CHURNING {
            let read = store.read(QUEUE, from, BATCH as usize, 1 << 20);
            if let Some((last, _)) = read.expect("reads").last() {
                ops.push(Op::Ack {
                    queue: QUEUE,
                    first: from,
                    last: *last,
                });
                from = Position(last.0 + 1);
            }
        }
        store.submit(Batch { ops, sink: None });
        while store.backlog_over_mark() {
            thread::sleep(Duration::from_millis(1));
        }
        if batch % REPORT == 0 {
            state(
                &format!("{first} after {:.1?}", start.elapsed()),
                store,
                directory,
            );
        }
    }
}

fn watch(store: &Store, directory: &Path) {
    let start = Instant::now();
    for _ in 0..12 {
        thread::sleep(Duration::from_secs(5));
        state(&format!("{:.0?} later", start.elapsed()), store, directory);
    }
}

fn bodies() -> Vec<Arc<Bytes>> {
    // Incompressible, and not all the same.
    let mut seed = 0x9E37_79B9_7F4A_7C15u64;
    let mut byte = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as u8
    };
    (0..256)
        .map(|_| Arc::new((0..BODY).map(|_| byte()).collect::<Bytes>()))
        .collect()
}

fn state(when: &str, store: &Store, directory: &Path) {
    let stats = store.stats();
    println!(
        "{when}: {} ({} MB log, {} MB sled, {} MB in all)",
        memory(),
        stats.log_bytes / 1_000_000,
        stats.sled_bytes / 1_000_000,
        size(directory) / 1_000_000
    );
}

fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |name| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    format!("{}, {}", line("VmRSS"), line("VmHWM"))
}

fn size(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return fs::metadata(path).map_or(0, |meta| meta.len());
    };
    entries.flatten().map(|entry| size(&entry.path())).sum()
}
