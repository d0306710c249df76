//! Dialogues recorded from RabbitMQ, played to Leveret: `tests/conformance/README.md`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use leveret_tests::dialogue::{Script, Target, play, record};
use leveret_tests::{TestBroker, binaries, run};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}

/// Reads every file of dialogues in a folder; panics with `file:line` if one does not parse.
fn read(folder: &Path) -> Vec<Script> {
    let entries = std::fs::read_dir(folder).expect("a folder of dialogues");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    let read = |path: &PathBuf| Script::read(path).unwrap_or_else(|error| panic!("{error}"));
    paths.iter().map(read).collect()
}

/// Returns the scripts that Leveret has to pass.
fn scripts() -> Vec<Script> {
    read(&folder())
}

/// Returns these and those about features that Leveret lacks.
fn all_scripts() -> Vec<Script> {
    let mut all = scripts();
    let later = folder().join("later");
    if later.is_dir() {
        all.extend(read(&later));
    }
    all
}

/// Plays only `LEVERET_TEST_CASES`, if set: a part of `file:line` or of a title.
fn filter() -> String {
    std::env::var("LEVERET_TEST_CASES").unwrap_or_default()
}

/// Returns the broker's administration command, as words.
fn ctl(broker: &TestBroker) -> Vec<String> {
    if broker.pid().is_none() {
        return Vec::from_iter(std::env::var("LEVERET_TEST_CTL").ok());
    }
    let program = binaries().leveretctl.display().to_string();
    let data = broker.data_dir().display().to_string();
    vec![program, "--data-dir".to_owned(), data]
}

#[test]
fn every_dialogue_goes_as_with_rabbitmq() {
    run(async {
        let broker = TestBroker::start().await;
        let target = Target::find(broker.address(), ctl(&broker)).expect("a broker");
        let recording = std::env::var_os("LEVERET_TEST_RECORD").is_some();
        let scripts = match target.is_rabbitmq() {
            true => all_scripts(),
            false => scripts(),
        };
        let failures = match recording {
            true => record(&scripts, &target, &filter()),
            false => play(&scripts, &target, &filter()),
        };
        let count = failures.len();
        assert!(
            failures.is_empty(),
            "{count} differ:\n{}",
            failures.join("\n")
        );
    });
}

#[test]
fn every_expectation_was_recorded_from_rabbitmq() {
    for script in all_scripts() {
        let title = script.titles().next().unwrap_or("no case").to_owned();
        assert!(script.is_recorded(), "the file of `{title}`");
    }
}

/// Returns the first cells of the tables in docs/operate/compatibility.md.
fn documented_rows() -> BTreeSet<String> {
    let path = folder().join("../../docs/operate/compatibility.md");
    let text = std::fs::read_to_string(path).expect("docs/operate/compatibility.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
    rows.filter_map(|row| Some(row.split_once(" |")?.0.replace('`', "")))
        .collect()
}

#[test]
fn every_deviation_from_rabbitmq_is_documented() {
    let rows = documented_rows();
    for script in scripts() {
        for (place, row) in script.deviations() {
            assert!(
                rows.contains(row),
                "{place}: docs/operate/compatibility.md has no row `{row}`"
            );
        }
    }
}
