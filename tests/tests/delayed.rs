//! Delayed exchanges (RabbitMQ's plugin "Delayed Message Exchange"), from outside: order, time, restarts and crashes. A
//! plain RabbitMQ does not have them, so each test starts its own broker.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_lite::StreamExt;
use lapin::options::{BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, ExchangeKind};
use leveret_tests::{
    Client, TestBroker, TestChannel, eventually, expect_reply, headers, next, nothing_more, run,
    run_within, text,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

fn delayed() -> ExchangeKind {
    ExchangeKind::Custom("x-delayed-message".into())
}

async fn exchange(channel: &TestChannel, name: &str, routed_by: &str) {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let arguments = headers(&[("x-delayed-type", routed_by)]);
    channel
        .exchange_declare(name.into(), delayed(), options, arguments)
        .await
        .expect("declare-ok");
}

fn waiting(delay: impl Into<AMQPValue>) -> BasicProperties {
    let mut table = FieldTable::default();
    table.insert("x-delay".into(), delay.into());
    BasicProperties::default().with_headers(table)
}

fn waiting_ms(delay: u32) -> BasicProperties {
    waiting(AMQPValue::LongUInt(delay))
}

fn persistent_ms(delay: u32) -> BasicProperties {
    waiting_ms(delay).with_delivery_mode(2)
}

/// Returns how many messages each delayed exchange holds.
async fn kept(broker: &TestBroker) -> BTreeMap<String, u64> {
    let arguments = ["list_exchanges", "-q", "--formatter", "json"];
    let columns = ["name", "messages_delayed"];
    let json = broker.ctl(&[&arguments[..], &columns].concat()).await;
    let rows: Vec<Value> = serde_json::from_str(&json).expect("an array of objects");
    let row = |row: &Value| {
        let name = row["name"].as_str()?.to_owned();
        Some((name, row["messages_delayed"].as_u64()?))
    };
    rows.iter().filter_map(row).collect()
}

#[test]
fn messages_come_in_the_order_in_which_they_are_due() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        exchange(&client, "x", "direct").await;
        client.queue("q").await;
        client.bind("q", "x", "k").await;
        let mut consumer = client.consume_auto("q", "c").await;
        let started = Instant::now();
        for delay in [500u32, 100, 300, 200, 100, 400] {
            let body = delay.to_string();
            client.publish("x", "k", body, waiting_ms(delay)).await;
        }
        for delay in [100, 100, 200, 300, 400, 500] {
            let delivery = next(&mut consumer).await;
            assert_eq!(text(&delivery), delay.to_string());
            assert!(started.elapsed() >= Duration::from_millis(delay), "early");
            let headers = delivery.properties.headers().clone().expect("headers");
            let waited = AMQPValue::LongInt(-i32::try_from(delay).expect("small"));
            assert_eq!(headers.inner().get("x-delay"), Some(&waited));
            assert_eq!(delivery.exchange.as_str(), "x");
        }
    });
}

#[test]
fn what_is_no_delay_is_routed_at_once() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        exchange(&client, "x", "fanout").await;
        client.queue("q").await;
        client.bind("q", "x", "").await;
        let channel = client.open_confirming().await;
        let values = [
            AMQPValue::LongString("soon".into()),
            AMQPValue::Boolean(true),
            AMQPValue::Double(f64::NAN),
            AMQPValue::LongInt(0),
            AMQPValue::LongInt(-1000),
        ];
        for value in &values {
            channel.publish("x", "", "m", waiting(value.clone())).await;
        }
        channel.publish("x", "", "m", Default::default()).await;
        let all = u32::try_from(values.len() + 1).expect("few");
        assert_eq!(client.counts("q").await, (all, 0));
        // A number is a number, however it is written and however large.
        client.drain("q").await;
        for value in [
            AMQPValue::LongString("60000".into()),
            AMQPValue::Double(6e4),
            AMQPValue::LongLongInt(0x1_0000_0000),
            AMQPValue::LongLongInt(i64::MAX),
        ] {
            channel.publish("x", "", "m", waiting(value)).await;
        }
        assert_eq!(kept(&broker).await, BTreeMap::from([("x".to_owned(), 4)]));
        assert_eq!(client.counts("q").await, (0, 0));
    });
}

