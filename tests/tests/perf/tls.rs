//! Loads over TLS, which a proxy ends in front of the broker.

use super::terminator::{ALL, Authority, serve, terminate};
use super::{count, fails, leveretperf, summary};
use leveret_tests::{TestBroker, run};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::rustls::version::{TLS12, TLS13};

#[test]
fn loads_run_over_every_version_of_tls() {
    run(async {
        let broker = TestBroker::start().await;
        let authority = Authority::new("An authority");
        let cacert = authority.file("ca.pem");
        let newer = terminate(authority.server(&[&TLS13], None), broker.address()).await;
        let older = terminate(authority.server(&[&TLS12], None), broker.address()).await;
        for (address, version) in [(&newer, "TLSv1.3"), (&older, "TLSv1.2")] {
            for (arguments, connections) in [
                ("-C 1000 -p -c 50 -a -P 20 -A 7", 3),
                ("-C 200 -s 200000 -a -P 10", 3),
                ("-C 5000 -s 0 -x 2 -y 2 -q 2", 5),
                ("-C 300 -r 3000 -l -s 16", 3),
                ("--backlog 3000 -s 1000", 3),
            ] {
                let arguments = format!("{arguments} --quiet --json --tls --cacert {cacert}");
                let summary = summary(&format!("{arguments} --address {address}")).await;
                let published = count(&summary, "published");
                assert!(published >= 200, "{arguments}: {summary}");
                assert_eq!(count(&summary, "consumed"), published, "{arguments}");
                let tls = &summary["tls"];
                assert_eq!(tls["version"], version, "{arguments}: {tls}");
                assert_eq!(tls["full_handshakes"], connections, "{arguments}: {tls}");
                assert_eq!(tls["verified"], true, "{tls}");
            }
        }
        let uri = format!("amqps://{newer}?cacertfile={cacert}&verify=verify_peer");
        let output = leveretperf(&format!("-C 10 --quiet --uri {uri}")).await;
        assert_eq!(output.status, Some(0), "{output:?}");
        assert!(output.stdout.contains("TLSv1.3, TLS13_"), "{output:?}");
        assert!(
            output.stdout.contains("3 full handshakes, 0 resumed"),
            "{output:?}"
        );
        let csv = leveretperf(&format!("-C 10 --quiet --csv --uri {uri}")).await;
        assert!(csv.stdout.contains("tls_version,tls_cipher"), "{csv:?}");
        // Each side may be the one that speaks only one version.
        let at = format!("--tls --cacert {cacert} --quiet -C 1 --address");
        let both = terminate(authority.server(ALL, None), broker.address()).await;
        for (chosen, version) in [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")] {
            let output = leveretperf(&format!("{at} {both} --tls-version {chosen}")).await;
            assert!(output.stdout.contains(version), "{output:?}");
        }
        let wrong = format!("{at} {older} --tls-version 1.3");
        fails(&wrong, 1, "the broker does not speak this version of TLS").await;
    });
}

#[test]
fn connection_churn_counts_handshakes_and_resumes_sessions_if_asked() {
    run(async {
        let broker = TestBroker::start().await;
        let authority = Authority::new("An authority");
        let cacert = authority.file("ca.pem");
        for version in [&TLS13, &TLS12] {
            let server = authority.server(&[version], None);
            let address = terminate(server, broker.address()).await;
            let churn = "connection-churn -C 20 -x 2 --quiet --json --tls";
            let churn = format!("{churn} --cacert {cacert} --address {address}");
            let tls = &summary(&churn).await["tls"];
            assert_eq!(tls["full_handshakes"], 40, "{tls}");
            assert_eq!(tls["resumed_handshakes"], 0, "{tls}");
            let tls = &summary(&format!("{churn} --tls-resumption")).await["tls"];
            let of = |name: &str| tls[name].as_u64().expect("a number");
            assert_eq!(
                of("full_handshakes") + of("resumed_handshakes"),
                40,
                "{tls}"
            );
            // The first of each connection at a time, and a few for which no ticket had come yet.
            assert!(of("resumed_handshakes") >= 20, "{tls}");
        }
    });
}

