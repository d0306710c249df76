//! Listeners: several at once, of every kind, and what is shown of them.

mod proxy;
mod tls;
mod unix;
mod websocket;

use std::time::Duration;

use leveret_tests::raw::Raw;
use leveret_tests::{Process, TestBroker, broker_command, eventually, run};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpStream, UnixStream};

/// Returns the only connection of a broker, as the HTTP API shows it.
async fn connection(broker: &TestBroker) -> Value {
    let mut found = Value::Null;
    eventually("a connection", async || {
        let reply = broker.ask("GET", "/api/connections", Value::Null).await;
        found = reply.body[0].clone();
        found.is_object().then_some(())
    })
    .await;
    found
}

/// Starts a broker that must refuse to start, and returns what it says.
async fn refusal(options: &[&str]) -> String {
    let data = TempDir::with_prefix("leveret-test-").expect("a directory");
    let mut command = broker_command();
    command.args(["--data-dir"]).arg(data.path()).args(options);
    let mut process = Process::start("leveret", &mut command);
    let status = tokio::time::timeout(Duration::from_secs(10), process.ended()).await;
    let status = status.expect("it ends by itself");
    assert!(!status.success(), "{options:?}: {status}");
    let mut words = String::new();
    eventually("a word of explanation", async || {
        words = process.lines().join("\n");
        words.contains("error:").then_some(())
    })
    .await;
    assert!(!words.contains("panicked"), "{words}");
    words
}

#[test]
fn all_listeners_serve_one_broker_and_close_and_open_together() {
    run(async {
        let folder = TempDir::with_prefix("leveret-test-").expect("a directory");
        let socket = folder.path().join("amqp.sock");
        let amqp = format!("127.0.0.1:0,[::1]:0,unix:{}", socket.display());
        let options = [
            "--listeners",
            &amqp,
            "--management-listeners",
            "127.0.0.1:0,http://[::1]:0",
            "--prometheus-listeners",
            "127.0.0.1:0",
        ];
        let Some(broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        let ports = [
            broker.listener("address", 0),
            broker.listener("address", 1),
            broker.listener("management", 0),
            broker.listener("management", 1),
            broker.prometheus(),
        ];
        let open = async || {
            let mut open = Vec::new();
            for port in ports {
                open.push(TcpStream::connect(port).await.is_ok());
            }
            open.push(UnixStream::connect(&socket).await.is_ok());
            open
        };
        assert_eq!(open().await, [true; 6]);
        let first = Raw::connect_to(ports[0]).await;
        let mut second = Raw::connect_to(ports[1]).await;
        second.open_channel(1).await;
        second.declare(1, "q").await;
        assert_eq!(broker.list_queues(&[]).await, [["q"]]);

        let listed = broker.ctl(&["listeners", "-q"]).await;
        let unix = format!(
            "Interface: unix:{}, port: 0, protocol: amqp",
            socket.display()
        );
        for line in [
            "Interface: 127.0.0.1, port: ",
            "Interface: [::1], port: ",
            &unix,
        ] {
            assert!(listed.contains(line), "{line}: {listed}");
        }
        assert_eq!(listed.lines().count(), 6, "{listed}");
        assert!(broker.ctl(&["status"]).await.contains(&unix));
        let overview = broker.ask("GET", "/api/overview", Value::Null).await.body;
        let protocols: Vec<&str> = overview["listeners"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|listener| listener["protocol"].as_str().expect("text"))
            .collect();
        let expected = ["amqp", "amqp", "amqp", "http", "http", "http/prometheus"];
        assert_eq!(protocols, expected);
        broker.ctl(&["check_port_connectivity"]).await;
        for port in ports {
            let port = port.rsplit_once(':').expect("a port").1;
            broker.ctl(&["check_port_listener", port]).await;
        }

        broker.ctl(&["suspend_listeners"]).await;
        assert_eq!(open().await, [false; 6]);
        assert!(!socket.exists());
        second.declare(1, "connections stay").await;
        broker.ctl(&["resume_listeners"]).await;
        assert_eq!(open().await, [true; 6]);
        broker.ctl(&["stop_app"]).await;
        assert_eq!(open().await, [false; 6]);
        broker.ctl(&["start_app"]).await;
        assert_eq!(open().await, [true; 6]);
        drop((first, second));
    });
}

#[test]
fn an_ipv4_client_of_an_ipv6_socket_is_shown_as_ipv4() {
    run(async {
        let options = ["--listeners", "[::ffff:127.0.0.1]:0"];
        let Some(broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        let port = broker.address().rsplit_once(':').expect("a port").1;
        // Also for the rule that guest is on this machine.
        let _client = Raw::connect_to(&format!("127.0.0.1:{port}")).await;
        let shown = connection(&broker).await;
        assert_eq!(shown["peer_host"], "127.0.0.1");
        assert_eq!(shown["host"], "127.0.0.1");
        let name = shown["name"].as_str().expect("a name");
        assert!(name.ends_with(&format!(" -> 127.0.0.1:{port}")), "{name}");
    });
}

#[test]
fn a_name_means_its_addresses() {
    run(async {
        let options = ["--listeners", "localhost:0"];
        let Some(broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        let address: std::net::SocketAddr = broker.address().parse().expect("an address");
        assert!(address.ip().is_loopback());
        drop(Raw::connect_to(broker.address()).await);
        let words = refusal(&["--listeners", "no-such-host.invalid:5672"]).await;
        assert!(words.contains("no-such-host.invalid:5672"), "{words}");
        assert!(words.contains("cannot be resolved"), "{words}");
    });
}

#[test]
fn all_or_nothing() {
    run(async {
        let Some(other) = TestBroker::start_own().await else {
            return;
        };
        let folder = TempDir::with_prefix("leveret-test-").expect("a directory");
        let socket = folder.path().join("amqp.sock");
        let listeners = format!("unix:{},{}", socket.display(), other.address());
        let words = refusal(&["--listeners", &listeners]).await;
        let expected = format!("cannot listen on {}: the port is in use", other.address());
        assert!(words.contains(&expected), "{words}");
        assert!(words.contains("--listeners"), "{words}");
        assert!(!socket.exists(), "nothing is left");

        for (options, expected) in [
            (
                &["--listeners", "amqps://127.0.0.1:0"][..],
                "there is no certificate for TLS; set tls_certfile",
            ),
            (&["--tls-port", "0"], "set tls_certfile"),
            (
                &["--listeners", "127.0.0.1:1,127.0.0.1:1"],
                "'127.0.0.1:1' is listed twice",
            ),
            (
                &["--listeners", "https://127.0.0.1:1"],
                "use amqp:// or amqps://",
            ),
            (
                &["--listeners", "127.0.0.1:0", "--port", "0"],
                "--listeners: it takes the place of port",
            ),
            (&["--listeners", "127.0.0.1"], "it has no port"),
            (&["--tcp-backlog", "0"], "0 is out of range"),
        ] {
            let words = refusal(options).await;
            assert!(words.contains(expected), "{options:?}: {words}");
            assert_eq!(
                words.lines().filter(|line| line.contains(expected)).count(),
                1
            );
        }
        assert_eq!(
            other.ask("GET", "/api/whoami", json!(null)).await.status,
            200
        );
    });
}
