//! One call after the other fails, once: of the same piece of work each write, sync, growth, new file and rename, of the
//! log, of the main sled and of the volumes, each with a case of its own.
//!
//! A run of the suite takes a few of them, spread evenly; `LEVERET_FAULT_EVERY=1` takes every one, 7 every seventh.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use leveret_tests::power::{Event, Trace, programs};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::faults::run;
use super::setting;

/// What the paths of the calls contain.
const PARTS: [&str; 3] = ["/log/", "/sled/", "/volumes/"];
/// Batches of work: enough for some segments of the log to be folded, and for a restart now and then.
const BATCHES: u64 = 150;
/// Cases for each part, unless told otherwise.
const CASES: u64 = 3;

#[test]
fn every_call_may_fail_once() {
    let every: Option<u64> = setting("LEVERET_FAULT_EVERY");
    let seed: u64 = setting("LEVERET_TEST_SEED").unwrap_or_else(|| rand::rng().random());
    eprintln!("LEVERET_TEST_SEED={seed} LEVERET_FAULT_EVERY={every:?}");
    let counts = calls(seed);
    let (mut cases, mut struck, mut failures) = (0, 0, Vec::new());
    for (part, count) in PARTS.into_iter().zip(counts) {
        eprintln!("{part}: {count} calls");
        let every = every.unwrap_or(count / CASES).max(1);
        for number in (seed % every..count).step_by(every as usize) {
            let fault = format!("5 {number} 1 wslor {part}");
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
    // How many calls there are depends on what is committed together: the later ones may not come.
    assert!(struck > 0, "none of {cases}: calls are counted wrongly");
}

/// How many calls the work makes for each part when none fails.
fn calls(seed: u64) -> [u64; 3] {
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

fn count(trace: &Path, store: &Path) -> [u64; 3] {
    let mut paths: HashMap<u64, String> = HashMap::new();
    let mut counts = [0; 3];
    for event in Trace::open(trace, store) {
        let path = match event {
            Event::Open { handle, path, .. } => {
                paths.insert(handle, format!("/{path}/"));
                continue;
            }
            Event::Write { handle, .. } | Event::SetLen { handle, .. } | Event::Sync(handle) => {
                paths.get(&handle).cloned().unwrap_or_default()
            }
            Event::Rename(path, _) | Event::Remove(path) | Event::Mkdir(path) => {
                format!("/{path}/")
            }
            _ => continue,
        };
        for (count, part) in counts.iter_mut().zip(PARTS) {
            *count += u64::from(path.contains(part));
        }
    }
    counts
}
