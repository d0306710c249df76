//! What a stream forgets.

use super::{consume, declare, expect, long, offset};
use lapin::BasicProperties;
use lapin::types::AMQPValue;
use leveret_tests::{Client, TestBroker, next, run};
use std::time::Duration;

/// Sixteen of these make a unit of the smallest size.
const BODY: [u8; 1000] = [7; 1000];
const UNIT: i32 = 16 * 1024;

async fn fill(client: &Client, messages: u64) {
    let channel = client.open_confirming().await;
    for _ in 0..messages {
        channel
            .publish("", "s", BODY, BasicProperties::default())
            .await;
    }
}

async fn first_offset(client: &Client) -> i64 {
    let (_channel, mut consumer) = consume(client, "s", long("first")).await;
    offset(&next(&mut consumer).await)
}

#[test]
fn by_size_the_oldest_units_go_and_stay_gone() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        let arguments = [
            ("x-max-length-bytes", AMQPValue::LongInt(4 * UNIT)),
            ("x-stream-max-segment-size-bytes", AMQPValue::LongInt(UNIT)),
        ];
        declare(&client, "s", &arguments).await;
        fill(&client, 50).await;
        assert_eq!(first_offset(&client).await, 0);
        fill(&client, 250).await;
        let first = first_offset(&client).await;
        assert!((236..250).contains(&first), "{first}");
        let (messages, _) = client.counts("s").await;
        assert_eq!(i64::from(messages), 300 - first);
        // An offset that is gone means the first one still there.
        let (_channel, mut consumer) = consume(&client, "s", AMQPValue::LongInt(3)).await;
        assert_eq!(offset(&next(&mut consumer).await), first);
        broker.restart().await;
        let client = broker.client().await;
        assert_eq!(first_offset(&client).await, first);
        assert_eq!(client.counts("s").await, (messages, 0));
        fill(&client, 100).await;
        assert!(first_offset(&client).await >= 336);
    });
}

#[test]
fn by_age_old_units_go_when_another_begins() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let arguments = [
            ("x-max-age", long("1s")),
            ("x-stream-max-segment-size-bytes", AMQPValue::LongInt(UNIT)),
        ];
        declare(&client, "s", &arguments).await;
        fill(&client, 60).await;
        assert_eq!(first_offset(&client).await, 0);
        // Time is the subject.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(first_offset(&client).await, 0, "nothing has begun since");
        fill(&client, 40).await;
        let first = first_offset(&client).await;
        assert!((45..=60).contains(&first), "{first}");
    });
}

#[test]
fn a_slow_consumer_goes_on_with_what_is_left() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let arguments = [
            ("x-max-length-bytes", AMQPValue::LongInt(2 * UNIT)),
            ("x-stream-max-segment-size-bytes", AMQPValue::LongInt(UNIT)),
        ];
        declare(&client, "s", &arguments).await;
        let first = [("x-stream-offset", long("first"))];
        let (_channel, mut consumer) = super::consume_with(&client, "s", 1, &first).await;
        fill(&client, 1).await;
        let held = next(&mut consumer).await;
        assert_eq!(offset(&held), 0);
        fill(&client, 2000).await;
        held.ack(Default::default()).await.unwrap();
        let mut last = 0;
        while last < 2000 {
            let delivery = next(&mut consumer).await;
            assert!(offset(&delivery) > last);
            last = offset(&delivery);
            delivery.ack(Default::default()).await.unwrap();
        }
    });
}

#[test]
fn numbers_are_where_they_were_after_retention_and_crash() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        let arguments = [("x-max-age", long("1h"))];
        declare(&client, "s", &arguments).await;
        let channel = client.open_confirming().await;
        super::publish(&channel, "s", 0..20).await;
        broker.kill();
        broker.start_again().await;
        let client = broker.client().await;
        let (_channel, mut consumer) = consume(&client, "s", AMQPValue::LongInt(11)).await;
        expect(&mut consumer, 11..20).await;
    });
}
