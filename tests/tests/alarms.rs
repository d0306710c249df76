//! Memory and disk alarms: who is blocked, who is notified, and what operators see.

use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::{AMQPClass, connection};
use lapin::options::BasicAckOptions;
use lapin::{BasicProperties, Connection};
use leveret_tests::raw::{Raw, Tune};
use leveret_tests::{TestBroker, eventually, next, resident_bytes, run, settled_bytes, text};

/// More than any disk has.
const MORE_THAN_THERE_IS: &str = "900000GB";

async fn set_watermark(broker: &TestBroker, watermark: &str) {
    broker
        .ctl(&["set_vm_memory_high_watermark", watermark])
        .await;
}

async fn becomes(connection: &Connection, blocked: bool) {
    eventually("connection.blocked or unblocked", async || {
        (connection.status().blocked() == blocked).then_some(())
    })
    .await;
}

/// The states of all connections, sorted.
async fn states(broker: &TestBroker) -> Vec<String> {
    let listed = broker
        .ctl(&["list_connections", "-q", "--no-table-headers", "state"])
        .await;
    let mut states: Vec<String> = listed.lines().map(str::to_owned).collect();
    states.sort();
    states
}

/// Publishes without waiting for anything.
async fn publish(client: &leveret_tests::Client, queue: &str) {
    let properties = BasicProperties::default();
    let published = client
        .basic_publish(
            "".into(),
            queue.into(),
            Default::default(),
            b"m",
            properties,
        )
        .await;
    published.expect("written");
}

#[test]
fn publishers_are_blocked_and_consumers_go_on() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        let (publisher, other) = (broker.client().await, broker.client().await);
        other.queue("q").await;
        for body in ["1", "2"] {
            publisher.put("q", body).await;
        }
        publisher.counts_become("q", 2, 0).await;
        set_watermark(&broker, "0.00001").await;
        assert_eq!(states(&broker).await, ["blocking", "blocking"]);
        publish(&publisher, "q").await;
        becomes(&publisher.connection, true).await;
        assert_eq!(states(&broker).await, ["blocked", "blocking"]);
        other.prefetch(1, false).await;
        let mut consumer = other.consume("q", "c").await;
        for body in ["1", "2"] {
            let delivery = next(&mut consumer).await;
            assert_eq!(text(&delivery), body);
            delivery.ack(BasicAckOptions::default()).await.unwrap();
        }
        assert!(!other.connection.status().blocked());
        set_watermark(&broker, "0.4").await;
        becomes(&publisher.connection, false).await;
        // The blocked message is published now.
        assert_eq!(text(&next(&mut consumer).await), "m");
        assert_eq!(states(&broker).await, ["running", "running"]);
    });
}

#[test]
fn a_disk_limit_above_the_free_space_blocks_from_the_start() {
    run(async {
        let broker = TestBroker::start_with(&["--disk-free-limit", MORE_THAN_THERE_IS]).await;
        let check = broker.try_ctl(&["check_local_alarms", "-q"]).await;
        assert_eq!(
            (check.status, check.stderr.as_str()),
            (Some(69), "Error:\nFree disk space alarm\n")
        );
        let status = broker.ctl(&["status", "-q"]).await;
        assert!(
            status.contains("Alarms\n\nFree disk space alarm\n"),
            "{status}"
        );
        let client = broker.client().await;
        client.queue("q").await;
        publish(&client, "q").await;
        becomes(&client.connection, true).await;
        broker.ctl(&["set_disk_free_limit", "1MB"]).await;
        becomes(&client.connection, false).await;
        client.counts_become("q", 1, 0).await;
        broker.ctl(&["check_alarms"]).await;
        assert_eq!(
            broker.ctl(&["check_local_alarms", "-s"]).await,
            "",
            "silence is health"
        );
    });
}

#[test]
fn a_blocked_client_may_be_silent_for_as_long_as_it_is_blocked() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        let every_second = Tune {
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat: 1,
        };
        let mut raw = Raw::connect_with(&broker, every_second).await;
        raw.open_channel(1).await;
        raw.declare(1, "q").await;
        set_watermark(&broker, "0.00001").await;
        raw.publish_method(1, "q").await;
        raw.content_header(1, 5).await;
        // Two per second: three seconds of silence, where two would otherwise be too many.
        for _ in 0..6 {
            assert!(matches!(raw.frame().await, Some(AMQPFrame::Heartbeat)));
        }
        set_watermark(&broker, "0.4").await;
        raw.send_frame(&AMQPFrame::Body(1, b"hello".to_vec())).await;
        assert_eq!(raw.take(1, "q").await, Some(b"hello".to_vec()));
    });
}

/// Returns a client that has published while memory is low, as `leveretctl` shows.
async fn blocked(broker: &TestBroker) -> Raw {
    let mut raw = Raw::connect(broker).await;
    raw.open_channel(1).await;
    set_watermark(broker, "0.00001").await;
    raw.publish_method(1, "nowhere").await;
    raw.empty_content(1).await;
    eventually("it is blocked", async || {
        (states(broker).await == ["blocked"]).then_some(())
    })
    .await;
    raw
}

#[test]
fn a_client_that_goes_while_it_is_blocked_is_noticed_without_heartbeats() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        let mut raw = blocked(&broker).await;
        // The data after it is not read, and hides the end of the stream.
        raw.publish_method(1, "nowhere").await;
        drop(raw);
        eventually("it is forgotten", async || {
            states(&broker).await.is_empty().then_some(())
        })
        .await;
        set_watermark(&broker, "0.4").await;
    });
}

#[test]
fn an_alarm_is_over_when_the_memory_is_free() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        client.queue("q").await;
        let idle = settled_bytes(broker.pid().expect("our own")).await;
        let body = vec![b'x'; 1024];
        for _ in 0..60_000 {
            let properties = BasicProperties::default();
            let options = Default::default();
            client
                .basic_publish("".into(), "q".into(), options, &body, properties)
                .await
                .unwrap();
        }
        client.counts_become("q", 60_000, 0).await;
        let used = resident_bytes(broker.pid().expect("our own"));
        // Half of the memory of the messages must be free again.
        assert!(used > idle + 20_000_000, "{idle} octets, then {used}");
        let mark = idle.midpoint(used).to_string();
        broker
            .ctl(&["set_vm_memory_high_watermark", "absolute", &mark])
            .await;
        assert_eq!(broker.ctl(&["alarms", "-q"]).await, "Memory alarm\n");
        broker.ctl(&["purge_queue", "q"]).await;
        eventually("the memory alarm is over", async || {
            let check = broker.try_ctl(&["check_alarms", "-s"]).await;
            (check.status == Some(0)).then_some(())
        })
        .await;
    });
}

#[test]
fn alarms_stand_in_the_log() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        for (mark, word) in [("0.00001", "set"), ("0.4", "cleared")] {
            set_watermark(&broker, mark).await;
            let line = format!("memory resource limit alarm {word}");
            let found = |text: &str| text.contains(&line).then_some(());
            broker.process().line(&line, found).await;
        }
    });
}

#[test]
fn a_connection_that_did_not_ask_is_not_told() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        let mut raw = blocked(&broker).await;
        broker
            .ctl(&["close_all_connections", "maintenance", "--global"])
            .await;
        // This is the first thing it receives.
        let method = raw.method_on(0).await;
        let AMQPClass::Connection(connection::AMQPMethod::Close(close)) = method else {
            panic!("expected connection.close, got {method:?}");
        };
        assert_eq!(close.reply_code, 320);
        set_watermark(&broker, "0.4").await;
    });
}
