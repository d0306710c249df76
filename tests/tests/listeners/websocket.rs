//! AMQP over WebSocket.

use std::time::Duration;

use leveret_tests::raw::Raw;
use leveret_tests::{TestBroker, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::connection;

/// The key of RFC 6455's example, and the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

/// Sends a handshake with further headers; returns the connection, the status and the headers of the answer.
async fn shake(address: &str, headers: &str) -> (TcpStream, u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!(
        "GET /ws/amqp HTTP/1.1\r\nhost: {address}\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer"));
    }
    let head = String::from_utf8(head).expect("text");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (stream, status.expect("a status"), head.to_lowercase())
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

async fn next_frame(read: &mut OwnedReadHalf) -> Option<(u8, Vec<u8>)> {
    let first = read.read_u8().await.ok()?;
    let length = match read.read_u8().await.ok()? {
        126 => usize::from(read.read_u16().await.ok()?),
        127 => usize::try_from(read.read_u64().await.ok()?).ok()?,
        length => usize::from(length),
    };
    let mut payload = vec![0; length];
    read.read_exact(&mut payload).await.ok()?;
    Some((first, payload))
}

/// Passes bytes on as frames, cut into pieces of 7 with a ping between, until there are no more; then closes.
async fn send_frames(mut from: tokio::io::ReadHalf<DuplexStream>, mut to: OwnedWriteHalf) {
    let mut bytes = vec![0; 1 << 20];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        let mut frames = Vec::new();
        let (head, tail) = bytes[..length].split_at(length.min(7));
        frames.extend(masked(0x02, head));
        frames.extend(masked(0x89, b"are you there"));
        frames.extend(masked(0x80, tail));
        if to.write_all(&frames).await.is_err() {
            return;
        }
    }
    let _ = to.write_all(&masked(0x88, &[0x03, 0xe8])).await;
}

/// Connects, and returns the bytes that are carried. The task behind it returns how many pings were answered, and the code
/// of the close frame.
async fn dial(broker: &TestBroker) -> (Raw, tokio::task::JoinHandle<(usize, Option<Vec<u8>>)>) {
    let headers = "sec-websocket-protocol: amqp\r\n";
    let (stream, status, head) = shake(broker.management(), headers).await;
    assert_eq!(status, 101, "{head}");
    assert!(
        head.contains(&format!("sec-websocket-accept: {}", ACCEPT.to_lowercase())),
        "{head}"
    );
    assert!(head.contains("sec-websocket-protocol: amqp\r\n"), "{head}");
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (mut read, write) = stream.into_split();
    let (from, mut to) = tokio::io::split(theirs);
    tokio::spawn(send_frames(from, write));
    let closed = tokio::spawn(async move {
        let mut pongs = 0;
        while let Some((first, payload)) = next_frame(&mut read).await {
            match first {
                0x82 => to.write_all(&payload).await.expect("it is read"),
                0x8a => {
                    assert_eq!(payload, b"are you there");
                    pongs += 1;
                }
                0x88 => {
                    let _ = to.shutdown().await;
                    return (pongs, Some(payload));
                }
                other => panic!("unexpected frame {other:#x}"),
            }
        }
        (pongs, None)
    });
    (Raw::over(ours), closed)
}

#[test]
fn a_client_over_websocket_is_a_client() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let (raw, closed) = dial(&broker).await;
        let mut raw = raw.as_guest().await;
        let shown = connection(&broker).await;
        assert_eq!(shown["protocol"], "Web AMQP 0-9-1");
        assert_eq!(shown["peer_host"], "127.0.0.1");
        let name = shown["name"].as_str().expect("a name");
        let end = format!(" -> {}", broker.management());
        assert!(name.ends_with(&end), "{name}");
        raw.open_channel(1).await;
        raw.declare(1, "q").await;
        // A frame that is larger than any buffer.
        let publish = leveret_tests::raw::publish_bytes(1, "q", false, &vec![b'x'; 100_000]);
        for _ in 0..20 {
            raw.bytes(&publish).await;
        }
        raw.declare(1, "other").await;
        assert_eq!(
            broker.list_queues(&["messages"]).await,
            [["other", "0"], ["q", "20"]]
        );
        raw.consume(1, "q", "tag").await;
        let client = broker.client().await;
        client.durable_queue("wait").await;

        // An operator closes it: the last words arrive, then the close frame.
        let close = broker.ctl(&["close_all_connections", "gone"]);
        let (_, reply) = tokio::join!(close, raw.closed());
        assert_eq!(reply.0, 320, "{reply:?}");
        let closed = tokio::time::timeout(Duration::from_secs(10), closed).await;
        let (pongs, code) = closed.expect("a close frame").expect("no panic");
        assert_eq!(code, Some(vec![0x03, 0xe8]));
        assert!(pongs > 0);
    });
}

#[test]
fn who_may_not_connect_is_told_why() {
    run(async {
        let origins = ["--management-cors-allow-origins", "https://app.test"];
        let Some(broker) = TestBroker::start_own_with(&origins).await else {
            return;
        };
        let address = broker.management();
        let own = format!("origin: http://{address}\r\n");
        for (headers, status) in [
            ("", 101),
            ("origin: https://app.test\r\n", 101),
            (&own, 101),
            ("origin: https://evil.test\r\n", 403),
            ("origin: null\r\n", 403),
            ("sec-websocket-protocol: mqtt, amqp\r\n", 101),
            ("sec-websocket-protocol: mqtt\r\n", 400),
        ] {
            let (_, answered, head) = shake(address, headers).await;
            assert_eq!(answered, status, "{headers}: {head}");
        }
        let plain = broker.ask_text("GET", "/ws/amqp", "").await;
        assert_eq!(plain.status, 426);
        assert_eq!(plain.header("upgrade"), Some("websocket"));

        let Some(without) = TestBroker::start_own_with(&["--amqp-websocket", "false"]).await else {
            return;
        };
        assert_eq!(shake(without.management(), "").await.1, 404);
    });
}

#[test]
fn what_breaks_the_protocol_ends_that_connection_only() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let good = Raw::connect(&broker).await;
        for (sent, code) in [
            (vec![0x82, 0x01, b'x'], 1002_u16),
            (masked(0x81, b"text"), 1003),
            (masked(0xc2, b"compressed"), 1002),
            (masked(0x88, &[0x03, 0xe9]), 1001),
        ] {
            let (mut stream, status, _) = shake(broker.management(), "").await;
            assert_eq!(status, 101);
            stream.write_all(&sent).await.expect("sent");
            let (mut read, _write) = stream.into_split();
            let frame = tokio::time::timeout(Duration::from_secs(10), next_frame(&mut read)).await;
            let expected = (0x88, code.to_be_bytes().to_vec());
            assert_eq!(frame.expect("an answer"), Some(expected));
            assert!(next_frame(&mut read).await.is_none(), "closed");
        }
        // A connection that was cut off in a frame.
        let (mut stream, ..) = shake(broker.management(), "").await;
        stream
            .write_all(&masked(0x82, b"AMQP\0\0\x09\x01")[..9])
            .await
            .expect("sent");
        drop(stream);
        assert_eq!(connection(&broker).await["protocol"], "AMQP 0-9-1");
        drop(good);
    });
}
