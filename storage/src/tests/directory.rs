//! Who may open a directory, and what it must contain.

use std::{fs, path::Path, time::Duration};

use super::world::*;
use crate::{Options, StorageError, Store, directory::Directory, io::Disk, salvage, schema};

fn refused(path: &Path) -> StorageError {
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

/// Like [`small`], but nothing is folded.
fn unfolded(path: &Path) -> Options {
    Options {
        log_bound: 1 << 30,
        fold_delay_bytes: 1 << 30,
        fold_delay: Duration::from_secs(3600),
        roll_after: Duration::from_secs(3600),
        ..small(path)
    }
}

/// A store that was killed, with ten messages in each of six log segments.
fn killed(path: &Path) {
    let store = Store::open(unfolded(path)).unwrap().store;
    submit(&store, [put("queue", "1")]);
    for position in 0..60 {
        submit(&store, [publish(1, position, 700)]);
        store.flush().unwrap();
    }
    store.abandon();
    assert_eq!(Directory::at(path).segments().unwrap().len(), 6);
}

fn remove_segments(path: &Path, which: std::ops::RangeInclusive<u64>) {
    for (seq, segment) in Directory::at(path).segments().unwrap() {
        if which.contains(&seq) {
            fs::remove_file(segment).unwrap();
        }
    }
}

/// Checks that the store does not open and reports these as missing, and that `check` does too.
fn misses(path: &Path, what: &str) {
    // And it stays that way.
    for _ in 0..2 {
        let error = refused(path).to_string();
        assert!(
            error.contains(&format!("incomplete: {what} missing,")),
            "{what}: {error}"
        );
        assert!(error.contains("`leveret repair`"), "{error}");
    }
    let damage = salvage::check(&small(path)).unwrap().damage.join("\n");
    assert!(
        damage.contains(&format!("missing: {what}")),
        "{what}: {damage}"
    );
}

#[test]
fn log_segments_that_were_removed_are_missed() {
    for (gone, what, left) in [
        (1..=1, "log segment 1", 50),
        (1..=2, "log segments 1 to 2", 40),
        (3..=4, "log segments 3 to 4", 40),
        (6..=6, "log segment 6", 50),
        (4..=6, "log segments 4 to 6", 30),
        (1..=6, "log segments 1 to 6", 0),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = &dir.path().join("store");
        killed(path);
        remove_segments(path, gone);
        misses(path, what);
        let repaired = salvage::repair(&small(path)).unwrap();
        assert!(!repaired.findings.damage.is_empty());
        let opened = open(path);
        assert_eq!(positions(&opened.store, 1).len(), left, "{what}");
    }
}

#[test]
fn a_log_that_was_removed_is_missed_whatever_the_end_before_and_however_young_the_store() {
    let removals: [fn(&Path); 2] = [
        |path| remove_segments(path, 0..=u64::MAX),
        |path| fs::remove_dir_all(path.join("log")).unwrap(),
    ];
    for remove in removals {
        for clean in [false, true] {
            // Nothing is folded, and nothing was ever noted but at the start of the first segment.
            let dir = tempfile::tempdir().unwrap();
            let store = open(dir.path()).store;
            submit(&store, [publish(1, 0, 10)]);
            store.flush().unwrap();
            if clean {
                store.close().unwrap();
            } else {
                store.abandon();
            }
            drop(store);
            remove(dir.path());
            misses(dir.path(), "log segment 1");
        }
        // Much is folded.
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).store;
        for position in 0..100 {
            submit(&store, [publish(1, position, 700)]);
            store.flush().unwrap();
        }
        eventually("segments are folded", || store.stats().folded_segments > 3);
        store.abandon();
        drop(store);
        remove(dir.path());
        let error = refused(dir.path()).to_string();
        assert!(error.contains("incomplete: log segment"), "{error}");
    }
}

#[test]
fn a_store_without_a_note_of_its_last_segment_opens_and_has_one_then() {
    let dir = tempfile::tempdir().unwrap();
    killed(dir.path());
    let note = dir.path().join("last-segment");
    // As the version before left it; and as a crash between a new segment and the note.
    for before in [None, Some(5)] {
        fs::remove_file(&note).unwrap();
        if let Some(before) = before {
            let directory = Directory::at(dir.path());
            directory.write_last_segment(&Disk, before).unwrap();
        }
        let opened = Store::open(unfolded(dir.path())).unwrap();
        assert_eq!(positions(&opened.store, 1).len(), 60);
        assert_eq!(Directory::at(dir.path()).last_segment().unwrap(), 6);
        opened.store.abandon();
    }
    remove_segments(dir.path(), 0..=u64::MAX);
    misses(dir.path(), "log segments 1 to 6");
}

#[test]
fn a_damaged_note_of_the_last_segment_proves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = &dir.path().join("store");
    killed(path);
    fs::write(path.join("last-segment"), "6 00000000\n").unwrap();
    let error = refused(path).to_string();
    assert!(error.contains("a readable file `last-segment`"), "{error}");
    assert_eq!(salvage::check(&small(path)).unwrap().damage.len(), 1);
    salvage::repair(&small(path)).unwrap();
    assert_eq!(positions(&open(path).store, 1).len(), 60);
}

#[test]
fn a_copy_of_a_store_knows_its_log_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(unfolded(&dir.path().join("one")))
        .unwrap()
        .store;
    for position in 0..30 {
        submit(&store, [publish(1, position, 700)]);
        store.flush().unwrap();
    }
    let (copy, opened) = (dir.path().join("copy"), dir.path().join("opened"));
    for copy in [&copy, &opened] {
        store.backup(copy).unwrap();
    }
    Store::open(unfolded(&opened)).unwrap().store.abandon();
    for copy in [&copy, &opened] {
        let last = Directory::at(copy).last_segment().unwrap();
        remove_segments(copy, 0..=u64::MAX);
        misses(copy, &format!("log segments 1 to {last}"));
    }
}

#[test]
fn a_store_without_log_and_marker_is_no_creation_that_was_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).store;
    submit(&store, [publish(1, 0, 10)]);
    store.flush().unwrap();
    store.abandon();
    drop(store);
    remove_segments(dir.path(), 0..=u64::MAX);
    fs::remove_file(dir.path().join("store")).unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, StorageError::Missing { .. }), "{error}");
    assert!(
        !salvage::check(&small(dir.path()))
            .unwrap()
            .damage
            .is_empty()
    );
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
