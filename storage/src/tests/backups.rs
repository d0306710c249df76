//! Backups of stores that are in use.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use super::world::*;
use crate::{Op, QueueId, StorageError};

#[test]
fn a_copy_holds_everything_confirmed_before_it_began_and_goes_its_own_way() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("one")).store;
    let (confirmed, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    submit(
        &store,
        [put("kept", "1"), put("changed", "1"), put("gone", "1")],
    );
    let (before, after) = thread::scope(|scope| {
        scope.spawn(|| {
            // Publishes, and acknowledges the first of every ten much later: chunks in sled, some of them in part.
            for round in 0.. {
                submit(&store, (0..20).map(|i| publish(1, round * 20 + i, 400)));
                if round >= 20 {
                    let first = (round - 20) * 20;
                    submit(
                        &store,
                        [ack(1, first, first), ack(1, first + 10, first + 10)],
                    );
                }
                store.flush().unwrap();
                confirmed.store((round + 1) * 20, Ordering::SeqCst);
                if stop.load(Ordering::SeqCst) {
                    break;
                }
            }
        });
        eventually("much is in sled", || store.stats().folded_segments > 30);
        submit(
            &store,
            [
                put("changed", "2"),
                Op::DeleteDefinition { key: "gone".into() },
            ],
        );
        let before = confirmed.load(Ordering::SeqCst);
        store.backup(&dir.path().join("two")).unwrap();
        let after = confirmed.load(Ordering::SeqCst);
        stop.store(true, Ordering::SeqCst);
        (before, after)
    });
    // What becomes of the original is nothing to the copy.
    submit(&store, [Op::DeleteQueue { queue: QueueId(1) }]);
    store.close().unwrap();
    drop(store);
    fs::remove_dir_all(dir.path().join("one")).unwrap();

    let opened = open(&dir.path().join("two"));
    let definitions: Vec<_> = opened
        .definitions
        .iter()
        .map(|(key, value)| (&key[..], &value[..]))
        .collect();
    assert_eq!(definitions, [(&b"changed"[..], &b"2"[..]), (b"kept", b"1")]);
    let found = positions(&opened.store, 1);
    let last = *found.last().unwrap();
    assert!(
        last >= before - 1 && last < after + 40,
        "{before} {last} {after}"
    );
    // Acknowledged ones come back at most where the acknowledgement came after the copy began.
    for position in 0..=last {
        let acked = position % 10 == 0;
        let there = found.binary_search(&position).is_ok();
        assert!(there || acked, "{position} is missing");
        assert!(
            !(there && acked) || position + 440 >= before,
            "{position} came back"
        );
    }
    // And it is a store like any other.
    submit(&opened.store, [publish(1, 1_000_000, 10)]);
    opened.store.close().unwrap();
    drop(opened);
    let found = positions(&open(&dir.path().join("two")).store, 1);
    assert_eq!(found.last(), Some(&1_000_000));
}

#[test]
fn a_directory_that_holds_something_gets_no_copy() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("one")).store;
    let full = dir.path().join("two");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("mine"), b"precious").unwrap();
    let error = store.backup(&full).unwrap_err();
    assert!(matches!(error, StorageError::Directory { .. }), "{error}");
    assert!(error.to_string().contains("not empty"), "{error}");
    assert_eq!(fs::read_dir(&full).unwrap().count(), 1);
}

#[test]
fn a_copy_that_was_not_finished_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("one")).store;
    submit(&store, [publish(1, 0, 10)]);
    let copy = dir.path().join("two");
    store.backup(&copy).unwrap();
    fs::remove_file(copy.join("store")).unwrap();
    let error = crate::Store::open(small(&copy)).err().unwrap();
    assert!(matches!(error, StorageError::Missing { .. }), "{error}");
}
