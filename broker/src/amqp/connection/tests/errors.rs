//! The table of errors: each row is a broker, what a client does, and the error it gets.

use super::client::Client;
use super::requests::*;
use super::{add_user, broker, two_clients};
use leveret_protocol::classes::{AMQPClass, BasicProperties};
use leveret_protocol::values::AMQPValue;

/// Returns the first line after these requests on a fresh channel; earlier ones must succeed.
#[track_caller]
fn told(requests: impl IntoIterator<Item = AMQPClass>, expected: &str) {
    let mut client = super::client();
    let mut lines = Vec::new();
    for request in requests {
        assert!(
            lines.iter().all(|l: &String| !l.contains("close")),
            "{lines:?}"
        );
        lines = client.ask(request);
    }
    assert_eq!(lines, [expected]);
}

fn ttl(value: AMQPValue) -> AMQPClass {
    with_argument("x-message-ttl", value)
}

fn with_argument(name: &str, value: AMQPValue) -> AMQPClass {
    declare_with("q", |d| d.arguments = table([(name, value)]))
}

#[test]
fn missing_queues() {
    let close = |id: &str| format!("1 close 404 NOT_FOUND - no queue 'nope' in vhost '/' ({id})");
    told(
        [declare_with("nope", |d| d.passive = true)],
        &close("50,10"),
    );
    told([consume("nope", "c")], &close("60,20"));
    told([get("nope", true)], &close("60,70"));
    told([purge("nope")], &close("50,30"));
    told([bind("nope", "amq.direct", "k")], &close("50,20"));
    told([delete("nope")], "1 delete-ok 0");
    told([unbind("nope", "amq.direct", "k")], "1 unbind-ok");
}

#[test]
fn missing_exchanges() {
    let close =
        |id: &str| format!("1 close 404 NOT_FOUND - no exchange 'nope' in vhost '/' ({id})");
    told(
        [exchange_with("nope", "direct", |x| x.passive = true)],
        &close("40,10"),
    );
    told([declare("q"), bind("q", "nope", "k")], &close("50,20"));
    told([exchange_bind("nope", "amq.fanout")], &close("40,30"));
    told([exchange_delete("nope", false)], "1 delete-ok");
    told([declare("q"), unbind("q", "nope", "k")], "1 unbind-ok");
    let mut client = super::client();
    client.publish_with(1, publish("nope", "k"), &Default::default(), b"m");
    assert_eq!(client.hears(), [close("60,40")]);
}

#[test]
fn no_queue_declared_last() {
    let close = |id: &str| format!("1 close 404 NOT_FOUND - no previously declared queue ({id})");
    told([consume("", "c")], &close("60,20"));
    told([get("", true)], &close("60,70"));
    told([purge("")], &close("50,30"));
    told([delete("")], &close("50,40"));
    told([bind("", "amq.direct", "k")], &close("50,20"));
}

#[test]
fn redeclarations_of_queues() {
    let inequivalent =
        |text: &str| format!("1 close 406 PRECONDITION_FAILED - inequivalent arg {text} (50,10)");
    told(
        [declare("q"), declare_with("q", |d| d.durable = true)],
        &inequivalent(
            "'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'",
        ),
    );
    told(
        [declare("q"), declare_with("q", |d| d.auto_delete = true)],
        &inequivalent(
            "'auto_delete' for queue 'q' in vhost '/': received 'true' but current is 'false'",
        ),
    );
    told(
        [ttl(AMQPValue::LongInt(1000)), declare("q")],
        &inequivalent(
            "'x-message-ttl' for queue 'q' in vhost '/': received none but current is the value \
             '1000' of type 'signedint'",
        ),
    );
    told(
        [
            declare("q"),
            with_argument("x-expires", AMQPValue::LongInt(90_000)),
        ],
        &inequivalent(
            "'x-expires' for queue 'q' in vhost '/': received the value '90000' of type \
             'signedint' but current is none",
        ),
    );
    told(
        [ttl(AMQPValue::LongInt(1000)), ttl(AMQPValue::LongInt(2000))],
        &inequivalent(
            "'x-message-ttl' for queue 'q' in vhost '/': received '2000' but current is '1000'",
        ),
    );
    told(
        [
            ttl(AMQPValue::LongInt(1000)),
            ttl(AMQPValue::LongLongInt(1000)),
        ],
        "1 declare-ok q 0 0",
    );
}

