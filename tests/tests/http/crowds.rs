//! Many clients at once, and clients that stand still in the middle of something: everybody else is answered.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use leveret_tests::{TestBroker, resident_bytes, run};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// `guest:guest`.
const LOGIN: &str = "authorization: Basic Z3Vlc3Q6Z3Vlc3Q=";
/// More connections than the API serves at a time.
const MANY: usize = 600;

fn request(method_and_path: &str, headers: &str) -> String {
    format!("{method_and_path} HTTP/1.1\r\nhost: x\r\n{LOGIN}\r\n{headers}\r\n")
}

/// Connects and sends a request whose answer nobody reads; the system buffers little of it.
async fn stalled(broker: &TestBroker, request: &str) -> TcpStream {
    let to: SocketAddr = broker.management().parse().expect("an address");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(2048).expect("set");
    let mut socket = socket.connect(to).await.expect("a connection");
    socket.write_all(request.as_bytes()).await.expect("sent");
    socket
}

/// Imports this many queues with long names, each bound to an exchange as often as this.
async fn import(broker: &TestBroker, queues: usize, bindings: usize) {
    let name = |at: usize| format!("{}{at}", "a".repeat(200));
    let queue = |at| json!({"name": name(at), "vhost": "/", "durable": true, "auto_delete": false, "arguments": {}});
    let binding = |at: usize| {
        json!({
            "source": "amq.direct", "vhost": "/", "destination": name(at % queues), "destination_type": "queue",
            "routing_key": format!("key {at}"), "arguments": {},
        })
    };
    let file = json!({
        "queues": (0..queues).map(queue).collect::<Vec<_>>(),
        "bindings": (0..queues * bindings).map(binding).collect::<Vec<_>>(),
    });
    let reply = broker.ask("POST", "/api/definitions", file).await;
    assert_eq!(reply.status, 204, "{reply:?}");
}

#[test]
fn compressed_answers_are_whole() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        import(&broker, 500, 2).await;
        for path in ["definitions", "definitions/%2F", "queues", "bindings"] {
            let path = format!("/api/{path}");
            let mut lengths = Vec::new();
            for encoding in ["identity", "gzip"] {
                let headers = format!("accept-encoding: {encoding}\r\nconnection: close\r\n");
                let body = whole(&broker, &request(&format!("GET {path}"), &headers)).await;
                lengths.push(match encoding {
                    "gzip" => {
                        assert_eq!(body[..2], [0x1f, 0x8b], "{path}");
                        let length = body.last_chunk::<4>().expect("a length");
                        u32::from_le_bytes(*length) as usize
                    }
                    _ => body.len(),
                });
            }
            assert!(lengths[0] > 50_000, "{path}: {lengths:?}");
            // Statistics may have changed in between, but not by much.
            assert!(
                lengths[0].abs_diff(lengths[1]) < 20_000,
                "{path}: {lengths:?}"
            );
        }
        let headers = "accept-encoding: gzip\r\nconnection: close\r\n";
        let metrics = whole(&broker, &request("GET /metrics/per-object", headers)).await;
        assert_eq!(metrics[..2], [0x1f, 0x8b]);
    });
}

/// Sends a request and returns the body of the answer, which comes in chunks that end with an empty one.
async fn whole(broker: &TestBroker, request: &str) -> Vec<u8> {
    let mut socket = TcpStream::connect(broker.management())
        .await
        .expect("a connection");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.expect("an answer");
    let start = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let mut rest = &answer[start.expect("a head") + 4..];
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|bytes| bytes == b"\r\n");
        let line = line.unwrap_or_else(|| panic!("broken off: {request}"));
        let size = std::str::from_utf8(&rest[..line]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            return body;
        }
        let start = line + 2;
        body.extend_from_slice(&rest[start..start + size]);
        rest = &rest[start + size + 2..];
    }
}

#[test]
fn a_crowd_of_good_clients_is_answered() {
    const CLIENTS: usize = 300;
    const REQUESTS: usize = 7;
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let to: SocketAddr = broker.management().parse().expect("an address");
        let ask = move || {
            let mut socket = std::net::TcpStream::connect(to).map_err(|error| error.to_string())?;
            let request = request("GET /api/whoami", "connection: close\r\n");
            socket
                .write_all(request.as_bytes())
                .map_err(|error| error.to_string())?;
            let mut answer = String::new();
            socket
                .read_to_string(&mut answer)
                .map_err(|error| error.to_string())?;
            Ok::<_, String>(answer.get(..12).unwrap_or_default().to_owned())
        };
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| std::thread::spawn(move || (0..REQUESTS).map(|_| ask()).collect::<Vec<_>>()))
            .collect();
        // And some that come all at once: they wait for their turn.
        let mut crowd = Vec::new();
        for _ in 0..2 * MANY {
            crowd.push(TcpStream::connect(to).await.expect("a connection"));
            let request = request("GET /api/whoami", "connection: close\r\n");
            let last = crowd.last_mut().expect("a client");
            last.write_all(request.as_bytes()).await.expect("sent");
        }
        for mut socket in crowd {
            let mut answer = Vec::new();
            socket.read_to_end(&mut answer).await.expect("an answer");
            assert!(answer.starts_with(b"HTTP/1.1 200"));
        }
        for client in clients {
            for answer in client.join().expect("a client") {
                assert_eq!(answer.as_deref(), Ok("HTTP/1.1 200"));
            }
        }
    });
}

