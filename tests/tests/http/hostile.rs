//! Clients of the HTTP API that mean harm, or are only slow: others are answered all the same.

use std::time::Duration;

use leveret_tests::{TestBroker, run};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// More connections than the API serves at a time.
const MANY: usize = 700;

#[test]
fn who_sends_half_a_request_or_reads_no_answer_keeps_nobody_out() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let mut slow = Vec::new();
        for at in 0..MANY {
            let connected = TcpStream::connect(broker.management());
            let connected = tokio::time::timeout(Duration::from_secs(5), connected);
            let mut socket = connected.await.expect("in time").expect("a connection");
            let half: &[u8] = match at % 2 {
                0 => b"GET /api/overview HTTP/1.1\r\n",
                _ => b"",
            };
            socket.write_all(half).await.expect("it is sent");
            slow.push(socket);
        }
        let reply = broker.ask("GET", "/api/whoami", Value::Null).await;
        assert_eq!(reply.status, 200);
        drop(slow);
    });
}

#[test]
fn whatever_the_body_is_the_answer_is_a_refusal() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let deep = "[".repeat(100_000);
        let wide = format!("{{\"arguments\": {{\"a\": [{}1]}}}}", "1,".repeat(200_000));
        for body in ["{", "[]", "\"{}\"", "\u{0}", &deep, &wide] {
            let reply = broker.ask_text("PUT", "/api/queues/%2F/q", body).await;
            assert_eq!(reply.status, 400, "{body:.40}");
            let reply = broker.ask_text("PUT", "/api/users/u", body).await;
            assert_eq!(reply.status, 400, "{body:.40}");
        }
        let huge = format!("{{\"value\": \"{}\"}}", "x".repeat(2 << 20));
        let reply = broker
            .ask_text("PUT", "/api/global-parameters/g", &huge)
            .await;
        let reason = &reply.body["reason"];
        assert_eq!(
            (reply.status, reason.as_str()),
            (400, Some("Exceeded HTTP request body size limit"))
        );
        let none = broker.ask("GET", "/api/queues", Value::Null).await;
        assert_eq!((none.status, none.body), (200, Value::Array(Vec::new())));
    });
}
