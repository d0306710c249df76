//! Normal operation of a store.

use std::sync::Arc;

use super::world::*;
use crate::{Batch, Op, Options, Position, QueueId, StorageError, Store};

#[test]
fn what_is_written_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let opened = Store::open(Options::new(dir.path())).unwrap();
    assert!(opened.report.created && opened.queues.is_empty());
    submit(
        &opened.store,
        (0..10).map(|position| publish(1, position, 100)),
    );
    submit(
        &opened.store,
        [ack(1, 2, 4), put("a", "1"), put("b", "2"), put("a", "3")],
    );
    submit(
        &opened.store,
        [Op::Delivered {
            queue: QueueId(1),
            through: Position(5),
        }],
    );
    opened.store.flush().unwrap();
    assert_eq!(positions(&opened.store, 1), [0, 1, 5, 6, 7, 8, 9]);
    opened.store.close().unwrap();
    assert!(matches!(
        opened.store.read(QueueId(1), Position(0), 1, 1),
        Err(StorageError::Closed)
    ));

    let opened = Store::open(Options::new(dir.path())).unwrap();
    assert!(
        opened.report.clean && !opened.report.created,
        "{:?}",
        opened.report
    );
    assert_eq!(positions(&opened.store, 1), [0, 1, 5, 6, 7, 8, 9]);
    let queue = &opened.queues[0];
    assert_eq!(
        (queue.messages, queue.first, queue.last),
        (7, Some(Position(0)), Some(Position(9)))
    );
    assert_eq!(
        (queue.delivered_through, queue.next_position),
        (Some(Position(5)), Position(10))
    );
    let definitions: Vec<_> = opened
        .definitions
        .iter()
        .map(|(k, v)| (&k[..], &v[..]))
        .collect();
    assert_eq!(definitions, [(&b"a"[..], &b"3"[..]), (b"b", b"2")]);
}

#[test]
fn tokens_come_back_once_in_order_and_cancelled_writes_never_reach_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).store;
    let told = Arc::new(Told::default());
    let cancelled = |seq| Op::Publish {
        queue: QueueId(1),
        position: Position(seq),
        message: Message::cancelled("gone"),
        token: Some(token(seq)),
    };
    let sink = || Some(told.clone() as Arc<dyn crate::CommitSink>);
    store.submit(Batch {
        ops: (0..5).map(cancelled).collect(),
        sink: sink(),
    });
    store.submit(Batch {
        ops: vec![Op::Notify { token: token(5) }],
        sink: sink(),
    });
    store.flush().unwrap();
    eventually("all tokens are back", || told.0.lock().len() == 6);
    assert_eq!(*told.0.lock(), [0, 1, 2, 3, 4, 5]);
    let stats = store.stats();
    assert_eq!(
        (stats.commits, stats.bytes_written, stats.cancelled_writes),
        (0, 0, 5)
    );
}

#[test]
fn a_backlog_folds_into_sled_and_reads_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).store;
    for position in 0..400 {
        // Neighbours swapped: two connections, one queue.
        submit(
            &store,
            [
                publish(1, position ^ 1, (position as usize * 37) % 400),
                publish(2, position, 10),
            ],
        );
        store.flush().unwrap();
    }
    assert!(store.stats().folded_segments > 0);
    assert_eq!(positions(&store, 1), (0..400).collect::<Vec<_>>());
    submit(&store, [ack(1, 0, 150), ack(1, 300, 300), ack(2, 0, 398)]);
    store.flush().unwrap();
    let expected: Vec<_> = (151..400).filter(|p| *p != 300).collect();
    assert_eq!(positions(&store, 1), expected);
    assert_eq!(positions(&store, 2), [399]);
    store.close().unwrap();
    let opened = open(dir.path());
    assert_eq!(positions(&opened.store, 1), expected);
    assert_eq!(opened.queues[0].messages, expected.len() as u64);
    assert_eq!(positions(&opened.store, 2), [399]);
}

