//! A nearly full disk: nothing is copied that does not fit, and what consumers acknowledge frees space.

use std::{fs, path::Path, time::Duration};

use super::world::*;
use crate::{Options, Store};

/// The free space, read from a file beside the store.
fn told(path: &Path) -> Option<u64> {
    fs::read_to_string(path.with_extension("free"))
        .ok()?
        .parse()
        .ok()
}

fn open_on(path: &Path, free: u64) -> Store {
    open_with(path, free, small(path).segment_size)
}

fn open_with(path: &Path, free: u64, segment_size: u64) -> Store {
    tell(path, free);
    let options = Options {
        segment_size,
        free_space: told,
        log_bound: 1 << 20,
        roll_after: Duration::from_millis(50),
        ..small(path)
    };
    Store::open(options).unwrap().store
}

fn tell(path: &Path, free: u64) {
    let (file, new) = (path.with_extension("free"), path.with_extension("new"));
    fs::write(&new, free.to_string()).unwrap();
    fs::rename(new, file).unwrap();
}

fn log_is_gone(store: &Store) {
    eventually("the log is gone", || {
        let stats = store.stats();
        stats.log_bytes < 20_000 && stats.health.is_good()
    });
    assert_eq!(positions(store, 1), []);
}

fn fill(store: &Store) {
    for round in 0..20 {
        submit(store, (0..10).map(|i| publish(1, round * 10 + i, 1000)));
        store.flush().unwrap();
    }
}

fn waits_for_space(store: &Store) -> bool {
    let problem = store.stats().health.checkpoint;
    problem.is_some_and(|problem| problem.contains("too little free space"))
}

#[test]
fn a_segment_is_not_folded_before_there_is_room_for_what_lives_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open_on(&path, 1 << 20);
    fill(&store);
    eventually("folding waits for disk space", || waits_for_space(&store));
    assert_eq!(store.stats().folded_segments, 0);
    assert_eq!(fs::read_dir(path.join("volumes")).unwrap().count(), 0);
    assert_eq!(positions(&store, 1), (0..200).collect::<Vec<_>>());
    tell(&path, 1 << 40);
    eventually("the log is folded", || {
        let stats = store.stats();
        stats.log_bytes < 20_000 && stats.health.is_good()
    });
    assert_eq!(positions(&store, 1), (0..200).collect::<Vec<_>>());
}

#[test]
fn what_is_acknowledged_makes_room_on_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open_on(&path, 0);
    fill(&store);
    eventually("folding waits for disk space", || waits_for_space(&store));
    submit(&store, [ack(1, 0, 199)]);
    store.flush().unwrap();
    log_is_gone(&store);
}

#[test]
fn a_segment_that_is_not_full_gives_its_room_back_on_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open_with(&path, 0, 16 << 20);
    fill(&store);
    submit(&store, [ack(1, 0, 199)]);
    store.flush().unwrap();
    // Where the segment had ended before all was written, less than is worth folding is left in the next one.
    eventually("the log is short", || {
        let stats = store.stats();
        stats.log_bytes < 64 << 10 && stats.health.is_good()
    });
    assert_eq!(positions(&store, 1), []);
}