#[test]
fn a_broker_that_is_not_trusted_is_refused_with_a_reason() {
    run(async {
        let broker = TestBroker::start().await;
        let (authority, other) = (Authority::new("An authority"), Authority::new("Another"));
        let address = terminate(authority.server(ALL, None), broker.address()).await;
        let (cacert, unknown) = (authority.file("ca.pem"), other.file("ca.pem"));
        let at = format!("-C 10 --quiet --tls --address {address}");
        let not_known = "is not signed by a known authority: --cacert";
        fails(&format!("{at} --cacert {unknown}"), 1, not_known).await;
        let name = format!("{at} --cacert {cacert} --server-name broker.example");
        fails(&name, 1, "is for localhost, not for broker.example").await;
        let by_number = address.replace("localhost", "127.0.0.1");
        let number = format!("-C 10 --quiet --tls --cacert {cacert} --address {by_number}");
        fails(&number, 1, "is for localhost, not for 127.0.0.1").await;
        let output = leveretperf(&format!("{number} --server-name localhost")).await;
        assert_eq!(output.status, Some(0), "{output:?}");
        // Without any check, which is said.
        for insecure in [
            format!("{at} --insecure"),
            format!("-C 10 --quiet --uri amqps://{by_number}?verify=verify_none"),
        ] {
            let output = leveretperf(&insecure).await;
            assert_eq!(output.status, Some(0), "{output:?}");
            assert!(
                output.stdout.contains("certificate not checked"),
                "{output:?}"
            );
            assert!(
                output.stderr.contains("certificate is not checked"),
                "{output:?}"
            );
        }
    });
}

#[test]
fn clients_show_their_certificates() {
    run(async {
        let broker = TestBroker::start().await;
        let (authority, other) = (Authority::new("An authority"), Authority::new("Another"));
        authority.issue("client", "a.client");
        other.issue("client", "a.stranger");
        for version in [&TLS13, &TLS12] {
            let server = authority.server(&[version], Some(&authority));
            let address = terminate(server, broker.address()).await;
            let at = format!(
                "-C 10 --quiet --tls --cacert {} --address {address}",
                authority.file("ca.pem")
            );
            let shown = |of: &Authority| {
                let (cert, key) = (of.file("client.pem"), of.file("client.key"));
                format!("{at} --cert {cert} --key {key}")
            };
            let output = leveretperf(&shown(&authority)).await;
            assert_eq!(output.status, Some(0), "{output:?}");
            fails(&at, 1, "--cert").await;
            let stranger = "does not know the authority that signed the client certificate";
            fails(&shown(&other), 1, stranger).await;
        }
        // Both in one file.
        let read = |name| std::fs::read_to_string(authority.path(name)).expect("a file");
        let both = read("client.pem") + &read("client.key");
        authority.write("both.pem", &both);
        let server = authority.server(ALL, Some(&authority));
        let address = terminate(server, broker.address()).await;
        let (ca, both) = (authority.file("ca.pem"), authority.file("both.pem"));
        let uri = format!("amqps://{address}?cacertfile={ca}&certfile={both}");
        let output = leveretperf(&format!("-C 10 --quiet --uri {uri}")).await;
        assert_eq!(output.status, Some(0), "{output:?}");
    });
}

