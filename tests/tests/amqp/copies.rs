//! Sender-selected distribution (RabbitMQ: "Sender-selected Distribution"): CC and BCC.

use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, ExchangeKind};
use leveret_tests::{TestBroker, TestChannel, expect_reply, next, run, text};

fn keys(keys: &[&str]) -> AMQPValue {
    let values = keys.iter().map(|key| AMQPValue::LongString((*key).into()));
    AMQPValue::FieldArray(values.collect::<Vec<_>>().into())
}

fn with(pairs: &[(&str, AMQPValue)]) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in pairs {
        headers.insert((*name).into(), value.clone());
    }
    BasicProperties::default().with_headers(headers)
}

async fn headers_seen(channel: &TestChannel, queue: &str) -> FieldTable {
    let message = channel.take(queue).await.expect("a copy");
    assert_eq!(message.routing_key.as_str(), "first", "{queue}");
    message.properties.headers().clone().unwrap_or_default()
}

#[test]
fn copies_go_to_further_keys_and_nobody_sees_bcc() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        for (exchange, kind) in [
            ("", None),
            ("copies-direct", Some(ExchangeKind::Direct)),
            ("copies-topic", Some(ExchangeKind::Topic)),
        ] {
            for queue in ["first", "second", "third", "fourth"] {
                client.queue(queue).await;
            }
            if let Some(kind) = kind {
                client.exchange(exchange, kind).await;
                for queue in ["first", "second", "third", "fourth"] {
                    client.bind(queue, exchange, queue).await;
                }
            }
            let properties = with(&[
                ("CC", keys(&["second", "first", "second", "nowhere"])),
                ("BCC", keys(&["third"])),
                ("n", AMQPValue::LongInt(1)),
            ]);
            let channel = client.open_confirming().await;
            channel.publish(exchange, "first", "m", properties).await;
            for queue in ["first", "second", "third"] {
                let seen = headers_seen(&client, queue).await;
                assert!(
                    seen.contains_key("CC") && seen.contains_key("n"),
                    "{seen:?}"
                );
                assert!(!seen.contains_key("BCC"), "{seen:?}");
            }
            // A message without the headers does not take the way of the last one.
            let plain = BasicProperties::default();
            channel.publish(exchange, "first", "plain", plain).await;
            assert_eq!(client.drain("first").await, ["plain"]);
            for queue in ["second", "third", "fourth"] {
                assert_eq!(client.drain(queue).await, [""; 0], "{exchange}: {queue}");
            }
        }
    });
}

#[test]
fn a_returned_message_does_not_show_its_bcc() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        let options = BasicPublishOptions {
            mandatory: true,
            ..Default::default()
        };
        let properties = with(&[("BCC", keys(&["nobody either"]))]);
        let confirm = channel
            .basic_publish("".into(), "nobody".into(), options, b"m", properties)
            .await
            .unwrap()
            .await
            .unwrap();
        let returned = confirm.take_message().expect("the message comes back");
        let headers = returned.delivery.properties.headers().clone();
        assert_eq!(headers, Some(FieldTable::default()));
    });
}

#[test]
fn a_header_that_is_no_array_closes_the_channel() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        for (name, value, kind) in [
            ("CC", AMQPValue::LongString("q".into()), "longstr"),
            ("BCC", AMQPValue::LongInt(5), "signedint"),
            ("CC", AMQPValue::Void, "void"),
        ] {
            let channel = client.open_confirming().await;
            let properties = with(&[(name, value)]);
            let options = BasicPublishOptions::default();
            let published = channel
                .basic_publish("".into(), "q".into(), options, b"m", properties)
                .await
                .unwrap()
                .await;
            let text = format!(
                "PRECONDITION_FAILED - invalid message: \
                 {{unacceptable_type_in_header,\"{name}\",{kind}}}"
            );
            expect_reply(published, 406, &text);
        }
    });
}

#[test]
fn a_copy_reaches_who_waits_for_a_direct_reply() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let mut inbox = client.consume_auto("amq.rabbitmq.reply-to", "inbox").await;
        client.queue("requests").await;
        let properties = BasicProperties::default().with_reply_to("amq.rabbitmq.reply-to".into());
        client.publish("", "requests", "ask", properties).await;
        let request = client.take("requests").await.expect("a request");
        let address = request.properties.reply_to().clone().unwrap();
        let server = broker.client().await;
        server.queue("log").await;
        let properties = with(&[("CC", keys(&[address.as_str(), address.as_str()]))]);
        server.publish("", "log", "answer", properties).await;
        let reply = next(&mut inbox).await;
        assert_eq!(
            (text(&reply).as_str(), reply.routing_key.as_str()),
            ("answer", "log")
        );
        assert_eq!(server.drain("log").await, ["answer"]);
        server
            .publish("", address.as_str(), "again", BasicProperties::default())
            .await;
        assert_eq!(
            text(&next(&mut inbox).await),
            "again",
            "one copy came, not two"
        );
    });
}
