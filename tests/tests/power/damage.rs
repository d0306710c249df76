//! Damage anywhere in a store's directory: bytes flipped, zeroed, overwritten or cut off, files and directories removed.
//!
//! A damaged store opens with everything that is provably intact, and reports what is not; or it refuses to open and
//! says what to do. It never crashes, hangs, uses gigabytes of memory, or returns what was not stored.

use std::fs;
use std::path::{Path, PathBuf};

use leveret_tests::power::{Found, programs};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::{copy, setting};

/// The number of cases, unless `LEVERET_DAMAGE_CASES` says otherwise.
const CASES: u64 = 150;
/// The number of cases per store.
const CASES_PER_STORE: u64 = 50;
/// The address space for a store that needs a tenth of it, without thread stacks.
const MEGABYTES: u64 = 1500;
/// The exit status of a store that refuses.
const REFUSED: i32 = 3;

#[test]
fn damage_is_told_and_never_believed() {
    let cases = setting("LEVERET_DAMAGE_CASES").unwrap_or(CASES);
    let seed: u64 = setting("LEVERET_TEST_SEED").unwrap_or_else(|| rand::rng().random());
    eprintln!("LEVERET_TEST_SEED={seed} LEVERET_DAMAGE_CASES={cases}");
    let home = TempDir::with_prefix("leveret-damage-").expect("a temporary directory");
    let (mut original, mut sound) = (PathBuf::new(), None);
    let mut tally = [0u32; 3];
    for case in 0..cases {
        let mut rng = StdRng::seed_from_u64(seed.wrapping_add(case));
        if case % CASES_PER_STORE == 0 {
            let _ = fs::remove_dir_all(&original);
            original = home.path().join(format!("store-{case}"));
            sound = Some(make(&original, rng.random()));
        }
        let sound = sound.as_ref().expect("made with the first case");
        let damaged = home.path().join("damaged");
        copy(&original, &damaged);
        let what = damage(&damaged, rng.random());
        let found = Found::in_store(&damaged, Some(MEGABYTES));
        if let Err(fault) = judge(sound, &found, &what) {
            panic!(
                "case {case} of seed {seed}: {what:?}: {fault}\n{}",
                found.errors
            );
        }
        if !found.opened() {
            let repaired = home.path().join("repaired");
            copy(&original, &repaired);
            fs::remove_dir_all(&damaged).expect("removed");
            damage(&repaired, what.seed);
            let found = Found::repaired(&repaired, MEGABYTES);
            if let Err(fault) = judge_repaired(sound, &found) {
                panic!(
                    "case {case} of seed {seed}: {what:?}, repaired: {fault}\n{}",
                    found.errors
                );
            }
            for entry in fs::read_dir(home.path()).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.to_string_lossy().contains("/repaired") {
                    fs::remove_dir_all(path).expect("removed");
                }
            }
        }
        tally[if !found.opened() {
            0
        } else {
            1 + usize::from(!found.is_silent())
        }] += 1;
        let _ = fs::remove_dir_all(&damaged);
    }
    eprintln!(
        "refused {}, opened {}, opened and told of damage {}",
        tally[0], tally[1], tally[2]
    );
    // Which of those that open have something to tell of is left to chance.
    assert!(tally[0] > 0 && tally[1] + tally[2] > 0, "{tally:?}");
}

/// Creates a store with some work done, closed or not, and returns its contents.
fn make(dir: &Path, seed: u64) -> Found {
    fs::create_dir(dir).expect("a directory");
    let marks = dir.with_extension("marks");
    let mut command = programs().work(dir, seed, 700);
    let output = command
        .env("LEVERET_POWER_MARKS", &marks)
        .output()
        .expect("the work runs");
    assert!(output.status.success(), "{output:?}");
    let copied = dir.with_extension("copy");
    copy(dir, &copied);
    let found = Found::in_store(&copied, Some(MEGABYTES));
    assert!(found.opened() && found.messages() > 100, "{}", found.errors);
    let _ = fs::remove_dir_all(&copied);
    found
}

/// Which file was damaged, and how.
#[derive(Debug)]
struct Damage {
    seed: u64,
    file: String,
    how: String,
}

