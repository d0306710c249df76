//! Dead letters as clients see them, in simulated time. Their headers are tested beside the code
//! that writes them.

use super::client::Client;
use super::requests::*;
use super::{client, lines, pass};
use crate::domain::broker::Broker;
use crate::domain::policy::{Policy, PolicyKind, WrittenPolicy};
use leveret_protocol::classes::{AMQPClass, BasicProperties};
use leveret_protocol::values::AMQPValue;
use leveret_storage::{Options, Store};
use std::sync::Arc;

/// A queue whose dead letters go to the default exchange, for `to`.
fn mortal<const N: usize>(name: &str, to: &str, more: [(&str, AMQPValue); N]) -> AMQPClass {
    declare_with(name, |d| {
        d.arguments = table(more);
        for (key, value) in [
            ("x-dead-letter-exchange", ""),
            ("x-dead-letter-routing-key", to),
        ] {
            d.arguments.insert(key.into(), text(value));
        }
    })
}

fn int(number: i32) -> AMQPValue {
    AMQPValue::LongInt(number)
}

fn ready(client: &Client, queue: &str) -> u64 {
    let vhost = client.broker.vhost("/").unwrap();
    vhost.queue(queue).unwrap().counts().ready
}

fn bodies(client: &mut Client, queue: &str) -> String {
    let mut all = String::new();
    loop {
        let heard = client.ask(get(queue, true)).concat();
        match heard.split('\'').nth(1) {
            Some(body) => all.push_str(body),
            None => return all,
        }
    }
}

#[test]
fn what_is_rejected_goes_on_and_what_is_acknowledged_does_not() {
    let mut client = client();
    client.ask(declare("d"));
    client.ask(mortal("q", "d", []));
    for body in ["1", "2", "3", "4", "5"] {
        client.publish("q", body);
    }
    for _ in 0..5 {
        client.ask(get("q", false));
    }
    client.ask(reject(2, false));
    client.ask(ack(1, false));
    client.ask(nack(4, true, false));
    client.ask(reject(5, true));
    assert_eq!(bodies(&mut client, "d"), "234");
    assert_eq!(bodies(&mut client, "q"), "5");
}

#[test]
fn what_a_limit_drops_goes_on_and_what_it_refuses_if_that_is_wanted() {
    let mut client = client();
    client.ask(declare("d"));
    client.ask(mortal("head", "d", [("x-max-length", int(1))]));
    for body in ["1", "2", "3"] {
        client.publish("head", body);
    }
    client.hears();
    assert_eq!(bodies(&mut client, "d"), "12");
    client.ask(confirm_select());
    for (queue, overflow, dead) in [
        ("r", "reject-publish", ""),
        ("x", "reject-publish-dlx", "2"),
    ] {
        let arguments = [("x-max-length", int(1)), ("x-overflow", text(overflow))];
        client.ask(mortal(queue, "d", arguments));
        client.publish(queue, "1");
        client.hears();
        client.publish(queue, "2");
        assert!(client.hears().concat().contains("nack"));
        assert_eq!(bodies(&mut client, "d"), dead);
    }
}

#[test]
fn what_expires_goes_on_from_queue_to_queue() {
    let mut client = client();
    client.ask(declare("d"));
    client.ask(mortal("b", "d", [("x-message-ttl", int(50))]));
    client.ask(mortal("a", "b", [("x-message-ttl", int(100))]));
    client.publish("a", "m");
    client.hears();
    pass(&mut client, 101);
    assert_eq!((ready(&client, "a"), ready(&client, "b")), (0, 1));
    pass(&mut client, 51);
    assert_eq!((ready(&client, "b"), ready(&client, "d")), (0, 1));
}

#[test]
fn a_long_way_is_gone_without_recursion() {
    let mut client = client();
    let name = |i: usize| format!("q{i}");
    const LAST: usize = 2000;
    for i in 0..LAST {
        client.ask(mortal(&name(i), &name(i + 1), [("x-message-ttl", int(0))]));
    }
    client.ask(declare(&name(LAST)));
    client.publish("q0", "m");
    client.hears();
    assert_eq!(ready(&client, &name(LAST)), 1);
}

