//! Torn tails, flipped bits, and sled's own failures.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::world::*;
use crate::{Options, Position, QueueId, StorageError, Store, salvage::check};

/// A store that crashed with `commits` commits of one message each in its log.
fn crashed(path: &Path, commits: u64) -> PathBuf {
    let store = Store::open(Options::new(path)).unwrap().store;
    for position in 0..commits {
        submit(&store, [publish(1, position, 20)]);
        store.flush().unwrap();
    }
    store.abandon();
    segments(path).pop().unwrap()
}

fn segments(path: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(path.join("log"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    paths.sort();
    paths
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Returns where the preallocated zeros begin.
fn written(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

#[test]
fn a_log_cut_at_any_byte_keeps_every_whole_commit() {
    let dir = tempfile::tempdir().unwrap();
    let segment = crashed(&dir.path().join("original"), 3);
    let bytes = fs::read(&segment).unwrap();
    let end = written(&bytes);
    let block = (end - crate::record::SEGMENT_HEADER) / 3;
    let copied = dir.path().join("copy");
    for cut in crate::record::SEGMENT_HEADER..end {
        for zeros in [false, true] {
            let _ = fs::remove_dir_all(&copied);
            copy(&dir.path().join("original"), &copied);
            let mut torn = bytes[..cut].to_vec();
            if zeros {
                torn.resize(end + 100, 0);
            }
            fs::write(copied.join("log").join(segment.file_name().unwrap()), torn).unwrap();
            let opened = Store::open(Options::new(&copied)).unwrap();
            let whole = (cut - crate::record::SEGMENT_HEADER) / block;
            assert_eq!(
                positions(&opened.store, 1),
                (0..whole as u64).collect::<Vec<_>>(),
                "cut at {cut}"
            );
            // Trailing zeros of a commit's own bytes cannot be told from preallocation.
            let torn = (cut - crate::record::SEGMENT_HEADER) % block;
            assert!(
                opened.report.torn_bytes <= torn as u64,
                "cut at {cut}: {:?}",
                opened.report
            );
            assert!(
                opened.report.torn_bytes > 0 || torn < 4,
                "cut at {cut}: {:?}",
                opened.report
            );
        }
    }
}

#[test]
fn a_flipped_bit_in_the_log_is_an_error_or_a_reported_loss_and_never_a_wrong_message() {
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("original");
    let segment = crashed(&original, 3);
    let bytes = fs::read(&segment).unwrap();
    let end = written(&bytes);
    let last_block = end - (end - crate::record::SEGMENT_HEADER) / 3;
    let copied = dir.path().join("copy");
    for at in (0..end).step_by(3) {
        let _ = fs::remove_dir_all(&copied);
        copy(&original, &copied);
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(
            copied.join("log").join(segment.file_name().unwrap()),
            flipped,
        )
        .unwrap();
        match Store::open(Options::new(&copied)) {
            Ok(opened) => {
                assert!(
                    at >= last_block && opened.report.torn_bytes > 0,
                    "byte {at}: {:?}",
                    opened.report
                );
                assert_eq!(positions(&opened.store, 1), [0, 1]);
            }
            Err(StorageError::DamagedLog { .. }) => assert!(at < last_block, "byte {at}"),
            Err(error) => panic!("byte {at}: {error}"),
        }
        if (crate::record::SEGMENT_HEADER..last_block).contains(&at) {
            let opened = Store::open(Options {
                accept_losses: true,
                ..Options::new(&copied)
            })
            .unwrap();
            assert_eq!(opened.report.losses.len(), 1, "byte {at}");
            assert_eq!(positions(&opened.store, 1).len(), 2, "byte {at}");
        }
    }
}

#[test]
fn after_a_clean_close_a_cut_log_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(dir.path())).unwrap().store;
    submit(&store, [publish(1, 0, 20)]);
    store.close().unwrap();
    drop(store);
    let segment = segments(dir.path()).pop().unwrap();
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..written(&bytes) - 1]).unwrap();
    assert!(matches!(
        Store::open(Options::new(dir.path())),
        Err(StorageError::DamagedLog { .. })
    ));
    fs::remove_file(&segment).unwrap();
    let error = Store::open(Options::new(dir.path())).err().unwrap();
    assert!(
        error
            .to_string()
            .contains("incomplete: log segment 1 missing,"),
        "{error}"
    );
}

