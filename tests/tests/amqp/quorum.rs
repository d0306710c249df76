//! x-queue-type quorum.

use lapin::options::{
    BasicConsumeOptions, BasicNackOptions, BasicRecoverOptions, BasicRejectOptions,
    QueueDeclareOptions,
};
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

/// Gets a message and says how often its delivery failed, and how often it came back, if anything
/// says so.
async fn counts(channel: &TestChannel, queue: &str) -> (Option<i64>, Option<i64>) {
    let delivery = channel.get(queue).await.expect("a message");
    let found = delivery.properties.headers().as_ref();
    let number = |name: &str| match found?.inner().get(name)? {
        AMQPValue::LongLongInt(count) => Some(*count),
        other => panic!("{other:?}"),
    };
    (number("x-delivery-count"), number("x-acquired-count"))
}

async fn count(channel: &TestChannel, queue: &str) -> Option<i64> {
    let (failed, all) = counts(channel, queue).await;
    assert_eq!(failed, all, "each of them failed");
    failed
}

/// Gives back the only delivery that the channel holds, which is the one that it last got.
async fn reject(channel: &TestChannel, tag: u64) {
    let requeue = BasicRejectOptions { requeue: true };
    channel.basic_reject(tag, requeue).await.unwrap();
}

async fn nack_all(channel: &TestChannel) {
    let requeue = BasicNackOptions {
        multiple: true,
        requeue: true,
    };
    channel.basic_nack(0, requeue).await.unwrap();
}

#[test]
fn what_is_given_back_without_a_failure_comes_back_for_ever() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        declare(&client, "q", &[("x-delivery-limit", AMQPValue::LongInt(1))]).await;
        client.open_confirming().await.put("q", "m").await;
        for n in 1..=25 {
            counts(&client, "q").await;
            if n == 3 {
                reject(&client, 3).await;
            } else {
                nack_all(&client).await;
            }
        }
        assert_eq!(counts(&client, "q").await, (Some(1), Some(25)));
        let requeue = BasicRecoverOptions { requeue: true };
        client.basic_recover(requeue).await.unwrap();
        assert_eq!(counts(&client, "q").await, (Some(1), Some(26)));
        reject(&client, 27).await;
        assert!(client.get("q").await.is_none(), "it has failed twice");
    });
}

#[test]
fn what_failed_twenty_times_is_given_up_the_next_time() {
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
            reject(&client, n).await;
            assert_eq!(count(&client, "q").await, Some(n.cast_signed()));
        }
        reject(&client, 21).await;
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
        for n in 1..=2 {
            assert_eq!(text(&other.get("q").await.unwrap()), "came back");
            reject(&other, n).await;
        }
        drop(client);
        broker.restart().await;
        let client = broker.client().await;
        let first = client.get("q").await.expect("a message");
        assert!(first.redelivered);
        reject(&client, 1).await;
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
fn higher_priorities_come_first_and_none_is_the_fourth() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        declare(&client, "q", &[]).await;
        put_with_priorities(&client).await;
        let expected = ["31", "200", "9", "5", "none", "4", "3", "0"];
        assert_eq!(client.drain("q").await, expected);
    });
}

/// Publishes messages that say their priorities, lower ones among them first.
async fn put_with_priorities(client: &Client) {
    let channel = client.open_confirming().await;
    channel.put("q", "none").await;
    for priority in [0u8, 3, 4, 5, 31, 9, 200] {
        let properties = BasicProperties::default().with_priority(priority);
        channel
            .publish("", "q", priority.to_string(), properties)
            .await;
    }
}

#[test]
fn what_comes_back_keeps_its_priority_and_its_place() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        declare(&client, "q", &[]).await;
        put_with_priorities(&client).await;
        let worker = client.open().await;
        for expected in ["31", "200", "9", "5", "none"] {
            assert_eq!(text(&worker.get("q").await.unwrap()), expected);
        }
        nack_all(&worker).await;
        let expected = ["31", "200", "9", "5", "none", "4", "3", "0"];
        assert_eq!(text(&worker.get("q").await.unwrap()), expected[0]);
        worker.close(200, "done".into()).await.unwrap();
        client.counts_become("q", 8, 0).await;
        drop(client);
        // All of it is at the head of the queue, which a start reads.
        broker.restart().await;
        let client = broker.client().await;
        assert_eq!(client.drain("q").await, expected);
    });
}

#[test]
fn what_expires_is_not_held_up_by_higher_priorities() {
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
        let high = BasicProperties::default().with_priority(9);
        channel.publish("", "q", "stays", high).await;
        let low = BasicProperties::default().with_priority(1);
        let low = low.with_expiration("50".into());
        channel.publish("", "q", "goes", low).await;
        client.counts_become("dead", 1, 0).await;
        assert_eq!(client.drain("dead").await, ["goes"]);
        assert_eq!(client.drain("q").await, ["stays"]);
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
