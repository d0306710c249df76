//! Where consumers begin, and what makes them go on.

use super::{consume, consume_with, declare, expect, filled, long, offset, publish, table};
use futures_lite::StreamExt;
use lapin::BasicProperties;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, QueueDeleteOptions};
use lapin::types::AMQPValue;
use leveret_tests::{TestBroker, expect_reply, next, nothing_more, run, text};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[test]
fn consumers_begin_where_they_ask_to() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        filled(&client, "s", 10).await;
        let begins = [
            (long("first"), 0),
            (long("last"), 9),
            (long("next"), 10),
            (AMQPValue::LongInt(4), 4),
            (AMQPValue::LongLongInt(9), 9),
            (AMQPValue::LongInt(-3), 0),
            (long("1h"), 0),
            (AMQPValue::Timestamp(1), 0),
            (AMQPValue::Timestamp(32_503_680_000), 10),
        ];
        let mut consumers = Vec::new();
        for (start, first) in begins {
            let (channel, mut consumer) = consume(&client, "s", start).await;
            expect(&mut consumer, first..10).await;
            consumers.push((channel, consumer));
        }
        let (_later, mut later) = consume(&client, "s", AMQPValue::LongInt(12)).await;
        let (_none, mut none) = consume_with(&client, "s", 9, &[]).await;
        let channel = client.open_confirming().await;
        publish(&channel, "s", 10..14).await;
        for (_, consumer) in &mut consumers {
            expect(consumer, 10..14).await;
        }
        expect(&mut later, 12..14).await;
        expect(&mut none, 10..14).await;
    });
}

#[test]
fn a_time_between_messages_is_found() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        filled(&client, "s", 3).await;
        // Time is the subject: timestamps are whole seconds.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let channel = client.open_confirming().await;
        publish(&channel, "s", 3..6).await;
        let start = AMQPValue::Timestamp(now.as_secs());
        let (_channel, mut consumer) = consume(&client, "s", start).await;
        expect(&mut consumer, 3..6).await;
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let (_channel, mut recent) = consume(&client, "s", long("1s")).await;
        nothing_more(&mut recent).await;
    });
}

#[test]
fn consumers_do_not_take_messages_from_one_another() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        filled(&client, "s", 50).await;
        let (_one, mut one) = consume(&client, "s", long("first")).await;
        let other_client = broker.client().await;
        let (_two, mut two) = consume(&other_client, "s", long("first")).await;
        expect(&mut one, 0..50).await;
        expect(&mut two, 0..50).await;
        assert_eq!(client.counts("s").await, (50, 0));
    });
}

#[test]
fn acknowledgements_of_any_kind_are_credit() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        filled(&client, "s", 20).await;
        let first = [("x-stream-offset", long("first"))];
        let (channel, mut consumer) = consume_with(&client, "s", 3, &first).await;
        let mut deliveries = Vec::new();
        for number in 0..3 {
            let delivery = next(&mut consumer).await;
            assert_eq!(offset(&delivery), number);
            deliveries.push(delivery);
        }
        nothing_more(&mut consumer).await;
        deliveries[1].reject(Default::default()).await.unwrap();
        assert_eq!(offset(&next(&mut consumer).await), 3);
        nothing_more(&mut consumer).await;
        let requeue = BasicNackOptions {
            multiple: true,
            requeue: true,
        };
        channel.basic_nack(3, requeue).await.unwrap();
        assert_eq!(offset(&next(&mut consumer).await), 4);
        assert_eq!(offset(&next(&mut consumer).await), 5);
        nothing_more(&mut consumer).await;
        let all = BasicAckOptions { multiple: true };
        channel.basic_ack(0, all).await.unwrap();
        for number in 6..9 {
            let delivery = next(&mut consumer).await;
            assert_eq!(offset(&delivery), number);
            assert!(!delivery.redelivered);
        }
        channel.close(200, "".into()).await.unwrap();
        let (_channel, mut consumer) = consume(&client, "s", long("first")).await;
        expect(&mut consumer, 0..20).await;
    });
}

