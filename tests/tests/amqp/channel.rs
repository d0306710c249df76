//! Channels: many of them, errors that close one, handshakes that close them.

use amq_protocol::protocol::{AMQPClass, basic, channel};
use lapin::options::QueuePurgeOptions;
use leveret_tests::raw::Raw;
use leveret_tests::{TestBroker, expect_reply, next, run, text};

#[test]
fn many_channels_work_side_by_side() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let mut channels = Vec::new();
        for n in 0..300 {
            let channel = client.open().await;
            let queue = channel.queue("").await;
            let consumer = channel.consume_auto(&queue, "c").await;
            channels.push((n, channel, queue, consumer));
        }
        for (n, channel, queue, _) in &channels {
            channel.put(queue, format!("for {n}")).await;
        }
        for (n, _, _, consumer) in &mut channels {
            assert_eq!(text(&next(consumer).await), format!("for {n}"));
        }
    });
}

#[test]
fn an_error_closes_its_channel_and_no_other() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let other = client.open().await;
        let purged = other
            .queue_purge("nope".into(), QueuePurgeOptions::default())
            .await;
        expect_reply(purged, 404, "NOT_FOUND - no queue 'nope' in vhost '/'");
        client.put("q", "still here").await;
        assert_eq!(client.drain("q").await, ["still here"]);
    });
}

#[test]
fn what_follows_an_error_on_its_channel_is_ignored_until_close_ok() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        let ack = basic::Ack {
            delivery_tag: 9,
            multiple: false,
        };
        raw.send(1, AMQPClass::Basic(basic::AMQPMethod::Ack(ack)))
            .await;
        // In flight when the broker closes the channel.
        for _ in 0..100 {
            raw.publish_method(1, "q").await;
            raw.empty_content(1).await;
        }
        let text = "PRECONDITION_FAILED - unknown delivery tag 9";
        assert_eq!(raw.channel_closed(1).await, (406, text.to_owned()));
        raw.open_channel(1).await;
        assert_eq!(raw.take(1, "q").await, None);
    });
}

#[test]
fn a_number_is_free_again_after_close_ok() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        for _ in 0..50 {
            raw.open_channel(7).await;
            let close = channel::Close {
                reply_code: 200,
                reply_text: "bye".into(),
                class_id: 0,
                method_id: 0,
            };
            raw.send(7, AMQPClass::Channel(channel::AMQPMethod::Close(close)))
                .await;
            let method = raw.method_on(7).await;
            let AMQPClass::Channel(channel::AMQPMethod::CloseOk(_)) = method else {
                panic!("expected channel.close-ok, got {method:?}");
            };
        }
    });
}

#[test]
fn both_sides_may_close_a_channel_at_once() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        let ack = basic::Ack {
            delivery_tag: 9,
            multiple: false,
        };
        raw.send(1, AMQPClass::Basic(basic::AMQPMethod::Ack(ack)))
            .await;
        let close = channel::Close::default();
        raw.send(1, AMQPClass::Channel(channel::AMQPMethod::Close(close)))
            .await;
        // The broker's close and its close-ok to ours, in either order; then ours to its.
        let mut seen = [false, false];
        for _ in 0..2 {
            match raw.method_on(1).await {
                AMQPClass::Channel(channel::AMQPMethod::Close(_)) => seen[0] = true,
                AMQPClass::Channel(channel::AMQPMethod::CloseOk(_)) => seen[1] = true,
                other => panic!("expected close or close-ok, got {other:?}"),
            }
        }
        assert_eq!(seen, [true, true]);
        raw.send(
            1,
            AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {})),
        )
        .await;
        raw.open_channel(1).await;
    });
}

#[test]
fn opening_an_open_channel_closes_the_connection() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        raw.send(
            1,
            AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {})),
        )
        .await;
        let reply = (504, "CHANNEL_ERROR - second 'channel.open' seen".to_owned());
        assert_eq!(raw.closed().await, reply);
    });
}

#[test]
fn a_method_on_a_channel_that_is_not_open_closes_the_connection() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        let qos = basic::Qos {
            prefetch_count: 1,
            global: false,
        };
        raw.send(3, AMQPClass::Basic(basic::AMQPMethod::Qos(qos)))
            .await;
        let reply = (504, "CHANNEL_ERROR - expected 'channel.open'".to_owned());
        assert_eq!(raw.closed().await, reply);
    });
}

#[test]
fn flow_may_be_asked_on_but_not_off() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        let flow = channel::Flow { active: true };
        raw.send(1, AMQPClass::Channel(channel::AMQPMethod::Flow(flow)))
            .await;
        let method = raw.method_on(1).await;
        let AMQPClass::Channel(channel::AMQPMethod::FlowOk(ok)) = method else {
            panic!("expected channel.flow-ok, got {method:?}");
        };
        assert!(ok.active);
        let flow = channel::Flow { active: false };
        raw.send(1, AMQPClass::Channel(channel::AMQPMethod::Flow(flow)))
            .await;
        let reply = (540, "NOT_IMPLEMENTED - active=false".to_owned());
        assert_eq!(raw.closed().await, reply);
    });
}
