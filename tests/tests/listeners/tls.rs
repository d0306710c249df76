//! Listeners with TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amq_protocol::frame::AMQPFrame;
use leveret_tests::raw::Raw;
use leveret_tests::{TestBroker, run};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Version 1 from 127.9.8.7.
const PROXY: &[u8] = b"PROXY TCP4 127.9.8.7 127.0.0.1 4000 5671\r\n";

/// A certificate for `localhost` in a directory, and clients that trust it.
struct Certificate {
    folder: TempDir,
    connector: TlsConnector,
}

impl Certificate {
    fn new() -> Self {
        let folder = TempDir::with_prefix("leveret-test-").expect("a directory");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a pair");
        let pem = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
        std::fs::write(folder.path().join("tls.pem"), pem).expect("a file");
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        Certificate { folder, connector }
    }

    fn file(&self) -> String {
        self.folder.path().join("tls.pem").display().to_string()
    }

    async fn dial(&self, address: &str) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(address).await.expect("it listens");
        self.over(stream).await
    }

    async fn over<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> TlsStream<S> {
        let name = ServerName::try_from("localhost").expect("a name");
        self.connector.connect(name, stream).await.expect("TLS")
    }
}

#[test]
fn a_certificate_opens_ports_with_tls() {
    run(async {
        let certificate = Certificate::new();
        let file = certificate.file();
        let options = ["--tls-certfile", &file, "--prometheus-tls-port", "0"];
        let Some(broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        let address = broker.listener("tls", 0);
        let mut raw = Raw::over(certificate.dial(address).await).as_guest().await;
        raw.open_channel(1).await;
        raw.declare(1, "q").await;
        // Much in both directions.
        let publish = leveret_tests::raw::publish_bytes(1, "q", false, &vec![b'x'; 100_000]);
        for _ in 0..50 {
            raw.bytes(&publish).await;
        }
        raw.consume(1, "q", "tag").await;
        let mut delivered = 0;
        while delivered < 50 * 100_000 {
            if let AMQPFrame::Body(1, body) = raw.frame().await.expect("more") {
                delivered += body.len();
            }
        }

        let request = b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let mut metrics = certificate.dial(broker.listener("prometheus_tls", 0)).await;
        metrics.write_all(request).await.expect("sent");
        let mut answer = String::new();
        metrics
            .read_to_string(&mut answer)
            .await
            .expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let request =
            b"GET /api/overview HTTP/1.1\r\nhost: x\r\nauthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\
                        connection: close\r\n\r\n";
        let mut api = certificate.dial(broker.listener("management_tls", 0)).await;
        assert_eq!(api.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        api.write_all(request).await.expect("sent");
        let mut answer = String::new();
        api.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

        let overview = broker.ask("GET", "/api/overview", Value::Null).await.body;
        let listed: Vec<(&str, bool)> = overview["listeners"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| {
                (
                    one["protocol"].as_str().unwrap(),
                    one["tls"].as_bool().unwrap(),
                )
            })
            .collect();
        let expected = [
            ("amqp", false),
            ("amqp/ssl", true),
            ("http", false),
            ("https", true),
            ("https/prometheus", true),
        ];
        assert_eq!(listed, expected);
        for protocol in ["amqp/ssl", "amqps", "https", "https/prometheus"] {
            broker.ctl(&["check_protocol_listener", protocol]).await;
        }
    });
}

#[test]
fn a_handshake_that_hangs_holds_up_nobody() {
    run(async {
        let certificate = Certificate::new();
        let file = certificate.file();
        let Some(mut broker) = TestBroker::start_own_with(&["--tls-certfile", &file]).await else {
            return;
        };
        let address = broker.listener("tls", 0).to_owned();
        let mut hanging = Vec::new();
        for _ in 0..50 {
            hanging.push(TcpStream::connect(&address).await.expect("it listens"));
        }
        let dialled =
            tokio::time::timeout(Duration::from_secs(5), certificate.dial(&address)).await;
        let raw = Raw::over(dialled.expect("at once")).as_guest().await;
        // Somebody who speaks no TLS is told off, and the log says so.
        let mut plain = TcpStream::connect(&address).await.expect("it listens");
        plain.write_all(b"AMQP\0\0\x09\x01").await.expect("sent");
        let mut answer = Vec::new();
        let _ = plain.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"AMQP"), "{answer:?}");
        broker
            .process()
            .line("the reason", |line| {
                line.contains("the TLS handshake failed").then_some(())
            })
            .await;
        // With the listener those end that have not begun.
        broker.ctl(&["suspend_listeners"]).await;
        for mut stream in hanging {
            let end = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0; 8])).await;
            assert!(matches!(end, Ok(Ok(0) | Err(_))), "{end:?}");
        }
        drop(raw);
    });
}

#[test]
fn tls_runs_behind_a_proxy_and_over_a_unix_socket() {
    run(async {
        let certificate = Certificate::new();
        let (file, socket) = (
            certificate.file(),
            certificate.folder.path().join("amqps.sock"),
        );
        let listeners = format!(
            "amqps://127.0.0.1:0?proxy_protocol=127.0.0.1,amqps://unix:{}",
            socket.display()
        );
        let options = ["--tls-certfile", &file, "--listeners", &listeners];
        let Some(broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        let address = broker.listener("tls", 0);
        assert!(address.parse::<SocketAddr>().is_ok());
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(PROXY).await.expect("sent");
        let _proxied = Raw::over(certificate.over(stream).await).as_guest().await;
        assert_eq!(super::connection(&broker).await["peer_host"], "127.9.8.7");
        let stream = UnixStream::connect(&socket).await.expect("it listens");
        let _local = Raw::over(certificate.over(stream).await).as_guest().await;
        let listed = broker.ctl(&["list_connections", "-q", "peer_host"]).await;
        assert!(listed.contains("unix:pid="), "{listed}");
    });
}
