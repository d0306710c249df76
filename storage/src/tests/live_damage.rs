//! A volume file that is damaged while the store is open: what is intact is read, in order, what is damaged is
//! reported, and nothing wrong is returned.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::world::*;
use crate::{Options, Position, QueueId, StorageError, Store};

const MESSAGES: u64 = 3000;
const LEN: usize = 900;
const CASES: u64 = 12;

fn options(path: &Path) -> Options {
    Options {
        segment_size: 512 << 10,
        log_bound: 8 << 20,
        ..small(path)
    }
}

/// Returns the volume files.
fn files(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path.join("volumes")).unwrap();
    let mut files: Vec<_> = entries.map(|e| e.unwrap().path().join("db")).collect();
    files.sort();
    files
}

type Reading = (Vec<u64>, Vec<(u64, u64)>);

/// Overwrites part of one of them.
fn damage(path: &Path, rng: &mut StdRng) -> String {
    let files = files(path);
    let path = &files[rng.random_range(0..files.len())];
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let len = file.metadata().unwrap().len();
    let size = [1, 300, 5000, 100_000][rng.random_range(0..4)];
    let at = rng.random_range(0..len.saturating_sub(size).max(1));
    let mut bytes = vec![0; size as usize];
    if rng.random() {
        rng.fill(&mut bytes[..]);
    }
    file.write_all_at(&bytes, at).unwrap();
    format!("{size} bytes at {at} of {len} of {}", path.display())
}

/// Reads as a pager does, skipping what is damaged. Returns what it found and the lost ranges.
fn read_past(store: &Store) -> Result<Reading, StorageError> {
    let (mut found, mut lost) = Reading::default();
    let mut from = 0;
    while from < MESSAGES {
        match store.read(QueueId(1), Position(from), 100, 64 << 10) {
            Ok(messages) => {
                let Some((last, _)) = messages.last() else {
                    break;
                };
                from = last.0 + 1;
                for (position, message) in messages {
                    assert_eq!(message, body(1, position.0, LEN), "position {}", position.0);
                    found.push(position.0);
                }
            }
            Err(StorageError::DamagedMessages { first, last, .. }) => {
                lost.push((first.0, last.0));
                from = last.0.max(from) + 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((found, lost))
}

#[test]
fn what_is_intact_of_a_damaged_volume_is_read_and_the_rest_is_named() {
    let seed: u64 = rand::rng().random();
    eprintln!("seed {seed}");
    let mut harmed = 0;
    for case in 0..CASES {
        let mut rng = StdRng::seed_from_u64(seed.wrapping_add(case));
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(options(dir.path())).unwrap().store;
        for round in 0..MESSAGES / 100 {
            submit(&store, (0..100).map(|i| publish(1, round * 100 + i, LEN)));
            store.flush().unwrap();
        }
        eventually("the log is folded", || store.stats().log_bytes < 600_000);
        let reopened = rng.random();
        let store = match reopened {
            false => store,
            true => {
                store.close().unwrap();
                drop(store);
                Store::open(options(dir.path())).unwrap().store
            }
        };
        let how = damage(dir.path(), &mut rng);
        let what = format!("case {case} of seed {seed}, reopened {reopened}: {how}");
        let (found, lost) = read_past(&store).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(found.is_sorted(), "{what}");
        for position in 0..MESSAGES {
            let is_lost = lost.iter().any(|(a, b)| (*a..=*b).contains(&position));
            let is_found = found.binary_search(&position).is_ok();
            assert!(is_found || is_lost, "{what}: {position} is neither");
        }
        let missing = MESSAGES - found.len() as u64;
        assert!(
            missing < MESSAGES / 2,
            "{what}: {missing} messages for so little"
        );
        harmed += u64::from(!lost.is_empty());
        eprintln!("{what}: {missing} lost");
    }
    eprintln!("{harmed} of {CASES} had something lost");
}
