//! `leveret check` and `leveret repair`, as an operator uses them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use leveret_tests::{TestBroker, TestChannel, broker_command, run};

/// The number of messages in the queue.
const MESSAGES: u64 = 300;

fn leveret(command: &str, data_dir: &Path) -> Output {
    let mut leveret = broker_command();
    leveret.arg(command).arg("--data-dir").arg(data_dir);
    leveret.output().expect("leveret runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Publishes numbered messages of 2000 bytes and waits for the confirms.
async fn fill(broker: &TestBroker, from: u64) {
    let client = broker.client().await;
    let channel = client.open_confirming().await;
    channel.durable_queue("orders").await;
    for number in from..from + MESSAGES {
        let body = [number.to_be_bytes().to_vec(), vec![7; 1992]].concat();
        channel.put_persistent("orders", &body).await;
    }
    client.close().await;
}

async fn numbers(channel: &TestChannel) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(delivery) = channel.take("orders").await {
        assert_eq!(delivery.data.len(), 2000);
        let number = delivery.data.first_chunk().expect("a number");
        numbers.push(u64::from_be_bytes(*number));
    }
    numbers
}

fn segments(data_dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data_dir.join("store/log")).expect("the log");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

#[test]
fn check_says_what_is_damaged_and_repair_keeps_the_rest() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        fill(&broker, 0).await;
        let data = broker.data_dir().to_owned();
        let output = leveret("check", &data);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(
            text(&output).contains("is in use by process"),
            "{}",
            text(&output)
        );
        // Moves the first half into the database.
        broker.restart().await;
        fill(&broker, MESSAGES).await;
        broker.kill();
        let output = leveret("check", &data);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        assert!(
            text(&output).contains("orders (vhost /)\t600\t"),
            "{}",
            text(&output)
        );
        let output = leveret("repair", &data);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        assert!(
            text(&output).contains("nothing was changed"),
            "{}",
            text(&output)
        );

        // One commit in the middle of the log.
        let segment = segments(&data).pop().expect("a segment");
        let mut bytes = fs::read(&segment).expect("readable");
        bytes[300_000] ^= 1;
        fs::write(&segment, bytes).expect("writable");
        let mut refusing = broker_command();
        let refusing = refusing.args(["--port", "0", "--data-dir"]).arg(&data);
        let refused = refusing.output().expect("leveret runs");
        assert!(!refused.status.success());
        assert!(
            text(&refused).contains("leveret repair"),
            "{}",
            text(&refused)
        );
        let output = leveret("check", &data);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(
            text(&output).contains("damaged: the commits in bytes"),
            "{}",
            text(&output)
        );
        let output = leveret("repair", &data);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(
            data.join("store.damaged-1/store").exists(),
            "{}",
            text(&output)
        );
        assert_eq!(leveret("check", &data).status.code(), Some(0));

        broker.start_again().await;
        let client = broker.client().await;
        let found = numbers(&client.channel).await;
        assert!(found.len() >= 550 && found.len() < 600, "{}", found.len());
        assert!(found.is_sorted());
        client.close().await;
    });
}

#[test]
fn repair_works_without_a_database() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        fill(&broker, 0).await;
        broker.kill();
        let data = broker.data_dir().to_owned();
        fs::write(data.join("store/sled/db"), [9; 5000]).expect("writable");
        let output = leveret("check", &data);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        let output = leveret("repair", &data);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        broker.start_again().await;
        let client = broker.client().await;
        // All of it was still in the log.
        assert_eq!(
            numbers(&client.channel).await,
            (0..MESSAGES).collect::<Vec<_>>()
        );
        client.close().await;
    });
}

#[test]
fn a_log_that_was_removed_is_missed_and_repair_goes_on_without_it() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        fill(&broker, 0).await;
        broker.kill();
        let data = broker.data_dir().to_owned();
        for segment in segments(&data) {
            fs::remove_file(segment).expect("removed");
        }
        let mut refusing = broker_command();
        let refusing = refusing.args(["--port", "0", "--data-dir"]).arg(&data);
        let refused = refusing.output().expect("leveret runs");
        assert!(!refused.status.success());
        let said = text(&refused);
        assert!(
            said.contains("incomplete: log segment 1 missing,"),
            "{said}"
        );
        for remedy in ["from a copy", "`leveret check`", "`leveret repair`"] {
            assert!(said.contains(remedy), "{remedy}: {said}");
        }
        let checked = leveret("check", &data);
        assert_eq!(checked.status.code(), Some(1), "{}", text(&checked));
        let repaired = leveret("repair", &data);
        assert_eq!(repaired.status.code(), Some(1), "{}", text(&repaired));
        for output in [checked, repaired] {
            let said = text(&output);
            assert!(said.contains("missing: log segment 1;"), "{said}");
            assert!(said.contains("declarations in there are lost"), "{said}");
        }
        broker.start_again().await;
        fill(&broker, 0).await;
    });
}

#[test]
fn a_directory_without_a_store_is_no_store() {
    let empty = tempfile::tempdir().expect("a temporary directory");
    for command in ["check", "repair"] {
        let output = leveret(command, empty.path());
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(
            text(&output).contains("cannot find a store in"),
            "{}",
            text(&output)
        );
        assert_eq!(fs::read_dir(empty.path()).expect("readable").count(), 0);
    }
}
