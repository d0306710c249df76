//! Gives the programs a version that names the commit they were built from, for `--version`.
//!
//! It depends on what the programs are built from and on nothing else: a commit to the documentation or the tests changes
//! no version, so it rebuilds nothing, and two checkouts of the same sources get the same one.

use std::env;
use std::path::Path;
use std::process::Command;

/// What the programs are built from, by its path below the workspace.
const SOURCES: [&str; 5] = ["broker", "protocol", "storage", "Cargo.toml", "Cargo.lock"];
/// Enough of a commit's hash to find it.
const HASH_LENGTH: usize = 12;

fn main() {
    for source in SOURCES {
        println!("cargo:rerun-if-changed=../{source}");
    }
    println!("cargo:rerun-if-env-changed=LEVERET_COMMIT");
    let built_from = given().or_else(of_git);
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let version = match built_from {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    };
    println!("cargo:rustc-env=LEVERET_VERSION={version}");
}

/// Returns what somebody says who builds from an archive: a commit, and the time of it in seconds since 1970.
fn given() -> Option<String> {
    let commit = env::var("LEVERET_COMMIT").ok();
    let commit = commit.filter(|commit| !commit.trim().is_empty())?;
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let epoch = env::var("SOURCE_DATE_EPOCH").ok();
    let seconds = epoch.and_then(|seconds| seconds.trim().parse().ok());
    Some(described(commit.trim(), "", seconds))
}

/// Returns the last commit that changed the sources, with `+` if they have changes that are not committed. Returns `None`
/// where the workspace is no Git repository, or only a folder of another one.
fn of_git() -> Option<String> {
    if !git(&["rev-parse", "--show-prefix"])?.is_empty() {
        return None;
    }
    let last = git(&with_sources(&["log", "-1", "--format=%H %ct", "--"]))?;
    let (commit, seconds) = last.split_once(' ')?;
    let changes = git(&with_sources(&["status", "--porcelain", "--"]))?;
    let mark = if changes.is_empty() { "" } else { "+" };
    Some(described(commit, mark, seconds.parse().ok()))
}

fn with_sources<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [words, &SOURCES].concat()
}

/// Returns what Git prints, without the last line end.
fn git(words: &[&str]) -> Option<String> {
    let workspace = Path::new("..");
    let output = Command::new("git")
        // Nobody's work with the repository is to wait for this.
        .arg("--no-optional-locks")
        .args(words)
        .current_dir(workspace)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}

fn described(commit: &str, mark: &str, seconds: Option<i64>) -> String {
    let commit: String = commit.chars().take(HASH_LENGTH).collect();
    match seconds {
        Some(seconds) => format!("{commit}{mark} {}", date(seconds)),
        None => format!("{commit}{mark}"),
    }
}

/// Returns the date of a time, in UTC. Years begin in March here, so that a leap day is the last of its year.
fn date(seconds: i64) -> String {
    let day = seconds.div_euclid(86_400) + 719_468; // since 0000-03-01
    let era = day.div_euclid(146_097); // 400 years
    let day = day.rem_euclid(146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + later)
}
