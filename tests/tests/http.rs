//! Replies of the HTTP API recorded from RabbitMQ, compared key by key: `tests/conformance/http/README.md`.

mod administration;
mod crowds;
mod declarations;
mod hostile;
mod log;
mod own;
mod sessions;

use std::path::{Path, PathBuf};
use std::time::Duration;

use leveret_tests::TestBroker;
use leveret_tests::http::script::Origin;
use leveret_tests::http::{Deviations, Mismatch, Script, Target, play, record, summary};

/// The time between two samples of what was counted, in milliseconds: replies with rates wait for it.
const INTERVAL: &str = "200";
/// Many times that.
const PATIENCE: Duration = Duration::from_secs(3);

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

/// Returns a part of the titles or places of the scenarios to play; empty for all.
fn filter() -> String {
    std::env::var("LEVERET_TEST_CASES").unwrap_or_default()
}

/// Panics with each difference that is not meant, and, if every scenario was played, with each deviation that no reply
/// needs.
fn judge(mut mismatches: Vec<Mismatch>, mut deviations: Deviations) {
    deviations.forgive(&mut mismatches);
    let unused = match filter().as_str() {
        "" => deviations.unused(),
        _ => Vec::new(),
    };
    assert!(
        mismatches.is_empty() && unused.is_empty(),
        "{} differ:\n{}\n{} deviations of nothing:\n{}",
        mismatches.len(),
        summary(&mismatches),
        unused.len(),
        unused.join("\n")
    );
}

/// Plays every file to a broker that runs elsewhere, one after the other, or records them from it.
fn play_elsewhere(base: &str, amqp: &str) {
    let target = Target::find(base, amqp).expect("a broker with an HTTP API");
    if std::env::var_os("LEVERET_TEST_RECORD").is_some() {
        let failures = record(&scripts(), &target, &filter()).join("\n");
        assert!(failures.is_empty(), "not recorded:\n{failures}");
        return;
    }
    let deviations = match target.is_rabbitmq() {
        true => Deviations::default(),
        false => deviations(),
    };
    judge(play(&scripts(), &target, &filter()), deviations);
}

#[tokio::test]
async fn every_reply_is_as_rabbitmqs() {
    // The HTTP API of a broker that runs elsewhere, with its AMQP port.
    let (base, amqp) = ("LEVERET_TEST_HTTP", "LEVERET_TEST_ADDRESS");
    if let (Ok(base), Ok(amqp)) = (std::env::var(base), std::env::var(amqp)) {
        return play_elsewhere(&base, &amqp);
    }
    // A broker for each file: the API shows the whole broker.
    let mut files = Vec::new();
    for script in scripts() {
        let options = ["--collect-statistics-interval", INTERVAL];
        let Some(broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        files.push(tokio::task::spawn_blocking(move || {
            let base = format!("http://{}", broker.management());
            let target = Target::find(&base, broker.address()).expect("a broker with an HTTP API");
            play(&[script], &target.with_patience(PATIENCE), &filter())
        }));
    }
    let mut mismatches = Vec::new();
    for file in files {
        mismatches.extend(file.await.expect("a file that is played to its end"));
    }
    judge(mismatches, deviations());
}
