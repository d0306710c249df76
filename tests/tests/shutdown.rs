//! Starting and stopping.

use std::time::{Duration, Instant};

use leveret_tests::raw::Raw;
use leveret_tests::{TestBroker, eventually, resident_bytes, run};

const SHUTDOWN: &str =
    "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";

#[test]
fn the_broker_is_ready_soon() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        // The goal is 100 ms; the rest is for busy machines.
        let limit = Duration::from_secs(1);
        assert!(broker.start_up() < limit, "{:?}", broker.start_up());
        broker.restart().await;
        assert!(broker.start_up() < limit, "again: {:?}", broker.start_up());
    });
}

#[test]
fn the_idle_broker_is_small() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        broker.client().await.close().await;
        let pid = broker.pid().expect("its own");
        // A login takes more for a moment.
        eventually("the idle broker is small", async || {
            (resident_bytes(pid) < 20 << 20).then_some(())
        })
        .await;
    });
}

#[test]
fn its_first_lines_name_the_data_directory() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let directory = broker.data_dir().to_str().expect("a plain path").to_owned();
        let lines = broker.process().lines();
        assert!(
            lines.iter().take(3).any(|line| line.contains(&directory)),
            "{lines:?}"
        );
    });
}

async fn stop_with_a_hundred_connections(signal: &str) {
    let Some(mut broker) = TestBroker::start_own().await else {
        return;
    };
    let mut connections = Vec::new();
    for n in 0..100 {
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        let queue = raw.declare(1, "").await;
        if n % 2 == 0 {
            raw.consume(1, &queue, "t").await;
        }
        connections.push(raw);
    }
    let started = Instant::now();
    broker.process().signal(signal);
    for raw in &mut connections {
        assert_eq!(raw.closed().await, (320, SHUTDOWN.to_owned()));
    }
    let status = broker.process().ended().await;
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(status.code(), Some(0));
}

#[test]
fn sigterm_tells_a_hundred_connections_and_ends_well() {
    run(stop_with_a_hundred_connections("TERM"));
}

#[test]
fn sigint_does_the_same() {
    run(stop_with_a_hundred_connections("INT"));
}

#[test]
fn clients_that_do_not_answer_do_not_hold_it_up() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let mut deaf = Vec::new();
        for _ in 0..20 {
            deaf.push(Raw::connect(&broker).await);
        }
        let started = Instant::now();
        broker.process().signal("TERM");
        let status = broker.process().ended().await;
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{:?}",
            started.elapsed()
        );
        assert_eq!(status.code(), Some(0));
    });
}

#[test]
fn an_unanswered_confirm_at_shutdown_is_kept_or_refused_never_lied_about() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        client.durable_queue("q").await;
        let channel = client.open_confirming().await;
        let publisher = tokio::spawn(async move {
            let mut confirmed = 0;
            let properties = lapin::BasicProperties::default().with_delivery_mode(2);
            loop {
                let (options, body) = Default::default();
                let body: &[u8] = body;
                let publish =
                    channel.basic_publish("".into(), "q".into(), options, body, properties.clone());
                let Ok(confirm) = publish.await else {
                    return confirmed;
                };
                match tokio::time::timeout(Duration::from_secs(5), confirm).await {
                    Ok(Ok(lapin::Confirmation::Ack(_))) => confirmed += 1,
                    _ => return confirmed,
                }
            }
        });
        client.counts_become_at_least("q", 50).await;
        broker.stop().await;
        let confirmed = publisher.await.expect("the publisher");
        broker.start_again().await;
        let (messages, _) = broker.client().await.counts("q").await;
        assert!(
            messages >= confirmed,
            "{confirmed} confirmed, {messages} there"
        );
    });
}
