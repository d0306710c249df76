//! `check` and `repair` on stores that they must not touch.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::world::*;
use crate::{
    Options, StorageError, Store, directory::Directory, salvage, schema, sled_store::SledStore,
};

/// Every file below a directory, with its contents.
fn files(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let contents = fs::read(&path).unwrap();
            found.insert(path, contents);
        }
    }
    found
}

/// A closed store with a message.
fn closed(path: &Path) {
    let store = open(path).store;
    submit(&store, [publish(1, 0, 10), put("queue", "1")]);
    store.close().unwrap();
}

/// Writes the file `store`, as version `fields[0]` would.
fn write_marker(path: &Path, fields: &str) {
    let crc = crc32fast::hash(fields.as_bytes());
    fs::write(path.join("store"), format!("{fields} {crc:08x}\n")).unwrap();
}

fn is_refused<T: std::fmt::Debug>(result: Result<T, StorageError>, found: u32) {
    let error = result.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, StorageError::Schema { found: n, expected: schema::VERSION, .. } if n == found),
        "{text}"
    );
    assert!(text.contains("by a newer version of Leveret"), "{text}");
    assert!(text.contains("start the version that wrote it"), "{text}");
}

#[test]
fn a_newer_versions_store_is_neither_checked_nor_repaired() {
    // With this version's fields, and with one more.
    for marker in ["4 1", "4 1 0 5"] {
        let dir = tempfile::tempdir().unwrap();
        let path = &dir.path().join("store");
        closed(path);
        write_marker(path, marker);
        fs::write(path.join("lock"), "1\n").unwrap();
        let before = files(dir.path());
        is_refused(salvage::check(&small(path)), 4);
        is_refused(salvage::repair(&small(path)), 4);
        assert!(files(dir.path()) == before, "{marker}: files have changed");
    }
}

#[test]
fn a_store_that_a_newer_version_has_begun_to_take_over_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = &dir.path().join("store");
    closed(path);
    let newer = schema::VERSION + 1;
    let main = SledStore::open(&Directory::at(path).main(0), 1 << 20, &mut Vec::new()).unwrap();
    let mut changes = main.changes();
    changes.put(schema::KEY_VERSION, &newer.to_be_bytes());
    changes.apply().unwrap();
    main.flush_synced().unwrap();
    drop(main);
    is_refused(salvage::check(&small(path)), newer);
    is_refused(salvage::repair(&small(path)), newer);
    is_refused(
        Store::open(Options::new(path)).map(|opened| opened.report),
        newer,
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "one store");
}

#[test]
fn a_check_writes_nothing_and_needs_no_lock_file() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path());
    fs::write(dir.path().join("lock"), "1\n").unwrap();
    let before = files(dir.path());
    salvage::check(&small(dir.path())).unwrap();
    assert!(files(dir.path()) == before, "files have changed");
    fs::remove_file(dir.path().join("lock")).unwrap();
    let findings = salvage::check(&small(dir.path())).unwrap();
    assert!(findings.damage.is_empty(), "{:?}", findings.damage);
    assert!(!dir.path().join("lock").exists());
}

#[test]
fn a_check_and_a_broker_exclude_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).store;
    let error = salvage::check(&small(dir.path())).unwrap_err().to_string();
    let holder = format!("is in use by process {}", std::process::id());
    assert!(error.contains(&holder), "{error}");
    store.close().unwrap();
    let directory = Directory::at(dir.path());
    let checking = directory.lock_for_reading().unwrap();
    assert!(checking.is_some());
    assert!(directory.lock_for_reading().is_ok(), "several may read");
    let error = Store::open(small(dir.path())).err().expect("is refused");
    assert!(matches!(error, StorageError::InUse { .. }), "{error}");
}

#[test]
fn an_error_about_a_file_names_it() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path());
    fs::remove_file(dir.path().join("store")).unwrap();
    fs::create_dir(dir.path().join("store")).unwrap();
    let error = Store::open(small(dir.path())).err().expect("is refused");
    let path = dir.path().join("store");
    let expected = format!("cannot read {}: ", path.display());
    assert!(error.to_string().starts_with(&expected), "{error}");
}
