//! What a peer that does not read can make the broker keep for it.

mod memory_limits;

use super::client::Client;
use super::requests::*;
use super::{broker, broker_with};
use crate::amqp::connection::OUTPUT_MAX;
use crate::plumbing::mailbox::HIGH_MARK;
use bytes::BytesMut;
use leveret_protocol::classes::{AMQPClass, BasicProperties};
use leveret_protocol::{ChannelId, method};
use leveret_storage::{Options, Store};
use std::time::{Duration, Instant};

/// The output that one method may add: a full mailbox with its frames, and what came before the
/// last check.
const STEP: usize = 2 * HIGH_MARK;
const ROUNDS: usize = 20;

fn add(out: &mut BytesMut, class: &AMQPClass) {
    method::encode(out, ChannelId(1), class);
}

/// Fills `q` with more bytes than a mailbox holds, in pieces that are copied.
fn with_backlog(client: &mut Client) {
    client.ask(declare("q"));
    for _ in 0..600 {
        client.publish("q", &"x".repeat(2048));
    }
}

/// Repeats a few bytes that ask for a mailbox full of deliveries.
fn greedy() -> BytesMut {
    let mut out = BytesMut::new();
    for _ in 0..ROUNDS {
        add(&mut out, &consume("q", "t"));
        add(&mut out, &cancel("t"));
        add(&mut out, &recover(true));
    }
    out
}

/// Reads until everything was answered; returns what follows.
fn read_all(client: &mut Client) -> Vec<String> {
    let mut recovered = 0;
    for _ in 0..10 * ROUNDS {
        assert!(client.connection.output().len() <= OUTPUT_MAX + STEP);
        let mut heard = client.heard_so_far();
        let answers = |line: &String| line == "1 recover-ok";
        recovered += heard.iter().filter(|line| answers(line)).count();
        if recovered == ROUNDS {
            assert!(!client.connection.has_rest());
            assert_eq!(client.connection.deferred_bytes, 0);
            let last = heard.iter().rposition(answers).expect("it was counted");
            return heard.split_off(last + 1);
        }
        client.bytes(&[]);
        client.connection.take_mail(None, client.now);
    }
    panic!("{recovered} of {ROUNDS} answers");
}

#[test]
fn answers_that_nobody_reads_keep_requests_from_being_looked_at() {
    let mut client = Client::ready(&broker());
    with_backlog(&mut client);
    client.bytes(&greedy());
    assert!(client.connection.has_rest());
    assert_eq!(read_all(&mut client), Vec::<String>::new());
}

#[test]
fn nor_are_those_looked_at_that_waited_for_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(directory.path())).unwrap().store;
    let mut client = Client::ready(&broker_with(Some(store)));
    with_backlog(&mut client);
    let mut all = BytesMut::new();
    add(&mut all, &declare_with("d", |d| d.durable = true));
    all.extend(greedy());
    client.bytes(&all);
    assert_eq!(client.heard_so_far(), Vec::<String>::new());
    let deadline = Instant::now() + Duration::from_secs(10);
    while client.connection.output().is_empty() {
        assert!(Instant::now() < deadline, "the store never answers");
        client.connection.take_mail(None, client.now);
        std::thread::yield_now();
    }
    assert!(client.connection.deferred_bytes > 0);
    assert_eq!(read_all(&mut client), Vec::<String>::new());
}

#[test]
fn a_channel_is_closed_and_opened_again_in_order_while_its_frames_wait() {
    let mut client = Client::ready(&broker());
    with_backlog(&mut client);
    let mut all = greedy();
    add(&mut all, &get("nope", true));
    add(&mut all, &channel_close_ok());
    add(&mut all, &channel_open());
    add(&mut all, &get("q", true));
    client.bytes(&all);
    let heard = read_all(&mut client);
    assert!(heard[0].starts_with("1 close 404"), "{heard:?}");
    assert_eq!(heard[1], "1 open-ok");
    assert!(
        heard[2].starts_with("1 get-ok #1 redelivered left 599"),
        "{heard:?}"
    );
}

#[test]
fn who_does_not_read_is_told_of_the_store_all_the_same_so_that_nothing_piles_up() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(directory.path())).unwrap().store;
    let mut client = Client::ready(&broker_with(Some(store)));
    client.send(1, declare_with("d", |d| d.durable = true));
    client.hears_until("1 declare-ok d 0 0");
    client.ask(confirm_select());
    let mut returned = publish("", "nowhere");
    returned.mandatory = true;
    let much = "x".repeat(HIGH_MARK);
    client.publish_with(1, returned, &BasicProperties::default(), much.as_bytes());
    assert!(!client.connection.wants_mail() && client.connection.wants_read());
    let persistent = BasicProperties::default().with_delivery_mode(2);
    for _ in 0..100 {
        client.publish_with(1, publish("", "d"), &persistent, b"m");
    }
    let unconfirmed = |client: &Client| {
        let channel = client.connection.channels.get(ChannelId(1));
        let confirms = channel.and_then(|channel| channel.confirms.as_ref());
        confirms.expect("in confirm mode").outstanding()
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while unconfirmed(&client) > 0 {
        assert!(Instant::now() < deadline, "the store never answers");
        client.connection.take_confirms(client.now);
        std::thread::yield_now();
    }
    assert!(!client.connection.wants_mail());
}

#[test]
fn what_takes_long_is_done_in_several_turns() {
    let mut client = Client::ready(&broker());
    let mut all = BytesMut::new();
    for _ in 0..1000 {
        add(&mut all, &recover(true));
    }
    let mut turns = 0;
    while !all.is_empty() {
        // The deadline has always passed.
        let until = Some(Instant::now());
        client.connection.input_until(&mut all, client.now, until);
        assert_eq!(client.connection.has_rest(), !all.is_empty());
        turns += 1;
    }
    assert!((100..1000).contains(&turns), "{turns}");
    assert_eq!(client.heard_so_far(), vec!["1 recover-ok"; 1000]);
}
