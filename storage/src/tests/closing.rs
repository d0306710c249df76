//! Closing a store while others use it, and what a watchdog sees of it.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tempfile::TempDir;

use super::{
    disk::{BadDisk, Shared},
    world::{eventually, token},
};
use crate::{
    Batch, CommitSink, Op, Options, Position, QueueId, Stage, Store, Token,
    io::{LogFile, LogIo},
    pulse::{Doing, Pulse},
};

fn publish(store: &Store, count: u64) {
    let ops = (1..=count).map(|position| Op::Publish {
        queue: QueueId(1),
        position: Position(position),
        message: Arc::new(Bytes::from(vec![b'x'; 1024])),
        token: None,
    });
    let ops = ops.collect();
    store.submit(Batch { ops, sink: None });
}

#[test]
fn an_idle_store_answers_and_a_closed_one_hangs() {
    let home = TempDir::new().unwrap();
    let store = Store::open(Options::new(home.path().join("store"))).unwrap();
    let store = store.store;
    let answered = |store: &Store| {
        store.ask();
        let began = Instant::now();
        while store.pulse().unanswered.is_some() {
            assert!(began.elapsed() < Duration::from_secs(30), "no answer");
            thread::sleep(Duration::from_millis(1));
        }
    };
    for _ in 0..3 {
        answered(&store);
        publish(&store, 10);
        answered(&store);
        store.flush().unwrap();
        assert_eq!(store.hung(), None);
    }
    store.close().unwrap();
    assert_eq!(
        store.hung().as_deref(),
        Some("the storage thread has ended")
    );
}

#[test]
fn opening_says_how_far_it_is() {
    let home = TempDir::new().unwrap();
    let options = Options::new(home.path().join("store"));
    let store = Store::open(options.clone()).unwrap().store;
    publish(&store, 4000);
    store.flush().unwrap();
    store.abandon();
    drop(store);
    let opened = Store::open(options).unwrap();
    let step = opened.progress.step();
    assert_eq!((step.stage, step.done, step.total), (Stage::Counting, 1, 1));
    assert!(opened.report.replayed_bytes > 4_000_000);
}

/// Blocks whoever passes while somebody holds it.
#[derive(Default)]
struct Gate(Mutex<()>);

impl Gate {
    fn close(&self) -> MutexGuard<'_, ()> {
        self.0.lock()
    }

    fn pass(&self) {
        drop(self.0.lock());
    }
}

impl CommitSink for Gate {
    fn committed(&self, _: &[Token]) {
        self.pass();
    }
}

/// A disk that does not finish a sync while its gate is closed.
struct SlowDisk(Shared, Arc<Gate>);

struct SlowFile(Box<dyn LogFile>, Arc<Gate>);

impl LogIo for SlowDisk {
    fn create(&self, path: &std::path::Path) -> std::io::Result<Box<dyn LogFile>> {
        let file = self.0.create(path)?;
        Ok(Box::new(SlowFile(file, Arc::clone(&self.1))))
    }

    fn rename(&self, from: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
        self.0.rename(from, to)
    }
}

impl LogFile for SlowFile {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&mut self) -> std::io::Result<()> {
        self.1.pass();
        self.0.sync_data()
    }

    fn set_len(&mut self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }
}

/// Returns what a watchdog says if what this pulse shows has lasted so long.
fn after(pulse: Pulse, seconds: u64) -> Option<String> {
    let time = Duration::from_secs(seconds);
    Pulse {
        storage: (pulse.storage.0, time),
        unanswered: pulse.unanswered.map(|_| time),
        ..pulse
    }
    .complaint()
}

#[test]
fn a_storage_thread_that_hangs_is_seen() {
    let home = TempDir::new().unwrap();
    let store = Store::open(Options::new(home.path().join("store"))).unwrap();
    let store = store.store;
    let gate = Arc::new(Gate::default());
    let closed = gate.close();
    store.submit(Batch {
        ops: vec![Op::Publish {
            queue: QueueId(1),
            position: Position(1),
            message: Arc::new(Bytes::from_static(b"x")),
            token: Some(token(1)),
        }],
        sink: Some(gate.clone()),
    });
    eventually("it hangs", || {
        store.stats().commits == 1 && store.pulse().storage.0 == Doing::Working
    });
    store.ask();
    let pulse = store.pulse();
    assert!(pulse.unanswered.is_some());
    assert_eq!(pulse.complaint(), None, "not for long");
    let said = after(pulse, 11).unwrap_or_default();
    assert!(said.contains("has not got on for 11 s"), "{said}");
    drop(closed);
    eventually("it goes on", || store.pulse().unanswered.is_none());
    assert_eq!(store.pulse().storage.0, Doing::Waiting);
}

#[test]
fn a_slow_disk_is_not_taken_for_a_thread_that_hangs() {
    let home = TempDir::new().unwrap();
    let gate = Arc::new(Gate::default());
    let disk = Shared(BadDisk::forgetful(0));
    let io = Arc::new(SlowDisk(disk, Arc::clone(&gate)));
    let store = Store::open_with(Options::new(home.path().join("store")), io).unwrap();
    let store = store.store;
    let closed = gate.close();
    publish(&store, 1);
    eventually("it waits for the disk", || {
        store.pulse().storage.0 == Doing::Disk
    });
    store.ask();
    assert_eq!(after(store.pulse(), 240), None);
    let said = after(store.pulse(), 301).unwrap_or_default();
    assert!(said.contains("the disk has not finished"), "{said}");
    drop(closed);
    store.flush().unwrap();
    eventually("it goes on", || store.pulse().unanswered.is_none());
}
