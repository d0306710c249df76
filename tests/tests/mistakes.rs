//! Operators' mistakes: what the broker does about them, and whether it says so.

use leveret_tests::raw::Raw;
use leveret_tests::{TestBroker, broker_command, eventually, run};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A user whom no system has.
const SOMEBODY: u32 = 54_321;

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Gets a path of the HTTP API as guest. Returns the whole answer.
async fn get(address: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(address).await.expect("a listener");
    let request = format!("GET {path} HTTP/1.0\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    answer
}

/// Waits until the log has a line with all of these words.
async fn logged(broker: &mut TestBroker, words: &[&str]) {
    eventually(&format!("a line with {words:?}"), async || {
        let lines = broker.process().lines();
        let found = |line: &String| words.iter().all(|word| line.contains(word));
        lines.iter().any(found).then_some(())
    })
    .await;
}

#[test]
fn a_store_that_is_deleted_under_a_broker_confirms_nothing_and_the_checks_say_so() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        channel.durable_queue("q").await;
        channel.put_persistent("q", "stored").await;
        let path = "/api/health/checks/local-alarms";
        let answer = get(broker.management(), path).await;
        assert!(answer.contains(r#"{"status":"ok"}"#), "{answer}");

        fs::remove_dir_all(broker.data_dir().join("store")).expect("removed");
        // What the store may take to notice.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let lost = channel.put_persistent("q", "lost");
        let confirmed = tokio::time::timeout(Duration::from_millis(500), lost).await;
        assert!(confirmed.is_err(), "confirmed: {confirmed:?}");
        let words = ["ERROR", "writing the commit log fails", "was deleted"];
        logged(&mut broker, &words).await;

        let answer = get(broker.management(), path).await;
        let status = answer.lines().next().unwrap_or_default();
        assert!(status.contains(" 503 "), "{answer}");
        for part in [
            r#""resource":"commit_log""#,
            "There are alarms in effect on the node: the commit log cannot be written: the store in ",
        ] {
            assert!(answer.contains(part), "{part}: {answer}");
        }
        let said = broker.try_ctl(&["check_local_alarms", "-q"]).await;
        assert_eq!(said.status, Some(69), "{}", said.stderr);
        assert!(said.stderr.contains("Commit log alarm"), "{}", said.stderr);
        let status = broker.ctl(&["status"]).await;
        assert!(status.contains("Commit log alarm"), "{status}");
        broker.kill();
    });
}

#[test]
fn whoever_knocks_at_the_wrong_port_is_told_of_with_the_right_one() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let (amqp, http) = (broker.address().to_owned(), broker.management().to_owned());
        for (to, bytes, told) in [
            (
                &http,
                &b"AMQP\0\0\x09\x01"[..],
                format!("the client speaks AMQP, but this is a port of HTTP; AMQP is at {amqp}"),
            ),
            (
                &http,
                b"\x16\x03\x01\x02\0\x01",
                "the client began a TLS handshake, but this port is without TLS; the HTTP API with TLS is served nowhere"
                    .to_owned(),
            ),
            (
                &amqp,
                b"GET / HTTP/1.1\r\n\r\n",
                format!("see management_port; the HTTP API is at {http}"),
            ),
            (
                &amqp,
                b"\x16\x03\x01\x02\0\x01",
                "this port is without TLS; AMQP with TLS is served nowhere here".to_owned(),
            ),
        ] {
            let mut raw = Raw::dial_to(to).await;
            raw.bytes(bytes).await;
            logged(&mut broker, &["WARN", &told]).await;
        }
    });
}

#[test]
fn an_address_that_takes_the_place_of_listeners_is_told() {
    let folder = TempDir::with_prefix("leveret-test-").expect("a folder");
    let file = folder.path().join("own.toml");
    fs::write(&file, "listeners = '127.0.0.1:25999'\n").expect("written");
    let mut command = broker_command();
    command
        .args(["--check-config", "--config"])
        .arg(&file)
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .env("LEVERET_BIND", "127.0.0.2");
    let output = command.output().expect("it runs");
    let told = format!(
        "listeners in {}: this has no effect, because LEVERET_BIND takes its place",
        file.display()
    );
    assert!(text(&output).contains(&told), "{}", text(&output));
    assert!(output.status.success(), "{}", text(&output));
}

/// Returns every file and folder below a path, itself included.
fn tree(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![path.to_owned()];
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder") {
            all.extend(tree(&entry.expect("an entry").path()));
        }
    }
    all
}

#[test]
fn root_leaves_nothing_in_the_store_of_another_user() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        broker.stop().await;
        let data = broker.data_dir().to_owned();
        for path in tree(&data) {
            if chown(&path, Some(SOMEBODY), None).is_err() {
                eprintln!("skipped: only root may give files away");
                return;
            }
        }
        let run = |arguments: &[&str]| {
            let mut leveret = broker_command();
            leveret.args(arguments).arg("--data-dir").arg(&data);
            leveret.output().expect("it runs")
        };
        for (arguments, status) in [(&["--port", "0"][..], 78), (&["repair"], 2)] {
            let output = run(arguments);
            assert_eq!(output.status.code(), Some(status), "{}", text(&output));
            let told =
                "belongs to the user number 54321, who could not read what root writes there";
            assert!(text(&output).contains(told), "{}", text(&output));
        }
        let output = run(&["check"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        for path in tree(&data) {
            let owner = fs::metadata(&path).expect("a file").uid();
            assert_eq!(owner, SOMEBODY, "{}", path.display());
        }
    });
}
