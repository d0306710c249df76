//! Time to live of messages and queues, in simulated time.

use super::client::Client;
use super::requests::*;
use super::{client, lines, pass};
use leveret_protocol::classes::{AMQPClass, BasicProperties, queue};
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_storage::{Options, Store};
use std::sync::Arc;

fn living(name: &str, milliseconds: i32) -> AMQPClass {
    declare_with(name, |d| {
        d.arguments = table([("x-message-ttl", AMQPValue::LongInt(milliseconds))]);
    })
}

fn leased(name: &str, milliseconds: i32) -> AMQPClass {
    declare_with(name, |d| {
        d.arguments = table([("x-expires", AMQPValue::LongInt(milliseconds))]);
    })
}

fn passive(name: &str) -> AMQPClass {
    declare_with(name, |d: &mut queue::Declare| d.passive = true)
}

fn put(client: &mut Client, queue: &str, expiration: &str, body: &str) {
    let properties = BasicProperties::default().with_expiration(expiration.into());
    client.publish_with(1, publish("", queue), &properties, body.as_bytes());
}

#[test]
fn a_message_expires_when_its_time_is_over_and_not_before() {
    let mut client = client();
    client.ask(living("q", 100));
    client.publish("q", "1");
    pass(&mut client, 99);
    client.publish("q", "2");
    assert_eq!(client.ask(passive("q")), ["1 declare-ok q 2 0"]);
    pass(&mut client, 2);
    let queue = client.broker.vhost("/").unwrap().queue("q").unwrap();
    assert_eq!(queue.counts().ready, 1, "nobody had to ask");
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #1 left 0 '2'"]);
    pass(&mut client, 1000);
    assert_eq!(
        client.broker.timers.next(),
        None,
        "nothing is left to wait for"
    );
}

#[test]
fn times_of_more_than_32_bits_count() {
    const LONG: u64 = (1 << 32) + 1;
    for (argument, expiration) in [(Some(LONG), None), (None, Some(LONG))] {
        let mut client = client();
        client.ask(declare_with("q", |d| {
            let number = |number| AMQPValue::LongLongInt(number as i64);
            let ttl = argument.map(|ttl| ("x-message-ttl", number(ttl)));
            let lease = ("x-expires", number(2 * LONG));
            d.arguments = [lease].into_iter().chain(ttl).fold(
                FieldTable::default(),
                |mut table, (key, value)| {
                    table.insert(key.into(), value);
                    table
                },
            );
        }));
        let properties = match expiration {
            Some(ms) => BasicProperties::default().with_expiration(ms.to_string().into()),
            None => BasicProperties::default(),
        };
        client.publish_with(1, publish("", "q"), &properties, b"1");
        client.hears();
        let vhost = client.broker.vhost("/").unwrap();
        let ready = |client: &Client| {
            let vhost = client.broker.vhost("/").unwrap();
            vhost.queue("q").map(|queue| queue.counts().ready)
        };
        pass(&mut client, LONG - 1);
        assert_eq!(ready(&client), Some(1));
        pass(&mut client, 2);
        assert_eq!(ready(&client), Some(0));
        pass(&mut client, LONG - 2);
        assert_eq!(ready(&client), Some(0));
        pass(&mut client, 2);
        assert!(vhost.queue("q").is_none());
    }
}

#[test]
fn the_smaller_of_both_times_counts() {
    let mut client = client();
    client.ask(living("q", 100));
    put(&mut client, "q", "10", "1");
    pass(&mut client, 11);
    assert_eq!(client.ask(passive("q")), ["1 declare-ok q 0 0"]);
    put(&mut client, "q", "1000", "2");
    pass(&mut client, 101);
    assert_eq!(client.ask(passive("q")), ["1 declare-ok q 0 0"]);
}

#[test]
fn messages_expire_at_the_head_only() {
    let mut client = client();
    client.ask(declare("q"));
    put(&mut client, "q", "1000", "1");
    put(&mut client, "q", "10", "2");
    pass(&mut client, 20);
    assert_eq!(client.ask(passive("q")), ["1 declare-ok q 2 0"]);
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #1 left 0 '1'"]);
    assert_eq!(client.ask(get("q", true)), ["1 get-empty"]);
}

#[test]
fn what_has_expired_is_not_handed_out_though_no_timer_has_looked() {
    let mut client = client();
    client.ask(living("q", 10));
    client.publish("q", "1");
    client.wait(std::time::Duration::from_millis(11));
    assert_eq!(client.ask(consume("q", "t")), ["1 consume-ok t"]);
    client.publish("q", "2");
    assert_eq!(client.hears(), ["1 deliver t #1 '2'"]);
}

#[test]
fn no_time_at_all_is_enough_for_a_consumer_that_waits() {
    let mut client = client();
    client.ask(living("q", 0));
    client.publish("q", "1");
    assert_eq!(client.ask(get("q", true)), ["1 get-empty"]);
    client.ask(consume("q", "t"));
    put(&mut client, "q", "0", "2");
    assert_eq!(client.hears(), ["1 deliver t #1 '2'"]);
    client.ask(nack(1, false, true));
    assert_eq!(client.ask(cancel("t")), ["1 cancel-ok t"]);
    let gone = ["1 declare-ok q 0 0"];
    assert_eq!(client.ask(passive("q")), gone, "it came back too late");
}

