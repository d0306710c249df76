//! The log as files, and the verbs that show and change it: nothing that happens to it stops the broker.

use leveret_tests::raw::Raw;
use leveret_tests::{Process, TestBroker, broker_command, eventually, run};
use serde_json::{Value, json};
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use tempfile::TempDir;

/// A directory for log files.
fn folder() -> TempDir {
    TempDir::with_prefix("leveret-test-").expect("a temporary directory")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Waits for a file that contains a text, and returns the file.
async fn contents(path: &Path, text: &str) -> String {
    let what = format!("{text} in {}", path.display());
    eventually(&what, async || {
        let found = read(path);
        found.contains(text).then_some(found)
    })
    .await
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    PathBuf::from(format!("{}.{number}", path.display()))
}

/// A broker that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Adds a user, which is a line in the log.
async fn change(broker: &TestBroker, user: &str) {
    broker.ctl(&["add_user", user, "x"]).await;
}

#[test]
fn logrotate_renames_the_file_and_the_broker_follows() {
    run(async {
        let logs = folder();
        let path = logs.path().join("leveret.log");
        let name = path.to_str().expect("UTF-8");
        let Some(mut broker) = TestBroker::start_own_with(&["--log-file", name]).await else {
            return;
        };
        change(&broker, "first").await;
        let log = contents(&path, "first").await;
        assert!(
            log.starts_with('{') && log.contains("leveret starting"),
            "{log}"
        );
        let located = broker.ctl(&["log_location", "-q"]).await;
        assert_eq!(located, format!("{name}\n"));
        let all = broker.ctl(&["log_location", "-q", "--all"]).await;
        assert_eq!(all, format!("{name}\n<stderr>\n"));
        let moved = logs.path().join("moved");
        fs::rename(&path, &moved).expect("it is there");
        broker.process().signal("HUP");
        contents(&path, "configuration reloaded").await;
        change(&broker, "second").await;
        contents(&path, "second").await;
        assert!(!read(&moved).contains("second"));
        let tail = broker.ctl(&["log_tail", "-q", "-N", "1"]).await;
        assert!(
            tail.contains("second") && tail.lines().count() == 1,
            "{tail}"
        );
        fs::rename(&path, &moved).expect("it is there");
        broker.ctl(&["rotate_logs"]).await;
        change(&broker, "third").await;
        contents(&path, "third").await;
        // copytruncate
        fs::File::create(&path).expect("it is truncated");
        change(&broker, "fourth").await;
        let log = contents(&path, "fourth").await;
        assert!(log.starts_with('{'), "no hole at its beginning: {log:?}");
        let reply = broker.ask("GET", "/api/overview", Value::Null).await;
        let node = reply.body["node"].as_str().expect("a name").to_owned();
        let node = broker
            .ask("GET", &format!("/api/nodes/{node}"), Value::Null)
            .await;
        assert_eq!(node.body["log_files"], json!([name, "<stderr>"]));
    });
}

#[test]
fn the_broker_rotates_by_size_itself() {
    run(async {
        let logs = folder();
        let path = logs.path().join("leveret.log");
        let options = [
            "--log-file",
            path.to_str().expect("UTF-8"),
            "--log-file-rotation-size",
            "2000",
            "--log-file-rotation-count",
            "2",
            "--log-console",
            "true",
        ];
        let Some(broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        for user in 0..30 {
            change(&broker, &format!("user{user}")).await;
        }
        let rotated = [numbered(&path, 0), numbered(&path, 1)];
        contents(&path, "user29").await;
        for file in rotated.iter().chain([&path]) {
            let text = read(file);
            assert!(text.len() <= 2000 && text.ends_with('\n'), "{text}");
            for line in text.lines() {
                serde_json::from_str::<Value>(line).expect("whole lines");
            }
        }
        assert_eq!(fs::read_dir(logs.path()).expect("a directory").count(), 3);
        broker.ctl(&["rotate_logs"]).await;
        assert!(read(&rotated[0]).contains("user29"));
    });
}

#[test]
fn a_file_that_cannot_be_written_is_told_once() {
    run(async {
        let logs = folder();
        // A disk that is full.
        let path = logs.path().join("leveret.log");
        symlink("/dev/full", &path).expect("a link");
        let options = [
            "--log-file",
            path.to_str().expect("UTF-8"),
            "--log-console",
            "false",
        ];
        let Some(mut broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        for user in 0..5 {
            change(&broker, &format!("user{user}")).await;
        }
        broker
            .process()
            .line("the lines instead", |line| {
                line.contains("user4").then_some(())
            })
            .await;
        let lines = broker.process().lines();
        let told = |line: &&String| line.contains("the log file cannot be written");
        let told: Vec<_> = lines.iter().filter(told).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("No space left on device"), "{told:?}");
        let refused = broker.try_ctl(&["rotate_logs"]).await;
        assert_eq!(refused.status, Some(0), "a device is reopened: {refused:?}");
        // There is room again.
        fs::remove_file(&path).expect("it is there");
        let users: Vec<String> = (0..200).map(|user| format!("later{user}")).collect();
        let mut users = users.iter();
        eventually("a file that can be written", async || {
            change(&broker, users.next().expect("not so many")).await;
            read(&path).contains("can be written again").then_some(())
        })
        .await;
    });
}

#[test]
fn without_a_file_the_log_is_shown_from_memory() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        change(&broker, "walker").await;
        let tail = broker.ctl(&["log_tail", "-q", "-N", "1"]).await;
        assert!(tail.contains("walker"), "{tail}");
        let tail = broker.ctl(&["log_tail", "--formatter", "json"]).await;
        let lines: Vec<Value> = serde_json::from_str(&tail).expect("a list");
        let first = lines[0]["message"].as_str().expect("a text");
        assert!(first.contains("leveret starting"), "{first}");
        assert_eq!(broker.ctl(&["log_location", "-q"]).await, "<stderr>\n");
        let refused = broker.try_ctl(&["rotate_logs"]).await;
        assert_eq!(refused.status, Some(69), "{refused:?}");
        assert!(
            refused.stderr.contains("there is no log file"),
            "{refused:?}"
        );
    });
}

