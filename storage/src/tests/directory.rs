//! Who may open a directory, and what must be in it.

use std::fs;

use super::world::*;
use crate::{Options, StorageError, Store, schema};

fn refused(path: &std::path::Path) -> StorageError {
    Store::open(Options::new(path))
        .err()
        .expect("must be refused")
}

#[test]
fn a_second_opener_is_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).store;
    let error = refused(dir.path());
    assert!(
        matches!(error, StorageError::InUse { pid: Some(pid), .. } if pid == std::process::id()),
        "{error}"
    );
    assert!(
        error.to_string().contains("is in use by process"),
        "{error}"
    );
    store.close().unwrap();
    open(dir.path());
}

#[test]
fn the_last_clone_to_go_closes_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).store;
    let clone = store.clone();
    drop(store);
    submit(&clone, [publish(1, 0, 10)]);
    drop(clone);
    let opened = open(dir.path());
    assert!(opened.report.clean);
    assert_eq!(positions(&opened.store, 1), [0]);
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = refused(&file.join("store"));
    assert!(matches!(error, StorageError::Directory { .. }), "{error}");
    assert!(error.to_string().contains("file/store"), "{error}");
}

#[test]
fn another_schema_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).store.close().unwrap();
    let crc = crc32fast::hash(b"63 1");
    fs::write(dir.path().join("store"), format!("63 1 {crc:08x}\n")).unwrap();
    let error = refused(dir.path());
    assert!(
        matches!(
            error,
            StorageError::Schema {
                found: 0x63,
                expected: schema::VERSION,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_store_never_starts_empty_where_there_was_one() {
    for lost in ["store", "sled/db", "sled"] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).store;
        submit(&store, [publish(1, 0, 10), put("queue", "1")]);
        store.close().unwrap();
        drop(store);
        open(dir.path()).store.close().unwrap();
        let path = dir.path().join(lost);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        let error = refused(dir.path());
        assert!(
            matches!(error, StorageError::Missing { .. }),
            "{lost}: {error}"
        );
        // And it stays that way.
        assert!(
            matches!(refused(dir.path()), StorageError::Missing { .. }),
            "{lost}"
        );
    }
}

#[test]
fn another_stores_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    for path in [&one, &two] {
        open(path).store.close().unwrap();
    }
    fs::remove_dir_all(one.join("sled")).unwrap();
    fs::rename(two.join("sled"), one.join("sled")).unwrap();
    assert!(matches!(refused(&one), StorageError::Missing { .. }));
}

#[test]
fn a_creation_that_was_interrupted_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).store.close().unwrap();
    fs::remove_file(dir.path().join("store")).unwrap();
    assert!(open(dir.path()).report.created);
}
