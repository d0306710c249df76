//! basic.publish: bodies, properties, returns, refusals.

use amq_protocol::protocol::{AMQPClass, basic};
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use lapin::{BasicProperties, Confirmation, ExchangeKind};
use leveret_tests::raw::Raw;
use leveret_tests::{Client, TestBroker, expect_reply, next, run, text};

/// The frame_max that RabbitMQ and Leveret propose, less the eight octets around a payload.
const LARGEST_PAYLOAD: usize = 131_072 - 8;

/// A body with no repeated parts, so that a swapped or repeated frame is noticed.
fn body_of(size: usize) -> Vec<u8> {
    (0..size)
        .map(|n| (n.wrapping_mul(31) ^ (n >> 8)) as u8)
        .collect()
}

/// Publishes `body`, gets it once with get and once with consume.
async fn round_trip(client: &Client, body: &[u8]) {
    client.put("q", body).await;
    client.put("q", body).await;
    let got = client.take("q").await.expect("a message");
    assert!(
        got.data == body,
        "a body of {} came back with {}",
        body.len(),
        got.data.len()
    );
    let mut consumer = client.consume_auto("q", "c").await;
    let delivered = next(&mut consumer).await;
    assert!(
        delivered.data == body,
        "{} came back with {}",
        body.len(),
        delivered.data.len()
    );
    client
        .basic_cancel("c".into(), Default::default())
        .await
        .unwrap();
}

#[test]
fn bodies_of_every_awkward_size_come_back_whole() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let sizes = [0, 1, 2, 255, 256, 4095, 4096, 65_535, 65_536];
        let around_a_frame = [LARGEST_PAYLOAD - 1, LARGEST_PAYLOAD, LARGEST_PAYLOAD + 1];
        let around_two = [2 * LARGEST_PAYLOAD, 2 * LARGEST_PAYLOAD + 1];
        for size in sizes.into_iter().chain(around_a_frame).chain(around_two) {
            round_trip(&client, &body_of(size)).await;
        }
    });
}

#[test]
fn a_body_of_ten_mebibytes_comes_back_whole() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        round_trip(&client, &body_of(10 << 20)).await;
    });
}

#[test]
fn properties_come_back_as_they_were() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        let mut inner = FieldTable::default();
        inner.insert("deep".into(), AMQPValue::Boolean(true));
        let array = vec![
            AMQPValue::LongInt(-1),
            AMQPValue::Double(0.5),
            AMQPValue::Void,
        ];
        let mut table = FieldTable::default();
        table.insert("text".into(), AMQPValue::LongString("ünï".into()));
        table.insert("number".into(), AMQPValue::LongLongInt(i64::MIN));
        table.insert("table".into(), AMQPValue::FieldTable(inner));
        table.insert(
            "array".into(),
            AMQPValue::FieldArray(FieldArray::from(array)),
        );
        table.insert("time".into(), AMQPValue::Timestamp(1_700_000_000));
        let properties = BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_content_encoding("utf-8".into())
            .with_headers(table)
            .with_delivery_mode(2)
            .with_priority(7)
            .with_correlation_id("correlation".into())
            .with_reply_to("reply".into())
            .with_expiration("60000".into())
            .with_message_id("message".into())
            .with_timestamp(1_234_567_890)
            .with_type("kind".into())
            .with_user_id("guest".into())
            .with_app_id("app".into())
            .with_cluster_id("cluster".into());
        client.publish("", "q", "body", properties.clone()).await;
        let message = client.take("q").await.expect("a message");
        assert_eq!(message.properties, properties);
        assert_eq!(
            (message.exchange.as_str(), message.routing_key.as_str()),
            ("", "q")
        );
    });
}

#[test]
fn publishing_to_a_missing_exchange_closes_the_channel() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        let publish = basic::Publish {
            exchange: "nope".into(),
            ..basic::Publish::default()
        };
        raw.send(1, AMQPClass::Basic(basic::AMQPMethod::Publish(publish)))
            .await;
        raw.empty_content(1).await;
        let text = "NOT_FOUND - no exchange 'nope' in vhost '/'";
        assert_eq!(raw.channel_closed(1).await, (404, text.to_owned()));
        // The number is free again.
        raw.open_channel(1).await;
    });
}

#[test]
fn publishing_to_an_internal_exchange_is_refused() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let options = ExchangeDeclareOptions {
            internal: true,
            ..Default::default()
        };
        client
            .exchange_declare(
                "x".into(),
                ExchangeKind::Fanout,
                options,
                FieldTable::default(),
            )
            .await
            .unwrap();
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        let publish = basic::Publish {
            exchange: "x".into(),
            ..basic::Publish::default()
        };
        raw.send(1, AMQPClass::Basic(basic::AMQPMethod::Publish(publish)))
            .await;
        raw.empty_content(1).await;
        let text = "ACCESS_REFUSED - cannot publish to internal exchange 'x' in vhost '/'";
        assert_eq!(raw.channel_closed(1).await, (403, text.to_owned()));
    });
}

