//! Publishes in their frames.

use super::client::{Client, publish_bytes};
use super::requests::*;
use super::{broker, client};
use leveret_protocol::classes::BasicProperties;
use leveret_protocol::frame::{FrameKind, PROTOCOL_HEADER};

fn client_with_queue() -> Client {
    let mut client = client();
    client.ask(declare("q"));
    client
}

fn header(class: u16, size: u64) -> Vec<u8> {
    let mut payload = class.to_be_bytes().to_vec();
    payload.extend_from_slice(&[0, 0]);
    payload.extend_from_slice(&size.to_be_bytes());
    payload.extend_from_slice(&[0, 0]);
    payload
}

fn publishing(client: &mut Client) {
    use leveret_protocol::classes::basic::AMQPMethod;
    client.send(1, basic(AMQPMethod::Publish(publish("", "q"))));
}

#[test]
fn a_body_may_be_split_over_frames_of_any_size_and_the_stream_anywhere() {
    let body: Vec<u8> = (0..9000u32).map(|i| (i % 251) as u8).collect();
    for (frame_max, cut) in [
        (9, 1),
        (10, 7),
        (100, 50),
        (4096, 4096),
        (4104, 100),
        (20_000, 9001),
    ] {
        let mut client = client_with_queue();
        let properties = BasicProperties::default();
        let bytes = publish_bytes(1, publish("", "q"), &properties, &body, frame_max);
        for piece in bytes.chunks(cut) {
            client.bytes(piece);
        }
        let queue = client.broker.vhost("/").unwrap().queue("q").unwrap();
        let mut fx = Default::default();
        let (entry, left) = queue.get(true, &mut fx).expect("published");
        assert_eq!(
            (entry.message.body(), left),
            (&body[..], 0),
            "{frame_max} {cut}"
        );
    }
}

#[test]
fn deliveries_are_split_as_the_client_tuned() {
    let mut client = Client::new(&broker());
    client.bytes(&PROTOCOL_HEADER);
    client.send(0, start_ok("guest", "guest", true));
    client.send(0, tune_ok(10, 4096, 0));
    client.send(0, open("/"));
    client.hears();
    client.open_channel(1);
    client.ask(declare("q"));
    for size in [0, 1, 4087, 4088, 4089, 20_000] {
        let body = vec![b'x'; size];
        let bytes = publish_bytes(1, publish("", "q"), &Default::default(), &body, 4096);
        client.bytes(&bytes);
        let got = client.ask(get("q", true));
        let shown = if size < 40 {
            "x".repeat(size)
        } else {
            format!("{size} octets")
        };
        assert!(got[0].ends_with(&format!("'{shown}'")), "{got:?}");
    }
}

#[test]
fn an_empty_body_needs_no_body_frame() {
    let mut client = client_with_queue();
    client.publish("q", "");
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #1 left 0 ''"]);
}

#[test]
fn empty_body_frames_change_nothing() {
    let mut client = client_with_queue();
    publishing(&mut client);
    client.frame(FrameKind::Header, 1, &header(60, 2));
    for piece in [&b""[..], b"a", b"", b"b"] {
        client.frame(FrameKind::Body, 1, piece);
    }
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #1 left 0 'ab'"]);
}

#[test]
fn contents_on_two_channels_may_be_interleaved() {
    let mut client = client_with_queue();
    client.open_channel(2);
    let one = publish_bytes(1, publish("", "q"), &Default::default(), b"one", 9);
    let two = publish_bytes(2, publish("", "q"), &Default::default(), b"two", 9);
    // The methods and headers first, then the bodies in turn.
    let (head, body) = (one.len() - 27, 9);
    client.bytes(&one[..head]);
    client.bytes(&two[..head]);
    for i in 0..3 {
        client.bytes(&one[head + i * body..head + (i + 1) * body]);
        client.bytes(&two[head + i * body..head + (i + 1) * body]);
    }
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #1 left 1 'one'"]);
    assert_eq!(client.ask(get("q", true)), ["1 get-ok #2 left 0 'two'"]);
}

