//! Closing a store while others use it, and what a watchdog sees of it.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tempfile::TempDir;

use crate::{Batch, Op, Options, Position, QueueId, Stage, Store};

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
        while store.unanswered().is_some() {
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