#[test]
fn a_missing_segment_in_the_middle_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("original");
    let store = Store::open(small(&path)).unwrap().store;
    submit(&store, [publish(1, 0, 6000)]);
    store.flush().unwrap();
    store.abandon();
    drop(store);
    let first = segments(&path).pop().unwrap();
    fs::rename(&first, first.with_file_name("0000000000000002.log")).unwrap();
    let error = Store::open(small(&path)).err().unwrap();
    assert!(matches!(error, StorageError::Missing { .. }), "{error}");
}

#[test]
fn a_damaged_snapshot_of_sled_is_set_aside_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).store;
    for position in 0..200 {
        submit(&store, [publish(1, position, 200)]);
        store.flush().unwrap();
    }
    store.close().unwrap();
    drop(store);
    // Closing sled twice makes sure there is a snapshot.
    open(dir.path()).store.close().unwrap();
    let sled = dir.path().join("sled");
    let mut damaged = 0;
    for entry in fs::read_dir(&sled).unwrap() {
        let path = entry.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("snap.")
        {
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            fs::write(&path, bytes).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0, "sled wrote no snapshot");
    fs::write(sled.join("snap.00000000000000FF.generating"), b"half").unwrap();
    let opened = open(dir.path());
    assert_eq!(opened.report.repairs.len(), damaged, "{:?}", opened.report);
    assert_eq!(positions(&opened.store, 1), (0..200).collect::<Vec<_>>());
}

#[test]
fn damage_inside_sled_is_an_error_and_never_a_wrong_message() {
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("original");
    let store = open(&original).store;
    for position in 0..100 {
        submit(&store, [publish(1, position, 500)]);
        store.flush().unwrap();
    }
    store.close().unwrap();
    drop(store);
    open(&original).store.close().unwrap();
    let bytes = fs::read(original.join("sled/db")).unwrap();
    let copied = dir.path().join("copy");
    for part in 0..24 {
        let _ = fs::remove_dir_all(&copied);
        copy(&original, &copied);
        let mut damaged = bytes.clone();
        let at = written(&bytes) * part / 24 + 40;
        for byte in &mut damaged[at..at + 8] {
            *byte ^= 0x55;
        }
        fs::write(copied.join("sled/db"), damaged).unwrap();
        let Ok(opened) = Store::open(small(&copied)) else {
            continue;
        };
        let mut from = 0;
        loop {
            match opened.store.read(QueueId(1), Position(from), 10, 10_000) {
                Ok(messages) => {
                    let Some((last, _)) = messages.last() else {
                        break;
                    };
                    from = last.0 + 1;
                    for (position, message) in messages {
                        assert!(
                            message == body(1, position.0, 500),
                            "damage at {at}: wrong message at {}",
                            position.0
                        );
                    }
                }
                Err(StorageError::DamagedMessages { last, .. }) => from = last.0 + 1,
                Err(_) => break,
            }
        }
    }
}

/// Zeros look like data that was never written.
#[test]
fn a_database_that_was_zeroed_behind_its_first_octets_is_no_young_one() {
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("original");
    let store = open(&original).store;
    submit(&store, [put("queue", "a queue")]);
    for position in 0..100 {
        submit(&store, [publish(1, position, 500)]);
        store.flush().unwrap();
    }
    eventually("segments are folded", || store.stats().folded_segments > 3);
    store.close().unwrap();
    drop(store);
    let whole = check(&small(&original)).unwrap();
    assert!(whole.damage.is_empty(), "{:?}", whole.damage);
    let bytes = fs::read(original.join("sled/db")).unwrap();
    let end = written(&bytes);
    let copied = dir.path().join("copy");
    let mut lost = 0;
    for from in (24..600).step_by(8).chain((600..end).step_by(512)) {
        let _ = fs::remove_dir_all(&copied);
        copy(&original, &copied);
        let mut zeroed = bytes.clone();
        zeroed[from..].fill(0);
        fs::write(copied.join("sled/db"), zeroed).unwrap();
        let found = check(&small(&copied)).unwrap();
        let same = found.queues == whole.queues && found.definitions == whole.definitions;
        lost += u32::from(!same);
        let damage = &found.damage;
        assert!(same || !damage.is_empty(), "silence from octet {from} on");
    }
    assert!(lost > 10, "{lost}");
}
