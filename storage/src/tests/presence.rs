//! A store that is deleted or moved while it is open confirms nothing any more.

use std::{fs, path::Path, thread, time::Duration};

use super::world::*;
use crate::{StorageError, Store};

/// Longer than the store may take to notice.
const NOTICED: Duration = Duration::from_millis(1100);

/// Opens a store with one commit.
fn opened(path: &Path) -> Store {
    let store = open(path).store;
    submit(&store, [publish(1, 0, 10)]);
    store.flush().unwrap();
    store
}

/// Checks that nothing more is confirmed, and that the reason is told.
fn stops(store: &Store, position: u64) {
    thread::sleep(NOTICED);
    submit(store, [publish(1, position, 10)]);
    let error = store.flush().unwrap_err();
    assert!(
        matches!(error, StorageError::WriteFailing { .. }),
        "{error}"
    );
    let problem = store.health().write.expect("a problem");
    assert!(problem.contains("deleted, moved or replaced"), "{problem}");
}

#[test]
fn a_store_that_is_deleted_stops_confirming() {
    let dir = tempfile::tempdir().unwrap();
    let path = &dir.path().join("store");
    let store = opened(path);
    fs::remove_dir_all(path).unwrap();
    stops(&store, 1);
    // Nor does it begin anew in an empty directory.
    fs::create_dir_all(path.join("log")).unwrap();
    stops(&store, 2);
    store.abandon();
}

#[test]
fn a_log_that_is_deleted_stops_the_store_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = &dir.path().join("store");
    let store = opened(path);
    fs::remove_dir_all(path.join("log")).unwrap();
    stops(&store, 1);
    store.abandon();
}

#[test]
fn a_store_that_is_moved_goes_on_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let (path, aside) = (&dir.path().join("store"), dir.path().join("aside"));
    let store = opened(path);
    fs::rename(path, &aside).unwrap();
    stops(&store, 1);
    fs::rename(&aside, path).unwrap();
    eventually("it goes on", || store.flush().is_ok());
    store.close().unwrap();
    drop(store);
    assert_eq!(positions(&open(path).store, 1), [0, 1]);
}