#[test]
fn redeclarations_with_arguments_that_some_kinds_of_queues_compare() {
    let declared = |kind: &str, name: &str, value: AMQPValue| {
        declare_with("q", |d| {
            d.durable = true;
            d.arguments = table([("x-queue-type", text(kind)), (name, value)]);
        })
    };
    let timeout =
        |kind: &str, value| declared(kind, "x-consumer-timeout", AMQPValue::LongInt(value));
    told(
        [timeout("quorum", 10_000), timeout("quorum", 20_000)],
        "1 close 406 PRECONDITION_FAILED - inequivalent arg 'x-consumer-timeout' for queue 'q' in \
         vhost '/': received '20000' but current is '10000' (50,10)",
    );
    for kind in ["classic", "stream"] {
        told(
            [timeout(kind, 10_000), timeout(kind, 20_000)],
            "1 declare-ok q 0 0",
        );
    }
    let locator = |kind, value| declared(kind, "x-queue-leader-locator", text(value));
    for kind in ["classic", "quorum", "stream"] {
        told(
            [locator(kind, "balanced"), locator(kind, "client-local")],
            "1 close 406 PRECONDITION_FAILED - inequivalent arg 'x-queue-leader-locator' for queue \
             'q' in vhost '/': received 'client-local' but current is 'balanced' (50,10)",
        );
    }
}

#[test]
fn redeclarations_of_exchanges() {
    told(
        [exchange("x", "direct"), exchange("x", "fanout")],
        "1 close 406 PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': \
         received 'fanout' but current is 'direct' (40,10)",
    );
    told(
        [
            exchange("x", "direct"),
            exchange_with("x", "direct", |x| x.durable = true),
        ],
        "1 close 406 PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'x' in vhost \
         '/': received 'true' but current is 'false' (40,10)",
    );
    told(
        [exchange_with("amq.direct", "direct", |x| x.durable = true)],
        "1 declare-ok",
    );
}

#[test]
fn arguments_with_wrong_values() {
    let invalid = |name: &str, reason: &str| {
        format!(
            "1 close 406 PRECONDITION_FAILED - invalid arg '{name}' for queue 'q' in vhost '/': \
             {reason} (50,10)"
        )
    };
    let int = AMQPValue::LongInt;
    for (name, value, reason) in [
        (
            "x-message-ttl",
            text("a"),
            "\"expected integer, got longstr\"",
        ),
        ("x-message-ttl", int(-1), "{value_negative,-1}"),
        ("x-expires", int(0), "{value_zero,0}"),
        ("x-max-priority", int(256), "{max_value_exceeded,256}"),
        ("x-overflow", text("bad"), "invalid_overflow"),
        (
            "x-dead-letter-routing-key",
            text("k"),
            "routing_key_but_no_dlx_defined",
        ),
        (
            "x-queue-type",
            text("bad"),
            "\"unsupported queue type 'bad'\"",
        ),
    ] {
        told([with_argument(name, value)], &invalid(name, reason));
    }
    told(
        [with_argument("x-nobody-knows", int(1))],
        "1 declare-ok q 0 0",
    );
}

#[test]
fn other_connections_exclusive_queues() {
    for (request, id) in [
        (declare("pl"), "50,10"),
        (declare_with("pl", |d| d.passive = true), "50,10"),
        (consume("pl", "c"), "60,20"),
        (get("pl", true), "60,70"),
        (purge("pl"), "50,30"),
        (delete("pl"), "50,40"),
        (bind("pl", "amq.direct", "k"), "50,20"),
    ] {
        let (mut a, mut b) = two_clients();
        a.ask(declare_with("pl", |d| d.exclusive = true));
        let told = b.ask(request);
        assert_eq!(
            told,
            [format!(
                "1 close 405 RESOURCE_LOCKED - cannot obtain exclusive access to locked queue \
                 'pl' in vhost '/'. It could be originally declared on another connection or the \
                 exclusive property value does not match that of the original declaration. ({id})"
            )]
        );
    }
}

