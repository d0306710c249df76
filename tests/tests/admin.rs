//! The admin socket with many open connections.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use leveret_tests::{TestBroker, run};

/// More than may be connected, and more than may wait to be accepted.
const IDLE: usize = 300;

/// Opens `count` connections and sends `begin` on each.
async fn hold(socket: &Path, count: usize, begin: &'static [u8]) -> Vec<UnixStream> {
    let socket = socket.to_owned();
    let held = tokio::task::spawn_blocking(move || {
        let connect = |_| {
            let mut stream = UnixStream::connect(&socket).expect("the admin socket");
            // The broker may have closed it already.
            let _ = stream.write_all(begin);
            stream
        };
        (0..count).map(connect).collect()
    });
    held.await.expect("connections")
}

/// Returns how many of them the broker has closed.
fn closed(held: &mut [UnixStream]) -> usize {
    let is_closed = |stream: &mut &mut UnixStream| {
        stream.set_nonblocking(true).expect("an option");
        match stream.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    };
    held.iter_mut()
        .filter_map(|mut stream| is_closed(&mut stream).then_some(()))
        .count()
}

#[test]
fn connections_that_say_nothing_do_not_keep_leveretctl_out() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let socket = broker.data_dir().join("leveret.sock");
        for begin in [&b""[..], b"{\"version\":1"] {
            let mut held = hold(&socket, IDLE, begin).await;
            for _ in 0..3 {
                let pong = broker.ctl(&["ping", "--timeout", "20"]).await;
                assert!(pong.contains("Ping succeeded"), "{pong}");
            }
            assert!(closed(&mut held) >= IDLE - 64, "the oldest made room");
        }
        assert!(
            broker.client().await.queue("q").await == "q",
            "AMQP goes on"
        );
    });
}

#[test]
fn a_few_idle_connections_are_left_alone() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let socket = broker.data_dir().join("leveret.sock");
        let mut held = hold(&socket, 20, b"").await;
        broker.ctl(&["ping"]).await;
        assert_eq!(closed(&mut held), 0);
    });
}

#[test]
fn answers_that_nobody_takes_make_room_too() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        for n in 0..200 {
            client.queue(&format!("{n}-{}", "x".repeat(200))).await;
        }
        let socket = broker.data_dir().join("leveret.sock");
        // The answer is larger than the socket buffers.
        let request =
            r#"{"version":1,"request":{"verb":"list_queues","vhost":"/","columns":["name"]}}"#;
        let many: &'static [u8] = format!("{request}\n").repeat(20).into_bytes().leak();
        let _held = hold(&socket, 100, many).await;
        let pong = broker.ctl(&["ping", "--timeout", "25"]).await;
        assert!(pong.contains("Ping succeeded"), "{pong}");
    });
}

#[test]
fn a_request_comes_within_half_a_minute_or_its_connection_is_closed() {
    leveret_tests::run_within(Duration::from_secs(90), async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let socket = broker.data_dir().join("leveret.sock");
        let mut held = hold(&socket, 1, b"{").await;
        leveret_tests::eventually_within(Duration::from_secs(60), "it is closed", async || {
            (closed(&mut held) == 1).then_some(())
        })
        .await;
    });
}