#[test]
fn the_level_changes_at_once_and_the_stream_shows_it() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let streaming = broker.try_ctl(&["log_tail_stream", "-q", "--duration", "3"]);
        let acting = async {
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            broker.ctl(&["set_log_level", "debug"]).await;
            drop(Raw::dial_to(broker.address()).await);
            broker.ctl(&["set_log_level", "none"]).await;
            change(&broker, "unseen").await;
            broker.ctl(&["set_log_level", "warning"]).await;
            change(&broker, "unseen2").await;
            broker.try_ctl(&["delete_user", "nobody"]).await
        };
        let (streamed, refused) = tokio::join!(streaming, acting);
        assert_eq!((streamed.status, refused.status), (Some(0), Some(67)));
        let log = streamed.stdout;
        for seen in [
            "\"to\":\"debug\"",
            "accepting AMQP connection",
            "\"to\":\"none\"",
            "nobody",
        ] {
            assert!(log.contains(seen), "{seen} in {log}");
        }
        assert!(!log.contains("unseen"), "{log}");
        let alive = broker.process().exited().is_none();
        assert!(alive);
    });
}

#[test]
fn a_console_that_nobody_reads_blocks_nobody() {
    run(async {
        if TestBroker::start_own().await.is_none() {
            return;
        }
        let (data, logs) = (folder(), folder());
        let path = logs.path().join("leveret.log");
        let mut command = broker_command();
        command
            .args(["--bind", "127.0.0.1", "--port", "0", "--log-level", "debug"])
            .arg("--data-dir")
            .arg(data.path())
            .arg("--log-file")
            .arg(&path);
        // A pipe that stays full.
        let child = command.stderr(Stdio::piped()).spawn();
        let mut broker = Running(child.expect("it runs"));
        let log = contents(&path, " ready ").await;
        let ready = log
            .lines()
            .find(|line| line.contains(" ready "))
            .expect("a line");
        let at = ready.find("127.0.0.1:").expect("an address");
        let address = ready[at..].split(' ').next().expect("a word");
        let lines = |text: &str| text.matches("speaks HTTP").count();
        let worked = async {
            // More than the pipe and the lines in memory together; not faster than a busy machine writes the file.
            for sent in 1..=6000 {
                let mut raw = Raw::dial_to(address).await;
                raw.bytes(b"GET / HTTP/1.1\r\n\r\n").await;
                if sent % 1000 == 0 {
                    eventually("the file has them", async || {
                        (lines(&read(&path)) == sent).then_some(())
                    })
                    .await;
                }
            }
            let mut raw = Raw::dial_to(address).await;
            raw.start().await;
        };
        let worked = tokio::time::timeout(std::time::Duration::from_secs(60), worked).await;
        assert!(worked.is_ok(), "the broker is stuck");
        // The other output has everything that the slow one has missed.
        let mut stderr = broker.0.stderr.take().expect("a pipe");
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        contents(&path, "log lines were lost").await;
        let stopped = TestBroker::ctl_of(data.path(), &["stop"]).await;
        assert_eq!(stopped.status, Some(0), "{stopped:?}");
        let status = broker.0.wait().expect("a child of ours");
        let console = reader.join().expect("it reads");
        assert!(status.success() && console.contains("log lines were lost"));
        assert_eq!(lines(&read(&path)), 6000);
        assert!(lines(&console) < 6000);
        assert!(
            console.trim_end().ends_with("stopped"),
            "the last line is there"
        );
    });
}

