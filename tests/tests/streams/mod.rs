//! Streams over AMQP 0-9-1, from outside.

mod consuming;
mod keeping;
mod retention;

use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Consumer};
use leveret_tests::{Client, TestChannel, next, text};

/// A table of arguments.
fn table(pairs: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in pairs {
        table.insert((*name).into(), value.clone());
    }
    table
}

fn long(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// Declares a stream.
async fn declare(channel: &TestChannel, name: &str, more: &[(&str, AMQPValue)]) {
    let mut arguments = table(more);
    arguments.insert("x-queue-type".into(), long("stream"));
    channel
        .queue_declare(name.into(), QueueDeclareOptions::durable(), arguments)
        .await
        .expect("declare-ok");
}

/// Publishes these numbers as bodies and waits for all confirms.
async fn publish(channel: &TestChannel, stream: &str, numbers: std::ops::Range<u64>) {
    let mut confirms = Vec::new();
    for number in numbers {
        let body = number.to_string();
        let options = Default::default();
        let published = channel.basic_publish(
            "".into(),
            stream.into(),
            options,
            body.as_bytes(),
            BasicProperties::default(),
        );
        confirms.push(published.await.expect("published"));
    }
    for confirm in confirms {
        assert!(confirm.await.expect("confirmed").is_ack());
    }
}

/// Creates a stream with the numbers from 0 on.
async fn filled(client: &Client, stream: &str, messages: u64) {
    declare(client, stream, &[]).await;
    let channel = client.open_confirming().await;
    publish(&channel, stream, 0..messages).await;
}

/// Starts a consumer on its own channel at this offset.
async fn consume_with(
    client: &Client,
    stream: &str,
    prefetch: u16,
    arguments: &[(&str, AMQPValue)],
) -> (TestChannel, Consumer) {
    let channel = client.open().await;
    channel.prefetch(prefetch, false).await;
    let options = BasicConsumeOptions::default();
    let arguments = table(arguments);
    let consumer = channel
        .basic_consume(stream.into(), "".into(), options, arguments)
        .await
        .expect("consume-ok");
    (channel, consumer)
}

async fn consume(client: &Client, stream: &str, offset: AMQPValue) -> (TestChannel, Consumer) {
    consume_with(client, stream, 100, &[("x-stream-offset", offset)]).await
}

/// Returns the offset in the headers of a delivery.
fn offset(delivery: &lapin::message::Delivery) -> i64 {
    let headers = delivery.properties.headers().as_ref();
    match headers.and_then(|headers| headers.inner().get("x-stream-offset")) {
        Some(AMQPValue::LongLongInt(offset)) => *offset,
        other => panic!("x-stream-offset is {other:?}"),
    }
}

/// Checks that the next deliveries are these numbers, at the same offsets, and acknowledges each.
async fn expect(consumer: &mut Consumer, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let delivery = next(consumer).await;
        assert_eq!(text(&delivery), number.to_string());
        assert_eq!(offset(&delivery), number as i64);
        assert!(!delivery.redelivered);
        delivery.ack(Default::default()).await.expect("ack");
    }
}
