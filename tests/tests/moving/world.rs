//! What is moved: the objects of `tests/definitions/moved.json` with 100 000 messages in them, and the proof that they are all there.

use std::collections::BTreeMap;

use lapin::message::Delivery;
use lapin::options::{BasicNackOptions, BasicPublishOptions};
use lapin::types::{AMQPValue, DecimalValue, FieldArray, FieldTable, Timestamp};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use leveret_tests::{Client, TestChannel, eventually, next, text};

pub const ORDERS: &str = "orders";
/// The other virtual host, as it is written in a URI.
pub const CAFE: &str = "caf%C3%A9%20au%20lait";
/// The password of all users.
pub const PASSWORD: &str = "hare";
/// What the shovel marks a message with that had been delivered before.
const MARK: &str = "x-shovel-redelivered";
/// How many messages of `work` have been delivered, and returned.
const RETURNED: u32 = 100;

/// The virtual host, name and length of the queues with numbered messages.
const NUMBERED: &[(&str, &str, u32)] = &[
    ("%2f", "work", 30_000),
    (ORDERS, "quorum", 15_000),
    (ORDERS, "lazy", 15_000),
    (ORDERS, "bounded", 10_000),
    (ORDERS, "mirrored", 10_000),
    (ORDERS, "single", 5000),
    (ORDERS, "patient", 5000),
    (ORDERS, PRIORITIES, 5000),
    (CAFE, "thé ☕ / 100%", 4900),
    (CAFE, "transient", 100),
];
const PRIORITIES: &str = "priorities";
/// Queues of the virtual host orders with few messages, which are compared in every detail.
const ODD: &[&str] = &["odd", "odd copies", "dead", "full"];

/// What a queue held, in its order: bodies and properties.
pub type Contents = BTreeMap<&'static str, Vec<(Vec<u8>, BasicProperties)>>;

/// Logs in to a virtual host.
pub async fn login(address: &str, user: &str, vhost: &str) -> lapin::Result<Client> {
    let uri = format!("amqp://{user}:{PASSWORD}@{address}/{vhost}?heartbeat=0");
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await?;
    Client::over(connection).await
}

async fn admin(address: &str, vhost: &str) -> Client {
    login(address, "admin", vhost).await.expect("admin logs in")
}

/// Fills the queues, and returns what is in those that are compared in every detail.
pub async fn fill(address: &str) -> Contents {
    for &(vhost, queue, count) in NUMBERED {
        number(&admin(address, vhost).await, queue, count).await;
    }
    let client = admin(address, "%2f").await;
    client.prefetch(RETURNED as u16, false).await;
    let mut consumer = client.consume("work", "leaves").await;
    for _ in 0..RETURNED {
        next(&mut consumer).await;
    }
    drop(client);
    let client = admin(address, ORDERS).await;
    publish_odd_ones(&client.open_confirming().await).await;
    let mut contents = Contents::new();
    // As they are published: to look at them would mark them.
    let published = |(key, body, properties): (&str, Vec<u8>, BasicProperties)| {
        assert_eq!(key, "odd");
        (body, properties)
    };
    contents.insert("odd", odd_messages().into_iter().map(published).collect());
    let copied = odd_messages().into_iter().filter(|(_, _, properties)| {
        let headers = properties.headers().as_ref();
        headers.is_some_and(|headers| headers.contains_key("CC"))
    });
    contents.insert("odd copies", copied.map(published).collect());
    for (queue, dead) in dead_letters(&client).await {
        contents.insert(queue, dead);
    }
    drop(client);
    contents
}

/// Returns how many messages are in all queues.
pub fn total(contents: &Contents) -> usize {
    let numbered: u32 = NUMBERED.iter().map(|&(_, _, count)| count).sum();
    numbered as usize + contents.values().map(Vec::len).sum::<usize>()
}

/// Publishes numbered messages, and waits until all are confirmed.
pub async fn number(client: &Client, queue: &str, count: u32) {
    let channel = client.open_confirming().await;
    let mut waiting = Vec::new();
    for n in 0..count {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let properties = match queue {
            PRIORITIES => properties.with_priority((n % 6) as u8),
            _ => properties,
        };
        let options = BasicPublishOptions::default();
        let body = n.to_string();
        let sent = channel.basic_publish(
            "".into(),
            queue.into(),
            options,
            body.as_bytes(),
            properties,
        );
        waiting.push(sent.await.expect("published"));
        if waiting.len() == 2000 || n + 1 == count {
            for confirm in waiting.drain(..) {
                confirm.await.expect("confirmed");
            }
        }
    }
}