#[test]
fn a_message_that_nobody_rejects_does_not_go_round() {
    let mut client = client();
    client.ask(mortal("a", "b", [("x-message-ttl", int(10))]));
    client.ask(mortal("b", "a", [("x-message-ttl", int(10))]));
    client.ask(mortal("self", "self", [("x-message-ttl", int(0))]));
    client.publish("a", "m");
    client.publish("self", "m");
    client.hears();
    pass(&mut client, 11);
    assert_eq!(ready(&client, "b"), 1);
    pass(&mut client, 11);
    assert_eq!((ready(&client, "a"), ready(&client, "b")), (0, 0));
    assert_eq!(ready(&client, "self"), 0);
}

#[test]
fn a_message_that_is_rejected_again_and_again_comes_back_again_and_again() {
    let mut client = client();
    client.ask(mortal("work", "wait", []));
    client.ask(mortal("wait", "work", [("x-message-ttl", int(10))]));
    client.publish("work", "m");
    client.ask(consume("work", "t"));
    for tag in 1..50 {
        client.send(1, reject(tag, false));
        pass(&mut client, 11);
        let delivered = format!("1 deliver t #{} 'm'", tag + 1);
        assert_eq!(client.hears().last(), Some(&delivered));
    }
}

#[test]
fn without_their_exchange_dead_letters_are_lost() {
    let mut client = client();
    client.ask(declare_with("q", |d| {
        d.arguments = table([("x-dead-letter-exchange", text("nowhere"))]);
    }));
    client.publish("q", "m");
    client.ask(get("q", false));
    assert_eq!(client.ask(reject(1, false)), lines(&[]));
    assert_eq!(ready(&client, "q"), 0);
}

#[test]
fn bindings_headers_alternates_and_internal_exchanges_lead_them() {
    let mut client = client();
    client.ask(exchange_with("alternate", "fanout", |x| x.internal = true));
    client.ask(exchange_with("dlx", "topic", |x| {
        x.internal = true;
        x.arguments = table([("alternate-exchange", text("alternate"))]);
    }));
    for (queue, exchange, key) in [("t", "dlx", "#.dead"), ("rest", "alternate", "")] {
        client.ask(declare(queue));
        client.ask(bind(queue, exchange, key));
    }
    for (queue, key) in [("q", Some("very.dead")), ("r", None)] {
        client.ask(declare_with(queue, |d| {
            d.arguments = table([("x-dead-letter-exchange", text("dlx"))]);
            d.arguments.insert("x-message-ttl".into(), int(0));
            if let Some(key) = key {
                let name = "x-dead-letter-routing-key".into();
                d.arguments.insert(name, text(key));
            }
        }));
        client.publish(queue, queue);
    }
    client.hears();
    assert_eq!(bodies(&mut client, "t"), "q");
    assert_eq!(bodies(&mut client, "rest"), "r");
}

#[test]
fn a_delayed_exchange_keeps_them_until_they_are_due() {
    let mut client = client();
    client.ask(exchange_with("later", "x-delayed-message", |x| {
        x.arguments = table([("x-delayed-type", text("fanout"))]);
    }));
    client.ask(declare("d"));
    client.ask(bind("d", "later", ""));
    client.ask(declare_with("q", |d| {
        d.arguments = table([("x-dead-letter-exchange", text("later"))]);
    }));
    let properties = BasicProperties::default().with_headers(table([("x-delay", int(100))]));
    client.publish_with(1, publish("", "q"), &properties, b"m");
    client.ask(get("q", false));
    client.ask(reject(1, false));
    pass(&mut client, 99);
    assert_eq!(ready(&client, "d"), 0);
    pass(&mut client, 2);
    assert_eq!(ready(&client, "d"), 1);
}

