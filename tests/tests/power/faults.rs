//! Failing calls to the disk: any of them, on the log and on sled's files, once or for a while.
//!
//! Nothing is confirmed that may not be on disk, nothing crashes or hangs, and when the disk works again the store
//! recovers by itself. Power cuts show what is on disk: after a failed sync, what it should have written counts as lost
//! unless it was written again.

use std::fs;
use std::path::Path;

use leveret_tests::power::{Disk, Event, Found, Mercy, Model, Trace, programs};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::setting;

/// The number of cases, unless `LEVERET_FAULT_CASES` says otherwise.
const CASES: u64 = 8;
/// The number of batches in a case.
const BATCHES: u64 = 250;
/// The number of power cuts in a case, the last one at its end.
const CUTS: usize = 3;
/// Input/output error, no space left on device.
const ERRORS: [u32; 2] = [5, 28];

#[test]
fn a_call_that_fails_loses_nothing_that_was_told() {
    let cases = setting("LEVERET_FAULT_CASES").unwrap_or(CASES);
    let first = setting("LEVERET_FAULT_FIRST").unwrap_or(0);
    let seed: u64 = setting("LEVERET_TEST_SEED").unwrap_or_else(|| rand::rng().random());
    eprintln!("LEVERET_TEST_SEED={seed} LEVERET_FAULT_CASES={cases}");
    let (mut struck, mut tried) = (0, 0);
    // The number of calls depends on what is committed together, so a fault may come too late to strike. Then another
    // case is added, up to four times as many.
    for case in first..first + cases * 4 {
        if tried >= cases && struck * 2 > cases {
            break;
        }
        tried += 1;
        let mut rng = StdRng::seed_from_u64(seed.wrapping_add(case));
        let home = TempDir::with_prefix("leveret-faults-").expect("a temporary directory");
        let fault = fault(case, &mut rng);
        match run(home.path(), &fault, (rng.random(), BATCHES), &mut rng) {
            Ok(failed) => struck += u64::from(failed),
            Err(fault_found) => {
                let kept = home.keep();
                panic!(
                    "case {case} of seed {seed}, {fault:?}, in {}: {fault_found}",
                    kept.display()
                );
            }
        }
    }
    eprintln!("{struck} of {tried} cases had a call fail");
    assert!(struck * 2 > cases, "the faults strike next to nothing");
}

/// The format that the layer reads: the error, the first call that fails, how many fail, their kinds, part of their
/// path.
fn fault(case: u64, rng: &mut StdRng) -> String {
    let error = ERRORS[rng.random_range(0..ERRORS.len())];
    let part = ["/log/", "/sled/", "/sled/", "/"][usize::try_from(case % 4).expect("small")];
    let kinds = ["w", "s", "wslor", "lor"][rng.random_range(0..4)];
    // Rare kinds are few: of those an early one fails.
    let first = rng.random_range(0..if kinds == "lor" { 20 } else { 150 });
    let count = [1, 1, 3, 12][rng.random_range(0..4)];
    format!("{error} {first} {count} {kinds} {part}")
}

/// Does this many batches of work with this fault, then checks what cuts leave. Returns whether a call has failed.
pub(super) fn run(
    home: &Path,
    fault: &str,
    (seed, batches): (u64, u64),
    rng: &mut StdRng,
) -> Result<bool, String> {
    let (store, trace, faults) = (home.join("store"), home.join("trace"), home.join("faults"));
    fs::create_dir(&store).expect("a directory");
    fs::write(&faults, fault).expect("a file");
    let mut disk = Disk::of(&store);
    let mut command = programs().work(&store, seed, batches);
    command.envs(programs().tracing(&store, &trace));
    command.env("LEVERET_POWER_FAULTS", &faults);
    let output = command.output().expect("the work runs");
    if !output.status.success() {
        return Err(format!(
            "the work: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let events = Trace::open(&trace, &store).count();
    let mut moments: Vec<usize> = (1..CUTS).map(|_| rng.random_range(0..events)).collect();
    moments.push(events - 1);
    let mut failed = false;
    let mut model = Model::default();
    for (at, event) in Trace::open(&trace, &store).enumerate() {
        match &event {
            Event::Mark(mark) => model.mark(mark),
            Event::Failed(_) | Event::SyncFailed(_) => failed = true,
            _ => {}
        }
        disk.apply(&event);
        if moments.contains(&at) {
            let image = home.join("image");
            disk.cut(&image, Mercy::random(rng), rng);
            let found = Found::in_store(&image, None);
            model
                .judge(&found)
                .map_err(|fault| format!("cut at event {at} of {events}: {fault}"))?;
            fs::remove_dir_all(&image).expect("removed");
        }
    }
    Ok(failed)
}