async fn publish_odd_ones(channel: &TestChannel) {
    for (key, body, properties) in odd_messages() {
        channel.publish("", key, body, properties).await;
    }
}

/// Messages with everything that a message can have.
fn odd_messages() -> Vec<(&'static str, Vec<u8>, BasicProperties)> {
    let long = |text: &str| AMQPValue::LongString(text.into());
    let persistent = || BasicProperties::default().with_delivery_mode(2);
    let mut inner = FieldTable::default();
    inner.insert("größe".into(), long("☕"));
    inner.insert("none".into(), AMQPValue::Void);
    let mut array = FieldArray::default();
    array.push(AMQPValue::LongLongInt(i64::MIN));
    array.push(AMQPValue::FieldTable(inner.clone()));
    let values = [
        ("bool", AMQPValue::Boolean(true)),
        ("i8", AMQPValue::ShortShortInt(-5)),
        ("u8", AMQPValue::ShortShortUInt(200)),
        ("i16", AMQPValue::ShortInt(-300)),
        ("u16", AMQPValue::ShortUInt(60_000)),
        ("i32", AMQPValue::LongInt(-70_000)),
        ("u32", AMQPValue::LongUInt(4_000_000_000)),
        ("i64", AMQPValue::LongLongInt(i64::MAX)),
        ("f32", AMQPValue::Float(0.5)),
        ("f64", AMQPValue::Double(0.1)),
        (
            "decimal",
            AMQPValue::DecimalValue(DecimalValue {
                scale: 2,
                value: 314,
            }),
        ),
        ("text", long("t\u{e9}xt")),
        ("bytes", AMQPValue::ByteArray(vec![0, 255, 10].into())),
        ("array", AMQPValue::FieldArray(array)),
        ("time", AMQPValue::Timestamp(1_700_000_000)),
        ("table", AMQPValue::FieldTable(inner)),
        ("void", AMQPValue::Void),
    ];
    let mut all = FieldTable::default();
    for (name, value) in values {
        all.insert(name.into(), value);
    }
    let mut copied = FieldTable::default();
    let mut keys = FieldArray::default();
    keys.push(long("odd copies"));
    copied.insert("CC".into(), AMQPValue::FieldArray(keys));
    let every_property = persistent()
        .with_content_type("text/plain".into())
        .with_content_encoding("gzip".into())
        .with_priority(200)
        .with_correlation_id("c-1".into())
        .with_reply_to("answers".into())
        .with_expiration("86400000".into())
        .with_message_id("m-1".into())
        .with_timestamp(Timestamp::from(1_700_000_000_u64))
        .with_type("kind".into())
        // Nobody else may say so, but an impersonator.
        .with_user_id("admin".into())
        .with_app_id("app".into());
    let large: Vec<u8> = (0..400_000_u32).map(|n| (n % 251) as u8).collect();
    vec![
        (
            "odd",
            b"all headers".to_vec(),
            persistent().with_headers(all),
        ),
        ("odd", b"copied".to_vec(), persistent().with_headers(copied)),
        ("odd", b"all properties".to_vec(), every_property),
        ("odd", Vec::new(), persistent()),
        ("odd", large, persistent()),
        (
            "odd",
            b"transient".to_vec(),
            BasicProperties::default().with_delivery_mode(1),
        ),
        ("odd", b"bare".to_vec(), BasicProperties::default()),
        (
            "odd",
            b"empty headers".to_vec(),
            persistent().with_headers(FieldTable::default()),
        ),
    ]
}

/// Has messages rejected, pushed out of a full queue, and expired after that; returns what is in the queues afterwards.
async fn dead_letters(client: &Client) -> Vec<(&'static str, Vec<(Vec<u8>, BasicProperties)>)> {
    number(client, "attempts", 20).await;
    let mut consumer = client.consume("attempts", "rejects").await;
    for _ in 0..20 {
        let delivery = next(&mut consumer).await;
        let options = BasicNackOptions::default();
        delivery.acker.nack(options).await.expect("rejected");
    }
    client.counts_become("dead", 20, 0).await;
    number(client, "full", 30).await;
    client.counts_become("dead", 40, 0).await;
    client.counts_become("full", 10, 0).await;
    let mut found = Vec::new();
    for queue in ["dead", "full"] {
        let channel = client.open().await;
        let mut messages = Vec::new();
        while let Some(message) = channel.get(queue).await {
            messages.push((message.data.clone(), marked(message.properties.clone())));
        }
        // What was looked at returns, and is marked redelivered from now on.
        channel.close(200, "seen".into()).await.expect("close-ok");
        found.push((queue, messages));
    }
    let deaths = |(_, properties): &(Vec<u8>, BasicProperties)| {
        let headers = properties.headers().as_ref().expect("headers");
        match headers.inner().get("x-death") {
            Some(AMQPValue::FieldArray(deaths)) => deaths.as_slice().len(),
            _ => 0,
        }
    };
    let deaths: Vec<usize> = found[0].1.iter().map(deaths).collect();
    assert_eq!(deaths, [[1; 20], [2; 20]].concat());
    client.counts_become("dead", 40, 0).await;
    client.counts_become("full", 10, 0).await;
    found
}

