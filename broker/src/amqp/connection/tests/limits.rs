//! Queues of limited length, and publishers that get a nack.

use super::client::{Client, publish_bytes};
use super::requests::*;
use super::{broker_with, client};
use bytes::BytesMut;
use leveret_protocol::classes::BasicProperties;
use leveret_storage::{Options, Store};

/// A client in confirm mode.
fn confirming() -> Client {
    let mut client = client();
    client.ask(confirm_select());
    client
}

fn publishes(to: &[(&str, &str)]) -> BytesMut {
    let mut all = BytesMut::new();
    for (exchange, key) in to {
        let publish = publish(exchange, key);
        all.extend(publish_bytes(
            1,
            publish,
            &BasicProperties::default(),
            b"m",
            4096,
        ));
    }
    all
}

#[test]
fn a_full_queue_refuses_and_the_publisher_hears_of_it() {
    let mut client = confirming();
    client.ask(declare_limited("q", 2, "reject-publish"));
    client.bytes(&publishes(&[("", "q"); 5]));
    assert_eq!(client.hears(), ["1 ack 2 multiple", "1 nack 5 multiple"]);
    client.ask(get("q", true));
    client.bytes(&publishes(&[("", "q"); 2]));
    assert_eq!(client.hears(), ["1 ack 6", "1 nack 7"]);
}

#[test]
fn one_queue_that_refuses_is_enough_for_a_nack() {
    let mut client = confirming();
    client.ask(declare_limited("full", 0, "reject-publish"));
    client.ask(declare("q"));
    for queue in ["full", "q"] {
        client.ask(bind(queue, "amq.fanout", ""));
    }
    client.bytes(&publishes(&[("amq.fanout", ""), ("", "q")]));
    assert_eq!(client.hears(), ["1 nack 1", "1 ack 2"]);
    let queue = client.broker.vhost("/").unwrap().queue("q").unwrap();
    assert_eq!(queue.counts().ready, 2, "the others have it all the same");
}

#[test]
fn without_confirms_nobody_is_told() {
    let mut client = client();
    client.ask(declare_limited("q", 1, "reject-publish-dlx"));
    client.bytes(&publishes(&[("", "q"); 3]));
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #1 left 0 'm'"]);
    client.ask(confirm_select());
    client.bytes(&publishes(&[("", "q")]));
    assert_eq!(client.hears(), ["1 ack 1"]);
}

#[test]
fn a_mandatory_message_comes_back_before_its_confirm_also_among_nacks() {
    let mut client = confirming();
    client.ask(declare_limited("q", 0, "reject-publish"));
    let mut mandatory = publish("", "nowhere");
    mandatory.mandatory = true;
    let mut all = publishes(&[("", "q")]);
    all.extend(publish_bytes(
        1,
        mandatory,
        &BasicProperties::default(),
        b"m",
        4096,
    ));
    all.extend(publishes(&[("", "q")]));
    client.bytes(&all);
    assert_eq!(
        client.hears(),
        [
            "1 return 312 NO_ROUTE 'm'",
            "1 nack 1",
            "1 ack 2",
            "1 nack 3"
        ]
    );
}

#[test]
fn the_oldest_give_way_unless_told_otherwise() {
    let mut client = confirming();
    client.ask(declare_limited("q", 2, ""));
    for body in ["1", "2", "3"] {
        client.publish("q", body);
    }
    assert_eq!(client.hears(), ["1 ack 1", "1 ack 2", "1 ack 3"]);
    assert_eq!(client.ask(get("q", false)), ["1 get-ok #1 left 1 '2'"]);
    client.publish("q", "4");
    assert_eq!(client.hears(), ["1 ack 4"]);
    // Unacknowledged messages do not count; what comes back is the oldest again.
    client.ask(nack(1, false, true));
    assert_eq!(client.ask(get("q", false)), ["1 get-ok #2 left 1 '3'"]);
}

#[test]
fn a_persistent_message_that_gives_way_is_confirmed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(directory.path())).unwrap().store;
    let broker = broker_with(Some(store));
    let mut client = Client::ready(&broker);
    client.send(
        1,
        declare_with("q", |d| {
            d.durable = true;
            d.arguments = table([(
                "x-max-length",
                leveret_protocol::values::AMQPValue::LongInt(0),
            )]);
        }),
    );
    client.send(1, confirm_select());
    client.hears_until("1 select-ok");
    let properties = BasicProperties::default().with_delivery_mode(2);
    client.publish_with(1, publish("", "q"), &properties, b"m");
    client.hears_until("1 ack 1");
}

#[test]
fn when_the_store_has_ended_publishers_and_declarers_hear_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(directory.path())).unwrap().store;
    let broker = broker_with(Some(store.clone()));
    let (mut client, mut other) = (Client::ready(&broker), Client::ready(&broker));
    client.send(1, declare_with("q", |d| d.durable = true));
    client.send(1, confirm_select());
    client.hears_until("1 select-ok");
    store.close().unwrap();
    let properties = BasicProperties::default().with_delivery_mode(2);
    client.publish_with(1, publish("", "q"), &properties, b"m");
    client.publish("q", "transient");
    assert_eq!(client.hears(), ["1 nack 1", "1 ack 2"]);
    let told = other.ask(declare_with("r", |d| d.durable = true));
    assert!(
        told[0].starts_with("0 close 541 INTERNAL_ERROR - the store has failed"),
        "{told:?}"
    );
}
