//! Power cuts at any moment, applied to the whole directory of a store.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use leveret_tests::power::{Disk, Event, Found, Mercy, Model, Trace, programs};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::{copy, setting};

/// The number of cuts, unless `LEVERET_POWER_CUTS` says otherwise.
const CUTS: usize = 24;
/// The number of cuts per run of work; the next run continues with what one of them left.
const CUTS_PER_STRETCH: usize = 12;
/// The number of batches in one run of work.
const BATCHES: u64 = 1200;
/// The size of a segment of sled's file.
const SLED_SEGMENT: u64 = 2 << 20;

#[test]
fn what_was_told_is_there_after_any_power_cut() {
    let cuts = setting("LEVERET_POWER_CUTS").unwrap_or(CUTS);
    let batches = setting("LEVERET_POWER_BATCHES").unwrap_or(BATCHES);
    let seed: u64 = setting("LEVERET_TEST_SEED").unwrap_or_else(|| rand::rng().random());
    eprintln!("LEVERET_TEST_SEED={seed} LEVERET_POWER_CUTS={cuts} LEVERET_POWER_BATCHES={batches}");
    let mut rng = StdRng::seed_from_u64(seed);
    let home = TempDir::with_prefix("leveret-power-").expect("a temporary directory");
    let mut start = home.path().join("start");
    fs::create_dir(&start).expect("a directory");
    let mut model = Model::default();
    let (mut done, mut reused) = (0, 0);
    for stretch in 0.. {
        if done >= cuts {
            break;
        }
        let here = home.path().join(format!("stretch-{stretch}"));
        fs::create_dir(&here).expect("a directory");
        let count = CUTS_PER_STRETCH.min(cuts - done);
        let mut work = Stretch {
            here,
            seed: rng.random(),
            faults: Vec::new(),
            reused: 0,
        };
        (start, model) = work.run(&start, model, batches, count, &mut rng);
        done += count;
        reused += work.reused;
        if !work.faults.is_empty() {
            let kept = home.keep();
            panic!(
                "{} of {done} cuts, in {}:\n{}",
                work.faults.len(),
                kept.display(),
                work.faults.join("\n\n")
            );
        }
        let _ = fs::remove_dir_all(&work.here);
    }
    eprintln!("sled used {reused} segments again");
}

struct Stretch {
    here: PathBuf,
    seed: u64,
    /// How often sled rewrote the beginning of a segment.
    reused: usize,
    faults: Vec<String>,
}

impl Stretch {
    /// Works on the store in `start`, then checks what cuts leave of it. Returns one of those, and its contents.
    fn run(
        &mut self,
        start: &Path,
        model: Model,
        batches: u64,
        cuts: usize,
        rng: &mut StdRng,
    ) -> (PathBuf, Model) {
        let (store, trace) = (self.here.join("store"), self.here.join("trace"));
        copy(start, &store);
        let before = Disk::of(&store);
        let mut command = programs().work(&store, self.seed, batches);
        command.envs(programs().tracing(&store, &trace));
        let output = command.output().expect("the work runs");
        if !output.status.success() {
            self.faults.push(format!("the work: {output:?}"));
            return (start.to_owned(), model);
        }
        let events = Trace::open(&trace, &store).count();
        // Recovery, at the beginning, is cut more often than its length would suggest.
        let mut moments: Vec<usize> = (0..cuts)
            .map(|cut| {
                rng.random_range(
                    0..if cut % 4 == 0 {
                        events / 20 + 1
                    } else {
                        events
                    },
                )
            })
            .collect();
        moments.sort_unstable();
        eprintln!(
            "stretch of seed {}: {events} events, {} octets",
            self.seed,
            trace.metadata().map_or(0, |m| m.len())
        );
        let next = rng.random_range(0..cuts);
        self.cut_all(&moments, next, before, model, rng)
    }

