//! basic.consume and basic.cancel.

use amq_protocol::protocol::{AMQPClass, basic, queue};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use leveret_tests::raw::{Raw, Tune, login, table};
use leveret_tests::{TestBroker, expect_reply, next, nothing_more, run, text};

#[test]
fn deliveries_come_in_the_order_of_publishing() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        for n in 0..500 {
            client.put("q", n.to_string()).await;
        }
        let mut consumer = client.consume_auto("q", "c").await;
        for n in 500..1000 {
            client.put("q", n.to_string()).await;
        }
        for n in 0..1000 {
            let delivery = next(&mut consumer).await;
            assert_eq!(text(&delivery), n.to_string());
            assert_eq!(delivery.delivery_tag, n + 1);
            assert!(!delivery.redelivered);
        }
    });
}

#[test]
fn a_consumer_without_a_tag_is_given_one() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let consumer = client.consume("q", "").await;
        let tag = consumer.tag();
        let unique = tag
            .as_str()
            .strip_prefix("amq.ctag-")
            .expect("RabbitMQ's prefix")
            .to_owned();
        assert_eq!(unique.len(), 22, "{unique}");
    });
}

#[test]
fn one_tag_twice_on_a_channel_closes_the_connection() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        let queue = raw.declare(1, "").await;
        raw.consume(1, &queue, "t").await;
        let again = basic::Consume {
            queue: queue.into(),
            consumer_tag: "t".into(),
            ..basic::Consume::default()
        };
        raw.send(1, AMQPClass::Basic(basic::AMQPMethod::Consume(again)))
            .await;
        let text = "NOT_ALLOWED - attempt to reuse consumer tag 't'";
        assert_eq!(raw.closed().await, (530, text.to_owned()));
    });
}

#[test]
fn one_tag_on_two_channels_is_two_consumers() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let other = client.open().await;
        client.queue("q").await;
        let _one = client.consume("q", "t").await;
        let _two = other.consume("q", "t").await;
        assert_eq!(client.counts("q").await, (0, 2));
    });
}

#[test]
fn an_exclusive_consumer_is_alone() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("pq").await;
        let options = BasicConsumeOptions {
            exclusive: true,
            ..Default::default()
        };
        let _consumer = client.consume_with("pq", "first", options).await;
        for options in [options, BasicConsumeOptions::default()] {
            let channel = client.open().await;
            let queue = "pq".into();
            let second = channel
                .basic_consume(queue, "second".into(), options, FieldTable::default())
                .await;
            let text = "ACCESS_REFUSED - queue 'pq' in vhost '/' in exclusive use";
            expect_reply(second, 403, text);
        }
        client
            .basic_cancel("first".into(), Default::default())
            .await
            .unwrap();
        client.consume_with("pq", "third", options).await;
    });
}

#[test]
fn exclusive_use_is_refused_while_others_consume() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("pq").await;
        let _consumer = client.consume("pq", "first").await;
        let options = BasicConsumeOptions {
            exclusive: true,
            ..Default::default()
        };
        let channel = client.open().await;
        let second = channel
            .basic_consume("pq".into(), "second".into(), options, FieldTable::default())
            .await;
        expect_reply(
            second,
            403,
            "ACCESS_REFUSED - queue 'pq' in vhost '/' in exclusive use",
        );
    });
}

#[test]
fn a_missing_queue_is_not_found() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let options = BasicConsumeOptions::default();
        let consumed = client
            .basic_consume("nope".into(), "c".into(), options, FieldTable::default())
            .await;
        expect_reply(consumed, 404, "NOT_FOUND - no queue 'nope' in vhost '/'");
    });
}

#[test]
fn a_consumer_started_without_waiting_is_served() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        let queue = raw.declare(1, "").await;
        let consume = basic::Consume {
            queue: queue.as_str().into(),
            consumer_tag: "t".into(),
            no_ack: true,
            nowait: true,
            ..basic::Consume::default()
        };
        raw.send(1, AMQPClass::Basic(basic::AMQPMethod::Consume(consume)))
            .await;
        raw.publish_method(1, &queue).await;
        raw.empty_content(1).await;
        // No consume-ok in between.
        let method = raw.method_on(1).await;
        let AMQPClass::Basic(basic::AMQPMethod::Deliver(deliver)) = method else {
            panic!("expected basic.deliver, got {method:?}");
        };
        assert_eq!(deliver.consumer_tag.as_str(), "t");
    });
}