#[test]
fn exclusivity_is_compared_before_anything_else() {
    let expected = "1 close 405 RESOURCE_LOCKED - cannot obtain exclusive access";
    for (first, second) in [(true, false), (false, true)] {
        let mut client = super::client();
        client.ask(declare_with("q", |d| d.exclusive = first));
        let told = client.ask(declare_with("q", |d| {
            (d.exclusive, d.durable) = (second, true);
        }));
        assert!(told[0].starts_with(expected), "{told:?}");
    }
}

#[test]
fn reserved_names_and_the_default_exchange() {
    let refused = |text: &str| format!("1 close 403 ACCESS_REFUSED - {text}");
    told(
        [declare("amq.x")],
        &refused("queue name 'amq.x' contains reserved prefix 'amq.*' (50,10)"),
    );
    told(
        [exchange("amq.x", "direct")],
        &refused("exchange name 'amq.x' contains reserved prefix 'amq.*' (40,10)"),
    );
    let default = "operation not permitted on the default exchange";
    told(
        [exchange("", "direct")],
        &refused(&format!("{default} (40,10)")),
    );
    told(
        [exchange_delete("", false)],
        &refused(&format!("{default} (40,20)")),
    );
    told(
        [declare("q"), bind("q", "", "k")],
        &refused(&format!("{default} (50,20)")),
    );
    told(
        [declare("q"), unbind("q", "", "k")],
        &refused(&format!("{default} (50,50)")),
    );
    told(
        [exchange_bind("amq.fanout", "")],
        &refused(&format!("{default} (40,30)")),
    );
    told(
        [exchange_delete("amq.direct", false)],
        &refused("deletion of system exchange 'amq.direct' in vhost '/' not allowed (40,20)"),
    );
    told(
        [exchange("x", "weird")],
        "1 close 406 PRECONDITION_FAILED - unknown exchange type 'weird' (40,10)",
    );
}

#[test]
fn deletes_with_conditions() {
    let mut client = super::client();
    client.ask(declare("q"));
    client.publish("q", "m");
    assert_eq!(
        client.ask(delete_if("q", false, true)),
        ["1 close 406 PRECONDITION_FAILED - queue 'q' in vhost '/' not empty (50,40)"]
    );
    told(
        [declare("q"), consume("q", "c"), delete_if("q", true, false)],
        "1 close 406 PRECONDITION_FAILED - queue 'q' in vhost '/' in use (50,40)",
    );
    told(
        [
            exchange("x", "fanout"),
            declare("q"),
            bind("q", "x", ""),
            exchange_delete("x", true),
        ],
        "1 close 406 PRECONDITION_FAILED - exchange 'x' in vhost '/' in use (40,20)",
    );
    told([declare("q"), delete_if("q", true, true)], "1 delete-ok 0");
}

#[test]
fn consumers_in_each_others_way() {
    told(
        [declare("q"), consume("q", "t"), consume("q", "t")],
        "0 close 530 NOT_ALLOWED - attempt to reuse consumer tag 't' (60,20)",
    );
    let in_use = "1 close 403 ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use (60,20)";
    let exclusive = |tag: &str| consume_with("q", tag, |c| c.exclusive = true);
    told([declare("q"), exclusive("a"), consume("q", "b")], in_use);
    told([declare("q"), consume("q", "a"), exclusive("b")], in_use);
    told(
        [declare("q"), exclusive("a"), cancel("a"), exclusive("b")],
        "1 consume-ok b",
    );
}

