//! Consuming, getting, returns and confirms.

use super::requests::*;
use super::{client, two_clients};
use leveret_protocol::classes::BasicProperties;

#[test]
fn consume_ok_comes_before_the_first_delivery() {
    let mut client = client();
    client.ask(declare("q"));
    client.publish("q", "m");
    let told = client.ask(consume("q", "c"));
    assert_eq!(told, ["1 consume-ok c", "1 deliver c #1 'm'"]);
}

#[test]
fn a_consumer_without_a_tag_gets_one_and_no_wait_says_nothing() {
    let mut client = client();
    client.ask(declare("q"));
    let told = client.ask(consume("q", ""));
    assert!(told[0].starts_with("1 consume-ok amq.ctag-"), "{told:?}");
    assert_eq!(
        client.ask(consume_with("q", "n", |c| c.nowait = true)),
        [""; 0]
    );
    assert_eq!(client.ask(declare_with("w", |d| d.nowait = true)), [""; 0]);
    assert_eq!(
        client.ask(declare_with("w", |d| d.passive = true)),
        ["1 declare-ok w 0 0"]
    );
}

#[test]
fn the_empty_name_is_the_queue_declared_last() {
    let mut client = client();
    let told = client.ask(declare(""));
    let name = told[0].split(' ').nth(2).unwrap().to_owned();
    assert_eq!((&name[..8], name.len()), ("amq.gen-", 30));
    client.publish(&name, "m");
    assert_eq!(client.ask(get("", true)), ["1 get-ok #1 left 0 'm'"]);
    assert_eq!(client.ask(bind("", "amq.fanout", "")), ["1 bind-ok"]);
    assert_eq!(client.ask(purge("")), ["1 purge-ok 0"]);
    assert_eq!(client.ask(delete("")), ["1 delete-ok 0"]);
}

#[test]
fn consumers_on_two_connections_take_turns() {
    let (mut a, mut b) = two_clients();
    a.ask(declare("q"));
    a.ask(consume("q", "a"));
    b.ask(consume("q", "b"));
    for body in ["1", "2", "3", "4"] {
        a.publish("q", body);
    }
    assert_eq!(a.hears(), ["1 deliver a #1 '1'", "1 deliver a #2 '3'"]);
    assert_eq!(b.hears(), ["1 deliver b #1 '2'", "1 deliver b #2 '4'"]);
}

#[test]
fn get_says_how_many_are_left() {
    let mut client = client();
    client.ask(declare("q"));
    assert_eq!(client.ask(get("q", false)), ["1 get-empty"]);
    client.publish("q", "1");
    client.publish("q", "2");
    assert_eq!(client.ask(get("q", false)), ["1 get-ok #1 left 1 '1'"]);
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #2 left 0 '2'"]);
    client.ask(reject(1, true));
    assert_eq!(
        client.ask(get("q", true)),
        ["1 get-ok #3 redelivered left 0 '1'"]
    );
}

#[test]
fn what_was_sent_before_a_cancel_is_delivered_before_cancel_ok() {
    let (mut a, mut b) = two_clients();
    a.ask(declare("q"));
    a.ask(consume("q", "c"));
    b.publish("q", "1");
    b.publish("q", "2");
    let told = a.ask(cancel("c"));
    assert_eq!(
        told,
        ["1 deliver c #1 '1'", "1 deliver c #2 '2'", "1 cancel-ok c"]
    );
    b.publish("q", "3");
    assert_eq!(a.hears(), [""; 0]);
    assert_eq!(
        a.ask(ack(2, true)),
        [""; 0],
        "its deliveries are still ours"
    );
    assert_eq!(a.ask(get("q", true)), ["1 get-ok #3 left 0 '3'"]);
}

#[test]
fn a_cancel_of_nobody_is_answered() {
    let mut client = client();
    assert_eq!(client.ask(cancel("nobody")), ["1 cancel-ok nobody"]);
}

#[test]
fn a_tag_may_be_used_again_after_its_cancel() {
    let mut client = client();
    client.ask(declare("q"));
    for _ in 0..3 {
        assert_eq!(client.ask(consume("q", "c")), ["1 consume-ok c"]);
        assert_eq!(client.ask(cancel("c")), ["1 cancel-ok c"]);
    }
}

#[test]
fn mandatory_messages_that_go_nowhere_come_back_before_their_confirm() {
    let mut client = client();
    assert_eq!(client.ask(confirm_select()), ["1 select-ok"]);
    let mut mandatory = publish("", "nope");
    mandatory.mandatory = true;
    client.publish_with(1, mandatory, &BasicProperties::default(), b"m");
    assert_eq!(client.hears(), ["1 return 312 NO_ROUTE 'm'", "1 ack 1"]);
    client.publish("nope", "not mandatory");
    assert_eq!(client.hears(), ["1 ack 2"]);
}

#[test]
fn without_a_store_persistent_messages_are_confirmed_as_any_other() {
    let mut client = client();
    client.ask(declare_with("q", |d| d.durable = true));
    client.ask(confirm_select());
    let persistent = BasicProperties::default().with_delivery_mode(2);
    client.publish_with(1, publish("", "q"), &persistent, b"m");
    assert_eq!(client.hears(), ["1 ack 1"]);
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #1 left 0 'm'"]);
}

#[test]
fn a_fanout_reaches_every_queue_once() {
    let mut client = client();
    client.ask(exchange("logs", "fanout"));
    for queue in ["a", "b"] {
        client.ask(declare(queue));
        client.ask(bind(queue, "logs", ""));
        client.ask(bind(queue, "logs", "twice"));
    }
    client.publish_with(1, publish("logs", "any"), &Default::default(), b"m");
    for queue in ["a", "b"] {
        assert!(client.ask(get(queue, true))[0].ends_with("left 0 'm'"));
    }
    client.ask(unbind("a", "logs", ""));
    client.ask(unbind("a", "logs", "twice"));
    client.publish_with(1, publish("logs", "any"), &Default::default(), b"m");
    assert_eq!(client.ask(get("a", true)), ["1 get-empty"]);
}

#[test]
fn a_peer_that_does_not_read_gets_no_more_than_the_marks_allow() {
    let mut client = client();
    client.ask(declare("q"));
    client.send(1, consume_with("q", "c", |c| c.no_ack = true));
    let body = vec![b'x'; 100_000];
    let mut other = super::client::Client::ready(&client.broker);
    for _ in 0..100 {
        other.publish_with(1, publish("", "q"), &Default::default(), &body);
        if client.connection.wants_mail() {
            client.connection.take_mail(None, client.now);
        }
    }
    let queue = client.broker.vhost("/").unwrap().queue("q").unwrap();
    assert!(client.connection.output().len() < 3 << 20);
    assert!(queue.counts().ready > 60, "{:?}", queue.counts());
    let told = client.hears();
    assert_eq!(told.len(), 101, "all of it once it reads");
    assert_eq!(queue.counts().ready, 0);
}
