//! Delayed exchanges as publishers see them, in simulated time.

use super::client::Client;
use super::requests::*;
use super::{broker, broker_with, client, lines, pass};
use crate::domain::broker::Broker;
use leveret_protocol::classes::{AMQPClass, BasicProperties};
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_storage::{Options, Store};
use std::sync::Arc;

fn delayed(name: &str, fields: &[(&str, AMQPValue)]) -> AMQPClass {
    let mut arguments = FieldTable::default();
    for (field, value) in fields {
        arguments.insert((*field).into(), value.clone());
    }
    exchange_with(name, "x-delayed-message", |declare| {
        declare.arguments = arguments;
    })
}

fn routed_by(kind: &str) -> [(&'static str, AMQPValue); 1] {
    [("x-delayed-type", text(kind))]
}

fn waiting(milliseconds: i32) -> BasicProperties {
    let headers = table([("x-delay", AMQPValue::LongInt(milliseconds))]);
    BasicProperties::default().with_headers(headers)
}

/// A client with a direct delayed exchange `x`, and `q` bound to it with `k`.
fn ready(broker: &Arc<Broker>) -> Client {
    let mut client = Client::ready(broker);
    client.ask(delayed("x", &routed_by("direct")));
    client.ask(declare("q"));
    client.ask(bind("q", "x", "k"));
    client
}

#[test]
fn declarations_are_judged_in_the_plugins_words() {
    let refused = |fields: &[(&str, AMQPValue)]| client().ask(delayed("x", fields)).concat();
    let missing = "1 close 406 PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an \
                   existing exchange type (40,10)";
    assert_eq!(refused(&[]), missing);
    assert_eq!(
        refused(&[("x-delayed-type", AMQPValue::LongInt(5))]),
        missing
    );
    assert_eq!(
        refused(&routed_by("nope")),
        "1 close 406 PRECONDITION_FAILED - unknown exchange type 'nope' (40,10)"
    );
    assert_eq!(
        refused(&routed_by("x-delayed-message")),
        "1 close 406 PRECONDITION_FAILED - Invalid argument, 'x-delayed-message' can't be used for \
         'x-delayed-type' (40,10)"
    );
    let mut client = client();
    for kind in [
        "direct",
        "fanout",
        "topic",
        "headers",
        "x-consistent-hash",
        "x-random",
    ] {
        assert_eq!(
            client.ask(delayed(kind, &routed_by(kind))),
            ["1 declare-ok"]
        );
    }
}

#[test]
fn a_redeclaration_is_compared_as_the_plugin_does() {
    let mut client = client();
    client.ask(delayed("x", &routed_by("direct")));
    // The routing type is parsed once, when the exchange is created.
    assert_eq!(
        client.ask(delayed("x", &routed_by("fanout"))),
        ["1 declare-ok"]
    );
    assert_eq!(client.ask(delayed("x", &[])), ["1 declare-ok"]);
    let heard = client.ask(exchange("x", "direct")).concat();
    assert!(
        heard.contains("inequivalent arg 'type' for exchange 'x'"),
        "{heard}"
    );
}

#[test]
fn bindings_are_checked_by_the_type_that_routes() {
    let mut client = client();
    client.ask(delayed("x", &routed_by("x-consistent-hash")));
    client.ask(declare("q"));
    let heard = client.ask(bind("q", "x", "heavy")).concat();
    assert!(
        heard.contains("The binding key must be an integer"),
        "{heard}"
    );
}

#[test]
fn a_message_waits_for_its_delay_and_others_do_not() {
    let mut client = ready(&broker());
    for (delay, body) in [(200, "b"), (100, "a"), (0, "now"), (-5, "now too")] {
        client.publish_with(1, publish("x", "k"), &waiting(delay), body.as_bytes());
    }
    client.publish_with(1, publish("x", "k"), &BasicProperties::default(), b"plain");
    client.ask(consume_with("q", "c", |consume| consume.no_ack = true));
    let now = client.hears();
    assert!(now.is_empty(), "{now:?}");
    pass(&mut client, 150);
    assert_eq!(client.hears(), ["1 deliver c #4 'a'"]);
    pass(&mut client, 100);
    assert_eq!(client.hears(), ["1 deliver c #5 'b'"]);
}

#[test]
fn what_is_mandatory_comes_back_if_it_would_find_no_queue_now() {
    let mut client = ready(&broker());
    client.ask(confirm_select());
    let mandatory = |key| {
        let mut publish = publish("x", key);
        publish.mandatory = true;
        publish
    };
    client.publish_with(1, mandatory("k"), &waiting(100), b"m");
    assert_eq!(client.hears(), ["1 ack 1"]);
    client.publish_with(1, mandatory("nobody"), &waiting(100), b"n");
    assert_eq!(
        client.hears(),
        lines(&["1 return 312 NO_ROUTE 'n'", "1 ack 2"])
    );
    // A returned message is not kept as well.
    client.ask(bind("q", "x", "nobody"));
    pass(&mut client, 100);
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #1 left 0 'm'"]);
    assert_eq!(client.ask(get("q", true)), ["1 get-empty"]);
}

#[test]
fn what_is_mandatory_in_a_transaction_is_judged_alike() {
    let mut client = ready(&broker());
    client.ask(tx_select());
    for (key, heard) in [
        ("k", &["1 commit-ok"][..]),
        ("nobody", &["1 return 312 NO_ROUTE 'm'", "1 commit-ok"]),
    ] {
        let mut publish = publish("x", key);
        publish.mandatory = true;
        client.publish_with(1, publish, &waiting(100), b"m");
        assert_eq!(client.ask(tx_commit()), lines(heard), "{key}");
    }
    pass(&mut client, 100);
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #1 left 0 'm'"]);
    assert_eq!(client.ask(get("q", true)), ["1 get-empty"]);
}

#[test]
fn a_delay_of_more_than_32_bits_is_waited_for() {
    let mut client = ready(&broker());
    let delay = 1_u64 << 32;
    for (delay, body) in [(delay as i64, b"m"), (i64::MAX, b"n")] {
        let headers = table([("x-delay", AMQPValue::LongLongInt(delay))]);
        let properties = BasicProperties::default().with_headers(headers);
        client.publish_with(1, publish("x", "k"), &properties, body);
    }
    pass(&mut client, delay - 1);
    assert_eq!(client.ask(get("q", true)), ["1 get-empty"]);
    pass(&mut client, 1);
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #1 left 0 'm'"]);
    pass(&mut client, 1 << 40);
    assert_eq!(client.ask(get("q", true)), ["1 get-empty"]);
}

#[test]
fn a_delayed_exchange_keeps_what_comes_through_another_exchange() {
    let mut client = ready(&broker());
    client.ask(exchange("f", "fanout"));
    client.ask(exchange_bind("x", "f"));
    client.ask(declare("direct"));
    client.ask(bind("direct", "f", ""));
    client.publish_with(1, publish("f", "k"), &waiting(100), b"m");
    assert_eq!(client.ask(get("direct", true)), ["1 get-ok #1 left 0 'm'"]);
    assert_eq!(client.ask(get("q", true)), ["1 get-empty"]);
    pass(&mut client, 100);
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #2 left 0 'm'"]);
    assert_eq!(client.ask(get("direct", true)), ["1 get-empty"]);
}

#[test]
fn two_delayed_exchanges_in_a_row_delay_once() {
    let mut client = ready(&broker());
    client.ask(delayed("y", &routed_by("fanout")));
    client.ask(exchange_with("unused", "fanout", |_| {}));
    client.ask(exchange_bind("x", "y"));
    client.publish_with(1, publish("y", "k"), &waiting(100), b"m");
    pass(&mut client, 100);
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #1 left 0 'm'"]);
}

#[test]
fn the_alternate_exchange_is_asked_when_the_message_is_due() {
    let mut client = Client::ready(&broker());
    client.ask(exchange("spare", "fanout"));
    client.ask(declare("q"));
    client.ask(bind("q", "spare", ""));
    let fields = [
        ("x-delayed-type", text("direct")),
        ("alternate-exchange", text("spare")),
    ];
    assert_eq!(client.ask(delayed("x", &fields)), ["1 declare-ok"]);
    client.publish_with(1, publish("x", "k"), &waiting(100), b"m");
    assert_eq!(client.ask(get("q", true)), ["1 get-empty"]);
    pass(&mut client, 100);
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #1 left 0 'm'"]);
    assert_eq!(client.ask(get("q", true)), ["1 get-empty"]);
}

#[test]
fn a_deleted_exchange_takes_its_messages_with_it() {
    let mut client = ready(&broker());
    client.publish_with(1, publish("x", "k"), &waiting(100), b"m");
    client.ask(exchange_delete("x", false));
    assert_eq!(client.broker.timers.next(), None, "no timer is left");
    client.ask(delayed("x", &routed_by("direct")));
    client.ask(bind("q", "x", "k"));
    pass(&mut client, 1000);
    assert_eq!(client.ask(get("q", true)), ["1 get-empty"]);
}

#[test]
fn a_persistent_message_is_confirmed_when_its_delay_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(directory.path())).unwrap().store;
    let broker = broker_with(Some(store));
    let mut client = Client::ready(&broker);
    let durable = |declare: &mut leveret_protocol::classes::exchange::Declare| {
        declare.durable = true;
        declare.arguments = table(routed_by("direct"));
    };
    client.send(1, exchange_with("x", "x-delayed-message", durable));
    client.hears_until("1 declare-ok");
    client.send(1, declare_with("q", |d| d.durable = true));
    client.send(1, bind("q", "x", "k"));
    client.send(1, confirm_select());
    client.hears_until("1 select-ok");
    let before = broker.store.as_ref().unwrap().stats().bytes_written;
    let persistent = waiting(60_000).with_delivery_mode(2);
    client.publish_with(1, publish("x", "k"), &persistent, b"heavy");
    assert_eq!(client.hears_until("1 ack 1"), ["1 ack 1"]);
    assert!(broker.store.as_ref().unwrap().stats().bytes_written > before);
    pass(&mut client, 60_000);
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #1 left 0 'heavy'"]);
}

#[test]
fn a_transaction_postpones_with_its_commit_or_not_at_all() {
    let mut client = ready(&broker());
    assert_eq!(client.ask(tx_select()), ["1 select-ok"]);
    client.publish_with(1, publish("x", "k"), &waiting(100), b"dropped");
    client.ask(tx_rollback());
    client.publish_with(1, publish("x", "k"), &waiting(100), b"kept");
    pass(&mut client, 50);
    client.ask(tx_commit());
    pass(&mut client, 99);
    assert_eq!(client.ask(get("q", true)), ["1 get-empty"]);
    pass(&mut client, 1);
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #1 left 0 'kept'"]);
    assert_eq!(client.ask(get("q", true)), ["1 get-empty"]);
}