    fn cut_all(
        &mut self,
        moments: &[usize],
        next: usize,
        mut disk: Disk,
        mut model: Model,
        rng: &mut StdRng,
    ) -> (PathBuf, Model) {
        let (store, trace) = (self.here.join("store"), self.here.join("trace"));
        let mut going_on = None;
        let mut cut = 0;
        let (mut databases, mut begun) = (HashMap::new(), HashSet::new());
        for (at, event) in Trace::open(&trace, &store).enumerate() {
            while moments.get(cut) == Some(&at) {
                let mercy = Mercy::random(rng);
                let image = self.here.join(format!("cut-{cut}"));
                disk.cut(&image, mercy, rng);
                if cut == next {
                    copy(&image, &kept_image(&self.here));
                }
                let again = self.here.join(format!("cut-{cut}-as-left"));
                copy(&image, &again);
                let looked = Found::looked(&image);
                let found = Found::in_store(&image, None);
                let judged = model
                    .judge(&found)
                    .and_then(|()| compare(&looked, &found))
                    .and_then(|()| self.without_log(&again, &found));
                match judged {
                    Ok(()) => {
                        let _ = fs::remove_dir_all(&again);
                    }
                    Err(fault) => self.faults.push(format!(
                        "stretch of seed {}, cut at event {at}, {mercy:?}, left {}: {fault}",
                        self.seed,
                        again.display()
                    )),
                }
                let _ = fs::remove_dir_all(&image);
                if cut == next {
                    going_on = Some((kept_image(&self.here), Model::of(&found)));
                }
                cut += 1;
            }
            match &event {
                Event::Mark(mark) => model.mark(mark),
                Event::Open { handle, path, .. } if path.ends_with("/db") => {
                    databases.insert(*handle, path.clone());
                }
                Event::Write { handle, at, .. } if at % SLED_SEGMENT == 0 => {
                    if let Some(path) = databases.get(handle) {
                        self.reused += usize::from(!begun.insert((path.clone(), *at)));
                    }
                }
                _ => {}
            }
            disk.apply(&event);
        }
        let kept = self.here.join("all");
        disk.cut(&kept, Mercy::All, rng);
        assert!(
            content(&kept) == content(&store),
            "the layer has missed something"
        );
        going_on.expect("one of the cuts")
    }

    /// Removes the log from what a cut has left: this must be noticed, unless the store was empty.
    fn without_log(&self, left: &Path, whole: &Found) -> Result<(), String> {
        if !left.join("log").exists() {
            // Nothing of the store was durable yet.
            return Ok(());
        }
        let image = self.here.join("without-log");
        copy(left, &image);
        fs::remove_dir_all(image.join("log")).expect("removed");
        let looked = Found::looked(&image);
        let found = Found::in_store(&image, None);
        let _ = fs::remove_dir_all(&image);
        let missed = found.errors.contains("incomplete: log segment");
        if found.opened() && found.beyond(whole).is_empty() && whole.beyond(&found).is_empty() {
            return compare(&looked, &found);
        }
        if missed && !found.opened() && !looked.is_silent() {
            return Ok(());
        }
        Err(format!(
            "without its log it holds {:?} of {:?}, and says {:?} {}",
            found.counts(),
            whole.counts(),
            looked.losses,
            found.errors
        ))
    }
}

/// A check without opening must find the same, and no damage.
fn compare(looked: &Found, found: &Found) -> Result<(), String> {
    if looked.is_silent() && looked.counted == found.counts() {
        return Ok(());
    }
    Err(format!(
        "leveret check finds {:?} where there are {:?}, and {:?} {}",
        looked.counted,
        found.counts(),
        looked.losses,
        looked.errors
    ))
}

/// The directory from which the next run of work continues.
fn kept_image(stretch: &Path) -> PathBuf {
    stretch.with_extension("next")
}

/// Returns every file with its contents.
fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("below").to_owned();
                found.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    found
}