#[test]
fn a_filter_lets_its_values_through() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        declare(&client, "s", &[]).await;
        let channel = client.open_confirming().await;
        for number in 0..30 {
            let mut properties = BasicProperties::default();
            if number % 3 > 0 {
                let value = long(["", "emea", "apac"][number % 3]);
                properties = properties.with_headers(table(&[("x-stream-filter-value", value)]));
            }
            let body = number.to_string();
            channel.publish("", "s", body, properties).await;
        }
        let first = ("x-stream-offset", long("first"));
        let one = [first.clone(), ("x-stream-filter", long("emea"))];
        let both = AMQPValue::FieldArray(vec![long("emea"), long("apac")].into());
        let both = [first.clone(), ("x-stream-filter", both)];
        let unfiltered = [
            first,
            ("x-stream-filter", long("apac")),
            ("x-stream-match-unfiltered", AMQPValue::Boolean(true)),
        ];
        let cases: [(&[_], [bool; 3]); 3] = [
            (&one, [false, true, false]),
            (&both, [false, true, true]),
            (&unfiltered, [true, false, true]),
        ];
        for (arguments, passes) in cases {
            let (_channel, mut consumer) = consume_with(&client, "s", 2, arguments).await;
            for number in (0..30).filter(|number| passes[number % 3]) {
                let delivery = next(&mut consumer).await;
                assert_eq!(text(&delivery), number.to_string());
                delivery.ack(Default::default()).await.unwrap();
            }
            nothing_more(&mut consumer).await;
        }
    });
}

#[test]
fn a_cancelled_consumer_gets_nothing_more_and_another_goes_on_from_its_offset() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        filled(&client, "s", 5000).await;
        let (channel, mut consumer) = consume(&client, "s", long("first")).await;
        expect(&mut consumer, 0..1000).await;
        let tag = consumer.tag();
        channel.basic_cancel(tag, Default::default()).await.unwrap();
        let (_channel, mut consumer) = consume(&client, "s", AMQPValue::LongInt(1000)).await;
        expect(&mut consumer, 1000..5000).await;
    });
}

#[test]
fn the_consumers_of_a_deleted_stream_are_told() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        filled(&client, "s", 5).await;
        let (_channel, mut consumer) = consume(&client, "s", long("first")).await;
        expect(&mut consumer, 0..5).await;
        // Neither condition counts for a stream.
        let options = QueueDeleteOptions {
            if_empty: true,
            if_unused: true,
            nowait: false,
        };
        assert_eq!(client.queue_delete("s".into(), options).await.unwrap(), 0);
        assert!(consumer.next().await.is_none(), "basic.cancel");
        filled(&client, "s", 1).await;
        let (_channel, mut consumer) = consume(&client, "s", long("first")).await;
        expect(&mut consumer, 0..1).await;
    });
}

#[test]
fn a_stream_is_bound_like_any_queue_and_transactions_reach_it() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.exchange("x", lapin::ExchangeKind::Fanout).await;
        client.durable_queue("q").await;
        declare(&client, "s", &[]).await;
        client.bind("q", "x", "").await;
        client.bind("s", "x", "").await;
        let channel = client.open_confirming().await;
        let persistent = BasicProperties::default().with_delivery_mode(2);
        channel.publish("x", "k", "0", persistent.clone()).await;
        channel
            .publish("x", "k", "1", BasicProperties::default())
            .await;
        let transaction = client.open().await;
        transaction.tx_select().await.unwrap();
        for body in ["2", "3"] {
            transaction
                .publish("x", "k", body, persistent.clone())
                .await;
        }
        assert_eq!(client.drain("q").await, ["0", "1"]);
        transaction.tx_commit().await.unwrap();
        assert_eq!(client.drain("q").await, ["2", "3"]);
        let (_channel, mut consumer) = consume(&client, "s", long("first")).await;
        expect(&mut consumer, 0..4).await;
    });
}

#[test]
fn what_a_stream_does_not_do_is_refused() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        filled(&client, "s", 1).await;
        let channel = client.open().await;
        let consumed = channel
            .basic_consume(
                "s".into(),
                "".into(),
                BasicConsumeOptions::default(),
                table(&[]),
            )
            .await;
        expect_reply(
            consumed,
            406,
            "PRECONDITION_FAILED - consumer prefetch count is not set for 'queue 's' in vhost '/''",
        );
        let got = client.basic_get("s".into(), Default::default()).await;
        expect_reply(
            got,
            540,
            "NOT_IMPLEMENTED - basic.get not supported by stream queues queue 's' in vhost '/'",
        );
    });
}
