//! Power cuts, failing disks and damage, and how a store and a broker handle them.
//!
//! `LEVERET_TEST_SEED` repeats the random choices of a run (but not the scheduling of threads), `LEVERET_POWER_CUTS`
//! sets the number of cuts. If a cut reveals a fault, the directories involved are kept and named.

mod commands;
mod cuts;
mod damage;
mod every_call;
mod faults;
mod full;

use std::path::Path;
use std::process::Command;

/// Reads a number from the environment.
fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// Copies a directory, keeping holes in files.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status()
        .expect("cp runs");
    assert!(status.success());
}
