//! x-max-length, x-max-length-bytes, x-overflow.

use amq_protocol::protocol::{AMQPClass, basic};
use lapin::Confirmation;
use lapin::options::{BasicAckOptions, BasicNackOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use leveret_tests::raw::Raw;
use leveret_tests::{Client, TestBroker, TestChannel, next, run, text};

const REJECT: &str = "reject-publish";

async fn limited(client: &Client, queue: &str, limits: &[(&str, i32)], overflow: &str) {
    let mut arguments = FieldTable::default();
    for (name, value) in limits {
        arguments.insert((*name).into(), AMQPValue::LongInt(*value));
    }
    if !overflow.is_empty() {
        arguments.insert("x-overflow".into(), AMQPValue::LongString(overflow.into()));
    }
    client
        .queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments)
        .await
        .expect("declare-ok");
}

/// Publishes the bodies and tells which were taken.
async fn taken(channel: &TestChannel, queue: &str, bodies: &[&str]) -> Vec<bool> {
    let mut taken = Vec::new();
    for body in bodies {
        taken.push(match channel.put_persistent(queue, body).await {
            Confirmation::Ack(_) => true,
            Confirmation::Nack(_) => false,
            Confirmation::NotRequested => panic!("not in confirm mode"),
        });
    }
    taken
}

#[test]
fn the_oldest_ready_messages_give_way() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        limited(&client, "messages", &[("x-max-length", 2)], "").await;
        assert_eq!(
            taken(&channel, "messages", &["1", "2", "3"]).await,
            [true; 3]
        );
        assert_eq!(client.drain("messages").await, ["2", "3"]);
        limited(
            &client,
            "octets",
            &[("x-max-length-bytes", 10)],
            "drop-head",
        )
        .await;
        taken(&channel, "octets", &["1234", "5678", "90", "a"]).await;
        assert_eq!(client.drain("octets").await, ["5678", "90", "a"]);
        taken(&channel, "octets", &["1", "eleven octets"]).await;
        assert_eq!(
            client.counts("octets").await,
            (0, 0),
            "one that never fits takes all along"
        );
        let both = [("x-max-length", 3), ("x-max-length-bytes", 5)];
        limited(&client, "both", &both, "").await;
        taken(&channel, "both", &["1", "2", "3", "4", "5678"]).await;
        assert_eq!(client.drain("both").await, ["4", "5678"]);
    });
}

#[test]
fn a_queue_of_no_length_serves_who_waits() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        limited(&client, "drops", &[("x-max-length", 0)], "").await;
        limited(&client, "rejects", &[("x-max-length", 0)], REJECT).await;
        taken(&channel, "drops", &["lost"]).await;
        let mut consumer = client.consume_auto("drops", "c").await;
        taken(&channel, "drops", &["served"]).await;
        assert_eq!(text(&next(&mut consumer).await), "served");
        // As RabbitMQ: it does not look whether somebody waits.
        let _consumer = client.consume_auto("rejects", "d").await;
        assert_eq!(taken(&channel, "rejects", &["1"]).await, [false]);
    });
}

#[test]
fn unacknowledged_messages_do_not_count_until_they_come_back() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        limited(&client, "q", &[("x-max-length", 2)], "").await;
        taken(&channel, "q", &["1", "2"]).await;
        let (one, two) = (
            client.get("q").await.unwrap(),
            client.get("q").await.unwrap(),
        );
        taken(&channel, "q", &["3", "4"]).await;
        let requeue = BasicNackOptions {
            multiple: false,
            requeue: true,
        };
        two.nack(requeue).await.unwrap();
        one.ack(BasicAckOptions::default()).await.unwrap();
        assert_eq!(client.counts("q").await, (2, 0));
        assert_eq!(client.drain("q").await, ["3", "4"]);
        limited(&client, "r", &[("x-max-length", 1)], REJECT).await;
        taken(&channel, "r", &["1"]).await;
        let one = client.get("r").await.unwrap();
        assert_eq!(taken(&channel, "r", &["2", "3"]).await, [true, false]);
        one.nack(requeue).await.unwrap();
        assert_eq!(client.counts("r").await, (2, 0), "nothing is dropped");
        assert_eq!(client.drain("r").await, ["1", "2"]);
    });
}