#[test]
fn frames_that_do_not_fit_close_the_connection() {
    const HEADER: &str = "505 UNEXPECTED_FRAME - expected content header for class 60, got";
    type Wrong = fn(&mut Client);
    let cases: [(Wrong, &str); 7] = [
        (
            |c| c.frame(FrameKind::Body, 1, b"x"),
            "505 UNEXPECTED_FRAME - expected method frame, got non method frame instead (0,0)",
        ),
        (
            |c| c.frame(FrameKind::Header, 1, &header(60, 1)),
            "505 UNEXPECTED_FRAME - expected method frame, got non method frame instead (0,0)",
        ),
        (
            |c| {
                publishing(c);
                c.frame(FrameKind::Body, 1, b"x");
            },
            &format!("{HEADER} non content header frame instead (60,40)"),
        ),
        (
            |c| {
                publishing(c);
                c.send(1, declare("other"));
            },
            &format!("{HEADER} non content header frame instead (60,40)"),
        ),
        (
            |c| {
                publishing(c);
                c.frame(FrameKind::Header, 1, &header(50, 1));
            },
            &format!("{HEADER} one for class 50 instead (60,40)"),
        ),
        (
            |c| {
                publishing(c);
                c.frame(FrameKind::Header, 1, &header(60, 1));
                c.send(1, declare("other"));
            },
            "505 UNEXPECTED_FRAME - expected content body, got non content body frame instead (60,40)",
        ),
        (
            |c| {
                publishing(c);
                c.frame(FrameKind::Header, 1, &header(60, 1));
                c.frame(FrameKind::Header, 1, &header(60, 1));
            },
            "505 UNEXPECTED_FRAME - expected content body, got non content body frame instead (60,40)",
        ),
    ];
    for (wrong, told) in cases {
        let mut client = client_with_queue();
        wrong(&mut client);
        assert_eq!(client.hears(), [format!("0 close {told}")]);
    }
}

#[test]
fn a_body_longer_than_announced_closes_the_connection() {
    let mut client = client_with_queue();
    publishing(&mut client);
    client.frame(FrameKind::Header, 1, &header(60, 2));
    client.frame(FrameKind::Body, 1, b"abc");
    let told = client.hears();
    assert!(told[0].starts_with("0 close 501 FRAME_ERROR"), "{told:?}");
}

#[test]
fn malformed_content_headers_close_the_connection() {
    for payload in [
        vec![],
        vec![0; 11],
        // Flags that announce a missing content type.
        [&header(60, 1)[..12], &[0x80, 0, 9]].concat(),
        // Trailing bytes.
        [&header(60, 1)[..], &[1]].concat(),
    ] {
        let mut client = client_with_queue();
        publishing(&mut client);
        client.frame(FrameKind::Header, 1, &payload);
        let told = client.hears();
        assert!(told[0].starts_with("0 close 50"), "{told:?}");
    }
}

#[test]
fn a_channel_that_closes_in_mid_content_forgets_it() {
    let mut client = client_with_queue();
    publishing(&mut client);
    client.frame(FrameKind::Header, 1, &header(60, 1 << 30));
    let told = client.hears();
    assert!(
        told[0].starts_with("1 close 406 PRECONDITION_FAILED - message size"),
        "{told:?}"
    );
    client.frame(FrameKind::Body, 1, b"the rest of it");
    assert_eq!(client.ask(channel_close_ok()), [""; 0]);
    client.open_channel(1);
    assert_eq!(client.ask(get("q", true)), ["1 get-empty"]);
}

#[test]
fn properties_and_keys_arrive_as_they_were_sent() {
    let mut client = client_with_queue();
    let headers = table([("h", text("v"))]);
    let properties = BasicProperties::default()
        .with_content_type("text/plain".into())
        .with_headers(headers)
        .with_delivery_mode(2)
        .with_timestamp(7);
    client.publish_with(1, publish("", "q"), &properties, b"m");
    let queue = client.broker.vhost("/").unwrap().queue("q").unwrap();
    let (entry, _) = queue.get(true, &mut Default::default()).unwrap();
    let sent = leveret_protocol::method::properties_to_vec(&properties);
    assert_eq!(entry.message.properties(), &sent[..]);
    assert_eq!(entry.message.routing_key(), b"q");
}
