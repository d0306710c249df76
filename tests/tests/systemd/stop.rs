//! A stop has bounds, whatever clients do.

use std::time::{Duration, Instant};

use leveret_tests::raw::Raw;
use leveret_tests::{TestBroker, broker_command, eventually, run};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Returns how long the broker takes to end, which has to be with exit status 0.
async fn stopped_in(broker: &mut TestBroker) -> Duration {
    let began = Instant::now();
    broker.process().signal("TERM");
    assert_eq!(broker.process().ended().await.code(), Some(0));
    began.elapsed()
}

/// Consumers that never read, each with more to read than sockets hold.
async fn deaf_consumers(broker: &TestBroker, count: usize) -> Vec<Raw> {
    let client = broker.client().await;
    client.durable_queue("q").await;
    let body = vec![b'x'; 1 << 20];
    for _ in 0..16 {
        client.put_persistent("q", &body).await;
    }
    let mut deaf = Vec::new();
    for _ in 0..count {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.consume(1, "q", "t").await;
        deaf.push(raw);
    }
    client.close().await;
    deaf
}

#[test]
fn clients_that_never_read_do_not_hold_up_a_stop_and_nothing_is_lost() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let deaf = deaf_consumers(&broker, 8).await;
        // A client of the HTTP API that never finishes its request, and one that never reads the answer.
        let mut stuck = TcpStream::connect(broker.management())
            .await
            .expect("a port");
        stuck
            .write_all(b"PUT /api/vhosts/v HT")
            .await
            .expect("sent");
        let took = stopped_in(&mut broker).await;
        assert!(took < Duration::from_secs(8), "{took:?}");
        let lines = broker.process().lines();
        let told = |what: &str| lines.iter().any(|line| line.contains(what));
        assert!(told("stopping: waiting for connections"), "{lines:?}");
        assert!(told("not waiting any longer for connections"), "{lines:?}");
        drop((deaf, stuck));
        broker.start_again().await;
        let client = broker.client().await;
        assert_eq!(client.counts("q").await.0, 16);
    });
}

#[test]
fn hundreds_of_connections_are_closed_and_told() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let mut connections = Vec::new();
        for _ in 0..400 {
            connections.push(Raw::connect(&broker).await);
        }
        let took = stopped_in(&mut broker).await;
        assert!(took < Duration::from_secs(12), "{took:?}");
        for raw in &mut connections {
            assert_eq!(raw.closed_or_ended().await.map(|reply| reply.0), Some(320));
        }
    });
}

#[test]
fn a_second_signal_stops_waiting_for_clients() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let deaf = deaf_consumers(&broker, 2).await;
        broker.process().signal("TERM");
        let waits = |line: &str| {
            line.contains("stopping: waiting for connections")
                .then_some(())
        };
        broker.process().line("it waits", waits).await;
        broker.process().signal("INT");
        assert_eq!(broker.process().ended().await.code(), Some(0));
        let lines = broker.process().lines();
        let again = lines
            .iter()
            .any(|line| line.contains("asked to stop again"));
        assert!(again, "{lines:?}");
        drop(deaf);
        broker.start_again().await;
        assert_eq!(broker.client().await.counts("q").await.0, 16);
    });
}

/// Returns whether the process has a handler for a signal.
fn handles(pid: u32, signal: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

#[test]
fn signals_do_not_end_it_while_it_starts_or_stops() {
    run(async {
        if TestBroker::start_own().await.is_none() {
            return;
        }
        let data = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let mut command = broker_command();
        command.args(["--bind", "127.0.0.1", "--port", "0", "--log-format", "json"]);
        command.arg("--data-dir").arg(data.path());
        let mut process = leveret_tests::Process::start("leveret", &mut command);
        let pid = process.id();
        // The program itself has to be there first; then it is the first thing that it does.
        eventually("a handler for SIGHUP", async || {
            handles(pid, 1).then_some(())
        })
        .await;
        for signal in ["HUP", "USR1", "USR2", "ALRM", "HUP", "34"] {
            if handles(pid, 10) {
                process.signal(signal);
            }
        }
        process.line("ready", leveret_tests::ready_address).await;
        let reloaded = |line: &str| line.contains("configuration reloaded").then_some(());
        process.line("the early signal counts", reloaded).await;
        process.signal("TERM");
        for signal in ["HUP", "USR1", "HUP", "USR2"] {
            if process.exited().is_none() {
                process.signal(signal);
            }
        }
        assert_eq!(process.ended().await.code(), Some(0));
    });
}

#[test]
fn exit_statuses_say_whether_a_restart_helps() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let start = |arguments: &[&str]| {
            let mut command = broker_command();
            command.args(["--bind", "127.0.0.1", "--port", "0"]);
            leveret_tests::Process::start("leveret", command.args(arguments))
        };
        // The directory is in use.
        let in_use = broker.data_dir().to_str().expect("a plain path");
        let mut process = start(&["--data-dir", in_use]);
        assert_eq!(process.ended().await.code(), Some(69));
        // The port is.
        let data = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let directory = data.path().to_str().expect("a plain path");
        let port = broker.port().to_string();
        let mut command = broker_command();
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &port,
            "--data-dir",
            directory,
        ]);
        let mut process = leveret_tests::Process::start("leveret", &mut command);
        assert_eq!(process.ended().await.code(), Some(69));
        // What is stored is of another version.
        let marker = data.path().join("store/store");
        assert!(marker.is_file(), "the store was created");
        std::fs::write(&marker, "not a marker\n").expect("written");
        let mut process = start(&["--data-dir", directory]);
        assert_eq!(process.ended().await.code(), Some(65));
        let mut process = start(&["--data-dir", directory, "--no-such-flag"]);
        assert_eq!(process.ended().await.code(), Some(64));
    });
}
