//! A program that works on a store or checks it, which the tests run as a separate process under the layer or with
//! limits.
//!
//! - `power-store work DIR SEED BATCHES`: does random work on the store in DIR, with restarts. What is submitted and
//!   what the store says is durable is written to the file `LEVERET_POWER_MARKS`, one line each: see `work`.
//! - `power-store check DIR [MEGABYTES]`: opens the store, within this much address space, and prints its contents; if
//!   it does not open, prints a message and exits with status 3.
//! - `power-store look DIR`: checks it with [`leveret_storage::salvage::check`], which changes nothing.
//! - `power-store repair DIR [MEGABYTES]`: repairs it and then does the same as `check`, printing the damage first.

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
