//! Deliveries that are not acknowledged in time, with simulated time.

use super::client::Client;
use super::requests::*;
use super::{broker_of, lines};
use crate::config::Limits;
use leveret_protocol::ChannelId;
use leveret_protocol::values::AMQPValue;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const CLOSE: &str = "1 close 406 PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed \
                     out. Timeout value used: 10000 ms. This timeout value can be configured, see \
                     consumers doc guide to learn more (0,0)";

/// A client of a broker with this timeout, with a queue `q` that has a message.
fn client(timeout: Option<Duration>) -> Client {
    let limits = Limits {
        consumer_timeout: timeout,
        ..Limits::default()
    };
    let mut client = Client::ready(&broker_of(limits, None));
    client.ask(declare("q"));
    client.publish("q", "m");
    client
}

fn ten_seconds() -> Client {
    client(Some(10 * SECOND))
}

/// Advances the time, waking the connection when it asked to be; returns what the client receives.
fn live(client: &mut Client, time: Duration) -> Vec<String> {
    let end = client.now + time;
    let mut heard = Vec::new();
    while let Some(deadline) = client.connection.deadline().filter(|at| *at <= end) {
        client.now = client.now.max(deadline);
        heard.extend(client.hears());
    }
    client.now = end;
    heard.extend(client.hears());
    heard
}

#[test]
fn a_delivery_held_too_long_closes_its_channel_and_goes_back() {
    let mut client = ten_seconds();
    client.ask(consume("q", "c"));
    assert_eq!(live(&mut client, 10 * SECOND - SECOND / 100), lines(&[]));
    assert_eq!(live(&mut client, SECOND / 100), [CLOSE]);
    client.ask(channel_close_ok());
    client.open_channel(1);
    assert_eq!(
        client.ask(get("q", true)),
        ["1 get-ok #1 redelivered left 0 'm'"]
    );
}

#[test]
fn what_was_got_counts_as_well() {
    let mut client = ten_seconds();
    client.ask(get("q", false));
    assert_eq!(live(&mut client, 10 * SECOND), [CLOSE]);
}

#[test]
fn acknowledging_in_time_keeps_the_channel() {
    let mut client = ten_seconds();
    client.ask(consume("q", "c"));
    for tag in 1..20 {
        assert_eq!(live(&mut client, 9 * SECOND), lines(&[]));
        client.send(1, ack(tag, false));
        client.publish("q", "again");
        assert_eq!(client.hears().len(), 1);
    }
}

#[test]
fn the_oldest_delivery_decides_though_others_are_acknowledged() {
    let mut client = ten_seconds();
    client.ask(consume("q", "c"));
    for tag in 2..11 {
        live(&mut client, SECOND);
        client.publish("q", "m");
        assert_eq!(client.hears().len(), 1);
        client.send(1, ack(tag, false));
    }
    assert_eq!(live(&mut client, SECOND), [CLOSE]);
}

#[test]
fn a_delivery_in_the_middle_of_many_is_found_within_a_look() {
    let mut client = ten_seconds();
    client.ask(consume("q", "c"));
    live(&mut client, 5 * SECOND);
    client.publish("q", "second");
    assert_eq!(client.hears().len(), 1);
    client.send(1, ack(1, false));
    // Ten seconds after its delivery, plus at most two checks.
    assert_eq!(live(&mut client, 9 * SECOND), lines(&[]));
    assert_eq!(live(&mut client, 4 * SECOND), [CLOSE]);
}

#[test]
fn consumers_that_need_not_acknowledge_have_all_the_time() {
    let mut client = ten_seconds();
    client.ask(consume_with("q", "c", |c| c.no_ack = true));
    assert_eq!(live(&mut client, 1000 * SECOND), lines(&[]));
}

#[test]
fn without_a_timeout_nobody_looks() {
    let mut client = client(None);
    client.ask(consume("q", "c"));
    assert_eq!(client.connection.deadline(), None);
    assert_eq!(live(&mut client, 1_000_000 * SECOND), lines(&[]));
}

#[test]
fn while_nothing_waits_nobody_looks() {
    let mut client = ten_seconds();
    assert_eq!(client.connection.deadline(), None);
    client.ask(consume("q", "c"));
    assert!(client.connection.deadline().is_some());
    client.send(1, ack(1, false));
    live(&mut client, 3 * SECOND);
    assert_eq!(client.connection.deadline(), None);
}

#[test]
fn a_queue_may_have_a_timeout_of_its_own() {
    let mut client = ten_seconds();
    client.ask(declare_with("short", |d| {
        d.arguments = table([("x-consumer-timeout", AMQPValue::LongInt(2000))]);
    }));
    client.ask(declare_with("none", |d| {
        d.arguments = table([("x-consumer-timeout", AMQPValue::LongInt(0))]);
    }));
    client.publish("none", "m");
    client.ask(consume("none", "n"));
    assert_eq!(live(&mut client, 100 * SECOND), lines(&[]));
    // Behind one without a timeout.
    client.publish("short", "m");
    client.ask(consume("short", "s"));
    let told = live(&mut client, 3 * SECOND);
    assert!(told[0].contains("Timeout value used: 2000 ms"), "{told:?}");
}

#[test]
fn a_consumer_may_have_a_timeout_of_its_own() {
    let mut client = ten_seconds();
    let argument = |value| table([("x-consumer-timeout", value)]);
    client.ask(consume_with("q", "c", |c| {
        c.arguments = argument(AMQPValue::LongInt(1000));
    }));
    let told = live(&mut client, SECOND);
    assert!(told[0].contains("Timeout value used: 1000 ms"), "{told:?}");
    client.ask(channel_close_ok());
    client.open_channel(1);
    client.ask(consume_with("q", "c", |c| {
        c.arguments = argument(AMQPValue::LongInt(30_000));
    }));
    assert_eq!(live(&mut client, 29 * SECOND), lines(&[]));
    let told = live(&mut client, SECOND);
    assert!(told[0].contains("Timeout value used: 30000 ms"), "{told:?}");
}

#[test]
fn a_consumers_timeout_has_to_be_a_number() {
    for (value, reason) in [
        (text("x"), "\"expected integer, got longstr\""),
        (AMQPValue::LongInt(-1), "{value_negative,-1}"),
    ] {
        let mut client = ten_seconds();
        let told = client.ask(consume_with("q", "c", |c| {
            c.arguments = table([("x-consumer-timeout", value)]);
        }));
        let text = format!(
            "1 close 406 PRECONDITION_FAILED - invalid arg 'x-consumer-timeout' for queue 'q' in \
             vhost '/': {reason} (60,20)"
        );
        assert_eq!(told, [text]);
    }
}

#[test]
fn one_delivery_held_for_long_costs_no_mark_for_each_look() {
    let mut client = client(None);
    client.ask(declare_with("short", |d| {
        d.arguments = table([("x-consumer-timeout", AMQPValue::LongInt(1000))]);
    }));
    client.ask(consume("q", "held"));
    client.ask(consume("short", "s"));
    for tag in 2..5000 {
        client.publish("short", "m");
        assert_eq!(live(&mut client, SECOND / 8).len(), 1);
        client.send(1, ack(tag, false));
    }
    let channel = client.connection.channels.get(ChannelId(1)).unwrap();
    assert!(channel.marks.len() <= 129, "{}", channel.marks.len());
}
