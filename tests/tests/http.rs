//! Replies of the HTTP API recorded from RabbitMQ, compared key by key: `tests/conformance/http/README.md`.

mod administration;
mod declarations;
mod hostile;

use std::path::{Path, PathBuf};

use leveret_tests::http::script::Origin;
use leveret_tests::http::{Deviations, Script, Target, play, record, summary};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/http")
}

/// Reads every file of scenarios; panics with `file:line` if one does not parse.
fn scripts() -> Vec<Script> {
    let entries = std::fs::read_dir(folder()).expect("a folder of scenarios");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    let read = |path: &PathBuf| Script::read(path).unwrap_or_else(|error| panic!("{error}"));
    paths.iter().map(read).collect()
}

fn deviations() -> Deviations {
    let path = folder().join("deviations.md");
    Deviations::read(&path).unwrap_or_else(|error| panic!("deviations.md: {error}"))
}

#[test]
fn every_reply_was_recorded_from_rabbitmq_or_read_in_its_source() {
    deviations();
    let scripts = scripts();
    assert!(scripts.len() > 10, "found {} files only", scripts.len());
    for script in scripts {
        assert_ne!(script.origin(), Origin::Unrecorded, "{}", script.file());
        assert_eq!(script.unanswered(), Vec::<String>::new());
    }
}

/// Plays every scenario to the broker whose HTTP API is at `base`, and panics with each difference that is not meant.
fn compare(base: &str, amqp: &str) {
    let target = Target::find(base, amqp).expect("a broker with an HTTP API");
    let filter = std::env::var("LEVERET_TEST_CASES").unwrap_or_default();
    let scripts = scripts();
    if std::env::var_os("LEVERET_TEST_RECORD").is_some() {
        let failures = record(&scripts, &target, &filter);
        assert!(
            failures.is_empty(),
            "not recorded:\n{}",
            failures.join("\n")
        );
        return;
    }
    let mut mismatches = play(&scripts, &target, &filter);
    let mut unused = Vec::new();
    if !target.is_rabbitmq() {
        let mut deviations = deviations();
        deviations.forgive(&mut mismatches);
        if filter.is_empty() {
            unused = deviations.unused();
        }
    }
    let count = mismatches.len();
    let summary = summary(&mismatches);
    assert!(mismatches.is_empty(), "{count} differ:\n{summary}");
    assert!(
        unused.is_empty(),
        "deviations of nothing:\n{}",
        unused.join("\n")
    );
}

#[test]
fn every_reply_is_as_rabbitmqs() {
    // The HTTP API of a broker that runs elsewhere, with its AMQP port.
    let (Ok(base), Ok(amqp)) = (
        std::env::var("LEVERET_TEST_HTTP"),
        std::env::var("LEVERET_TEST_ADDRESS"),
    ) else {
        return;
    };
    compare(&base, &amqp);
}