fn damage(dir: &Path, seed: u64) -> Damage {
    let rng = &mut StdRng::seed_from_u64(seed);
    let (mut files, mut inner) = (Vec::new(), Vec::new());
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                inner.push(path.clone());
                dirs.push(path);
            } else if path.file_name().is_some_and(|name| name != "lock")
                // Nothing in an empty file can be damaged.
                && path.metadata().is_ok_and(|meta| meta.len() > 0)
            {
                files.push(path);
            }
        }
    }
    files.sort();
    inner.sort();
    if rng.random_ratio(1, 6) {
        return remove(dir, &files, &inner, seed, rng);
    }
    let big = |path: &PathBuf| path.ends_with("db") || path.extension().is_some_and(|e| e == "log");
    let big: Vec<PathBuf> = files.iter().filter(|path| big(path)).cloned().collect();
    let of = if rng.random_ratio(3, 4) { &big } else { &files };
    let path = &of[rng.random_range(0..of.len())];
    let mut bytes = fs::read(path).expect("a file");
    // Not in the zeros at the end of a file.
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(1, |last| last + 1);
    let at = rng.random_range(0..used);
    let len = [1, 8, 64, 512, 4096, 100_000][rng.random_range(0..6)].min(bytes.len() - at);
    let part = &mut bytes[at..at + len];
    let how = match rng.random_range(0..4) {
        0 => {
            part.fill(0);
            "zeroed"
        }
        1 => {
            rng.fill(part);
            "overwritten"
        }
        2 => {
            bytes.truncate(at);
            "cut off"
        }
        _ => {
            for _ in 0..rng.random_range(1..4) {
                bytes[rng.random_range(at..at + len)] ^= 1 << rng.random_range(0..8);
            }
            "flipped"
        }
    };
    fs::write(path, bytes).expect("space");
    Damage {
        seed,
        file: path.strip_prefix(dir).expect("below").display().to_string(),
        how: format!("{how} at {at} of {used}, {len} octets"),
    }
}

/// Removes a file, a directory, or every file of a directory.
fn remove(dir: &Path, files: &[PathBuf], inner: &[PathBuf], seed: u64, rng: &mut StdRng) -> Damage {
    let (path, how) = match rng.random_range(0..3) {
        0 => {
            let path = &files[rng.random_range(0..files.len())];
            fs::remove_file(path).expect("removed");
            (path, "removed")
        }
        1 => {
            let path = &inner[rng.random_range(0..inner.len())];
            fs::remove_dir_all(path).expect("removed");
            (path, "removed")
        }
        _ => {
            let path = &inner[rng.random_range(0..inner.len())];
            for file in files.iter().filter(|file| file.parent() == Some(path)) {
                fs::remove_file(file).expect("removed");
            }
            (path, "emptied")
        }
    };
    Damage {
        seed,
        file: path.strip_prefix(dir).expect("below").display().to_string(),
        how: how.to_owned(),
    }
}

fn judge(sound: &Found, found: &Found, what: &Damage) -> Result<(), String> {
    let Some(status) = found.status else {
        return Err("it hangs".to_owned());
    };
    if !found.wrong.is_empty() {
        return Err(format!(
            "it gave out what was not stored: {:?}",
            found.wrong
        ));
    }
    match status.code() {
        Some(REFUSED) if found.errors.contains("leveret repair") => return Ok(()),
        Some(REFUSED) => return Err("it refuses without saying what to do".to_owned()),
        Some(0) => {}
        _ => return Err(format!("it ended with {status}")),
    }
    // A missing end of the log cannot be distinguished from a commit that a crash cut short, which was never confirmed;
    // but a missing log can.
    let cut_short = what.file.starts_with("log/") && what.how != "removed";
    if cut_short || !found.is_silent() {
        return Ok(());
    }
    let (lost, more) = (sound.beyond(found), found.beyond(sound));
    if lost.is_empty() && more.is_empty() {
        return Ok(());
    }
    Err(format!(
        "it said nothing, but lost: {lost}\nhas got back: {more}"
    ))
}

/// After a repair the store opens, contains nothing that was not stored, and lacks nothing without saying so.
fn judge_repaired(sound: &Found, found: &Found) -> Result<(), String> {
    if !found.opened() {
        return Err(format!("{:?}", found.status));
    }
    if !found.wrong.is_empty() || !found.damaged.is_empty() {
        return Err(format!(
            "wrong {:?}, damaged {:?}",
            found.wrong, found.damaged
        ));
    }
    let (lost, more) = (sound.beyond(found), found.beyond(sound));
    if found.is_silent() && !(lost.is_empty() && more.is_empty()) {
        return Err(format!(
            "it said nothing, but lost: {lost}\nhas got back: {more}"
        ));
    }
    Ok(())
}