#[test]
fn who_sends_half_a_body_keeps_nobody_out() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let mut slow = Vec::new();
        for at in 0..MANY {
            let request = match at % 2 {
                0 => request("POST /api/login", "content-length: 9\r\n") + "u",
                _ => request("PUT /api/users/u", "transfer-encoding: chunked\r\n") + "1\r\n{\r\n",
            };
            slow.push(stalled(&broker, &request).await);
        }
        let before = Instant::now();
        let reply = broker.ask("GET", "/api/whoami", Value::Null).await;
        assert_eq!(reply.status, 200);
        assert!(
            before.elapsed() < Duration::from_secs(20),
            "{:?}",
            before.elapsed()
        );
    });
}

#[test]
fn who_does_not_read_an_export_or_messages_gives_way() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        import(&broker, 30_000, 0).await;
        let queue = broker
            .ask("PUT", "/api/queues/%2F/q", json!({"durable": true}))
            .await;
        assert_eq!(queue.status, 201);
        let message = json!({
            "properties": {}, "routing_key": "q", "payload": "x".repeat(16 << 20), "payload_encoding": "string",
        });
        for _ in 0..4 {
            let path = "/api/exchanges/%2F/amq.default/publish";
            let reply = broker.ask("POST", path, message.clone()).await;
            assert_eq!(reply.status, 200);
        }
        let wanted = r#"{"count": -1, "ackmode": "ack_requeue_true", "encoding": "auto"}"#;
        let length = format!("content-length: {}\r\n", wanted.len());
        let get = request("POST /api/queues/%2F/q/get", &length) + wanted;
        let export = request("GET /api/definitions", "");
        let mut slow = Vec::new();
        for request in [&export, &export, &export, &export, &export, &get, &get] {
            slow.push(stalled(&broker, request).await);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let reply = broker.ask("GET", "/api/definitions", Value::Null).await;
        assert_eq!(reply.status, 200);
        let one =
            r#"{"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto", "truncate": 1}"#;
        let reply = broker.ask_text("POST", "/api/queues/%2F/q/get", one).await;
        assert_eq!(
            (reply.status, &reply.body[0]["payload"]),
            (200, &json!("x"))
        );
    });
}

#[test]
fn slow_readers_of_bindings_take_bounded_memory() {
    const READERS: usize = 60;
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        import(&broker, 2_000, 15).await;
        let pid = broker.pid().expect("a process");
        let before = resident_bytes(pid);
        let mut slow = Vec::new();
        for _ in 0..READERS {
            slow.push(stalled(&broker, &request("GET /api/bindings", "")).await);
        }
        tokio::time::sleep(Duration::from_secs(4)).await;
        let taken = resident_bytes(pid).saturating_sub(before);
        assert!(taken < 160 << 20, "{taken} bytes");
    });
}

#[test]
fn large_lists_hold_up_neither_health_checks_nor_amqp() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        import(&broker, 6_500, 0).await;
        let client = broker.client().await;
        let path = r"GET /api/queues?page=1&use_regex=true&name=(a*)*%5C1b";
        let mut slow = Vec::new();
        for _ in 0..4 {
            slow.push(stalled(&broker, &request(path, "")).await);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        for _ in 0..5 {
            let before = Instant::now();
            let reply = broker
                .ask("GET", "/api/health/checks/is-in-service", Value::Null)
                .await;
            assert_eq!(reply.status, 200);
            client.channel.queue("q").await;
            assert!(
                before.elapsed() < Duration::from_secs(1),
                "{:?}",
                before.elapsed()
            );
        }
    });
}

#[test]
fn odd_paths_and_parameters_are_answered_as_all_others() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        for path in [
            "queues/%2F/%ff",
            "users/%c3",
            "exchanges/%ff",
            "nowhere/%ff",
        ] {
            let reply = broker
                .ask("GET", &format!("/api/{path}"), Value::Null)
                .await;
            assert_eq!(
                reply.outcome(),
                (400, json!("the path is not UTF-8")),
                "{path}"
            );
            assert_eq!(reply.body["error"], "bad_request");
        }
        let path = "/api/exchanges?page=1&page_size=1&columns=name&columns=vhost&page=9";
        let reply = broker.ask("GET", path, Value::Null).await;
        assert_eq!(
            (reply.status, &reply.body["items"]),
            (200, &json!([{"name": ""}]))
        );
    });
}