#[test]
fn a_large_message_is_cut_into_parts_and_put_together_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).store;
    let len = 3 << 20;
    submit(
        &store,
        [publish(1, 0, 10), publish(1, 1, len), publish(1, 2, 10)],
    );
    store.flush().unwrap();
    let check = |store: &Store| {
        assert_eq!(positions(store, 1), [0, 1, 2]);
        let messages = store.read(QueueId(1), Position(1), 1, 1).unwrap();
        assert!(messages[0].1 == body(1, 1, len));
    };
    check(&store);
    store.close().unwrap();
    let store = open(dir.path()).store;
    check(&store);
    assert_eq!(
        std::fs::read_dir(dir.path().join("sled/blobs")).map_or(0, Iterator::count),
        0,
        "blob files leak"
    );
    submit(&store, [ack(1, 1, 1)]);
    store.close().unwrap();
    assert_eq!(positions(&open(dir.path()).store, 1), [0, 2]);
}

#[test]
fn a_deleted_queue_is_gone_and_its_id_may_be_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).store;
    let delete = || Op::DeleteQueue { queue: QueueId(1) };
    for position in 0..100 {
        submit(&store, [publish(1, position, 300)]);
        store.flush().unwrap();
    }
    submit(&store, [delete(), publish(1, 3, 10)]);
    store.flush().unwrap();
    assert_eq!(positions(&store, 1), [3]);
    for position in 0..100 {
        submit(&store, [publish(2, position, 300)]);
        store.flush().unwrap();
    }
    eventually("the deletion is folded", || {
        store.stats().log_bytes < 32 * 1024
    });
    assert_eq!(positions(&store, 1), [3]);
    store.close().unwrap();
    let store = open(dir.path()).store;
    assert_eq!(positions(&store, 1), [3]);
    submit(&store, [delete()]);
    store.close().unwrap();
    let opened = open(dir.path());
    assert_eq!(
        opened
            .queues
            .iter()
            .map(|queue| queue.queue.0)
            .collect::<Vec<_>>(),
        [2]
    );
}

#[test]
fn the_backlog_marks_slow_and_wake() {
    use std::task::Waker;
    struct Flag(std::sync::atomic::AtomicBool);
    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        backlog_high: 1000,
        backlog_low: 100,
        ..small(dir.path())
    };
    let store = Store::open(options).unwrap().store;
    let flag = Arc::new(Flag(false.into()));
    submit(&store, [publish(1, 1, 200_000)]);
    store.wake_when_below(Waker::from(flag.clone()));
    eventually("the waker is woken", || {
        flag.0.load(std::sync::atomic::Ordering::SeqCst)
    });
    assert!(!store.backlog_over_mark());
}

#[test]
fn a_long_read_over_many_overlapping_chunks_keeps_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).store;
    for position in 0..600u64 {
        submit(
            &store,
            [publish(
                1,
                position ^ 1,
                1900 + (position as usize * 37) % 700,
            )],
        );
        store.flush().unwrap();
    }
    // From several places: where a read pauses between two chunks shifts with it.
    for from in 0..20 {
        let messages = store
            .read(QueueId(1), Position(from), usize::MAX, usize::MAX)
            .unwrap();
        assert!(
            messages
                .iter()
                .map(|(position, _)| position.0)
                .eq(from..600),
            "from {from}"
        );
    }
}

#[test]
fn a_lock_that_sled_has_not_let_go_of_yet_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).store.close().unwrap();
    // As the threads of a store that was closed a moment ago would.
    let lingering = std::fs::File::open(dir.path().join("sled/db")).unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(4);
    while lingering.try_lock().is_err() {
        assert!(std::time::Instant::now() < until, "still locked");
        std::thread::yield_now();
    }
    let letting_go = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(200));
        drop(lingering);
    });
    open(dir.path()).store.close().unwrap();
    letting_go.join().unwrap();
}