#[test]
fn every_type_routes_what_is_due() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        let kinds = [
            ("direct", "a.b"),
            ("topic", "a.*"),
            ("fanout", ""),
            ("headers", ""),
            ("x-consistent-hash", "1"),
            ("x-random", ""),
        ];
        for (kind, key) in kinds {
            exchange(&client, kind, kind).await;
            client.queue(kind).await;
            let arguments = match kind {
                "headers" => headers(&[("x-match", "all"), ("colour", "red")]),
                _ => FieldTable::default(),
            };
            let options = QueueBindOptions::default();
            client
                .queue_bind(kind.into(), kind.into(), key.into(), options, arguments)
                .await
                .expect("bind-ok");
            let mut table = headers(&[("colour", "red")]);
            table.insert("x-delay".into(), AMQPValue::LongInt(50));
            let properties = BasicProperties::default().with_headers(table);
            client.publish(kind, "a.b", kind, properties).await;
        }
        for (kind, _) in kinds {
            let mut consumer = client.consume_auto(kind, kind).await;
            assert_eq!(text(&next(&mut consumer).await), kind);
        }
        let unknown = client
            .exchange_declare(
                "y".into(),
                delayed(),
                ExchangeDeclareOptions::default(),
                headers(&[("x-delayed-type", "nope")]),
            )
            .await;
        expect_reply(
            unknown,
            406,
            "PRECONDITION_FAILED - unknown exchange type 'nope'",
        );
    });
}

#[test]
fn thousands_of_messages_come_once_each_and_none_early() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        exchange(&client, "x", "direct").await;
        client.queue("q").await;
        client.bind("q", "x", "k").await;
        let mut consumer = client.consume_auto("q", "c").await;
        let mut rng = StdRng::seed_from_u64(7);
        const COUNT: usize = 5_000;
        let mut due = Vec::with_capacity(COUNT);
        for n in 0..COUNT {
            let delay = rng.random_range(1..1_500);
            due.push(Instant::now() + Duration::from_millis(delay.into()));
            let body = n.to_string();
            client.publish("x", "k", body, waiting_ms(delay)).await;
        }
        let mut seen = vec![false; COUNT];
        for _ in 0..COUNT {
            let delivery = next(&mut consumer).await;
            let n: usize = text(&delivery).parse().expect("a number");
            assert!(!std::mem::replace(&mut seen[n], true), "{n} came twice");
            assert!(due[n] <= Instant::now(), "{n} came early");
        }
        nothing_more(&mut consumer).await;
    });
}

#[test]
fn delays_go_on_over_a_restart_and_a_crash() {
    run(async {
        for crash in [false, true] {
            let Some(mut broker) = TestBroker::start_own().await else {
                return;
            };
            let client = broker.client().await;
            exchange(&client, "x", "direct").await;
            client.durable_queue("q").await;
            client.bind("q", "x", "k").await;
            let channel = client.open_confirming().await;
            let mut due = BTreeMap::new();
            for delay in [4_000, 30, 60_000, 20, 10] {
                let body = delay.to_string();
                let (delayed, before) = (Duration::from_millis(delay as u64), Instant::now());
                let sent = channel.publish("x", "k", &body, persistent_ms(delay));
                sent.await;
                due.insert(body, (before + delayed, Instant::now() + delayed));
            }
            channel.publish("x", "k", "light", waiting_ms(60_000)).await;
            if crash {
                broker.kill();
            } else {
                broker.stop().await;
            }
            broker.start_again().await;
            let client = broker.client().await;
            let mut consumer = client.consume_auto("q", "c").await;
            // Overdue ones come at once, in the order in which they were due, by the wall clock with a resolution of
            // milliseconds.
            let rounded = Duration::from_millis(1);
            let mut latest = Instant::now() - Duration::from_secs(60);
            for _ in 0..4 {
                let body = text(&next(&mut consumer).await);
                let (earliest_due, latest_due) = due.remove(&body).expect("each once");
                assert!(Instant::now() + rounded >= earliest_due, "{body} is early");
                let in_order = latest_due + rounded >= latest;
                assert!(in_order, "{body} is late, crash: {crash}");
                latest = latest.max(earliest_due);
            }
            assert!(due.into_keys().eq(["60000"]));
            let left = BTreeMap::from([("x".to_owned(), 1)]);
            assert_eq!(kept(&broker).await, left, "the transient one is gone");
        }
    });
}

