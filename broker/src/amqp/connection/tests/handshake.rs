//! From the protocol header to open-ok, and the ways in which it ends early.

use super::client::{Client, frame_bytes};
use super::requests::*;
use super::{add_user, broker};
use crate::config::Limits;
use crate::config::Mechanism;
use crate::config::Secret;
use crate::domain::auth::Mechanisms;
use crate::domain::broker::Broker;
use crate::domain::vhost::spec::VhostSpec;
use leveret_protocol::frame::PROTOCOL_HEADER;
use leveret_protocol::values::AMQPValue;
use std::sync::Arc;
use std::time::Duration;

const OURS: &str = "header [0, 0, 9, 1]";

/// A client that has sent its header and heard start.
fn started() -> Client {
    let mut client = Client::new(&broker());
    client.bytes(&PROTOCOL_HEADER);
    assert_eq!(client.hears(), ["0 start"]);
    client
}

fn tuning() -> Client {
    let mut client = started();
    client.send(0, start_ok("guest", "guest", true));
    assert_eq!(client.hears(), ["0 tune 2047 131072 60"]);
    client
}

#[test]
fn the_header_may_come_octet_by_octet() {
    let mut client = Client::new(&broker());
    for octet in PROTOCOL_HEADER {
        assert!(client.hears().is_empty());
        client.bytes(&[octet]);
    }
    assert_eq!(client.hears(), ["0 start"]);
}

#[test]
fn any_other_header_is_answered_with_ours_and_the_end() {
    for header in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"AMQP\x01\x01\x00\x0a",
        b"AMQP\x00\x01\x00\x00",
        // 0-8, which RabbitMQ 4 does not speak any more.
        b"AMQP\x01\x01\x08\x00",
        b"AMQP\x01\x01\x09\x01",
        b"x",
        b"\x16\x03\x01",
    ] {
        let mut client = Client::new(&broker());
        client.bytes(header);
        assert_eq!(client.hears(), [OURS]);
        assert!(client.connection.is_over(client.now));
    }
}

/// A client of a broker that takes anybody for `user`.
fn started_anonymously(user: Option<&str>, password: &str) -> Client {
    let broker = Broker::new(Limits::default(), vec!["guest".to_owned()], None);
    let mut fx = broker.effects(None);
    broker.add_vhost(VhostSpec::named("/"), &mut fx);
    fx.perform();
    add_user(&broker, "visitor", ".*");
    let user = user.map(|user| (user.to_owned(), Secret::from(password)));
    broker.set_mechanisms(Mechanisms::new(&Mechanism::ALL, user));
    let mut client = Client::new(&Arc::new(broker));
    client.bytes(&PROTOCOL_HEADER);
    assert_eq!(client.hears(), ["0 start"]);
    client
}

#[test]
fn where_anonymous_is_offered_anybody_is_the_user_of_that() {
    for response in ["", "whatever", "\0guest\0guest"] {
        let mut client = started_anonymously(Some("visitor"), "visitor");
        client.send(0, start_ok_with("ANONYMOUS", response, Default::default()));
        client.send(0, tune_ok(2047, 131_072, 60));
        client.send(0, open("/"));
        assert_eq!(client.hears(), ["0 tune 2047 131072 60", "0 open-ok"]);
        let details = client.broker.connections.list()[0].details();
        assert_eq!(details.user_name(), "visitor");
        assert_eq!(details.mechanism, "ANONYMOUS");
    }
}

#[test]
fn anonymous_is_refused_where_its_user_is_nobody_or_its_password_wrong() {
    let capable = || table([("authentication_failure_close", AMQPValue::Boolean(true))]);
    for (user, password) in [("visitor", "wrong"), ("nobody", "nobody")] {
        let mut client = started_anonymously(Some(user), password);
        client.send(0, start_ok_with("ANONYMOUS", "", capable()));
        let heard = client.hears();
        assert!(
            heard[0].starts_with("0 close 403 ACCESS_REFUSED"),
            "{heard:?}"
        );
    }
    let mut not_offered = [started(), started_anonymously(None, "")];
    for client in &mut not_offered {
        client.send(0, start_ok_with("ANONYMOUS", "", capable()));
        assert!(client.hears().is_empty());
        assert!(!client.connection.wants_read());
    }
}