#[test]
fn publishes_that_are_refused() {
    let mut immediate = publish("", "q");
    immediate.immediate = true;
    let plain = BasicProperties::default;
    let rows = [
        (
            immediate,
            plain(),
            "0 close 540 NOT_IMPLEMENTED - immediate=true",
        ),
        (
            publish("", "q"),
            plain().with_user_id("mallory".into()),
            "1 close 406 PRECONDITION_FAILED - user_id property set to 'mallory' but authenticated \
          user was 'guest'",
        ),
        (
            publish("", "q"),
            plain().with_expiration("abc".into()),
            "1 close 406 PRECONDITION_FAILED - invalid expiration 'abc': no_integer",
        ),
    ];
    for (publish, properties, text) in rows {
        let mut client = super::client();
        client.publish_with(1, publish, &properties, b"m");
        assert_eq!(client.hears(), [format!("{text} (60,40)")]);
    }
    let mut client = super::client();
    client.ask(exchange_with("x", "fanout", |x| x.internal = true));
    client.publish_with(1, publish("x", ""), &plain(), b"m");
    let told = "1 close 403 ACCESS_REFUSED - cannot publish to internal exchange 'x' in vhost '/'";
    assert_eq!(client.hears(), [format!("{told} (60,40)")]);
}

#[test]
fn operations_without_permission() {
    let broker = broker();
    Client::ready(&broker).ask(declare("other"));
    add_user(&broker, "u", "^mine");
    let refused = |access: &str, what: &str, id: &str| {
        format!(
            "1 close 403 ACCESS_REFUSED - {access} access to {what} in vhost '/' refused for user \
             'u' ({id})"
        )
    };
    let rows = [
        (
            declare("other"),
            refused("configure", "queue 'other'", "50,10"),
        ),
        (
            delete("other"),
            refused("configure", "queue 'other'", "50,40"),
        ),
        (
            consume("other", "c"),
            refused("read", "queue 'other'", "60,20"),
        ),
        (
            get("other", true),
            refused("read", "queue 'other'", "60,70"),
        ),
        (purge("other"), refused("read", "queue 'other'", "50,30")),
        (
            bind("other", "amq.fanout", ""),
            refused("write", "queue 'other'", "50,20"),
        ),
        (
            exchange("x", "direct"),
            refused("configure", "exchange 'x'", "40,10"),
        ),
    ];
    for (request, expected) in rows {
        let mut client = Client::open_as(&broker, "u");
        client.open_channel(1);
        assert_eq!(client.ask(request), [expected]);
    }
    let mut client = Client::open_as(&broker, "u");
    client.open_channel(1);
    client.publish("other", "m");
    assert_eq!(
        client.hears(),
        [refused("write", "exchange 'amq.default'", "60,40")]
    );
}

#[test]
fn bytes_that_are_no_frames() {
    let rows: [(&[u8], &str); 4] = [
        (
            &[1, 0, 1, 0, 0, 0, 1, b'a', 0],
            "type 1, all octets = <<\"a\">>: {invalid_frame_end_marker,0} (0,0)",
        ),
        (
            &[1, 0, 1, 0, 2, 0, 8, 0],
            "type 1, all octets = <<>>: {frame_too_large,131080,131064} (0,0)",
        ),
        (b"GET / HTTP/1.1\r\n\r\n", "type 71, "),
        (&[7, 0, 1, 0, 0, 0, 0, 0xce], "type 7, "),
    ];
    for (bytes, told) in rows {
        let mut client = super::client();
        client.bytes(bytes);
        let heard = client.hears();
        let expected = format!("0 close 501 FRAME_ERROR - {told}");
        assert!(heard[0].starts_with(&expected), "{heard:?}");
        client.send(0, close_ok());
        assert!(client.connection.is_over(client.now));
    }
}

#[test]
fn methods_that_do_not_decode() {
    for (payload, told) in [
        (&[0, 50, 0, 10, 0, 0, 9, b'q'][..], "501 FRAME_ERROR"),
        (&[0, 50, 0, 99], "503 COMMAND_INVALID"),
        (&[0, 99, 0, 10], "503 COMMAND_INVALID"),
        (&[0, 60], "501 FRAME_ERROR"),
        (&[], "501 FRAME_ERROR"),
        (&[0, 60, 0, 80, 0], "501 FRAME_ERROR"),
        // A method that only servers send.
        (&[0, 60, 0, 21, 0], "503 COMMAND_INVALID"),
    ] {
        let mut client = super::client();
        client.frame(leveret_protocol::frame::FrameKind::Method, 1, payload);
        let heard = client.hears();
        assert!(
            heard[0].starts_with(&format!("0 close {told}")),
            "{payload:?} {heard:?}"
        );
    }
}