#[test]
fn immediate_is_not_implemented() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        let publish = basic::Publish {
            immediate: true,
            ..basic::Publish::default()
        };
        raw.send(1, AMQPClass::Basic(basic::AMQPMethod::Publish(publish)))
            .await;
        raw.empty_content(1).await;
        let reply = (540, "NOT_IMPLEMENTED - immediate=true".to_owned());
        assert_eq!(raw.closed().await, reply);
    });
}

#[test]
fn an_impersonator_may_name_another_user() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        broker
            .ctl(&["set_user_tags", "guest", "administrator", "impersonator"])
            .await;
        let client = broker.client().await;
        client.queue("q").await;
        let properties = BasicProperties::default().with_user_id("mallory".into());
        client.publish("", "q", b"m", properties).await;
        assert!(client.take("q").await.is_some());
        broker
            .ctl(&["set_user_tags", "guest", "administrator"])
            .await;
    });
}

#[test]
fn the_user_id_property_must_be_the_user() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        client
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .unwrap();
        let properties = BasicProperties::default().with_user_id("mallory".into());
        let options = BasicPublishOptions::default();
        let publish = client.basic_publish("".into(), "q".into(), options, b"x", properties);
        let confirmed = publish.await.unwrap().await;
        let text = "PRECONDITION_FAILED - user_id property set to 'mallory' but authenticated \
                    user was 'guest'";
        expect_reply(confirmed, 406, text);
    });
}

#[test]
fn an_expiration_must_be_a_number() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        client
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .unwrap();
        let properties = BasicProperties::default().with_expiration("abc".into());
        let options = BasicPublishOptions::default();
        let publish = client.basic_publish("".into(), "q".into(), options, b"x", properties);
        let error = publish.await.unwrap().await.expect_err("refused");
        let (code, text) = leveret_tests::reply_of(&error).expect("a reply");
        assert_eq!(code, 406);
        let beginning = "PRECONDITION_FAILED - invalid expiration 'abc': ";
        assert!(text.starts_with(beginning), "{text}");
    });
}

async fn publish_mandatory(client: &Client, key: &str) -> Option<BasicReturnMessage> {
    client
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .unwrap();
    let options = BasicPublishOptions {
        mandatory: true,
        immediate: false,
    };
    let properties = BasicProperties::default().with_app_id("kept".into());
    let publish = client.basic_publish("amq.direct".into(), key.into(), options, b"x", properties);
    match publish.await.unwrap().await.unwrap() {
        Confirmation::Ack(returned) => returned,
        other => panic!("expected a confirm, got {other:?}"),
    }
}

#[test]
fn a_mandatory_message_that_reaches_no_queue_comes_back() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let returned = publish_mandatory(&client, "nowhere")
            .await
            .expect("the message back");
        assert_eq!(
            (returned.reply_code, returned.reply_text.as_str()),
            (312, "NO_ROUTE")
        );
        assert_eq!(returned.delivery.exchange.as_str(), "amq.direct");
        assert_eq!(returned.delivery.routing_key.as_str(), "nowhere");
        assert_eq!(text(&returned.delivery), "x");
        let app_id = returned.delivery.properties.app_id().clone();
        assert_eq!(app_id.expect("its properties").as_str(), "kept");
    });
}

#[test]
fn a_mandatory_message_that_reaches_a_queue_does_not_come_back() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        client.bind("q", "amq.direct", "k").await;
        assert_eq!(publish_mandatory(&client, "k").await, None);
        assert_eq!(client.drain("q").await, ["x"]);
    });
}

#[test]
fn the_return_comes_before_the_confirm() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        raw.confirm_select(1).await;
        for tag in 1..=20 {
            let publish = basic::Publish {
                mandatory: true,
                ..basic::Publish::default()
            };
            raw.send(1, AMQPClass::Basic(basic::AMQPMethod::Publish(publish)))
                .await;
            raw.empty_content(1).await;
            let method = raw.method_on(1).await;
            let AMQPClass::Basic(basic::AMQPMethod::Return(returned)) = method else {
                panic!("expected basic.return, got {method:?}");
            };
            assert_eq!(
                (returned.reply_code, returned.reply_text.as_str()),
                (312, "NO_ROUTE")
            );
            raw.content().await;
            let method = raw.method_on(1).await;
            let AMQPClass::Basic(basic::AMQPMethod::Ack(ack)) = method else {
                panic!("expected basic.ack, got {method:?}");
            };
            assert_eq!(ack.delivery_tag, tag);
        }
    });
}
