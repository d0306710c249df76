//! Before the connection is open.

use leveret_tests::raw::{
    HEADER, Raw, Tune, closing_properties, frame, login, method, short_string, split_frames, table,
};
use leveret_tests::{TestBroker, run};

use super::unharmed::unharmed;

#[test]
fn anything_but_the_protocol_header_is_answered_with_it() {
    run(unharmed(async |broker| {
        let greetings: [&[u8]; 9] = [
            // AMQP 1.0, MQTT 3.1.1, STOMP 1.2.
            b"AMQP\x00\x01\x00\x00",
            b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04abcd",
            b"CONNECT\naccept-version:1.2\nhost:/\n\n\x00",
            b"AMQP\x00\x00\x08\x00",
            b"AMQP\x01\x01\x00\x0a",
            b"AMQP\x03\x01\x00\x00",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01",
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
        ];
        for greeting in greetings {
            let mut raw = Raw::dial(broker).await;
            raw.bytes(greeting).await;
            assert_eq!(raw.ended().await, HEADER, "after {greeting:?}");
        }
    }));
}

#[test]
fn a_client_of_amqp_0_8_is_told_what_is_spoken() {
    run(async {
        // RabbitMQ 3 still spoke it.
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        for greeting in [b"AMQP\x01\x01\x08\x00", b"AMQP\x01\x01\x09\x01"] {
            let mut raw = Raw::dial(&broker).await;
            raw.bytes(greeting).await;
            assert_eq!(raw.ended().await, HEADER, "after {greeting:?}");
        }
    });
}

/// connection.start-ok without a name or a password.
fn anonymous() -> Vec<u8> {
    let mut arguments = closing_properties();
    arguments.extend(short_string("ANONYMOUS"));
    arguments.extend([0; 4]);
    arguments.extend(short_string("en_US"));
    method(0, 10, 11, &arguments)
}

#[test]
fn who_gives_no_name_logs_in_where_the_operator_says_as_whom() {
    run(async {
        let flags = ["--auth-mechanisms=PLAIN,ANONYMOUS"];
        let Some(broker) = TestBroker::start_own_with(&flags).await else {
            return;
        };
        let mut raw = Raw::dial(&broker).await;
        let start = raw.start().await;
        assert_eq!(start.mechanisms.as_bytes(), b"PLAIN ANONYMOUS");
        raw.bytes(&anonymous()).await;
        raw.method_on(0).await;
        raw.tune_and_open(Tune::default()).await;
        raw.method_on(0).await;
        raw.open_channel(1).await;
        let users = broker
            .ctl(&["list_connections", "-q", "user", "auth_mechanism"])
            .await;
        assert_eq!(users.lines().last(), Some("guest\tANONYMOUS"), "{users}");
    });
}

#[test]
fn who_gives_no_name_is_not_let_in_otherwise() {
    run(unharmed(async |broker| {
        let mut raw = Raw::dial(broker).await;
        let start = raw.start().await;
        let offered = start.mechanisms.to_string();
        assert!(!offered.contains("ANONYMOUS"), "{offered}");
        raw.bytes(&anonymous()).await;
        not_let_in(&mut raw).await;
    }));
}

#[test]
fn a_client_that_says_nothing_is_not_waited_for_by_others() {
    run(unharmed(async |broker| {
        let mut silent = Vec::new();
        for _ in 0..50 {
            silent.push(Raw::dial(broker).await);
        }
        let mut slow = Raw::dial(broker).await;
        slow.bytes(b"AMQ").await;
        broker.client().await.close().await;
        slow.bytes(b"P\x00\x00\x09\x01").await;
        slow.method_on(0).await;
    }));
}

/// RabbitMQ drops the socket; a connection.close on the way is no worse.
async fn not_let_in(raw: &mut Raw) {
    let said = split_frames(&raw.ended().await);
    for (kind, channel, payload) in said {
        assert!(
            kind == 1 && channel == 0 && payload.starts_with(&[0, 10, 0, 50]),
            "{payload:?}"
        );
    }
}

#[test]
fn a_frame_that_is_not_start_ok() {
    run(unharmed(async |broker| {
        let mut raw = Raw::dial(broker).await;
        raw.start().await;
        raw.bytes(&method(0, 10, 40, b"\x01/\x00\x00")).await;
        not_let_in(&mut raw).await;
    }));
}

#[test]
fn a_method_on_a_channel_before_open() {
    run(unharmed(async |broker| {
        let mut raw = Raw::dial(broker).await;
        raw.start().await;
        raw.bytes(&method(1, 20, 10, &[0])).await;
        not_let_in(&mut raw).await;
    }));
}

#[test]
fn a_login_without_sense() {
    run(unharmed(async |broker| {
        let mut raw = Raw::dial(broker).await;
        raw.start().await;
        // A PLAIN response without its zero octets.
        let mut arguments = table(&[]);
        arguments.extend(b"\x05PLAIN\x00\x00\x00\x05guest\x05en_US");
        raw.bytes(&method(0, 10, 11, &arguments)).await;
        not_let_in(&mut raw).await;
    }));
}

#[test]
fn client_properties_that_are_no_table() {
    run(unharmed(async |broker| {
        let mut raw = Raw::dial(broker).await;
        raw.start().await;
        raw.bytes(&login("guest", "guest", &[0xFF, 0xFF, 0xFF, 0xFF]))
            .await;
        not_let_in(&mut raw).await;
    }));
}

#[test]
fn a_body_before_anything_else() {
    run(unharmed(async |broker| {
        let mut raw = Raw::dial(broker).await;
        raw.start().await;
        raw.bytes(&frame(3, 0, b"surprise")).await;
        not_let_in(&mut raw).await;
    }));
}
