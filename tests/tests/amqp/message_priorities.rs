//! x-max-priority.

use lapin::BasicProperties;
use lapin::options::{BasicNackOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use leveret_tests::{Client, TestBroker, TestChannel, next, run, text};

async fn queue_with(client: &Client, queue: &str, max: u8) {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-priority".into(), AMQPValue::ShortShortUInt(max));
    client
        .queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments)
        .await
        .expect("declare-ok");
}

/// A persistent message whose body says its priority.
async fn put(channel: &TestChannel, queue: &str, body: &str, priority: u8) {
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_priority(priority);
    channel.publish("", queue, body, properties).await;
}

#[test]
fn higher_priorities_overtake_and_equal_ones_stay_in_order() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        queue_with(&client, "q", 255).await;
        let channel = client.open_confirming().await;
        for (body, priority) in [("1", 0), ("2", 7), ("3", 255), ("4", 7), ("5", 128)] {
            put(&channel, "q", body, priority).await;
        }
        channel.put("q", "none").await;
        let expected = ["3", "5", "2", "4", "1", "none"];
        assert_eq!(client.drain("q").await, expected);
    });
}

#[test]
fn a_consumer_gets_what_is_highest_when_it_has_room() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        queue_with(&client, "q", 10).await;
        client.prefetch(1, false).await;
        let mut consumer = client.consume("q", "c").await;
        let channel = client.open_confirming().await;
        put(&channel, "q", "first", 0).await;
        let first = next(&mut consumer).await;
        put(&channel, "q", "low", 1).await;
        put(&channel, "q", "high", 10).await;
        // It keeps its priority, and its place among those that have the same.
        put(&channel, "q", "late", 0).await;
        let requeue = BasicNackOptions {
            requeue: true,
            ..BasicNackOptions::default()
        };
        first.nack(requeue).await.unwrap();
        for expected in ["high", "low", "first", "late"] {
            let delivery = next(&mut consumer).await;
            assert_eq!(text(&delivery), expected);
            delivery.ack(Default::default()).await.unwrap();
        }
    });
}

#[test]
fn a_restart_keeps_the_order_of_priorities() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        queue_with(&client, "q", 5).await;
        let channel = client.open_confirming().await;
        for n in 0..20u8 {
            put(&channel, "q", &n.to_string(), n % 7).await;
        }
        drop(client);
        broker.restart().await;
        let client = broker.client().await;
        let mut expected: Vec<u8> = (0..20).collect();
        expected.sort_by_key(|n| std::cmp::Reverse((n % 7).min(5)));
        let expected: Vec<String> = expected.iter().map(u8::to_string).collect();
        assert_eq!(client.drain("q").await, expected);
    });
}