/// A quorum queue that loses no dead letter.
fn careful<const N: usize>(name: &str, to: &str, more: [(&str, AMQPValue); N]) -> AMQPClass {
    let careful = [
        ("x-queue-type", "quorum"),
        ("x-dead-letter-strategy", "at-least-once"),
        ("x-overflow", "reject-publish"),
        ("x-dead-letter-exchange", ""),
        ("x-dead-letter-routing-key", to),
    ];
    declare_with(name, |d| {
        d.durable = true;
        d.arguments = table(more);
        for (key, value) in careful {
            d.arguments.insert(key.into(), text(value));
        }
    })
}

fn small(name: &str) -> AMQPClass {
    declare_with(name, |d| {
        let refuses = ("x-overflow", text("reject-publish"));
        d.arguments = table([("x-max-length", int(2)), refuses]);
    })
}

#[test]
fn at_least_once_keeps_what_a_full_queue_refuses_until_it_has_room() {
    let mut client = client();
    client.ask(small("d"));
    client.ask(careful("q", "d", []));
    for body in ["1", "2", "3", "4", "5"] {
        client.publish("q", body);
        client.ask(get("q", false));
    }
    client.ask(nack(5, true, false));
    pass(&mut client, 5000);
    assert_eq!(bodies(&mut client, "d"), "12");
    pass(&mut client, 1000);
    assert_eq!(bodies(&mut client, "d"), "34");
    assert_eq!(ready(&client, "q"), 0);
    pass(&mut client, 1000);
    assert_eq!(bodies(&mut client, "d"), "5");
    pass(&mut client, 5000);
    assert_eq!(bodies(&mut client, "d"), "");
}

#[test]
fn at_least_once_keeps_what_no_queue_takes_and_counts_it() {
    let mut client = client();
    client.ask(careful("q", "d", [("x-max-length", int(2))]));
    client.ask(confirm_select());
    for body in ["1", "2"] {
        client.publish("q", body);
        client.hears();
        client.ask(get("q", false));
    }
    client.ask(nack(2, true, false));
    client.publish("q", "3");
    assert!(client.hears().concat().contains("nack"));
    client.ask(declare("d"));
    pass(&mut client, 1001);
    assert_eq!(bodies(&mut client, "d"), "12");
    client.publish("q", "4");
    client.hears();
    assert_eq!(bodies(&mut client, "q"), "4");
}

#[test]
fn at_most_once_loses_what_a_full_queue_refuses() {
    let mut client = client();
    client.ask(small("d"));
    client.ask(mortal("p", "d", []));
    for queue in ["p", "p", "p"] {
        client.publish(queue, "m");
        client.ask(get(queue, false));
    }
    client.ask(nack(3, true, false));
    assert_eq!(bodies(&mut client, "d"), "mm");
    pass(&mut client, 5000);
    assert_eq!(bodies(&mut client, "d"), "");
}

#[test]
fn purged_and_deleted_messages_are_no_dead_letters() {
    let mut client = client();
    client.ask(declare("d"));
    client.ask(mortal("q", "d", [("x-expires", int(10))]));
    client.publish("q", "1");
    assert_eq!(client.ask(purge("q")), ["1 purge-ok 1"]);
    client.publish("q", "2");
    assert_eq!(client.ask(delete("q")), ["1 delete-ok 1"]);
    client.ask(mortal("q", "d", [("x-expires", int(10))]));
    client.publish("q", "3");
    client.hears();
    pass(&mut client, 11);
    assert_eq!(ready(&client, "d"), 0);
}

