//! Maintenance: clients go, what they held is back in its queues, and operators stay.

use std::time::{Duration, Instant};

use lapin::options::QueueDeclareOptions;
use leveret_tests::raw::Raw;
use leveret_tests::{TestBroker, next, run};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::manager::Manager;

#[test]
fn draining_hands_everything_back_and_leaves_the_http_api_to_operators() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        client.durable_queue("q").await;
        let exclusive = QueueDeclareOptions {
            exclusive: true,
            ..QueueDeclareOptions::default()
        };
        client.declare("mine", exclusive).await;
        let channel = client.open_confirming().await;
        for n in 0..20 {
            channel.put_persistent("q", n.to_string()).await;
        }
        let mut consumer = client.consume("q", "t").await;
        for _ in 0..20 {
            next(&mut consumer).await;
        }
        let columns = ["messages_ready", "messages_unacknowledged", "messages"];
        assert_eq!(
            broker.list_queues(&columns).await,
            [["mine", "0", "0", "0"], ["q", "0", "20", "20"]]
        );
        // And one that answers nothing.
        let deaf = Raw::connect(&broker).await;
        broker.ctl(&["drain"]).await;
        // At once, without waiting for anything.
        assert_eq!(broker.list_queues(&columns).await, [["q", "20", "0", "20"]]);
        assert_eq!(
            broker
                .ctl(&["-q", "list_connections", "pid"])
                .await
                .lines()
                .count(),
            0
        );
        assert!(TcpStream::connect(broker.address()).await.is_err());
        for check in ["is-in-service", "ready-to-serve-clients"] {
            let path = format!("/api/health/checks/{check}");
            let reply = broker.ask("GET", &path, json!(null)).await;
            assert_eq!(reply.status, 503, "{check}");
            let reason = "this rabbit node is not currently available to serve";
            assert_eq!(reply.body["reason"], reason);
        }
        let nodes = broker.ask("GET", "/api/nodes", json!(null)).await;
        assert_eq!(nodes.body[0]["being_drained"], true);
        // Again is no error.
        broker.ctl(&["drain"]).await;
        drop((deaf, consumer, client));
        broker.ctl(&["revive"]).await;
        let reply = broker.ask("GET", "/api/health/checks/is-in-service", json!(null));
        assert_eq!(reply.await.status, 200);
        let client = broker.client().await;
        let mut consumer = client.consume("q", "t").await;
        for n in 0..20 {
            let delivery = next(&mut consumer).await;
            assert_eq!(delivery.data, n.to_string().as_bytes());
            assert!(delivery.redelivered, "{n}");
        }
        // A restart ends it.
        broker.ctl(&["drain"]).await;
        let began = Instant::now();
        broker.stop().await;
        let took = began.elapsed();
        assert!(
            took < Duration::from_millis(1500),
            "nobody is left: {took:?}"
        );
        broker.start_again().await;
        assert_eq!(broker.client().await.counts("q").await.0, 20);
    });
}

#[test]
fn systemctl_status_shows_maintenance() {
    run(async {
        if TestBroker::start_own().await.is_none() {
            return;
        }
        let manager = Manager::start();
        let data = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let broker = TestBroker::start_in(data, &[], manager.environment(&[])).await;
        let (ready, _) = manager.hears("READY=1\n", 0).await;
        broker.ctl(&["drain"]).await;
        let (drained, _) = manager.hears("STATUS=drained: ", ready).await;
        broker.ctl(&["revive"]).await;
        let (revived, _) = manager.hears("STATUS=ready: AMQP on ", drained).await;
        broker.ctl(&["suspend_listeners"]).await;
        let (suspended, _) = manager.hears("STATUS=no new connections", revived).await;
        broker.ctl(&["resume_listeners"]).await;
        manager.hears("STATUS=ready: ", suspended).await;
    });
}
