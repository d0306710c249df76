//! x-queue-type quorum.

use lapin::options::{BasicConsumeOptions, BasicNackOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Consumer};
use leveret_tests::{Client, TestBroker, TestChannel, next, nothing_more, run, text};

async fn declare(client: &Client, queue: &str, more: &[(&str, AMQPValue)]) {
    let mut arguments = FieldTable::default();
    let quorum = AMQPValue::LongString("quorum".into());
    arguments.insert("x-queue-type".into(), quorum);
    for (name, value) in more {
        arguments.insert((*name).into(), value.clone());
    }
    client
        .queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments)
        .await
        .expect("declare-ok");
}

/// Gets a message and says how often it came back, if anything says so.
async fn count(channel: &TestChannel, queue: &str) -> Option<i64> {
    let delivery = channel.get(queue).await.expect("a message");
    let found = delivery.properties.headers().as_ref()?;
    match found.inner().get("x-delivery-count")? {
        AMQPValue::LongLongInt(count) => Some(*count),
        other => panic!("{other:?}"),
    }
}

async fn requeue_all(channel: &TestChannel) {
    let requeue = BasicNackOptions {
        multiple: true,
        requeue: true,
    };
    channel.basic_nack(0, requeue).await.unwrap();
}

#[test]
fn what_came_back_twenty_times_is_given_up_the_next_time() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("dead").await;
        let to = |name: &str| AMQPValue::LongString(name.into());
        let dead = [
            ("x-dead-letter-exchange", to("")),
            ("x-dead-letter-routing-key", to("dead")),
        ];
        declare(&client, "q", &dead).await;
        let channel = client.open_confirming().await;
        channel.put("q", "poison").await;
        assert_eq!(count(&client, "q").await, None);
        for n in 1..=20 {
            requeue_all(&client).await;
            assert_eq!(count(&client, "q").await, Some(n));
        }
        requeue_all(&client).await;
        client.counts_become("dead", 1, 0).await;
        assert!(client.get("q").await.is_none());
        let buried = client.take("dead").await.expect("a dead letter");
        let found = buried.properties.headers().as_ref().expect("headers");
        let reason = found.inner().get("x-first-death-reason");
        assert_eq!(reason, Some(&to("delivery_limit")));
        assert!(!found.contains_key("x-delivery-count"));
    });
}

#[test]
fn a_restart_keeps_transient_messages_and_their_counts() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        declare(&client, "q", &[]).await;
        let channel = client.open_confirming().await;
        for body in ["came back", "did not", "is done with"] {
            channel.put("q", body).await;
        }
        let other = client.open().await;
        for _ in 0..2 {
            assert_eq!(text(&other.get("q").await.unwrap()), "came back");
            requeue_all(&other).await;
        }
        drop(client);
        broker.restart().await;
        let client = broker.client().await;
        let first = client.get("q").await.expect("a message");
        assert!(first.redelivered);
        requeue_all(&client).await;
        assert_eq!(count(&client, "q").await, Some(3));
        assert_eq!(count(&client, "q").await, None);
        // What was recorded before a confirmed publish is as safe as that.
        let channel = client.open_confirming().await;
        channel.put("q", "the last").await;
        broker.kill();
        broker.start_again().await;
        let client = broker.client().await;
        assert_eq!(
            count(&client, "q").await,
            Some(3),
            "nothing came back since"
        );
    });
}

#[test]
fn a_dead_letter_without_a_way_outlives_a_crash() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        let to = |name: &str| AMQPValue::LongString(name.into());
        let careful = [
            ("x-dead-letter-exchange", to("")),
            ("x-dead-letter-routing-key", to("dead")),
            ("x-dead-letter-strategy", to("at-least-once")),
            ("x-overflow", to("reject-publish")),
        ];
        declare(&client, "q", &careful).await;
        client.open_confirming().await.put("q", "m").await;
        client.get("q").await.expect("a message");
        let drop_it = BasicNackOptions {
            multiple: true,
            requeue: false,
        };
        client.basic_nack(0, drop_it).await.unwrap();
        // Whatever a nack does is written with the next confirmed publish.
        declare(&client, "other", &[]).await;
        client.open_confirming().await.put("other", "m").await;
        broker.kill();
        broker.start_again().await;
        let client = broker.client().await;
        client.counts_become("q", 1, 0).await;
        client.get("q").await.expect("the message");
        client.basic_nack(0, drop_it).await.unwrap();
        client.queue("dead").await;
        client.counts_become("dead", 1, 0).await;
    });
}

#[test]
fn high_priorities_have_two_turns_out_of_three() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        declare(&client, "q", &[]).await;
        let channel = client.open_confirming().await;
        for priority in [1u8, 2, 5, 9, 7, 6] {
            let properties = BasicProperties::default().with_priority(priority);
            channel
                .publish("", "q", priority.to_string(), properties)
                .await;
        }
        let expected = ["5", "9", "1", "7", "6", "2"];
        assert_eq!(client.drain("q").await, expected);
    });
}

async fn consume(channel: &TestChannel, tag: &str, priority: i32) -> Consumer {
    let mut arguments = FieldTable::default();
    arguments.insert("x-priority".into(), AMQPValue::LongInt(priority));
    let options = BasicConsumeOptions::default();
    channel
        .basic_consume("q".into(), tag.into(), options, arguments)
        .await
        .expect("consume-ok")
}

#[test]
fn the_active_consumer_makes_room_for_one_of_higher_priority() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let single = ("x-single-active-consumer", AMQPValue::Boolean(true));
        declare(&client, "q", &[single]).await;
        let mut low = consume(&client, "low", 0).await;
        client.put("q", "1").await;
        let held = next(&mut low).await;
        let mut high = consume(&client, "high", 5).await;
        client.put("q", "2").await;
        nothing_more(&mut low).await;
        nothing_more(&mut high).await;
        held.ack(Default::default()).await.unwrap();
        assert_eq!(text(&next(&mut high).await), "2");
        client.put("q", "3").await;
        assert_eq!(text(&next(&mut high).await), "3");
    });
}
