//! Acknowledging, rejecting, recovering, and prefetch.

use super::client::Client;
use super::requests::*;
use super::{client, two_clients};

/// A client with queue `q` that holds these messages.
fn with_messages(bodies: &[&str]) -> Client {
    let mut client = client();
    client.ask(declare("q"));
    for body in bodies {
        client.publish("q", body);
    }
    client
}

fn counts(client: &Client) -> (u64, u64) {
    let queue = client.broker.vhost("/").unwrap().queue("q").unwrap();
    let counts = queue.counts();
    (counts.ready, counts.unacked)
}

#[test]
fn one_or_all_up_to_one_are_acknowledged() {
    let mut client = with_messages(&["1", "2", "3", "4"]);
    assert_eq!(client.ask(consume("q", "c")).len(), 5);
    client.ask(ack(2, false));
    assert_eq!(counts(&client), (0, 3));
    client.ask(ack(3, true));
    assert_eq!(counts(&client), (0, 1));
    client.ask(ack(0, true));
    assert_eq!(counts(&client), (0, 0));
    assert_eq!(
        client.ask(ack(0, true)),
        [""; 0],
        "nothing outstanding is no error"
    );
}

#[test]
fn an_unknown_tag_closes_the_channel_and_gives_back_the_rest() {
    for wrong in [
        ack(7, false),
        ack(7, true),
        ack(0, false),
        nack(7, true, true),
        reject(7, false),
    ] {
        let mut client = with_messages(&["1", "2"]);
        client.ask(consume("q", "c"));
        client.ask(ack(1, false));
        let told = client.ask(wrong);
        assert!(
            told[0].starts_with("1 close 406 PRECONDITION_FAILED - unknown delivery tag "),
            "{told:?}"
        );
        assert_eq!(counts(&client), (1, 0));
    }
}

#[test]
fn the_same_tag_twice_is_unknown() {
    let mut client = with_messages(&["1"]);
    client.ask(get("q", false));
    client.ask(ack(1, false));
    let told = client.ask(ack(1, false));
    assert_eq!(
        told,
        ["1 close 406 PRECONDITION_FAILED - unknown delivery tag 1 (60,80)"]
    );
}

#[test]
fn tags_belong_to_their_channel() {
    let mut client = with_messages(&["1"]);
    client.ask(get("q", false));
    client.open_channel(2);
    client.send(2, ack(1, false));
    let told = client.hears();
    assert_eq!(
        told,
        ["2 close 406 PRECONDITION_FAILED - unknown delivery tag 1 (60,80)"]
    );
    assert_eq!(counts(&client), (0, 1));
}

#[test]
fn rejected_messages_go_back_to_their_place_or_for_good() {
    let mut client = with_messages(&["1", "2", "3"]);
    for tag in 1..=2 {
        assert!(client.ask(get("q", false))[0].contains(&format!("#{tag}")));
    }
    client.ask(reject(2, true));
    client.ask(reject(1, true));
    assert_eq!(
        client.ask(get("q", false)),
        ["1 get-ok #3 redelivered left 2 '1'"]
    );
    client.ask(reject(3, false));
    assert_eq!(
        client.ask(get("q", false)),
        ["1 get-ok #4 redelivered left 1 '2'"]
    );
    assert_eq!(client.ask(get("q", false)), ["1 get-ok #5 left 0 '3'"]);
    client.ask(nack(0, true, true));
    assert_eq!(
        client.ask(get("q", false)),
        ["1 get-ok #6 redelivered left 1 '2'"]
    );
}

#[test]
fn recover_brings_everything_back() {
    let mut client = with_messages(&["1", "2"]);
    client.ask(consume("q", "c"));
    let told = client.ask(recover(true));
    let again = [
        "1 deliver c #3 redelivered '1'",
        "1 deliver c #4 redelivered '2'",
    ];
    assert_eq!(told, [["1 recover-ok"].as_slice(), &again].concat());
    let told = client.ask(recover(false));
    assert_eq!(
        told,
        ["0 close 540 NOT_IMPLEMENTED - requeue=false (60,110)"]
    );
}

