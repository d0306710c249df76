//! Opening and closing channels, in all orders.

use super::client::Client;
use super::requests::*;
use super::{broker, client};

fn failed() -> Client {
    let mut client = client();
    let told = client.ask(declare_with("nope", |d| d.passive = true));
    assert_eq!(
        told,
        ["1 close 404 NOT_FOUND - no queue 'nope' in vhost '/' (50,10)"]
    );
    client
}

#[test]
fn a_channel_is_closed_and_its_number_used_again() {
    let mut client = client();
    assert_eq!(client.ask(channel_close()), ["1 close-ok"]);
    client.open_channel(1);
    assert_eq!(client.ask(declare("q")), ["1 declare-ok q 0 0"]);
}

#[test]
fn delivery_tags_and_consumer_tags_start_anew_with_the_channel() {
    let mut client = client();
    for _ in 0..2 {
        client.ask(declare("q"));
        client.publish("q", "m");
        let told = client.ask(consume("q", "c"));
        assert_eq!(told[0], "1 consume-ok c");
        assert!(told[1].starts_with("1 deliver c #1"), "{told:?}");
        assert_eq!(client.ask(ack(1, false)), [""; 0]);
        assert_eq!(client.ask(channel_close()), ["1 close-ok"]);
        client.open_channel(1);
    }
}

#[test]
fn after_an_error_only_close_ok_counts() {
    let mut client = failed();
    assert_eq!(client.ask(declare("q")), [""; 0], "dropped");
    client.publish("q", "dropped too");
    assert_eq!(client.ask(channel_close_ok()), [""; 0]);
    client.open_channel(1);
    let told = client.ask(declare_with("q", |d| d.passive = true));
    assert!(told[0].starts_with("1 close 404"), "{told:?}");
}

#[test]
fn both_sides_may_close_a_channel_at_once() {
    let mut client = failed();
    assert_eq!(client.ask(channel_close()), ["1 close-ok"]);
    assert_eq!(client.ask(channel_close_ok()), [""; 0]);
    client.open_channel(1);
}

#[test]
fn a_close_ok_that_nobody_waits_for_closes_the_connection() {
    let mut client = client();
    assert_eq!(client.ask(channel_close()), ["1 close-ok"]);
    assert_eq!(
        client.ask(channel_close_ok()),
        ["0 close 504 CHANNEL_ERROR - expected 'channel.open' (20,41)"]
    );
}

#[test]
fn other_channels_go_on_after_an_error() {
    let mut client = client();
    client.open_channel(2);
    client.send(2, declare("q"));
    client.send(2, consume("q", "c"));
    client.ask(declare_with("nope", |d| d.passive = true));
    client.publish_with(2, publish("", "q"), &Default::default(), b"m");
    assert_eq!(client.hears(), ["2 deliver c #1 'm'"]);
}

#[test]
fn a_second_open_closes_the_connection() {
    let mut client = client();
    let told = client.ask(channel_open());
    assert_eq!(
        told,
        ["0 close 504 CHANNEL_ERROR - second 'channel.open' seen (20,10)"]
    );
}

#[test]
fn a_method_on_a_channel_that_is_not_open_closes_the_connection() {
    for (channel, class, id) in [
        (2, declare("q"), "50,10"),
        (2, channel_close(), "20,40"),
        (9, ack(1, false), "60,80"),
    ] {
        let mut client = client();
        client.send(channel, class);
        let close = format!("0 close 504 CHANNEL_ERROR - expected 'channel.open' ({id})");
        assert_eq!(client.hears(), [close]);
        client.send(0, close_ok());
        assert!(client.connection.is_over(client.now));
    }
}

#[test]
fn a_method_on_a_closed_channel_closes_the_connection() {
    let mut client = client();
    client.ask(channel_close());
    let told = client.ask(declare("q"));
    assert_eq!(
        told,
        ["0 close 504 CHANNEL_ERROR - expected 'channel.open' (50,10)"]
    );
}

fn client_of_two_channels() -> Client {
    let mut client = Client::new(&broker());
    client.bytes(&leveret_protocol::frame::PROTOCOL_HEADER);
    client.send(0, start_ok("guest", "guest", true));
    client.send(0, tune_ok(2, 4096, 0));
    client.send(0, open("/"));
    client.hears();
    client
}

const TOO_MANY: &str = "0 close 530 NOT_ALLOWED - number of channels opened (2) has reached the \
                        negotiated channel_max (2) (0,0)";

#[test]
fn channel_max_is_about_how_many_there_are_and_not_about_their_numbers() {
    let mut client = client_of_two_channels();
    client.open_channel(u16::MAX);
    client.open_channel(40_000);
    client.send(40_000, channel_close());
    assert_eq!(client.hears(), ["40000 close-ok"]);
    client.open_channel(3);
    client.send(u16::MAX, declare("q"));
    assert_eq!(client.hears(), ["65535 declare-ok q 0 0"]);
    client.send(1, channel_open());
    assert_eq!(client.hears(), [TOO_MANY]);
}

#[test]
fn where_no_more_channels_may_be_any_frame_on_another_is_one_too_many() {
    for closing in [false, true] {
        let mut client = client_of_two_channels();
        client.open_channel(1);
        client.open_channel(2);
        if closing {
            // It counts until the client has answered.
            let told = client.ask(declare_with("nope", |d| d.passive = true));
            assert!(told[0].starts_with("1 close 404"), "{told:?}");
        }
        client.send(3, declare("q"));
        assert_eq!(client.hears(), [TOO_MANY]);
    }
}

#[test]
fn what_a_connection_keeps_for_a_channel_does_not_depend_on_its_number() {
    let mut client = client();
    for number in [30_000, 60_000, u16::MAX] {
        client.open_channel(number);
        client.publish_with(number, publish("", "nope"), &Default::default(), b"m");
    }
    let numbers: Vec<u16> = client.connection.channels.iter().map(|c| c.id.0).collect();
    assert_eq!(numbers, [1, 30_000, 60_000, u16::MAX]);
    assert_eq!(client.connection.channels.len(), numbers.len());
}

#[test]
fn flow_is_answered() {
    let mut client = client();
    assert_eq!(client.ask(flow(true)), ["1 flow-ok true"]);
    let told = client.ask(flow(false));
    assert_eq!(told, ["0 close 540 NOT_IMPLEMENTED - active=false (20,20)"]);
}

#[test]
fn connection_methods_do_not_belong_on_a_channel() {
    let mut client = client();
    let told = client.ask(open("/"));
    assert!(
        told[0].starts_with("0 close 503 COMMAND_INVALID"),
        "{told:?}"
    );
}
