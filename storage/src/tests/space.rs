//! Disk space is reclaimed, even if sled fails or the process ends halfway.

use std::{fs, path::Path, time::Duration};

use super::world::*;
use crate::{Options, Store};

/// Volumes and limits on waste so small that there is always something to reclaim.
fn tight(path: &Path) -> Options {
    Options {
        segment_size: 128 << 10,
        log_bound: 1 << 20,
        volume_size: 3 << 20,
        waste: 1 << 20,
        // When things are done must not depend on how fast the machine is.
        busy: u64::MAX,
        roll_after: Duration::from_millis(50),
        ..small(path)
    }
}

fn open_tight(path: &Path) -> Store {
    Store::open(tight(path)).unwrap().store
}

fn size(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return fs::metadata(path).map_or(0, |meta| meta.len());
    };
    entries.flatten().map(|entry| size(&entry.path())).sum()
}

/// Publishes in rounds; of each but the last few, one message in sixteen stays.
fn churn(store: &Store, rounds: u64) -> Vec<u64> {
    for round in 0..rounds {
        submit(store, (0..16).map(|i| publish(1, round * 16 + i, 900)));
        store.flush().unwrap();
        if round >= 6 {
            let first = (round - 6) * 16;
            submit(store, [ack(1, first + 1, first + 15)]);
        }
    }
    store.flush().unwrap();
    let old = rounds.saturating_sub(6) * 16;
    (0..rounds * 16)
        .filter(|p| *p >= old || p % 16 == 0)
        .collect()
}

#[test]
fn a_drained_backlog_leaves_little_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_tight(dir.path());
    for round in 0..150 {
        submit(&store, (0..64).map(|i| publish(1, round * 64 + i, 1000)));
        store.flush().unwrap();
    }
    eventually("the log is in sled", || store.stats().log_bytes < 300_000);
    let full = size(dir.path());
    assert!(full > 9_000_000, "{full}");
    submit(&store, [ack(1, 0, 150 * 64 - 1)]);
    // Nothing more is published: the segment with the acknowledgement never fills up.
    eventually("the room is given back", || {
        size(dir.path()) < full * 2 / 3 && volumes(dir.path()) <= 1
    });
    assert_eq!(positions(&store, 1), []);
}

fn volumes(path: &Path) -> usize {
    fs::read_dir(path.join("volumes")).map_or(0, Iterator::count)
}

#[test]
fn a_few_old_messages_do_not_keep_the_room_of_all_that_came_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_tight(dir.path());
    let expected = churn(&store, 400);
    eventually("few volumes are left", || volumes(dir.path()) <= 4);
    assert_eq!(positions(&store, 1), expected);
    store.close().unwrap();
    drop(store);
    let opened = Store::open(tight(dir.path())).unwrap();
    assert_eq!(opened.queues[0].messages, expected.len() as u64);
    assert_eq!(positions(&opened.store, 1), expected);
}

#[test]
fn room_comes_back_when_publishers_are_not_busy_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        busy: 0,
        ..tight(dir.path())
    };
    let store = Store::open(options).unwrap().store;
    let expected = churn(&store, 400);
    eventually("few volumes are left", || volumes(dir.path()) <= 4);
    assert_eq!(positions(&store, 1), expected);
}

#[test]
fn giving_room_back_may_fail_anywhere_and_costs_nothing() {
    for batch in (0..45).step_by(3) {
        let dir = tempfile::tempdir().unwrap();
        let store = open_tight(dir.path());
        store.fail_sled_after(batch);
        let expected = churn(&store, 60);
        assert_eq!(positions(&store, 1), expected, "failed at {batch}");
        eventually("all is well", || store.stats().health.is_good());
        if batch % 2 == 0 {
            store.close().unwrap();
        } else {
            store.abandon();
        }
        drop(store);
        let opened = Store::open(tight(dir.path())).unwrap();
        assert_eq!(
            opened.queues[0].messages,
            expected.len() as u64,
            "failed at {batch}"
        );
        assert_eq!(
            positions(&opened.store, 1),
            expected,
            "failed at {batch}, reopened"
        );
    }
}

#[test]
fn an_end_anywhere_while_room_is_given_back_costs_nothing() {
    for batch in (0..45).step_by(3) {
        let dir = tempfile::tempdir().unwrap();
        let store = open_tight(dir.path());
        store.fail_sled_after(batch);
        let expected = churn(&store, 60);
        // The checkpoint stands still after its failure for longer than this takes.
        store.abandon();
        drop(store);
        let store = open_tight(dir.path());
        assert_eq!(positions(&store, 1), expected, "cut at {batch}");
        submit(&store, [publish(1, 100_000, 900)]);
        store.flush().unwrap();
        assert_eq!(
            positions(&store, 1).len(),
            expected.len() + 1,
            "cut at {batch}"
        );
    }
}

#[test]
fn leftovers_of_a_main_sled_that_was_being_made_anew_are_cleaned_up() {
    let dir = tempfile::tempdir().unwrap();
    open_tight(dir.path()).close().unwrap();
    for name in ["sled.1", "sled.7"] {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join("db"), b"half").unwrap();
    }
    open_tight(dir.path()).close().unwrap();
    assert!(!dir.path().join("sled.1").exists() && !dir.path().join("sled.7").exists());
}

#[test]
fn a_volume_that_is_missing_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_tight(dir.path());
    submit(&store, (0..200).map(|i| publish(1, i, 900)));
    store.flush().unwrap();
    submit(&store, (200..300).map(|i| publish(1, i, 900)));
    store.flush().unwrap();
    eventually("some is in sled", || store.stats().folded_segments > 0);
    store.close().unwrap();
    drop(store);
    fs::remove_dir_all(dir.path().join("volumes")).unwrap();
    let error = Store::open(tight(dir.path())).err().unwrap();
    assert!(error.to_string().contains("volume"), "{error}");
}
