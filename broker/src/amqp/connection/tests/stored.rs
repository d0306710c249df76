//! With a store: durable declarations hold their channel until they are safe.

use super::client::{Client, publish_bytes};
use super::requests::*;
use super::{broker_with, lines};
use crate::domain::broker::Broker;
use bytes::BytesMut;
use leveret_protocol::classes::{AMQPClass, BasicProperties};
use leveret_protocol::{ChannelId, method};
use leveret_storage::{Options, Store};
use std::sync::Arc;
use tempfile::TempDir;

fn stored_broker() -> (TempDir, Arc<Broker>) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(directory.path())).unwrap().store;
    (directory, broker_with(Some(store)))
}

/// A client with channels 1 and 2 open.
fn stored_client() -> (TempDir, Client) {
    let (directory, broker) = stored_broker();
    let mut client = Client::ready(&broker);
    client.open_channel(2);
    (directory, client)
}

fn durable(name: &str) -> AMQPClass {
    declare_with(name, |d| d.durable = true)
}

fn on_channel(channel: u16, class: &AMQPClass) -> BytesMut {
    let mut out = BytesMut::new();
    method::encode(&mut out, ChannelId(channel), class);
    out
}

fn persistent(queue: &str, body: &str) -> BytesMut {
    let properties = BasicProperties::default().with_delivery_mode(2);
    publish_bytes(1, publish("", queue), &properties, body.as_bytes(), 4096)
}

#[test]
fn what_is_sent_while_a_channel_waits_is_done_in_order() {
    let (_directory, mut client) = stored_client();
    let mut all = BytesMut::new();
    all.extend(on_channel(1, &durable("a")));
    all.extend(on_channel(1, &confirm_select()));
    all.extend(persistent("a", "1"));
    all.extend(on_channel(1, &durable("b")));
    all.extend(on_channel(1, &bind("a", "amq.fanout", "")));
    all.extend(on_channel(1, &get("a", false)));
    all.extend(on_channel(1, &purge("b")));
    all.extend(on_channel(1, &ack(1, false)));
    all.extend(on_channel(1, &delete("a")));
    all.extend(on_channel(1, &channel_close()));
    client.bytes(&all);
    let mut heard = client.hears_until("1 close-ok");
    let ack = heard
        .iter()
        .position(|line| line == "1 ack 1")
        .expect("confirmed");
    assert!(ack > 1);
    heard.remove(ack);
    assert_eq!(
        heard,
        lines(&[
            "1 declare-ok a 0 0",
            "1 select-ok",
            "1 declare-ok b 0 0",
            "1 bind-ok",
            "1 get-ok #1 left 0 '1'",
            "1 purge-ok 0",
            "1 delete-ok 0",
            "1 close-ok"
        ])
    );
    assert_eq!(client.connection.deferred_bytes, 0);
}

#[test]
fn who_deletes_a_queue_is_answered_before_its_consumers_are_cancelled() {
    let (_directory, mut client) = stored_client();
    client.send(1, durable("a"));
    client.hears_until("1 declare-ok a 0 0");
    assert_eq!(client.ask(consume("a", "t")), ["1 consume-ok t"]);
    client.send(2, consume("a", "u"));
    assert_eq!(client.hears(), ["2 consume-ok u"]);
    client.send(1, delete("a"));
    let heard = client.hears_until("1 cancel t");
    assert_eq!(heard, ["2 cancel u", "1 delete-ok 0", "1 cancel t"]);
}

#[test]
fn other_channels_do_not_wait() {
    let (_directory, mut client) = stored_client();
    let mut both = on_channel(1, &durable("a"));
    both.extend(on_channel(1, &get("a", true)));
    both.extend(on_channel(2, &declare("b")));
    client.bytes(&both);
    // Not even its mail is taken yet, and tokens come with the mail.
    assert_eq!(client.heard_so_far(), ["2 declare-ok b 0 0"]);
    let heard = client.hears_until("1 get-empty");
    assert_eq!(heard, ["1 declare-ok a 0 0", "1 get-empty"]);
}

#[test]
fn many_declarations_in_one_breath_are_answered_in_order() {
    let (_directory, mut client) = stored_client();
    let mut all = BytesMut::new();
    for i in 0..200 {
        all.extend(on_channel(1, &durable(&format!("q{i}"))));
    }
    client.bytes(&all);
    let expected: Vec<String> = (0..200).map(|i| format!("1 declare-ok q{i} 0 0")).collect();
    assert_eq!(client.hears_until(expected.last().unwrap()), expected);
}

#[test]
fn what_was_sent_before_connection_close_takes_effect() {
    let (_directory, mut client) = stored_client();
    let mut all = on_channel(1, &durable("a"));
    all.extend(persistent("a", "1"));
    all.extend(on_channel(1, &durable("b")));
    all.extend(persistent("a", "2"));
    all.extend(on_channel(0, &close()));
    client.bytes(&all);
    assert_eq!(client.hears(), ["0 close-ok"]);
    let queue = client.broker.vhost("/").unwrap().queue("a").unwrap();
    assert_eq!(queue.counts().ready, 2);
    assert!(client.broker.vhost("/").unwrap().queue("b").is_some());
}

#[test]
fn an_error_while_others_wait_ends_only_its_channel() {
    let (_directory, mut client) = stored_client();
    let mut all = on_channel(1, &durable("a"));
    all.extend(on_channel(1, &declare_with("nope", |d| d.passive = true)));
    all.extend(on_channel(1, &durable("b")));
    all.extend(on_channel(2, &durable("c")));
    client.bytes(&all);
    let heard = client.hears_until("2 declare-ok c 0 0");
    assert_eq!(heard[0], "1 declare-ok a 0 0");
    assert!(heard[1].starts_with("1 close 404"), "{heard:?}");
    assert!(client.broker.vhost("/").unwrap().queue("b").is_none());
    client.send(1, channel_close_ok());
    client.send(1, channel_open());
    assert_eq!(client.hears_until("1 open-ok"), ["1 open-ok"]);
}

#[test]
fn a_cancel_among_waiting_frames_delivers_first() {
    let (_directory, mut client) = stored_client();
    let mut all = on_channel(1, &durable("a"));
    all.extend(persistent("a", "1"));
    all.extend(on_channel(1, &consume("a", "c")));
    all.extend(on_channel(1, &cancel("c")));
    all.extend(on_channel(1, &durable("b")));
    client.bytes(&all);
    assert_eq!(
        client.hears_until("1 declare-ok b 0 0"),
        lines(&[
            "1 declare-ok a 0 0",
            "1 consume-ok c",
            "1 deliver c #1 '1'",
            "1 cancel-ok c",
            "1 declare-ok b 0 0"
        ])
    );
}

#[test]
fn a_confirm_waits_for_every_queue() {
    let (_directory, mut client) = stored_client();
    for queue in ["a", "b"] {
        client.send(1, durable(queue));
        client.send(1, bind(queue, "amq.fanout", ""));
    }
    client.send(1, confirm_select());
    client.hears_until("1 select-ok");
    let properties = BasicProperties::default().with_delivery_mode(2);
    for _ in 0..3 {
        client.publish_with(1, publish("amq.fanout", ""), &properties, b"m");
    }
    let mut confirmed = 0;
    while confirmed < 3 {
        for line in client.hears() {
            let tag = line.split(' ').nth(2).unwrap();
            confirmed = confirmed.max(tag.parse::<u64>().unwrap());
        }
    }
}