#[test]
fn files_that_cannot_be_used_are_named() {
    run(async {
        let (authority, other) = (Authority::new("An authority"), Authority::new("Another"));
        authority.issue("client", "a.client");
        other.issue("client", "another.client");
        let of = |name: &str| authority.file(name);
        authority.write("empty.pem", "");
        authority.write("torn.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
        let encrypted =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        authority.write("locked.key", encrypted);
        let (cert, ca) = (of("client.pem"), of("ca.pem"));
        for (arguments, mention) in [
            (format!("--cacert {}", of("none.pem")), "No such file"),
            (
                format!("--cacert {}", of("empty.pem")),
                "there is no PEM block",
            ),
            (
                format!("--cacert {}", of("torn.pem")),
                "the file is not complete",
            ),
            (
                format!("--cacert {ca} --cert {}", of("none.pem")),
                "none.pem",
            ),
            (
                format!("--cacert {ca} --cert {cert}"),
                "there is no private key in it",
            ),
            (
                format!("--cacert {ca} --cert {cert} --key {}", of("locked.key")),
                "the private key is encrypted",
            ),
            (
                format!(
                    "--cacert {ca} --cert {cert} --key {}",
                    other.file("client.key")
                ),
                "is not that of the certificate in",
            ),
            (
                format!("--cacert {ca} --server-name a_b..c"),
                "is not a name for TLS",
            ),
        ] {
            let arguments = format!("--tls --address localhost:1 {arguments}");
            fails(&arguments, 1, mention).await;
        }
    });
}

#[test]
fn ports_with_and_without_tls_are_told_apart() {
    run(async {
        let broker = TestBroker::start().await;
        let authority = Authority::new("An authority");
        let cacert = authority.file("ca.pem");
        let address = terminate(authority.server(ALL, None), broker.address()).await;
        let plain = broker.address();
        let to_plain = format!("--quiet --tls --cacert {cacert} --address {plain}");
        fails(
            &to_plain,
            1,
            "the broker expects AMQP without TLS on this port",
        )
        .await;
        let to_tls = format!("--quiet --address {address}");
        fails(&to_tls, 1, "the broker expects TLS on this port").await;
    });
}

#[test]
fn a_handshake_that_does_not_end_is_given_up() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let silent = tokio::spawn(async move {
            let mut sockets = Vec::new();
            while let Ok((socket, _)) = listener.accept().await {
                sockets.push(socket);
            }
        });
        let at = "--quiet --patience 1 --insecure --tls --address";
        let undone = "the broker has not completed the TLS handshake for 1 seconds";
        fails(&format!("{at} {address}"), 1, undone).await;
        silent.abort();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut hello = [0; 5];
                // Half of a record.
                let _ = socket.read_exact(&mut hello).await;
                let _ = socket.write_all(&[0x16, 3, 3, 1]).await;
                let _ = socket.shutdown().await;
                let _ = socket.read(&mut [0; 4096]).await;
            }
        });
        let closed = "closed the connection during the TLS handshake";
        fails(&format!("{at} {address}"), 1, closed).await;
    });
}

/// A broker's side of a login, as far as start-ok, with connection.close as the answer.
#[test]
fn external_logs_in_without_a_password() {
    run(async {
        let authority = Authority::new("An authority");
        authority.issue("client", "a.client");
        let server = authority.server(ALL, Some(&authority));
        let address = serve(server, async |mut stream| {
            let mut header = [0; 8];
            stream.read_exact(&mut header).await?;
            let mut start = vec![0, 10, 0, 10, 0, 9, 0, 0, 0, 0];
            for text in ["EXTERNAL PLAIN", "en_US"] {
                start.extend((text.len() as u32).to_be_bytes());
                start.extend(text.as_bytes());
            }
            stream.write_all(&frame(&start)).await?;
            let mut head = [0; 7];
            stream.read_exact(&mut head).await?;
            let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
            let mut start_ok = vec![0; size + 1];
            stream.read_exact(&mut start_ok).await?;
            // The mechanism, an empty response, and the locale.
            let expected = b"\x08EXTERNAL\0\0\0\0\x05en_US\xce";
            let said = match start_ok.ends_with(expected) {
                true => "EXTERNAL WITHOUT RESPONSE",
                false => "SOMETHING ELSE",
            };
            let mut close = vec![0, 10, 0, 50, 1, 147, said.len() as u8];
            close.extend(said.as_bytes());
            close.extend([0, 0, 0, 0]);
            stream.write_all(&frame(&close)).await?;
            stream.read_to_end(&mut start_ok).await.map(drop)
        })
        .await;
        let (ca, cert) = (authority.file("ca.pem"), authority.file("client.pem"));
        let key = authority.file("client.key");
        let at = format!("--quiet --cacert {ca} --cert {cert} --key {key} --external");
        let closed = "403 EXTERNAL WITHOUT RESPONSE";
        fails(&format!("{at} --tls --address {address}"), 1, closed).await;
        let uri = format!("amqps://{address}?auth_mechanism=external&cacertfile={ca}");
        let at = format!("--quiet --cert {cert} --key {key} --uri {uri}");
        fails(&at, 1, closed).await;
    });
}

fn frame(method: &[u8]) -> Vec<u8> {
    let mut frame = vec![1, 0, 0];
    frame.extend((method.len() as u32).to_be_bytes());
    frame.extend(method);
    frame.push(0xce);
    frame
}
