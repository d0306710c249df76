//! A store at work, or looked through: what the tests start as a process of its own, under the layer or under limits.
//!
//! - `power-store work DIR SEED BATCHES`: random work on the store in DIR, with restarts. What is submitted and what the
//!   store says is durable goes to the file `LEVERET_POWER_MARKS`, a line each: see `work`.
//! - `power-store check DIR [MEGABYTES]`: opens the store, within so much address space, and prints all that is in it;
//!   exit status 3 and a message when it does not open.
//! - `power-store look DIR`: the same by [`leveret_storage::salvage::check`], which changes nothing.
//! - `power-store repair DIR [MEGABYTES]`: repairs it, then as `check`; what was damaged comes first.

#![allow(
    clippy::expect_used,
    reason = "a helper of tests: a panic is how it fails"
)]

mod check;
mod contents;
mod work;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["work", dir, seed, batches] => {
            let seed = seed.parse().expect("a seed");
            work::work(Path::new(dir), seed, batches.parse().expect("a number"));
            ExitCode::SUCCESS
        }
        ["check", dir] => check::check(Path::new(dir)),
        ["check", dir, megabytes] => {
            check::limit(megabytes.parse().expect("a number"));
            check::check(Path::new(dir))
        }
        ["look", dir] => check::look(Path::new(dir)),
        ["repair", dir, megabytes] => {
            check::limit(megabytes.parse().expect("a number"));
            check::repair(Path::new(dir))
        }
        _ => panic!("work DIR SEED BATCHES, or check DIR [MEGABYTES]"),
    }
}
