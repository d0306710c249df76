//! Names chosen by clients can neither end a log line nor control a terminal.

use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use leveret_tests::raw::{Raw, closing_properties, login};
use leveret_tests::{Process, TestBroker, broker_command, eventually, run};
use tempfile::TempDir;

/// Ends a line, clears the screen in two ways, and reverses what follows.
const HOSTILE: &str =
    "x\n2030-01-01T00:00:00.000000Z  INFO FORGED\r\u{1b}[2J\u{9b}2J\u{202e}\u{2028}y";

/// A password in an unexpected place.
const SECRET: &str = "hunter2";

/// Returns whether a character affects a terminal or a reader of lines.
fn acts(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t' || matches!(c, '\u{202e}' | '\u{2028}')
}

/// Starts a broker that logs in this format, and returns its address.
async fn started(format: &str) -> (Process, String, TempDir) {
    started_at("debug", format).await
}

async fn started_at(level: &str, format: &str) -> (Process, String, TempDir) {
    let data = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
    let mut command = broker_command();
    command.args(["--bind", "127.0.0.1", "--port", "0", "--log-level", level]);
    command
        .args(["--log-format", format, "--data-dir"])
        .arg(data.path());
    let mut process = Process::start("leveret", &mut command);
    let address = process
        .line("the ready line", |line| {
            let at = line.contains("ready").then(|| line.find("127.0.0.1:"))??;
            let end = line[at..].find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
            Some(line[at..end.map_or(line.len(), |end| at + end)].to_owned())
        })
        .await;
    (process, address, data)
}

/// Sends hostile names wherever the log shows one.
async fn say_names(address: &str) {
    let mut nobody = Raw::dial_to(address).await;
    nobody.start().await;
    nobody
        .bytes(&login(HOSTILE, "x", &closing_properties()))
        .await;
    nobody.closed_or_ended().await;
    let mut twice = Raw::dial_to(address).await;
    twice.start().await;
    twice
        .bytes(&login("guest", "guest", &closing_properties()))
        .await;
    twice.method_on(0).await;
    twice
        .bytes(&login("guest", SECRET, &closing_properties()))
        .await;
    twice.closed_or_ended().await;
    let connect = async |vhost: &str| {
        let uri = format!("amqp://guest:guest@{address}/{vhost}");
        Connection::connect(&uri, ConnectionProperties::default()).await
    };
    let vhost = "v%0A2030-01-01T00:00:00.000000Z%20INFO%20FORGED%1B%5B2J";
    assert!(connect(vhost).await.is_err());
    let connection = connect("%2f").await.expect("guest logs in");
    let passive = QueueDeclareOptions::default().passive();
    let channel = connection.create_channel().await.expect("a channel");
    let declared = channel.queue_declare(HOSTILE.into(), passive, FieldTable::default());
    assert!(declared.await.is_err());
    let channel = connection.create_channel().await.expect("a channel");
    let (options, key) = (QueueBindOptions::default(), "k".into());
    let bound = channel.queue_bind(
        HOSTILE.into(),
        HOSTILE.into(),
        key,
        options,
        FieldTable::default(),
    );
    assert!(bound.await.is_err());
    connection.close(200, "bye".into()).await.expect("close-ok");
}

#[test]
fn lines_of_text_are_the_brokers_own() {
    run(async {
        if TestBroker::start_own().await.is_none() {
            return;
        }
        let (mut process, address, _data) = started("text").await;
        say_names(&address).await;
        // The library that writes the line escapes one of them in its own way.
        let esc = |line: &str| line.replace(r"\x1b", r"\u{1b}");
        let shown =
            r"x\n2030-01-01T00:00:00.000000Z  INFO FORGED\r\u{1b}[2J\u{9b}2J\u{202e}\u{2028}y";
        process
            .line("the refused login", |line| {
                let line = esc(line);
                line.contains(&format!("user '{shown}'")).then_some(())
            })
            .await;
        process
            .line("the missing queue", |line| {
                line.contains("no queue 'x").then_some(())
            })
            .await;
        process
            .line("the second login", |line| {
                line.contains("unexpected method").then_some(())
            })
            .await;
        let lines = process.lines();
        for line in &lines {
            assert!(!line.contains(SECRET), "{line:?}");
            assert!(!line.contains(acts), "{line:?}");
            assert!(
                line.starts_with("20") && !line.starts_with("2030"),
                "{line:?}"
            );
        }
    });
}

#[test]
fn lines_of_json_are_safe_to_look_at() {
    run(async {
        if TestBroker::start_own().await.is_none() {
            return;
        }
        let (mut process, address, _data) = started("json").await;
        say_names(&address).await;
        process
            .line("the refused login", |line| {
                let line: serde_json::Value = serde_json::from_str(line).ok()?;
                let message = line["fields"]["message"].as_str()?;
                message.contains(&format!("user '{HOSTILE}'")).then_some(())
            })
            .await;
        for line in process.lines() {
            assert!(!line.contains(acts), "{line:?}");
            serde_json::from_str::<serde_json::Value>(&line).expect("an object a line");
        }
    });
}

/// Returns the fields of a line of JSON with this beginning of its message.
fn fields(line: &str, message: &str) -> Option<serde_json::Value> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = &line["fields"];
    let found = fields["message"].as_str()?.starts_with(message);
    found.then(|| fields.clone())
}