#[test]
fn consume_ok_comes_before_the_first_delivery() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        let queue = raw.declare(1, "").await;
        for n in 0..50 {
            raw.publish_method(1, &queue).await;
            raw.empty_content(1).await;
            // Panics on anything but consume-ok.
            raw.consume(1, &queue, &format!("t{n}")).await;
            raw.method_on(1).await;
            raw.content().await;
            let cancel = basic::Cancel {
                consumer_tag: format!("t{n}").into(),
                nowait: false,
            };
            raw.send(1, AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel)))
                .await;
            let method = raw.method_on(1).await;
            let AMQPClass::Basic(basic::AMQPMethod::CancelOk(_)) = method else {
                panic!("expected basic.cancel-ok, got {method:?}");
            };
        }
    });
}

#[test]
fn a_cancelled_consumer_gets_nothing_more_and_keeps_what_it_has() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let mut consumer = client.consume("q", "c").await;
        client.put("q", "before").await;
        let delivery = next(&mut consumer).await;
        client
            .basic_cancel("c".into(), Default::default())
            .await
            .unwrap();
        client.put("q", "after").await;
        client.counts_become("q", 1, 0).await;
        // Still unacknowledged, still this channel's to acknowledge.
        delivery.ack(BasicAckOptions::default()).await.unwrap();
        assert_eq!(client.drain("q").await, ["after"]);
    });
}

#[test]
fn cancelling_an_unknown_tag_is_no_error() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        let cancel = basic::Cancel {
            consumer_tag: "nobody".into(),
            nowait: false,
        };
        raw.send(1, AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel)))
            .await;
        let method = raw.method_on(1).await;
        let AMQPClass::Basic(basic::AMQPMethod::CancelOk(ok)) = method else {
            panic!("expected basic.cancel-ok, got {method:?}");
        };
        assert_eq!(ok.consumer_tag.as_str(), "nobody");
    });
}

#[test]
fn consumers_of_a_deleted_queue_are_told() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        client.queue("q").await;
        raw.consume(1, "q", "t").await;
        client
            .queue_delete("q".into(), QueueDeleteOptions::default())
            .await
            .unwrap();
        let method = raw.method_on(1).await;
        let AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel)) = method else {
            panic!("expected basic.cancel, got {method:?}");
        };
        assert_eq!(cancel.consumer_tag.as_str(), "t");
        // The channel lives on, and the tag is free.
        let queue = raw.declare(1, "").await;
        raw.consume(1, &queue, "t").await;
    });
}

#[test]
fn who_does_not_know_of_such_news_is_not_told() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let mut raw = Raw::dial(&broker).await;
        raw.start().await;
        // No capabilities at all.
        raw.bytes(&login("guest", "guest", &table(&[]))).await;
        raw.method_on(0).await;
        raw.tune_and_open(Tune::default()).await;
        raw.method_on(0).await;
        raw.open_channel(1).await;
        client.queue("q").await;
        raw.consume(1, "q", "t").await;
        client
            .queue_delete("q".into(), QueueDeleteOptions::default())
            .await
            .unwrap();
        // This answer is the next thing heard.
        raw.declare(1, "").await;
    });
}

#[test]
fn a_declare_without_waiting_is_not_answered() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        let declare = queue::Declare {
            queue: "q".into(),
            nowait: true,
            ..queue::Declare::default()
        };
        raw.send(1, AMQPClass::Queue(queue::AMQPMethod::Declare(declare)))
            .await;
        let bind = queue::Bind {
            queue: "q".into(),
            exchange: "amq.direct".into(),
            routing_key: "k".into(),
            nowait: true,
            ..queue::Bind::default()
        };
        raw.send(1, AMQPClass::Queue(queue::AMQPMethod::Bind(bind)))
            .await;
        let purge = queue::Purge {
            queue: "q".into(),
            nowait: true,
        };
        raw.send(1, AMQPClass::Queue(queue::AMQPMethod::Purge(purge)))
            .await;
        let delete = queue::Delete {
            queue: "q".into(),
            nowait: true,
            ..queue::Delete::default()
        };
        raw.send(1, AMQPClass::Queue(queue::AMQPMethod::Delete(delete)))
            .await;
        // Panics on anything but declare-ok of this one.
        assert_eq!(raw.declare(1, "other").await, "other");
    });
}

#[test]
fn without_messages_there_are_no_deliveries() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let mut consumer = client.consume("q", "c").await;
        nothing_more(&mut consumer).await;
    });
}