/// Returns the properties of a message that had been delivered before it was moved.
fn marked(properties: BasicProperties) -> BasicProperties {
    let mut headers = properties.headers().clone().unwrap_or_default();
    headers.insert(MARK.into(), AMQPValue::Boolean(true));
    properties.with_headers(headers)
}

fn is_marked(delivery: &Delivery) -> bool {
    let headers = delivery.properties.headers().as_ref();
    headers.is_some_and(|headers| headers.contains_key(MARK))
}

/// Takes everything out of the queues: each message is there once, in its place, and as it was.
pub async fn check(address: &str, contents: &Contents) {
    for &(vhost, queue, count) in NUMBERED {
        let client = admin(address, vhost).await;
        let deliveries = take(&client, queue, count).await;
        let numbers: Vec<u32> = deliveries.iter().map(number_of).collect();
        let expected: Vec<u32> = match queue {
            PRIORITIES => {
                let of = |priority: u32| (0..count).filter(move |n| n % 6 == priority);
                (0..6).rev().flat_map(of).collect()
            }
            _ => (0..count).collect(),
        };
        assert!(
            numbers == expected,
            "{queue}: {}",
            difference(&numbers, &expected)
        );
        let marked: Vec<u32> = deliveries
            .iter()
            .filter(|d| is_marked(d))
            .map(number_of)
            .collect();
        let returned = if queue == "work" { RETURNED } else { 0 };
        assert_eq!(marked, (0..returned).collect::<Vec<_>>(), "{queue}");
        drop(client);
    }
    let client = admin(address, ORDERS).await;
    for &queue in ODD {
        let expected = &contents[queue];
        let deliveries = take(&client, queue, expected.len() as u32).await;
        for (delivery, (body, properties)) in deliveries.iter().zip(expected) {
            let shown = String::from_utf8_lossy(&body[..body.len().min(20)]);
            assert!(delivery.data == *body, "{queue}: {shown}");
            assert_eq!(delivery.properties, *properties, "{queue}: {shown}");
        }
    }
    drop(client);
}

/// Consumes this many messages, and checks that there are no more.
async fn take(client: &Client, queue: &str, count: u32) -> Vec<Delivery> {
    let channel = client.open().await;
    // What RabbitMQ counts in quorum queues lags behind; what it delivers does not.
    eventually(&format!("{count} messages in {queue}"), async || {
        (channel.counts(queue).await.0 == count).then_some(())
    })
    .await;
    let mut consumer = channel.consume_auto(queue, "takes").await;
    let mut deliveries = Vec::new();
    for _ in 0..count {
        deliveries.push(next(&mut consumer).await);
    }
    let left = channel.counts(queue).await;
    assert_eq!(left, (0, 1), "{queue}");
    channel.close(200, "done".into()).await.expect("close-ok");
    deliveries
}

/// Takes all there is, and returns the numbers with whether they may be there twice.
pub async fn take_all(client: &Client, queue: &str) -> Vec<(u32, bool)> {
    let channel = client.open().await;
    let count = channel.counts(queue).await.0;
    let mut consumer = channel.consume_auto(queue, "takes").await;
    let mut taken = Vec::new();
    for _ in 0..count {
        let delivery = next(&mut consumer).await;
        taken.push((
            number_of(&delivery),
            delivery.redelivered || is_marked(&delivery),
        ));
    }
    channel.close(200, "done".into()).await.expect("close-ok");
    taken
}

fn number_of(delivery: &Delivery) -> u32 {
    text(delivery).parse().expect("a number")
}

/// Says where two lists differ first.
fn difference(found: &[u32], expected: &[u32]) -> String {
    let at = found.iter().zip(expected).position(|(a, b)| a != b);
    let at = at.unwrap_or(found.len().min(expected.len()));
    let shown = |list: &[u32]| format!("{:?}", &list[at.min(list.len())..list.len().min(at + 10)]);
    format!(
        "{} messages, {} expected; from {at}: {}, not {}",
        found.len(),
        expected.len(),
        shown(found),
        shown(expected)
    )
}