#[test]
fn a_full_queue_refuses_and_the_publisher_is_told() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        for overflow in [REJECT, "reject-publish-dlx"] {
            limited(&client, overflow, &[("x-max-length", 2)], overflow).await;
            let told = taken(&channel, overflow, &["1", "2", "3", "4"]).await;
            assert_eq!(told, [true, true, false, false]);
            // Who asked for no confirm is told nothing.
            client.put(overflow, "5").await;
            assert_eq!(client.drain(overflow).await, ["1", "2"]);
            assert_eq!(taken(&channel, overflow, &["6"]).await, [true]);
        }
        limited(&client, "octets", &[("x-max-length-bytes", 3)], REJECT).await;
        let told = taken(&channel, "octets", &["1234", "12", "34", "3"]).await;
        assert_eq!(told, [false, true, false, true]);
        assert_eq!(client.drain("octets").await, ["12", "3"]);
    });
}

#[test]
fn one_queue_that_refuses_is_enough() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        limited(&client, "full", &[("x-max-length", 0)], REJECT).await;
        client.durable_queue("q").await;
        for queue in ["full", "q"] {
            client.bind(queue, "amq.fanout", "").await;
        }
        let properties = lapin::BasicProperties::default().with_delivery_mode(2);
        let told = channel.publish("amq.fanout", "", "m", properties).await;
        assert_eq!(told, Confirmation::Nack(None));
        client.counts_become("q", 1, 0).await;
    });
}

#[test]
fn nacks_and_acks_cover_every_message_once() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        limited(&client, "q", &[("x-max-length", 30)], REJECT).await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        raw.confirm_select(1).await;
        let messages = 100;
        for _ in 0..messages {
            raw.publish_method(1, "q").await;
            raw.empty_content(1).await;
        }
        let mut open: Vec<u64> = (1..=messages).collect();
        let (mut acked, mut nacked) = (0, 0);
        while !open.is_empty() {
            let (tag, multiple, count) = match raw.method_on(1).await {
                AMQPClass::Basic(basic::AMQPMethod::Ack(ack)) => {
                    (ack.delivery_tag, ack.multiple, &mut acked)
                }
                AMQPClass::Basic(basic::AMQPMethod::Nack(nack)) => {
                    (nack.delivery_tag, nack.multiple, &mut nacked)
                }
                other => panic!("expected ack or nack, got {other:?}"),
            };
            let before = open.len();
            open.retain(|&other| if multiple { other > tag } else { other != tag });
            *count += before - open.len();
        }
        assert_eq!((acked, nacked), (30, 70));
    });
}

#[test]
fn limits_survive_restarts_and_hold_for_what_was_unacknowledged() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        limited(&client, "q", &[("x-max-length", 2)], "").await;
        limited(&client, "r", &[("x-max-length", 2)], REJECT).await;
        for queue in ["q", "r"] {
            taken(&channel, queue, &["1", "2"]).await;
            for _ in 0..2 {
                client.get(queue).await.expect("a message");
            }
            taken(&channel, queue, &["3"]).await;
        }
        broker.kill();
        for _ in 0..2 {
            broker.start_again().await;
            let client = broker.client().await;
            let channel = client.open_confirming().await;
            assert_eq!(client.counts("q").await, (2, 0));
            assert_eq!(client.counts("r").await, (3, 0));
            assert_eq!(taken(&channel, "r", &["4"]).await, [false]);
            client.close().await;
            broker.stop().await;
        }
        broker.start_again().await;
        let client = broker.client().await;
        assert_eq!(client.drain("q").await, ["2", "3"]);
        assert_eq!(client.drain("r").await, ["1", "2", "3"]);
    });
}
