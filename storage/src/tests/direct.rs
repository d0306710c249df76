//! Direct commits, by the submitter.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use super::world::*;
use crate::{Batch, CommitSink, Op, Options, Position, QueueId, Store, Token};

/// A sink that counts its tokens, and how many of them it got on the thread that created it.
struct Here {
    thread: ThreadId,
    all: AtomicU64,
    here: AtomicU64,
}

impl Here {
    fn new() -> Arc<Here> {
        Arc::new(Here {
            thread: thread::current().id(),
            all: AtomicU64::new(0),
            here: AtomicU64::new(0),
        })
    }
}

impl CommitSink for Here {
    fn committed(&self, tokens: &[Token]) {
        let count = tokens.len() as u64;
        self.all.fetch_add(count, Ordering::SeqCst);
        if thread::current().id() == self.thread {
            self.here.fetch_add(count, Ordering::SeqCst);
        }
    }
}

fn publish_directly(store: &Store, queue: u64, position: u64, sink: &Arc<Here>) {
    let publish = Op::Publish {
        queue: QueueId(queue),
        position: Position(position),
        message: Message::new(body(queue, position, 100)),
        token: Some(token(position)),
    };
    let sink = Some(sink.clone() as Arc<dyn CommitSink>);
    let ops = vec![publish];
    submit_directly(store, Batch { ops, sink });
}

#[test]
fn whoever_submits_little_commits_it_while_the_storage_thread_sleeps() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(small(dir.path())).unwrap().store;
    let sink = Here::new();
    let mut published = 0;
    eventually("a commit on this thread", || {
        publish_directly(&store, 1, published, &sink);
        published += 1;
        // The thread sleeps again soon after that, or sleeps still.
        store.flush().unwrap();
        sink.here.load(Ordering::SeqCst) > 20
    });
    // Each once, over many segments.
    eventually("all are told", || {
        sink.all.load(Ordering::SeqCst) == published
    });
    store.abandon();
    drop(store);
    let all: Vec<u64> = (0..published).collect();
    assert_eq!(positions(&open(dir.path()).store, 1), all);
}

#[test]
fn many_may_commit_at_a_time() {
    const EACH: u64 = 400;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(small(dir.path())).unwrap().store;
    thread::scope(|scope| {
        for queue in 1..=4 {
            let store = store.clone();
            scope.spawn(move || {
                let sink = Here::new();
                for position in 0..EACH {
                    publish_directly(&store, queue, position, &sink);
                    if position % 7 == 0 {
                        eventually("it is told", || {
                            sink.all.load(Ordering::SeqCst) == position + 1
                        });
                    }
                    if position % 3 == 2 {
                        submit(&store, [ack(queue, position - 2, position - 2)]);
                    }
                }
                eventually("all are told", || sink.all.load(Ordering::SeqCst) == EACH);
            });
        }
    });
    store.close().unwrap();
    let left: Vec<u64> = (0..EACH).filter(|p| p % 3 != 0 || p + 2 >= EACH).collect();
    let store = open(dir.path()).store;
    for queue in 1..=4 {
        assert_eq!(positions(&store, queue), left);
    }
}

#[test]
fn a_slow_disk_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        fast_sync: Duration::ZERO,
        ..small(dir.path())
    };
    let store = Store::open(options).unwrap().store;
    let sink = Here::new();
    for position in 0..50 {
        publish_directly(&store, 1, position, &sink);
        eventually("it is told", || {
            sink.all.load(Ordering::SeqCst) == position + 1
        });
    }
    assert_eq!(sink.here.load(Ordering::SeqCst), 0);
}

#[test]
fn acknowledgements_that_nobody_waits_for_are_written_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(small(dir.path())).unwrap().store;
    submit(&store, [publish(1, 0, 100), publish(1, 1, 100)]);
    store.flush().unwrap();
    for hurried in [false, true] {
        let before = store.stats().commits;
        submit(&store, [ack(1, hurried.into(), hurried.into())]);
        if hurried {
            store.hurry();
        }
        eventually("it is written", || store.stats().commits > before);
    }
    store.abandon();
    drop(store);
    assert_eq!(positions(&open(dir.path()).store, 1), []);
}
