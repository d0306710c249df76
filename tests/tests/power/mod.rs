//! Power cuts, failing disks and damage: what a store, and a broker, make of them.
//!
//! `LEVERET_TEST_SEED` repeats the random choices of a run (not the moments at which the operating system runs whom),
//! `LEVERET_POWER_CUTS` asks for so many cuts. Where a cut shows a fault, the directories it came from are kept and named.

mod commands;
mod cuts;
mod damage;
mod every_call;
mod faults;
mod full;

use std::path::Path;
use std::process::Command;

/// A number from the environment.
fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// Copies a directory, holes included.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status()
        .expect("cp runs");
    assert!(status.success());
}