#[test]
fn a_deleted_exchange_takes_its_messages_with_it_for_good() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        client.durable_queue("q").await;
        let channel = client.open_confirming().await;
        for name in ["x", "y"] {
            exchange(&client, name, "direct").await;
            client.bind("q", name, "k").await;
            channel.publish(name, "k", name, persistent_ms(300)).await;
        }
        client
            .exchange_delete("x".into(), Default::default())
            .await
            .expect("delete-ok");
        exchange(&client, "x", "direct").await;
        client.bind("q", "x", "k").await;
        broker.kill();
        broker.start_again().await;
        let client = broker.client().await;
        let mut consumer = client.consume_auto("q", "c").await;
        assert_eq!(text(&next(&mut consumer).await), "y");
        assert!(kept(&broker).await.values().all(|count| *count == 0));
        nothing_more(&mut consumer).await;
    });
}

/// The durable queues bound to the exchange of the crash test.
const QUEUES: [&str; 3] = ["a", "b", "c"];
/// The number of messages in each of its rounds.
const MESSAGES: u32 = 2_000;

/// Publishes until the broker is gone. Returns which messages were confirmed.
async fn publish_until_gone(client: &Client, first: u32, rng: &mut StdRng) -> BTreeSet<u32> {
    let channel = client.open_confirming().await;
    let mut confirms = Vec::new();
    for n in first..first + MESSAGES {
        let body = n.to_string();
        let sent = channel.basic_publish(
            "x".into(),
            "".into(),
            BasicPublishOptions::default(),
            body.as_bytes(),
            persistent_ms(rng.random_range(1..400)),
        );
        match sent.await {
            Ok(confirm) => confirms.push((n, confirm)),
            Err(_) => break,
        }
    }
    let mut confirmed = BTreeSet::new();
    for (n, confirm) in confirms {
        // lapin occasionally leaves a confirm waiting when its connection dies.
        match tokio::time::timeout(Duration::from_secs(2), confirm).await {
            Ok(Ok(_)) => confirmed.insert(n),
            _ => break,
        };
    }
    confirmed
}

#[test]
fn a_crash_neither_loses_nor_doubles_what_is_being_released() {
    run_within(Duration::from_secs(240), async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let seed = rand::rng().random();
        eprintln!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let client = broker.client().await;
        exchange(&client, "x", "fanout").await;
        for queue in QUEUES {
            client.durable_queue(queue).await;
            client.bind(queue, "x", "").await;
        }
        client.close().await;
        let mut some_were_held = false;
        for round in 0..10 {
            let client = broker.client().await;
            let mut publisher = StdRng::from_rng(&mut rng);
            let publishing = tokio::spawn(async move {
                publish_until_gone(&client, round * MESSAGES, &mut publisher).await
            });
            // Not waiting for anything: the crash happens at a random moment.
            tokio::time::sleep(Duration::from_millis(rng.random_range(50..500))).await;
            broker.kill();
            let confirmed = publishing.await.expect("no panic");
            broker.start_again().await;
            some_were_held |= kept(&broker).await["x"] > 0;
            eventually("all are released", async || {
                (kept(&broker).await["x"] == 0).then_some(())
            })
            .await;
            let client = broker.client().await;
            let mut found = Vec::new();
            for queue in QUEUES {
                found.push(take_all(&client, queue).await);
            }
            assert!(found[0].is_superset(&confirmed), "round {round}: lost");
            assert!(
                found.iter().all(|numbers| *numbers == found[0]),
                "round {round}: in some of its queues only"
            );
            client.close().await;
        }
        assert!(some_were_held, "no crash came in the middle");
    });
}

/// Takes every message from a queue for good, and checks that each is there once.
async fn take_all(client: &Client, queue: &str) -> BTreeSet<u32> {
    // They may just have been released and not be in the queue yet.
    let mut consumer = client.consume_auto(queue, queue).await;
    let mut numbers = BTreeSet::new();
    while let Ok(Some(delivery)) =
        tokio::time::timeout(Duration::from_millis(300), consumer.next()).await
    {
        let delivery = delivery.expect("a delivery");
        let n: u32 = text(&delivery).parse().expect("a number");
        assert!(numbers.insert(n), "{n} is in {queue} twice");
    }
    client
        .basic_cancel(queue.into(), Default::default())
        .await
        .expect("cancel-ok");
    client
        .queue_purge(queue.into(), Default::default())
        .await
        .expect("purge-ok");
    numbers
}