#[test]
fn a_prefetch_holds_for_consumers_started_afterwards() {
    let mut client = with_messages(&["1", "2", "3", "4"]);
    assert_eq!(client.ask(qos(1, false)), ["1 qos-ok"]);
    assert_eq!(
        client.ask(consume("q", "a")),
        ["1 consume-ok a", "1 deliver a #1 '1'"]
    );
    client.ask(qos(2, false));
    let told = client.ask(consume("q", "b"));
    assert_eq!(
        told,
        ["1 consume-ok b", "1 deliver b #2 '2'", "1 deliver b #3 '3'"]
    );
    assert_eq!(client.ask(ack(1, false)), ["1 deliver a #4 '4'"]);
}

#[test]
fn a_global_prefetch_is_the_whole_channels_and_changes_at_once() {
    let mut client = with_messages(&["1", "2", "3", "4", "5"]);
    client.ask(qos(1, true));
    client.ask(consume("q", "a"));
    assert_eq!(client.ask(consume("q", "b")), ["1 consume-ok b"]);
    let told = client.ask(qos(3, true));
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(counts(&client), (2, 3));
    client.ask(qos(1, true));
    assert_eq!(client.ask(ack(1, false)), [""; 0]);
    assert_eq!(client.ask(ack(2, false)), [""; 0]);
    assert_eq!(client.ask(ack(3, false)).len(), 1);
    assert_eq!(
        client.ask(qos(0, true)).len(),
        2,
        "no limit: the last one comes"
    );
}

#[test]
fn prefetch_means_nothing_without_acknowledgements() {
    let mut client = with_messages(&["1", "2", "3"]);
    client.ask(qos(1, false));
    client.ask(qos(1, true));
    let told = client.ask(consume_with("q", "c", |c| c.no_ack = true));
    assert_eq!(told.len(), 4);
}

#[test]
fn a_prefetch_in_octets_is_not_implemented() {
    let mut client = client();
    let mut payload = vec![0, 60, 0, 10];
    payload.extend_from_slice(&10u32.to_be_bytes());
    payload.extend_from_slice(&[0, 1, 0]);
    client.frame(leveret_protocol::frame::FrameKind::Method, 1, &payload);
    let told = client.hears();
    assert_eq!(
        told,
        ["0 close 540 NOT_IMPLEMENTED - prefetch_size!=0 (10) (60,10)"]
    );
}

#[test]
fn a_closed_channel_gives_back_in_order() {
    let (mut a, mut b) = two_clients();
    a.ask(declare("q"));
    for body in ["1", "2", "3", "4"] {
        b.publish("q", body);
    }
    a.ask(qos(3, false));
    a.ask(consume("q", "a"));
    b.ask(consume("q", "b"));
    assert_eq!(counts(&a), (0, 4), "three there, one here");
    b.ask(nack(1, false, true));
    let told = a.ask(channel_close());
    assert_eq!(told, ["1 close-ok"]);
    let told = b.hears();
    assert_eq!(
        told[told.len() - 3..],
        [
            "1 deliver b #3 redelivered '1'",
            "1 deliver b #4 redelivered '2'",
            "1 deliver b #5 redelivered '3'"
        ]
    );
}

#[test]
fn what_a_dying_connection_has_not_read_goes_back_in_order_with_what_it_has() {
    let kinds: [fn(&mut Client); 4] = [
        |c| c.connection.end(),
        |c| c.send(0, close()),
        |c| c.send(1, channel_close()),
        |c| c.connection.force_close("enough", c.now),
    ];
    for end in kinds {
        let (mut a, mut b) = two_clients();
        a.ask(declare("q"));
        a.ask(consume("q", "a"));
        b.publish("q", "1");
        b.publish("q", "2");
        assert_eq!(a.hears().len(), 2);
        b.publish("q", "3");
        b.publish("q", "4");
        // The first two are unacknowledged, the last two still in the mailbox.
        b.ask(consume("q", "b"));
        end(&mut a);
        b.publish("q", "5");
        a.hears();
        assert_eq!(
            b.hears(),
            [
                "1 deliver b #1 redelivered '1'",
                "1 deliver b #2 redelivered '2'",
                "1 deliver b #3 '3'",
                "1 deliver b #4 '4'",
                "1 deliver b #5 '5'"
            ]
        );
    }
}
