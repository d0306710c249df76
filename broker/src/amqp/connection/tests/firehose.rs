//! The firehose: copies of what is published and delivered.

use super::client::Client;
use super::requests::*;
use super::{client, lines};
use crate::engine::message::SharedMessage;
use crate::engine::queue::Effects;
use leveret_protocol::classes::BasicProperties;
use leveret_protocol::content::{Property, property};
use leveret_protocol::table::decode;
use leveret_protocol::values::{AMQPValue, FieldTable};

/// A client whose virtual host is traced into the queue `trace`, and an empty queue `q`.
fn traced() -> Client {
    let mut client = client();
    client.ask(declare("q"));
    client.ask(declare("trace"));
    client.ask(bind("trace", "amq.rabbitmq.trace", "#"));
    set_traced(&client, true);
    client
}

fn set_traced(client: &Client, traced: bool) {
    client.broker.vhost("/").unwrap().set_traced(traced);
}

fn copies(client: &Client) -> Vec<SharedMessage> {
    let queue = client.broker.vhost("/").unwrap().queue("trace").unwrap();
    let mut fx = Effects::default();
    let got = std::iter::from_fn(|| queue.get(true, &mut fx));
    got.map(|(entry, _)| entry.message).collect()
}

fn keys(client: &Client) -> Vec<String> {
    let key = |copy: SharedMessage| String::from_utf8_lossy(copy.routing_key()).into_owned();
    copies(client).into_iter().map(key).collect()
}

fn headers(copy: &SharedMessage) -> FieldTable {
    decode(property(copy.properties(), Property::Headers).unwrap()).unwrap()
}

fn header(copy: &SharedMessage, name: &str) -> AMQPValue {
    headers(copy).inner().get(name).unwrap().clone()
}

fn texts(values: &[&str]) -> AMQPValue {
    let values: Vec<AMQPValue> = values.iter().map(|value| text(value)).collect();
    AMQPValue::FieldArray(values.into())
}

#[test]
fn a_publish_and_a_delivery_are_copied_with_what_they_are() {
    let mut client = traced();
    let properties = BasicProperties::default()
        .with_content_type("text/plain".into())
        .with_delivery_mode(2)
        .with_timestamp(5_000_000_000)
        .with_headers(table([("CC", texts(&["q2"]))]));
    client.publish_with(1, publish("", "q"), &properties, b"body");
    client.ask(consume("q", "c"));
    let copies = copies(&client);
    let [published, delivered] = &copies[..] else {
        panic!("{copies:?}");
    };
    assert_eq!(published.routing_key(), b"publish.");
    assert_eq!(delivered.routing_key(), b"deliver.q");
    assert_eq!(header(published, "routed_queues"), texts(&["q"]));
    assert_eq!(header(delivered, "redelivered"), AMQPValue::LongInt(0));
    for copy in &copies {
        assert_eq!(
            (copy.exchange(), copy.body()),
            (&b"amq.rabbitmq.trace"[..], &b"body"[..])
        );
        assert!(!copy.persistent());
        assert_eq!(header(copy, "exchange_name"), text(""));
        assert_eq!(header(copy, "routing_keys"), texts(&["q", "q2"]));
        assert_eq!(header(copy, "node"), text("leveret@localhost"));
        assert_eq!(header(copy, "vhost"), text("/"));
        assert_eq!(header(copy, "user"), text("guest"));
        assert_eq!(header(copy, "channel"), AMQPValue::LongInt(1));
        let AMQPValue::FieldTable(properties) = header(copy, "properties") else {
            panic!();
        };
        let property = |name: &str| properties.inner().get(name).unwrap().clone();
        assert_eq!(property("content_type"), text("text/plain"));
        assert_eq!(property("delivery_mode"), AMQPValue::LongInt(2));
        assert_eq!(property("timestamp"), AMQPValue::LongLongInt(5_000_000_000));
    }
}

#[test]
fn copies_are_not_copied_and_end_when_tracing_does() {
    let mut client = traced();
    for body in ["1", "2"] {
        client.publish("q", body);
    }
    client.ask(get("q", true));
    assert_eq!(keys(&client), ["publish.", "publish.", "deliver.q"]);
    client.publish("q", "3");
    client.ask(get("trace", true));
    client.ask(consume("trace", "t"));
    assert_eq!(keys(&client), Vec::<String>::new());
    set_traced(&client, false);
    client.publish("q", "4");
    client.ask(cancel("t"));
    assert_eq!(keys(&client), Vec::<String>::new());
    set_traced(&client, true);
    client.publish_with(
        1,
        publish("amq.fanout", ""),
        &BasicProperties::default(),
        b"5",
    );
    assert_eq!(keys(&client), ["publish.amq.fanout"]);
}

/// What a transaction publishes is copied at once, as in RabbitMQ; copies that a queue rejects do not fail it.
#[test]
fn a_full_queue_of_copies_rejects_nobody() {
    let mut client = client();
    client.ask(declare("q"));
    client.ask(declare_limited("trace", 1, "reject-publish"));
    client.ask(bind("trace", "amq.rabbitmq.trace", "#"));
    set_traced(&client, true);
    client.ask(tx_select());
    client.publish("q", "1");
    client.publish("q", "2");
    assert_eq!(client.ask(tx_commit()), lines(&["1 commit-ok"]));
    assert_eq!(keys(&client), ["publish."]);
    let mut confirming = Client::ready(&client.broker);
    confirming.ask(confirm_select());
    confirming.publish("q", "1");
    confirming.publish("q", "2");
    assert_eq!(confirming.hears(), lines(&["1 ack 1", "1 ack 2"]));
}

#[test]
fn a_long_name_makes_a_key_of_255_bytes() {
    let mut client = traced();
    let name = "q".repeat(255);
    client.ask(declare(&name));
    client.publish(&name, "1");
    client.ask(get(&name, true));
    let keys = keys(&client);
    assert_eq!(keys[1].len(), 255);
    assert!(keys[1].starts_with("deliver.qqq"));
}