#[test]
fn a_lowered_limit_sends_a_backlog_off_in_slices() {
    let mut client = client();
    client.ask(declare("d"));
    client.ask(mortal("q", "d", []));
    for _ in 0..5000 {
        client.publish("q", "m");
    }
    client.hears();
    let vhost = client.broker.vhost("/").unwrap();
    let mut fx = client.broker.effects(None);
    let written = WrittenPolicy::new("p", "^q$", r#"{"max-length":10}"#);
    let policy = Policy::parse(PolicyKind::User, written).unwrap();
    vhost.set_policy(PolicyKind::User, policy, &mut fx);
    let first = vhost.queue("q").unwrap().counts().ready;
    assert!((11..5000).contains(&first), "{first} at once");
    pass(&mut client, 0);
    assert_eq!((ready(&client, "q"), ready(&client, "d")), (10, 4990));
}

fn stored(directory: &tempfile::TempDir) -> Arc<Broker> {
    let config = crate::config::Config::with_data_dir(directory.path().to_owned());
    let opened = Store::open(Options::new(directory.path())).unwrap();
    Arc::new(crate::domain::recovery::recover(&config, opened).unwrap())
}

#[test]
fn stored_letters_are_in_one_place_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let broker = stored(&directory);
    let mut client = Client::ready(&broker);
    let durable = |class: AMQPClass| match class {
        AMQPClass::Queue(leveret_protocol::classes::queue::AMQPMethod::Declare(mut d)) => {
            d.durable = true;
            AMQPClass::Queue(leveret_protocol::classes::queue::AMQPMethod::Declare(d))
        }
        other => other,
    };
    for declaration in [
        declare("d"),
        mortal("rejects", "d", []),
        mortal("expires", "d", [("x-message-ttl", int(0))]),
        mortal("full", "d", [("x-max-length", int(1))]),
        mortal(
            "refuses",
            "d",
            [
                ("x-max-length", int(0)),
                ("x-overflow", text("reject-publish-dlx")),
            ],
        ),
    ] {
        client.send(1, durable(declaration));
        while client.hears().is_empty() {}
    }
    client.ask(confirm_select());
    for (queue, body) in [
        ("expires", "e"),
        ("full", "f"),
        ("full", "g"),
        ("refuses", "h"),
    ] {
        let properties = BasicProperties::default().with_delivery_mode(2);
        client.publish_with(1, publish("", queue), &properties, body.as_bytes());
        while client.hears().is_empty() {}
    }
    // Both before the store can have written the first.
    client.publish("rejects", "transient");
    let properties = BasicProperties::default().with_delivery_mode(2);
    client.publish_with(1, publish("", "rejects"), &properties, b"r");
    client.send(1, get("rejects", false));
    client.send(1, get("rejects", false));
    client.send(1, nack(2, true, false));
    client.hears();
    assert_eq!(ready(&client, "d"), 5);
    broker.store.as_ref().unwrap().close().unwrap();
    drop((client, broker));
    let broker = stored(&directory);
    let mut client = Client::ready(&broker);
    assert_eq!(bodies(&mut client, "d"), "efhr");
    assert_eq!(bodies(&mut client, "full"), "g");
    for queue in ["rejects", "expires", "refuses"] {
        assert_eq!(ready(&client, queue), 0, "{queue}");
    }
    broker.store.as_ref().unwrap().close().unwrap();
}

#[test]
fn a_transaction_takes_its_rejections_along() {
    let mut client = client();
    client.ask(declare("d"));
    client.ask(mortal("q", "d", []));
    client.publish("q", "m");
    client.ask(tx_select());
    client.ask(get("q", false));
    client.ask(reject(1, false));
    assert_eq!(ready(&client, "d"), 0);
    assert_eq!(client.ask(tx_commit()), ["1 commit-ok"]);
    assert_eq!(ready(&client, "d"), 1);
}

#[test]
fn full_queues_that_feed_each_other_come_to_an_end() {
    let mut client = client();
    client.ask(exchange("f", "fanout"));
    for number in 0..20 {
        let name = format!("d{number}");
        client.ask(declare_with(&name, |d| {
            d.arguments = table([
                ("x-max-length", int(0)),
                ("x-dead-letter-exchange", text("f")),
            ]);
        }));
        client.ask(bind(&name, "f", ""));
    }
    client.ask(declare("other"));
    client.ask(bind("other", "f", ""));
    let publish = publish("f", "");
    client.publish_with(1, publish, &BasicProperties::default(), b"m");
    // The first, those that it caused, and no more than allowed.
    let count = ready(&client, "other");
    assert!((20..10_000).contains(&count), "{count}");
    client.publish("other", "next");
    assert_eq!(ready(&client, "other"), count + 1);
}