#[test]
fn lines_say_who_it_was_and_why() {
    run(async {
        if TestBroker::start_own().await.is_none() {
            return;
        }
        let (mut process, address, data) = started_at("info", "json").await;
        let ctl = async |arguments: &[&str]| TestBroker::ctl_of(data.path(), arguments).await;
        // A probe leaves no trace.
        drop(tokio::net::TcpStream::connect(&address).await);
        let options = ConnectionProperties::default().with_connection_name("orders".into());
        let uri = format!("amqp://guest:guest@{address}/%2f");
        let connected = Connection::connect(&uri, options).await;
        let connection = connected.expect("guest logs in");
        let channel = connection.create_channel().await.expect("a channel");
        let passive = QueueDeclareOptions::default().passive();
        let declared = channel.queue_declare("nope".into(), passive, FieldTable::default());
        assert!(declared.await.is_err());
        let error = process
            .line("the error", |line| fields(line, "channel error: "))
            .await;
        let named = ["name", "user", "vhost", "operation"].map(|field| error[field].as_str());
        let expected = ["orders", "guest", "/", "queue.declare"].map(Some);
        assert_eq!(named, expected, "{error}");
        let closed = ctl(&["close_all_connections", "--global", "maintenance"]).await;
        assert_eq!(closed.status, Some(0), "{closed:?}");
        let closed = process
            .line("the reason", |line| fields(line, "closing connection: "))
            .await;
        assert_eq!(closed["message"], "closing connection: maintenance");
        assert_eq!(closed["name"], "orders");
        let added = ctl(&["add_user", "walker", SECRET]).await;
        assert_eq!(added.status, Some(0), "{added:?}");
        let audit = process
            .line("the audit line", |line| {
                let fields = fields(line, "changed by an operator")?;
                (fields["verb"] == "add_user").then_some(fields)
            })
            .await;
        let from = audit["from"].as_str().expect("who");
        assert!(
            from.starts_with("the admin socket, uid ") && from.contains(", pid "),
            "{from}"
        );
        assert!(
            audit["arguments"]
                .as_str()
                .is_some_and(|it| it.contains("walker"))
        );
        let mut foreign = Raw::dial_to(&address).await;
        foreign.bytes(b"GET / HTTP/1.1\r\n\r\n").await;
        process
            .line("the protocol", |line| {
                fields(line, "closing connection: the client speaks HTTP")
            })
            .await;
        let lines = process.lines();
        assert!(lines.iter().all(|line| !line.contains(SECRET)));
        let logins = |line: &&String| line.contains("user authenticated");
        assert_eq!(lines.iter().filter(logins).count(), 1);
        let connections = |line: &&String| line.contains("accepting AMQP connection");
        assert_eq!(lines.iter().filter(connections).count(), 0);
    });
}

#[test]
fn leveretctl_prints_nothing_that_steers_a_terminal() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        // Line ends are removed from the names of queues.
        let name = HOSTILE.replace(['\n', '\r'], "");
        let client = broker.client().await;
        client.queue(&name).await;
        for format in ["table", "pretty_table", "csv", "json"] {
            let shown = broker
                .ctl(&["list_queues", "--formatter", format, "name"])
                .await;
            assert!(!shown.contains(acts), "{format}: {shown:?}");
            assert!(shown.contains("FORGED"), "{shown}");
        }
        assert_eq!(broker.list_queues(&[]).await, [[name]]);
        for arguments in [
            &["delete_queue", HOSTILE][..],
            &["list_queues", "-p", HOSTILE],
            &["list_permissions", "-p", HOSTILE],
            &["delete_user", HOSTILE],
            &["set_permissions", HOSTILE, ".*", HOSTILE, ".*"],
            &[HOSTILE],
            &["list_queues", HOSTILE],
        ] {
            let output = broker.try_ctl(arguments).await;
            assert!(!output.stdout.contains(acts), "{output:?}");
            assert!(!output.stderr.contains(acts), "{output:?}");
        }
    });
}

#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    run(async {
        if TestBroker::start_own().await.is_none() {
            return;
        }
        let data = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let mut command = broker_command();
        command
            .args(["--bind", "127.0.0.1", "--port", "0", "--data-dir"])
            .arg(data.path());
        command.stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let address = {
            use std::io::BufRead;
            let log = std::io::BufReader::new(child.stderr.take().expect("a pipe"));
            let ready = log
                .lines()
                .map_while(Result::ok)
                .find(|line| line.contains(" ready "));
            let ready = ready.expect("the ready line");
            let at = ready.find("127.0.0.1:").expect("an address");
            ready[at..].split(' ').next().expect("a word").to_owned()
            // The reader is dropped here.
        };
        let uri = format!("amqp://guest:guest@{address}/%2f");
        let worked = eventually("a client is served twice", async || {
            for _ in 0..2 {
                let connected = Connection::connect(&uri, ConnectionProperties::default()).await;
                let channel = connected.ok()?.create_channel().await.ok()?;
                let declared = channel.queue_declare(
                    "q".into(),
                    QueueDeclareOptions::default(),
                    FieldTable::default(),
                );
                declared.await.ok()?;
            }
            Some(())
        });
        let worked = tokio::time::timeout(std::time::Duration::from_secs(20), worked).await;
        let alive = child.try_wait().expect("a child of ours").is_none();
        // An error means that it is gone already.
        let _ = child.kill();
        let _ = child.wait();
        assert!(alive && worked.is_ok());
    });
}
