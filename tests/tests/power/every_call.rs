//! Makes each call fail in turn, once: every write, sync, growth, new file and rename of the same piece of work, in the
//! log, in the main sled and in the volumes, each in a case of its own. Also each sync of sled's together with the next
//! ones, which should repair what the first one lost.
//!
//! A run of the suite tests a few of them, spread evenly; `LEVERET_FAULT_EVERY=1` tests every one, 7 every seventh.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use leveret_tests::power::{Event, Trace, programs};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::faults::run;
use super::setting;

/// Kinds of calls (as the layer names them), what their paths contain, and how many fail one after the other.
const KINDS: [(&str, &str, u64); 6] = [
    ("wslor", "/log/", 1),
    ("wslor", "/last-segment", 1),
    ("wslor", "/sled/", 1),
    ("wslor", "/volumes/", 1),
    ("s", "/sled/", 3),
    ("s", "/volumes/", 3),
];
/// The number of batches: enough for some log segments to be folded, and for an occasional restart.
const BATCHES: u64 = 150;
/// The number of cases of each kind, unless set otherwise.
const CASES: u64 = 3;

#[test]
fn every_call_may_fail_once() {
    let every: Option<u64> = setting("LEVERET_FAULT_EVERY");
    let seed: u64 = setting("LEVERET_TEST_SEED").unwrap_or_else(|| rand::rng().random());
    eprintln!("LEVERET_TEST_SEED={seed} LEVERET_FAULT_EVERY={every:?}");
    let counts = calls(seed);
    let (mut cases, mut struck, mut failures) = (0, 0, Vec::new());
    for ((kinds, part, failing), count) in KINDS.into_iter().zip(counts) {
        eprintln!("{kinds} {part}: {count} calls");
        let every = every.unwrap_or(count / CASES).max(1);
        for number in (seed % every..count).step_by(every as usize) {
            let fault = format!("5 {number} {failing} {kinds} {part}");
            let mut rng = StdRng::seed_from_u64(seed.wrapping_add(number));
            let home = TempDir::with_prefix("leveret-faults-").expect("a temporary directory");
            cases += 1;
            match run(home.path(), &fault, (seed, BATCHES), &mut rng) {
                Ok(failed) => struck += u64::from(failed),
                Err(found) => {
                    let kept = home.keep();
                    failures.push(format!("{fault} in {}: {found}", kept.display()));
                }
            }
        }
    }
    eprintln!("{struck} of {cases} cases had their call fail");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    // The number of calls depends on what is committed together, so the later ones may not occur.
    assert!(struck > 0, "none of {cases}: calls are counted wrongly");
}

/// Returns how many calls of each kind the work makes if none fails.
fn calls(seed: u64) -> [u64; KINDS.len()] {
    let home = TempDir::with_prefix("leveret-faults-").expect("a temporary directory");
    let (store, trace) = (home.path().join("store"), home.path().join("trace"));
    fs::create_dir(&store).expect("a directory");
    let mut command = programs().work(&store, seed, BATCHES);
    command.envs(programs().tracing(&store, &trace));
    let output = command.output().expect("the work runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    count(&trace, &store)
}

fn of(paths: &HashMap<u64, String>, handle: u64) -> String {
    paths.get(&handle).cloned().unwrap_or_default()
}

fn count(trace: &Path, store: &Path) -> [u64; KINDS.len()] {
    let mut paths: HashMap<u64, String> = HashMap::new();
    let mut counts = [0; KINDS.len()];
    for event in Trace::open(trace, store) {
        let (kind, path) = match event {
            Event::Open { handle, path, .. } => {
                paths.insert(handle, format!("/{path}/"));
                continue;
            }
            Event::Write { handle, .. } => ('w', of(&paths, handle)),
            Event::SetLen { handle, .. } => ('l', of(&paths, handle)),
            Event::Sync(handle) => ('s', of(&paths, handle)),
            Event::Rename(path, _) | Event::Remove(path) | Event::Mkdir(path) => {
                ('r', format!("/{path}/"))
            }
            _ => continue,
        };
        for (count, (kinds, part, _)) in counts.iter_mut().zip(KINDS) {
            *count += u64::from(kinds.contains(kind) && path.contains(part));
        }
    }
    counts
}