#[test]
fn a_wrong_password_is_told_to_those_who_asked_to_be_told() {
    let mut client = started();
    client.send(0, start_ok("guest", "wrong", true));
    assert_eq!(
        client.hears(),
        [
            "0 close 403 ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. \
          For details see the broker logfile. (0,0)"
        ]
    );
    client.send(0, close_ok());
    assert!(client.connection.is_over(client.now));
}

#[test]
fn a_wrong_password_is_silence_to_all_others() {
    for (user, password) in [("guest", "wrong"), ("nobody", "guest"), ("", "")] {
        let mut client = started();
        client.send(0, start_ok(user, password, false));
        assert!(client.hears().is_empty());
        assert!(!client.connection.wants_read());
        assert!(!client.connection.is_over(client.now));
        client.wait(Duration::from_secs(2));
        assert!(client.connection.is_over(client.now));
    }
}

#[test]
fn a_mechanism_nobody_offered_is_refused() {
    let mut client = started();
    client.send(0, start_ok_with("CRAM-MD5", "x", Default::default()));
    assert!(client.hears().is_empty());
    assert!(!client.connection.wants_read());
}

#[test]
fn amqplain_logs_in_too() {
    let mut client = started();
    let login = table([("LOGIN", text("guest")), ("PASSWORD", text("guest"))]);
    let response = leveret_protocol::table::encode(&login);
    let response = std::str::from_utf8(&response[4..]).unwrap();
    client.send(0, start_ok_with("AMQPLAIN", response, Default::default()));
    assert_eq!(client.hears(), ["0 tune 2047 131072 60"]);
}

#[test]
fn an_amqplain_response_without_login_or_password_is_closed_in_silence() {
    let responses = [
        table([("LOGIN", text("guest"))]),
        table([
            ("LOGIN", text("guest")),
            ("PASSWORD", AMQPValue::LongInt(1)),
        ]),
    ];
    for response in responses {
        let mut client = started();
        let response = leveret_protocol::table::encode(&response);
        let response = std::str::from_utf8(&response[4..]).unwrap();
        let capabilities = table([("authentication_failure_close", AMQPValue::Boolean(true))]);
        client.send(0, start_ok_with("AMQPLAIN", response, capabilities));
        assert!(client.hears().is_empty());
        assert!(!client.connection.wants_read());
    }
}

#[test]
fn limits_over_ours_are_refused_and_none_is_over_all() {
    let max = "0 close 530 NOT_ALLOWED - negotiated";
    for (tune, told) in [
        (
            tune_ok(2048, 131_072, 0),
            "channel_max = 2048 is higher than the maximum allowed value (2047)",
        ),
        (
            tune_ok(0, 131_072, 0),
            "channel_max = 0 (no limit) is higher than the maximum allowed value (2047)",
        ),
        (
            tune_ok(1, 131_073, 0),
            "frame_max = 131073 is higher than the maximum allowed value (131072)",
        ),
        (
            tune_ok(1, 0, 0),
            "frame_max = 0 (no limit) is higher than the maximum allowed value (131072)",
        ),
        (
            tune_ok(1, 4095, 0),
            "frame_max = 4095 is lower than the minimum allowed value (4096)",
        ),
    ] {
        let mut client = tuning();
        client.send(0, tune);
        assert_eq!(client.hears(), [format!("{max} {told} (10,31)")]);
    }
}

#[test]
fn a_heartbeat_of_zero_turns_heartbeats_off() {
    for (heartbeat, agreed) in [(0, None), (7, Some(Duration::from_secs(7)))] {
        let mut client = tuning();
        client.send(0, tune_ok(0x7ff, 4096, heartbeat));
        client.send(0, open("/"));
        assert_eq!(client.hears(), ["0 open-ok"]);
        assert_eq!(client.connection.heartbeat(), agreed);
    }
}

