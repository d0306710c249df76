//! The load generator: every mode with small counts, and what it prints.

mod channels;
mod failing;
pub mod terminator;
mod tls;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use leveret_tests::{Process, TestBroker, binaries, eventually, isolate, run, run_within};
use serde_json::Value;

/// The output of a run of leveretperf.
#[derive(Debug)]
struct Output {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

async fn leveretperf(arguments: &str) -> Output {
    let mut command = tokio::process::Command::new(&binaries().leveretperf);
    isolate(command.as_std_mut());
    command
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(120), command.output())
        .await
        .unwrap_or_else(|_| panic!("leveretperf {arguments} hangs"))
        .expect("leveretperf runs");
    Output {
        status: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs it against the broker and returns its JSON.
async fn measured(broker: &TestBroker, arguments: &str) -> Value {
    summary(&format!(
        "{arguments} --quiet --json --address {}",
        broker.address()
    ))
    .await
}

async fn summary(arguments: &str) -> Value {
    let output = leveretperf(arguments).await;
    assert_eq!(output.status, Some(0), "{arguments}: {output:?}");
    serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{arguments}: {output:?}"))
}

fn count(summary: &Value, name: &str) -> u64 {
    summary[name]["messages"]
        .as_u64()
        .unwrap_or_else(|| panic!("{name}: {summary}"))
}

/// Checks that it fails with this status and mentions this.
async fn fails(arguments: &str, status: i32, mention: &str) {
    let output = leveretperf(arguments).await;
    assert_eq!(output.status, Some(status), "{arguments}: {output:?}");
    assert!(output.stderr.contains(mention), "{arguments}: {output:?}");
    assert!(!output.stderr.contains("panicked"), "{output:?}");
}

#[test]
fn what_is_published_is_counted_as_consumed() {
    run(async {
        let broker = TestBroker::start().await;
        for arguments in [
            "-C 1000",
            "-C 1000 -x 2 -y 3 -q 4 -s 0",
            "-C 300 -s 200000 -a -P 10",
            "-C 1000 -p -c 50 -a -P 20 -A 7",
            "-C 1000 -t direct -q 3",
            "-C 1000 -t topic -q 3 -a",
            "-C 1000 -t topic-wildcards --bindings 3",
            "-C 1000 -t headers -q 2",
            "-C 1000 -t fanout",
            "-C 1000 --argument x-max-priority=5 --priorities 5",
            "-C 200 -r 2000 -R 1000 -a -P 5",
        ] {
            let summary = measured(&broker, arguments).await;
            let published = count(&summary, "published");
            assert_eq!(published % 100, 0, "{arguments}: {summary}");
            assert_eq!(count(&summary, "consumed"), published, "{arguments}");
        }
    });
}

#[test]
fn totals_units_and_names_are_understood() {
    run(async {
        let broker = TestBroker::start().await;
        let summary = measured(&broker, "-C 1k -s 1KiB").await;
        assert_eq!(count(&summary, "published"), 1000);
        assert_eq!(summary["published"]["bytes"], 1_024_000);
        let address = format!("localhost:{}", broker.port());
        let output = leveretperf(&format!("-C 10 -s 2kB --quiet --address {address}")).await;
        assert!(output.stdout.contains("published 10 ("), "{output:?}");
        assert!(output.stdout.contains(" MB/s)"), "{output:?}");
        let nowhere = "--address no-such-host.invalid -C 1 --quiet";
        fails(nowhere, 1, "'no-such-host.invalid' cannot be resolved").await;
        fails("-qa x-max-length=10", 2, "here it is: --argument").await;
        fails("-s 1.5k", 2, "expected a size").await;
    });
}

#[test]
fn confirms_and_latencies_are_counted_for_each_message() {
    run(async {
        let broker = TestBroker::start().await;
        let summary = measured(&broker, "-C 500 -c 10 -p -a -P 10 -s 100 -l").await;
        assert_eq!(count(&summary, "confirmed"), 500);
        for name in ["latency_us", "confirm_latency_us"] {
            let times = &summary[name];
            assert_eq!(times["count"], 500, "{summary}");
            let of = |name: &str| times[name].as_f64().unwrap_or_else(|| panic!("{times}"));
            let names = ["min", "p50", "p75", "p95", "p99", "p99.9", "max"];
            assert!(names.is_sorted_by_key(|name| of(name)), "{times}");
            assert!(of("min") > 0.0, "{times}");
        }
        let summary = measured(&broker, "-C 500").await;
        assert!(summary.get("latency_us").is_none(), "{summary}");
    });
}

#[test]
fn consumers_alone_take_what_publishers_alone_have_left() {
    run(async {
        let broker = TestBroker::start().await;
        let summary = measured(&broker, "-u jobs -y 0 -C 100 -c 10 --keep").await;
        assert_eq!(count(&summary, "confirmed"), 100);
        let address = broker.address();
        let again = format!("-u jobs -C 1 --quiet --address {address}");
        fails(&again, 1, "'jobs' already exists, with 100 messages").await;
        let summary = measured(&broker, "-u jobs --predeclared -x 0 -D 60 -a -P 10").await;
        assert_eq!(count(&summary, "consumed"), 60);
        let summary = measured(&broker, "-u jobs --predeclared -x 0 -D 40").await;
        assert_eq!(count(&summary, "consumed"), 40);
        // With --replace the queue is removed before and after the run.
        measured(&broker, "-u jobs --replace -C 1").await;
        let gone = format!("-u jobs --predeclared -x 0 -D 1 --quiet --address {address}");
        fails(&gone, 1, "404 NOT_FOUND").await;
    });
}

#[test]
fn a_backlog_is_filled_then_drained() {
    run(async {
        let broker = TestBroker::start().await;
        for arguments in [
            "--backlog 2001 -x 2 -q 3",
            "--backlog 1000 -p -c 100 -a -P 50",
        ] {
            let summary = measured(&broker, arguments).await;
            let messages: u64 = if arguments.contains("2001") {
                2001
            } else {
                1000
            };
            assert_eq!(count(&summary, "published"), messages, "{summary}");
            assert_eq!(count(&summary, "consumed"), messages, "{summary}");
        }
    });
}

#[test]
fn messages_that_come_back_or_are_refused_are_counted() {
    run(async {
        let broker = TestBroker::start().await;
        let bound = "-C 50 -c 10 -y 0 -e amq.direct -k here --mandatory";
        let summary = measured(&broker, bound).await;
        assert_eq!(count(&summary, "returned"), 0, "{summary}");
        let full =
            "-C 50 -c 10 -y 0 --argument x-max-length=20 --argument x-overflow=reject-publish";
        let summary = measured(&broker, full).await;
        assert_eq!(count(&summary, "refused"), 30, "{summary}");
        assert_eq!(count(&summary, "confirmed"), 20, "{summary}");
        let nowhere = "-C 50 -c 10 -y 0 -e amq.direct -k no-such-key --mandatory --predeclared";
        let summary = measured(&broker, nowhere).await;
        assert_eq!(count(&summary, "returned"), 50, "{summary}");
    });
}

#[test]
fn everything_that_churns_does_so_as_often_as_asked() {
    run(async {
        let broker = TestBroker::start().await;
        for mode in [
            "connection-churn",
            "channel-churn",
            "queue-churn",
            "bind-churn",
        ] {
            let summary = measured(&broker, &format!("{mode} -x 2 -C 10")).await;
            assert_eq!(count(&summary, "cycles"), 20, "{mode}: {summary}");
            assert_eq!(summary["latency_us"]["count"], 20, "{mode}: {summary}");
            assert_eq!(summary["mode"], mode);
        }
        let summary = measured(&broker, "connection-count -x 20 --channels 3 -d 0.1").await;
        assert_eq!(count(&summary, "connections"), 20, "{summary}");
    });
}

#[test]
fn what_needs_no_broker_measures_without_one() {
    run(async {
        let published = async |arguments: &str| {
            let summary = summary(&format!("{arguments} --quiet --json")).await;
            count(&summary, "published")
        };
        assert_eq!(published("ceiling -C 1000").await, 1000);
        assert_eq!(published("ceiling -C 1000 -y 0 -c 100 -s 1024").await, 1000);
        let relayed = summary("relay -C 20 -r 200 --quiet --json -s 100").await;
        assert_eq!(relayed["latency_us"]["count"], 20, "{relayed}");
        let directory = tempfile::TempDir::new().expect("a temporary directory");
        let dir = directory.path().display();
        for more in ["", "--preallocate"] {
            let synced = summary(&format!("disk -C 5 {more} --quiet --json --dir {dir}")).await;
            assert_eq!(count(&synced, "synced"), 5, "{synced}");
        }
        let left = std::fs::read_dir(directory.path()).expect("a directory");
        assert_eq!(left.count(), 0, "its file is gone");
    });
}

#[test]
fn the_summary_comes_as_text_and_csv_and_progress_goes_elsewhere() {
    run(async {
        let broker = TestBroker::start().await;
        let directory = tempfile::TempDir::new().expect("a temporary directory");
        let file = directory.path().join("progress.csv");
        let load = format!("--uri amqp://guest:guest@{}/%2F", broker.address());
        let timed = format!(
            "{load} -C 1000 -r 1000 -i 0.05 -c 10 -l -o {}",
            file.display()
        );
        let output = leveretperf(&timed).await;
        assert_eq!(output.status, Some(0), "{output:?}");
        assert!(output.stdout.starts_with("published "), "{output:?}");
        assert!(
            output.stdout.contains("\nconfirm latency: min "),
            "{output:?}"
        );
        assert!(output.stderr.contains(" s  published "), "{output:?}");
        let progress = std::fs::read_to_string(&file).expect("the progress");
        let mut lines = progress.lines().map(|line| line.split(',').count());
        let columns = lines.next().expect("names");
        assert!(lines.next() == Some(columns) && lines.all(|count| count == columns));
        let output = leveretperf(&format!("{load} --csv --quiet -C 10")).await;
        let (names, values) = output.stdout.trim().split_once('\n').expect("two lines");
        assert_eq!(names.split(',').count(), values.split(',').count());
        assert!(values.starts_with("throughput,"), "{values}");
        assert_eq!(output.stderr, "");
    });
}

#[test]
fn brokers_are_put_side_by_side() {
    // 23 runs, one after the other.
    run_within(Duration::from_secs(600), async {
        let Some(one) = TestBroker::start_own().await else {
            return;
        };
        let other = TestBroker::start().await;
        let out = tempfile::TempDir::new().expect("a temporary directory");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/run.py");
        let mut command = tokio::process::Command::new("python3");
        command.arg("-B").arg(script).arg("table");
        command.args(["--rounds", "1", "--seconds", "0.1"]);
        command.args(["--broker", &format!("One={}", one.address())]);
        command.args(["--broker", &format!("Other={}", other.address())]);
        command.arg("--out").arg(out.path());
        command.arg("--perf").arg(&binaries().leveretperf);
        isolate(command.as_std_mut());
        command.kill_on_drop(true);
        let output = command.output().await.expect("python3 runs");
        assert!(output.status.success(), "{output:?}");
        let read = |name| std::fs::read_to_string(out.path().join(name)).expect("it was written");
        let table = read("table.md");
        let rows = table.lines().filter(|line| line.contains("| `-s"));
        assert_eq!(rows.count(), 8, "{table}");
        assert!(table.contains("| Other : One |"), "{table}");
        assert!(read("table.svg").ends_with("</svg>\n"));
        let raw: Value = serde_json::from_str(&read("table.json")).expect("JSON");
        let runs = raw["runs"].as_array().expect("runs");
        // Eight loads for each broker, and a ceiling for all but the last load.
        assert_eq!(runs.len(), 8 + 8 + 7, "{raw}");
        assert!(
            runs.iter().all(|run| run["summary"]["error"].is_null()),
            "{raw}"
        );
    });
}

#[test]
fn ctrl_c_ends_a_run_with_its_summary() {
    run(async {
        let broker = TestBroker::start().await;
        for arguments in [
            "-d 600 -r 100",
            "-d 600 -y 0 -c 5",
            "connection-count -d 600",
        ] {
            let mut command = std::process::Command::new(&binaries().leveretperf);
            command
                .args(arguments.split_whitespace())
                .args(["-i", "0.01", "--json"]);
            command.args(["--address", broker.address()]);
            let mut process = Process::start("leveretperf", &mut command);
            // Any line means that it is under way.
            eventually("a line", async || {
                (!process.lines().is_empty()).then_some(())
            })
            .await;
            process.signal("INT");
            let status = tokio::time::timeout(Duration::from_secs(60), process.ended())
                .await
                .expect("it ends");
            assert!(status.success(), "{arguments}: {status}");
            eventually("the summary", async || {
                let lines = process.lines();
                lines.iter().any(|line| line.starts_with('{')).then_some(())
            })
            .await;
        }
    });
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_an_address() {
    run(async {
        let broker = TestBroker::start().await;
        let directory = tempfile::TempDir::new().expect("a temporary directory");
        let path = directory.path().join("amqp.sock");
        let listener = tokio::net::UnixListener::bind(&path).expect("a socket");
        let to = broker.address().to_owned();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(terminator::forward(stream, to.clone()));
            }
        });
        let at = format!("--quiet --json --address unix:{}", path.display());
        let through = summary(&format!("{at} -C 500 -c 10 -a -P 10")).await;
        assert_eq!(count(&through, "consumed"), 500);
        let churned = summary(&format!("connection-churn {at} -C 5")).await;
        assert_eq!(count(&churned, "cycles"), 5);
        let nowhere = format!("--quiet --address unix:{}/none", directory.path().display());
        fails(&nowhere, 1, "cannot connect to unix:/").await;
    });
}

#[test]
fn arguments_that_make_no_sense_are_explained() {
    run(async {
        fails("--size many", 2, "--size").await;
        fails("-l -s 4", 2, "--size must be at least 8").await;
        fails("--uri localhost", 2, "amqp://").await;
        fails("--json --csv", 2, "cannot be used with").await;
        fails("churn", 2, "connection-churn").await;
        fails("--cacert ca.pem", 2, "--cacert needs TLS").await;
        fails("--uri amqps://h?cacertfle=x", 2, "did you mean cacertfile?").await;
        // A port that is bound but that nobody listens on.
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        let any = "127.0.0.1:0".parse().expect("an address");
        socket.bind(any).expect("a free port");
        let address = socket.local_addr().expect("an address");
        fails(&format!("--address {address}"), 1, "cannot connect to").await;
    });
}
