//! The PROXY protocol.

use leveret_tests::raw::{HEADER, Raw};
use leveret_tests::{TestBroker, eventually, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::connection;

/// Version 2 from 127.9.8.7:4000 to 127.0.0.1:5672.
const VERSION_2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\x09\x08\x07\x7f\0\0\x01\x0f\xa0\x16\x28";
/// Of a proxy's own probe.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// Sends a header, and returns the connection behind it.
async fn behind(address: &str, header: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(header).await.expect("sent");
    stream
}

#[test]
fn a_trusted_proxy_says_who_the_client_is() {
    run(async {
        let options = [
            "--listeners",
            "127.0.0.1:0?proxy_protocol=127.0.0.0/8",
            "--management-listeners",
            "127.0.0.1:0,127.0.0.1:0?proxy_protocol=127.0.0.1",
        ];
        let Some(broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        let address = broker.address();
        let line: &[u8] = b"PROXY TCP4 127.9.8.7 127.0.0.1 4000 5672\r\n";
        for header in [line, VERSION_2] {
            let client = Raw::over(behind(address, header).await).as_guest().await;
            let shown = connection(&broker).await;
            assert_eq!(shown["name"], "127.9.8.7:4000 -> 127.0.0.1:5672");
            assert_eq!(
                (&shown["peer_host"], &shown["peer_port"]),
                (&"127.9.8.7".into(), &4000.into())
            );
            drop(client);
            none_left(&broker).await;
        }
        // Nobody in particular: the proxy itself.
        for header in [LOCAL, b"PROXY UNKNOWN\r\n"] {
            let client = Raw::over(behind(address, header).await).as_guest().await;
            assert_eq!(connection(&broker).await["peer_host"], "127.0.0.1");
            drop(client);
            none_left(&broker).await;
        }
        // guest logs in from this machine only, whatever machine the proxy is on.
        let far: &[u8] = b"PROXY TCP4 192.0.2.1 127.0.0.1 4000 5672\r\n";
        let mut client = Raw::over(behind(address, far).await);
        client.start().await;
        client
            .bytes(&leveret_tests::raw::login("guest", "guest", b""))
            .await;
        let _ = client.closed_or_ended().await;
        let known = broker.ctl(&["list_connections", "-q", "name"]).await;
        assert!(!known.contains("192.0.2.1"), "{known}");

        // HTTP, where it is a listener's own choice.
        let request =
            b"GET /api/whoami HTTP/1.1\r\nhost: x\r\nauthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\
                        connection: close\r\n\r\n";
        let proxied = broker.listener("management", 1);
        for (header, status) in [(line, "200"), (far, "401")] {
            let mut stream = behind(proxied, &[header, request].concat()).await;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an answer");
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
        }
    });
}

#[test]
fn nobody_else_gets_in() {
    run(async {
        let options = [
            "--listeners",
            "127.0.0.1:0?proxy_protocol=127.0.0.1,127.0.0.1:0?proxy_protocol=10.0.0.0/8",
        ];
        let Some(mut broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        let (trusting, other) = (
            broker.listener("address", 0).to_owned(),
            broker.listener("address", 1).to_owned(),
        );
        let malformed: &[u8] = b"PROXY TCP4 here there\r\n";
        for (address, sent) in [
            (&trusting, &HEADER[..]),
            (&trusting, malformed),
            (&other, VERSION_2),
            (&other, HEADER),
        ] {
            let mut stream = behind(address, sent).await;
            let mut answer = Vec::new();
            // It may be reset, as it was not read.
            let _ = stream.read_to_end(&mut answer).await;
            assert!(answer.is_empty(), "{address} {answer:?}");
        }
        for reason in [
            "it did not begin with a header of the PROXY protocol",
            "its header of the PROXY protocol is malformed",
            "its address is not in proxy_protocol of this listener",
        ] {
            broker
                .process()
                .line("the reason", |line| line.contains(reason).then_some(()))
                .await;
        }
        none_left(&broker).await;
    });
}

async fn none_left(broker: &TestBroker) {
    eventually("no connections", async || {
        let listed = broker.ctl(&["list_connections", "-q", "name"]).await;
        (!listed.contains("->")).then_some(())
    })
    .await;
}