#[test]
fn what_comes_back_keeps_its_end() {
    let mut client = client();
    client.ask(living("q", 100));
    client.publish("q", "1");
    client.ask(get("q", false));
    pass(&mut client, 50);
    client.ask(nack(1, false, true));
    assert_eq!(client.ask(passive("q")), ["1 declare-ok q 1 0"]);
    pass(&mut client, 51);
    assert_eq!(client.ask(get("q", true)), ["1 get-empty"]);
}

#[test]
fn very_many_expire_in_slices() {
    let mut client = client();
    client.ask(living("q", 100));
    for _ in 0..5000 {
        client.publish("q", "m");
    }
    client.hears();
    pass(&mut client, 101);
    assert_eq!(client.broker.timers.next(), None);
    assert_eq!(client.ask(passive("q")), ["1 declare-ok q 0 0"]);
}

#[test]
fn where_nothing_expires_no_timer_is_set() {
    let mut client = client();
    client.ask(declare("q"));
    client.publish("q", "1");
    client.ask(get("q", false));
    client.ask(nack(1, false, true));
    assert_eq!(client.broker.timers.next(), None);
}

#[test]
fn times_to_live_go_on_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Store::open(Options::new(directory.path())).unwrap();
    let config = crate::config::Config::with_data_dir(directory.path().to_owned());
    let broker = Arc::new(crate::domain::recovery::recover(&config, open()).unwrap());
    let mut client = Client::ready(&broker);
    client.send(1, declare_with("q", |d| d.durable = true));
    client.hears_until("1 declare-ok q 0 0");
    client.ask(confirm_select());
    for (expiration, body) in [("50", "1"), ("60000", "2")] {
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_expiration(expiration.into());
        client.publish_with(1, publish("", "q"), &properties, body.as_bytes());
        client.hears();
    }
    broker.store.as_ref().unwrap().close().unwrap();
    drop((client, broker));
    std::thread::sleep(std::time::Duration::from_millis(60));
    let broker = Arc::new(crate::domain::recovery::recover(&config, open()).unwrap());
    let mut client = Client::ready(&broker);
    assert!(broker.timers.next().is_some(), "the second is waited for");
    pass(&mut client, 1);
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #1 left 0 '2'"]);
    client.publish("q", "3");
    pass(&mut client, 60_000);
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #2 left 0 '3'"]);
    broker.store.as_ref().unwrap().close().unwrap();
}

#[test]
fn a_queue_that_nobody_uses_goes_with_its_bindings() {
    let mut client = client();
    client.ask(leased("q", 100));
    client.ask(bind("q", "amq.fanout", ""));
    client.publish("q", "1");
    pass(&mut client, 99);
    assert_eq!(client.ask(passive("q")), ["1 declare-ok q 1 0"]);
    pass(&mut client, 99);
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #1 left 0 '1'"]);
    pass(&mut client, 99);
    assert_eq!(client.ask(leased("q", 100)), ["1 declare-ok q 0 0"]);
    pass(&mut client, 99);
    assert!(client.broker.vhost("/").unwrap().queue("q").is_some());
    pass(&mut client, 1);
    let vhost = client.broker.vhost("/").unwrap();
    assert!(vhost.queue("q").is_none());
    assert!(vhost.exchange("amq.fanout").unwrap().is_unbound());
    assert_eq!(client.broker.timers.next(), None);
}

#[test]
fn a_queue_with_consumers_is_used() {
    let mut client = client();
    client.ask(leased("q", 100));
    client.ask(consume("q", "t"));
    pass(&mut client, 1000);
    assert_eq!(client.ask(cancel("t")), ["1 cancel-ok t"]);
    pass(&mut client, 99);
    let vhost = client.broker.vhost("/").unwrap();
    assert!(vhost.queue("q").is_some(), "unused since the last one left");
    client.publish("q", "a publish is no use");
    client.hears();
    pass(&mut client, 1);
    assert!(vhost.queue("q").is_none());
}

#[test]
fn a_queue_that_is_deleted_in_time_is_waited_for_no_more() {
    let mut client = client();
    client.ask(leased("q", 100));
    assert!(client.broker.timers.next().is_some());
    assert_eq!(client.ask(delete("q")), lines(&["1 delete-ok 0"]));
    assert_eq!(client.broker.timers.next(), None);
}

#[test]
fn the_last_consumer_leaves_when_its_silent_connection_ends() {
    let mut client = client();
    client.ask(leased("q", 100));
    client.ask(consume("q", "t"));
    pass(&mut client, 50);
    client.wait(std::time::Duration::from_millis(10_000));
    client.connection.check_time(client.now);
    client.connection.end();
    let vhost = client.broker.vhost("/").unwrap();
    pass(&mut client, 99);
    assert!(vhost.queue("q").is_some(), "it has just become unused");
    pass(&mut client, 1);
    assert!(vhost.queue("q").is_none());
}
