//! The exchange types of RabbitMQ's plugins that choose one of their bindings.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, ExchangeKind};
use leveret_tests::{Client, TestBroker, TestChannel, expect_reply, headers, run};

const DURABLE: ExchangeDeclareOptions = ExchangeDeclareOptions {
    passive: false,
    durable: true,
    auto_delete: false,
    internal: false,
    nowait: false,
};

const QUEUES: [&str; 4] = ["q1", "q2", "q3", "q4"];

async fn declare(channel: &TestChannel, kind: &str, arguments: FieldTable) -> lapin::Result<()> {
    let kind = ExchangeKind::Custom(kind.into());
    channel
        .exchange_declare("x".into(), kind, DURABLE, arguments)
        .await
}

async fn bind(channel: &TestChannel, key: &str) -> lapin::Result<()> {
    let options = QueueBindOptions::default();
    let arguments = FieldTable::default();
    channel
        .queue_bind("q1".into(), "x".into(), key.into(), options, arguments)
        .await
}

/// A durable exchange with four queues, bound with these keys.
async fn world(broker: &TestBroker, kind: &str, arguments: FieldTable, keys: [&str; 4]) -> Client {
    let client = broker.client().await;
    declare(&client, kind, arguments).await.unwrap();
    for (queue, key) in QUEUES.iter().zip(keys) {
        client.durable_queue(queue).await;
        client.bind(queue, "x", key).await;
    }
    client
}

/// Publishes so many messages, each with its number as key, and returns what each queue got.
async fn spread(client: &Client, messages: u32) -> Vec<Vec<String>> {
    let channel = client.open_confirming().await;
    for n in 0..messages {
        let key = n.to_string();
        channel
            .publish("x", &key, &key, BasicProperties::default())
            .await;
    }
    let mut got = Vec::new();
    for queue in QUEUES {
        got.push(client.drain(queue).await);
    }
    got
}

fn counts(spread: &[Vec<String>]) -> Vec<usize> {
    spread.iter().map(Vec::len).collect()
}

#[test]
fn hashing_exchanges_send_a_key_to_the_same_queue_before_and_after_a_restart() {
    run(async {
        for (kind, keys) in [
            ("x-consistent-hash", ["1", "1", "2", "2"]),
            ("x-modulus-hash", ["", "a", "b", "c"]),
        ] {
            let Some(mut broker) = TestBroker::start_own().await else {
                return;
            };
            let client = world(&broker, kind, FieldTable::default(), keys).await;
            let before = spread(&client, 300).await;
            assert_eq!(
                counts(&before).iter().sum::<usize>(),
                300,
                "{kind}: one queue each"
            );
            assert!(
                counts(&before).iter().all(|n| *n > 20),
                "{kind}: {:?}",
                counts(&before)
            );
            if kind == "x-consistent-hash" {
                let [a, b, c, d] = counts(&before)[..] else {
                    panic!("four queues")
                };
                assert!(c + d > a + b, "the weights count: {:?}", [a, b, c, d]);
            }
            broker.restart().await;
            let client = broker.client().await;
            assert_eq!(spread(&client, 300).await, before, "{kind}");
            // Declared again it is the same exchange.
            declare(&client, kind, FieldTable::default()).await.unwrap();
        }
    });
}

#[test]
fn a_consistent_hash_exchange_hashes_the_header_it_is_told_to() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let arguments = headers(&[("hash-header", "customer")]);
        let client = world(&broker, "x-consistent-hash", arguments, ["1"; 4]).await;
        let channel = client.open_confirming().await;
        for n in 0..200 {
            let customer = format!("customer {}", n % 20);
            let table = headers(&[("customer", &customer)]);
            let properties = BasicProperties::default().with_headers(table);
            channel
                .publish("x", &n.to_string(), &customer, properties)
                .await;
        }
        let mut customers = 0;
        for queue in QUEUES {
            let mut seen = client.drain(queue).await;
            seen.sort();
            let messages = seen.len();
            seen.dedup();
            assert_eq!(messages, seen.len() * 10, "all of a customer's messages");
            customers += seen.len();
        }
        assert_eq!(customers, 20);
    });
}

#[test]
fn random_exchanges_spread_one_key_over_all_queues() {
    run(async {
        for kind in ["x-random", "x-local-random"] {
            let Some(broker) = TestBroker::start_own().await else {
                return;
            };
            let client = world(&broker, kind, FieldTable::default(), [""; 4]).await;
            let channel = client.open_confirming().await;
            for _ in 0..300 {
                channel
                    .publish("x", "k", "m", BasicProperties::default())
                    .await;
            }
            let mut got = Vec::new();
            for queue in QUEUES {
                got.push(client.drain(queue).await.len());
            }
            assert_eq!(got.iter().sum::<usize>(), 300, "{kind}");
            assert!(got.iter().all(|n| *n > 20), "{kind}: {got:?}");
        }
    });
}

#[test]
fn what_makes_no_sense_is_refused_in_the_words_of_the_plugins() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        client.queue("q1").await;
        for (arguments, text) in [
            (
                headers(&[("hash-header", "h"), ("hash-property", "message_id")]),
                "hash-header and hash-property are mutually exclusive",
            ),
            (
                headers(&[("hash-property", "app_id")]),
                "Unsupported property: app_id",
            ),
        ] {
            let channel = client.open().await;
            let declared = declare(&channel, "x-consistent-hash", arguments).await;
            expect_reply(declared, 406, &format!("PRECONDITION_FAILED - {text}"));
        }
        declare(&client, "x-consistent-hash", FieldTable::default())
            .await
            .unwrap();
        for (key, text) in [
            ("abc", "The binding key must be an integer: <<\"abc\">>"),
            ("0", "The binding key must be greater than 0"),
            ("10001", "The binding key must not exceed 10000"),
        ] {
            let channel = client.open().await;
            let bound = bind(&channel, key).await;
            expect_reply(bound, 406, &format!("PRECONDITION_FAILED - {text}"));
        }
    });
}