/// The requests of an operator who uses the HTTP API as a client: method, path, body.
fn requests() -> Vec<(&'static str, &'static str, Value)> {
    let queue = json!({"durable": true, "arguments": {"x-max-length": 5}});
    let binding = json!({"routing_key": "k"});
    let message = json!({
        "properties": {}, "routing_key": "q", "payload": "hunter2", "payload_encoding": "string",
    });
    let got = json!({"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"});
    vec![
        ("PUT", "/api/queues/%2F/q", queue),
        ("PUT", "/api/exchanges/%2F/x", json!({"type": "fanout"})),
        ("POST", "/api/bindings/%2F/e/x/q/q", binding),
        ("POST", "/api/exchanges/%2F/amq.default/publish", message),
        ("POST", "/api/queues/%2F/q/get", got),
        ("DELETE", "/api/bindings/%2F/e/x/q/q/k", Value::Null),
        ("DELETE", "/api/queues/%2F/q/contents", Value::Null),
        ("DELETE", "/api/exchanges/%2F/x", Value::Null),
        ("DELETE", "/api/queues/%2F/q", Value::Null),
        ("POST", "/api/definitions", json!({"users": []})),
    ]
}

#[test]
fn what_the_http_api_does_for_an_operator_is_logged() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        for (method, path, body) in requests() {
            let reply = broker.ask(method, path, body).await;
            assert!(reply.status < 300, "{method} {path}: {reply:?}");
        }
        let refused = broker.ask("PUT", "/api/queues/%2F/amq.q", json!({})).await;
        assert_ne!(refused.status, 201);
        let fields = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            let fields = &line["fields"];
            let message = fields["message"].as_str()?;
            message.contains("operator").then(|| fields.clone())
        };
        broker
            .process()
            .line("the refusal", |line| {
                let fields = fields(line)?;
                fields["message"]
                    .as_str()?
                    .ends_with("was refused")
                    .then_some(())
            })
            .await;
        let lines = broker.process().lines();
        let changes: Vec<Value> = lines.iter().filter_map(|line| fields(line)).collect();
        let verbs: Vec<_> = changes.iter().map(|change| &change["verb"]).collect();
        assert_eq!(
            verbs,
            [
                "declare_queue",
                "declare_exchange",
                "bind",
                "publish",
                "get",
                "unbind",
                "purge_queue",
                "delete_exchange",
                "delete_queue",
                "import_definitions",
                "declare_queue",
            ]
        );
        for change in &changes {
            assert_eq!(
                (&change["user"], &change["from"]),
                (&"guest".into(), &"127.0.0.1".into())
            );
        }
        let arguments = changes[0]["arguments"].as_str().expect("a text");
        assert!(arguments.contains("x-max-length") && arguments.contains("\"queue\":\"q\""));
        assert!(lines.iter().all(|line| !line.contains("hunter2")));
    });
}

#[test]
fn denied_requests_are_logged_but_not_without_end() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        broker.ctl(&["add_user", "visitor", "x"]).await;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build();
        let agent = ureq::Agent::new_with_config(agent);
        let base = format!("http://{}", broker.management());
        // visitor:x and guest:wrong
        for credentials in ["dmlzaXRvcjp4", "Z3Vlc3Q6d3Jvbmc="] {
            let url = format!("{base}/api/queues/%2F?page=1");
            let asked = agent
                .get(&url)
                .header("authorization", &format!("Basic {credentials}"));
            assert_eq!(asked.call().expect("an answer").status(), 401);
        }
        for _ in 0..100 {
            let asked = agent.get(format!("{base}/api/users"));
            let asked = asked.header("authorization", "Basic dmlzaXRvcjp4");
            assert_eq!(asked.call().expect("an answer").status(), 401);
        }
        let asked = agent.get(format!("{base}/api/users")).call();
        assert_eq!(asked.expect("an answer").status(), 401);
        let denied = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            let fields = &line["fields"];
            let is_denied = fields["message"] == "HTTP access denied";
            is_denied.then(|| fields.clone())
        };
        broker
            .process()
            .line("the denial", |line| denied(line))
            .await;
        let lines = broker.process().lines();
        let denied: Vec<Value> = lines.iter().filter_map(|line| denied(line)).collect();
        let first = json!({
            "message": "HTTP access denied", "user": "visitor", "from": "127.0.0.1", "method": "GET",
            "path": "/api/queues/%2F", "reason": "Not management user",
        });
        assert_eq!(denied[0], first);
        assert_eq!(denied[1]["user"], "guest");
        // So many at once, and one or two more if it took seconds.
        assert!((20..40).contains(&denied.len()), "{}", denied.len());
    });
}

#[test]
fn kill_9_leaves_whole_lines() {
    run(async {
        let logs = folder();
        let path = logs.path().join("leveret.log");
        let name = path.to_str().expect("UTF-8");
        let Some(mut broker) = TestBroker::start_own_with(&["--log-file", name]).await else {
            return;
        };
        change(&broker, "walker").await;
        contents(&path, "walker").await;
        broker.kill();
        let process: &mut Process = broker.process();
        assert!(process.exited().is_some());
        for line in read(&path).lines() {
            serde_json::from_str::<Value>(line).expect("whole lines");
        }
    });
}
