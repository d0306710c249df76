//! Publishers while an alarm is in force.

use super::client::Client;
use super::requests::*;
use super::{broker, lines};
use crate::config::{DiskFreeLimit, MemoryWatermark};
use crate::domain::broker::Broker;
use crate::plumbing::alarms::Reading;

/// Raises or clears alarms.
fn short_of(broker: &Broker, memory: bool, disk: bool) {
    let alarms = &broker.alarms;
    alarms.set_limits(MemoryWatermark::Absolute(10), DiskFreeLimit::Absolute(10));
    alarms.update(Reading {
        memory: if memory { 11 } else { 0 },
        total_memory: 100,
        disk_free: Some(if disk { 9 } else { 10 }),
    });
    if alarms.in_force().is_empty() {
        broker.connections.unblock();
    }
}

#[test]
fn a_publisher_is_blocked_by_its_next_publish_and_goes_on_when_the_alarm_is_over() {
    let mut client = Client::ready(&broker());
    client.ask(declare("q"));
    short_of(&client.broker, true, false);
    assert_eq!(client.ask(qos(1, false)), ["1 qos-ok"]);
    client.publish("q", "m");
    assert_eq!(client.hears(), ["0 blocked low on memory"]);
    assert!(client.connection.is_blocked() && !client.connection.wants_read());
    // Nothing after the content header is read, including acknowledgements and requests.
    client.send(1, get("q", true));
    assert_eq!(client.hears(), lines(&[]));
    short_of(&client.broker, false, false);
    assert_eq!(client.hears(), ["0 unblocked", "1 get-ok #1 left 0 'm'"]);
    assert!(client.connection.wants_read());
}

#[test]
fn both_reasons_are_given_and_both_have_to_end() {
    let mut client = Client::ready(&broker());
    client.ask(declare("q"));
    short_of(&client.broker, true, true);
    client.publish("q", "m");
    assert_eq!(client.hears(), ["0 blocked low on disk & memory"]);
    short_of(&client.broker, false, true);
    assert_eq!(client.hears(), lines(&[]));
    short_of(&client.broker, true, false);
    assert_eq!(client.hears(), lines(&[]));
    short_of(&client.broker, false, false);
    assert_eq!(client.hears(), ["0 unblocked"]);
}

#[test]
fn who_only_consumes_goes_on() {
    let broker = broker();
    let mut client = Client::ready(&broker);
    client.ask(declare("q"));
    client.publish("q", "1");
    client.publish("q", "2");
    short_of(&broker, false, true);
    client.ask(qos(1, false));
    assert_eq!(
        client.ask(consume("q", "c")),
        ["1 consume-ok c", "1 deliver c #1 '1'"]
    );
    assert_eq!(client.ask(ack(1, false)), ["1 deliver c #2 '2'"]);
}

#[test]
fn who_did_not_ask_to_be_told_is_blocked_in_silence() {
    let broker = broker();
    let mut client = Client::new(&broker);
    client.bytes(&leveret_protocol::frame::PROTOCOL_HEADER);
    client.send(0, start_ok("guest", "guest", false));
    client.send(0, tune_ok(2047, 131_072, 60));
    client.send(0, open("/"));
    client.hears();
    client.open_channel(1);
    short_of(&broker, true, false);
    client.publish("nowhere", "m");
    assert_eq!(client.hears(), lines(&[]));
    assert!(client.connection.is_blocked());
    short_of(&broker, false, false);
    assert_eq!(client.hears(), lines(&[]));
    assert!(!client.connection.is_blocked());
}

#[test]
fn a_new_connection_is_blocked_by_an_alarm_that_is_older() {
    let broker = broker();
    short_of(&broker, true, false);
    let mut client = Client::ready(&broker);
    client.publish("nowhere", "");
    assert_eq!(client.hears(), ["0 blocked low on memory"]);
}

#[test]
fn a_blocked_connection_can_be_closed() {
    let broker = broker();
    let mut client = Client::ready(&broker);
    short_of(&broker, true, false);
    client.publish("nowhere", "m");
    client.hears();
    let now = client.now;
    client.connection.force_close("go", now);
    assert!(client.connection.wants_read());
    client.send(0, close_ok());
    assert_eq!(client.hears(), ["0 close 320 CONNECTION_FORCED - go (0,0)"]);
    assert!(client.connection.is_over(client.now));
}

#[test]
fn an_alarm_between_two_body_frames_blocks_as_well() {
    use leveret_protocol::classes::BasicProperties;
    let broker = broker();
    let mut client = Client::ready(&broker);
    client.ask(declare("q"));
    let whole = super::client::publish_bytes(
        1,
        publish("", "q"),
        &BasicProperties::default(),
        &[b'x'; 10_000],
        4096,
    );
    let (first, rest) = whole.split_at(5000);
    client.bytes(first);
    short_of(&broker, false, true);
    client.bytes(rest);
    assert_eq!(client.hears(), ["0 blocked low on disk"]);
    short_of(&broker, false, false);
    assert_eq!(client.hears(), ["0 unblocked"]);
    assert_eq!(
        client.ask(get("q", true)),
        ["1 get-ok #1 left 0 '10000 octets'"]
    );
}