#[test]
fn virtual_hosts_have_to_exist_and_to_be_permitted() {
    let broker = broker();
    let change = crate::domain::auth::PasswordHash::of("stranger");
    broker.users.add_user("stranger", change, &[]).unwrap();
    for (user, vhost, told) in [
        ("guest", "nowhere", "vhost nowhere not found"),
        (
            "stranger",
            "/",
            "access to vhost '/' refused for user 'stranger'",
        ),
    ] {
        let mut client = Client::new(&broker);
        client.bytes(&PROTOCOL_HEADER);
        client.send(0, start_ok(user, user, false));
        client.send(0, tune_ok(0x7ff, 4096, 0));
        client.send(0, open(vhost));
        let close = format!("0 close 530 NOT_ALLOWED - {told} (10,40)");
        assert_eq!(client.hears()[2..], [close]);
        client.send(0, close_ok());
        assert!(client.connection.is_over(client.now));
    }
}

#[test]
fn methods_out_of_their_order_end_the_handshake() {
    for wrong in [
        tune_ok(1, 4096, 0),
        open("/"),
        close(),
        close_ok(),
        channel_open(),
    ] {
        let mut client = started();
        client.send(0, wrong);
        assert!(client.hears().is_empty(), "not logged in: nothing is told");
        assert!(!client.connection.wants_read());
    }
    // Nor is anything told while tuning, but for values that are not allowed.
    for (channel, wrong) in [(0, open("/")), (0, close()), (1, channel_open())] {
        let mut client = tuning();
        client.send(channel, wrong);
        assert!(client.hears().is_empty(), "not tuned: nothing is told");
        assert!(!client.connection.wants_read());
    }
}

#[test]
fn a_user_may_log_in_once_only_per_connection() {
    let broker = broker();
    add_user(&broker, "walker", ".*");
    let mut client = Client::open_as(&broker, "walker");
    client.send(0, start_ok("guest", "guest", true));
    let told = client.hears();
    assert!(told[0].starts_with("0 close 504 CHANNEL_ERROR"), "{told:?}");
}

#[test]
fn a_table_nested_without_bound_is_refused_whatever_method_brings_it() {
    // Methods that only servers send are decoded before they are found out of place.
    let mut inner: Vec<u8> = vec![0, 0, 0, 0];
    while inner.len() < 100_000 {
        let mut body = vec![0, b'F'];
        body.extend_from_slice(&inner);
        inner = (body.len() as u32).to_be_bytes().to_vec();
        inner.extend_from_slice(&body);
    }
    for id in [&[0, 10, 0, 10, 0, 9][..], &[0, 10, 0, 11]] {
        let mut client = started();
        let mut payload = id.to_vec();
        payload.extend_from_slice(&inner);
        client.bytes(&frame_bytes(1, 0, &payload));
        assert!(client.hears().is_empty());
        assert!(!client.connection.wants_read());
    }
}

#[test]
fn close_is_answered_and_is_the_end() {
    let mut client = Client::ready(&broker());
    client.send(0, close());
    assert!(
        !client.connection.is_over(client.now),
        "close-ok is to be written"
    );
    assert_eq!(client.hears(), ["0 close-ok"]);
    assert!(client.connection.is_over(client.now));
}

#[test]
fn both_sides_may_close_at_once() {
    let mut client = Client::ready(&broker());
    client.connection.force_close("enough", client.now);
    client.send(0, close());
    let told = client.hears();
    assert_eq!(
        told,
        ["0 close 320 CONNECTION_FORCED - enough (0,0)", "0 close-ok"]
    );
    assert!(client.connection.is_over(client.now));
}

#[test]
fn a_peer_that_never_answers_close_is_not_waited_for_long() {
    let mut client = Client::ready(&broker());
    client.connection.force_close("enough", client.now);
    client.send(1, declare("q"));
    assert_eq!(client.hears().len(), 1, "what it still asks is dropped");
    assert!(!client.connection.is_over(client.now));
    client.wait(Duration::from_secs(6));
    assert!(client.connection.is_over(client.now));
}

#[test]
fn capabilities_may_be_anything() {
    let mut client = started();
    let odd = table([("consumer_cancel_notify", AMQPValue::Void)]);
    client.send(0, start_ok_with("PLAIN", "\0guest\0guest", odd));
    assert_eq!(client.hears(), ["0 tune 2047 131072 60"]);
}

#[test]
fn a_secret_is_updated_once_the_connection_is_open() {
    let mut client = Client::open(&broker());
    client.send(0, update_secret("123456"));
    assert_eq!(client.hears(), ["0 update-secret-ok"]);
    client.open_channel(1);
}
