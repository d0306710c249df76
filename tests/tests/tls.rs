//! TLS as operators and clients meet it: certificates that expire and are replaced, clients with certificates, pika, openssl.

use std::process::{Command, Stdio};

use amq_protocol::protocol::{AMQPClass, connection};
use amq_protocol::types::{AMQPValue, FieldTable};
use leveret_tests::python::{Pika, Script};
use leveret_tests::raw::{Raw, Tune};
use leveret_tests::tls::Ca;
use leveret_tests::{TestBroker, broker_command, eventually, run};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Starts a broker with a certificate for `localhost`, and these options.
async fn broker(ca: &Ca, options: &[&str]) -> Option<TestBroker> {
    ca.server("server.pem", 90);
    let certificate = ca.path("server.pem");
    let mut all = vec!["--tls-certfile", &*certificate];
    all.extend(options);
    TestBroker::start_own_with(&all).await
}

/// Starts a broker that asks clients for certificates and takes users' names from them.
async fn verifying(ca: &Ca) -> Option<TestBroker> {
    let authorities = ca.path("ca.pem");
    let options = [
        "--tls-cacertfile",
        &*authorities,
        "--tls-verify",
        "verify_peer",
        "--auth-mechanisms",
        "PLAIN,EXTERNAL",
        "--ssl-cert-login-from",
        "common_name",
    ];
    let broker = broker(ca, &options).await?;
    broker.ctl(&["add_user", "app", "not this way"]).await;
    broker
        .ctl(&["set_permissions", "app", ".*", ".*", ".*"])
        .await;
    Some(broker)
}

async fn send_external(raw: &mut Raw) {
    // It wants to be told why its login fails.
    let mut capabilities = FieldTable::default();
    capabilities.insert(
        "authentication_failure_close".into(),
        AMQPValue::Boolean(true),
    );
    let mut client_properties = FieldTable::default();
    client_properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    let start_ok = connection::StartOk {
        mechanism: "EXTERNAL".into(),
        locale: "en_US".into(),
        response: "".into(),
        client_properties,
    };
    let method = connection::AMQPMethod::StartOk(start_ok);
    raw.send(0, AMQPClass::Connection(method)).await;
}

#[test]
fn a_certificate_logs_its_user_in_and_is_shown_with_the_connection() {
    run(async {
        let ca = Ca::default();
        ca.client("app.pem", "app");
        let Some(mut broker) = verifying(&ca).await else {
            return;
        };
        let address = broker.listener("tls", 0).to_owned();
        let mut raw = Raw::over(ca.dial(&address, Some("app.pem")).await);
        let start = raw.start().await;
        assert_eq!(start.mechanisms.to_string(), "PLAIN EXTERNAL");
        send_external(&mut raw).await;
        raw.method_on(0).await;
        raw.tune_and_open(Tune::default()).await;
        raw.method_on(0).await;
        raw.open_channel(1).await;
        let columns = "user auth_mechanism ssl ssl_protocol ssl_key_exchange ssl_cipher ssl_hash peer_cert_subject \
                       peer_cert_issuer";
        let mut words = vec!["-q", "list_connections", "--no-table-headers"];
        words.extend(columns.split_whitespace());
        let listed = broker.ctl(&words).await;
        let expected = "app\tEXTERNAL\ttrue\ttlsv1.3\tany\taes_256_gcm\taead\tCN=app\tCN=The test's authority\n";
        assert_eq!(listed, expected);
        let described = broker
            .ask("GET", "/api/connections", Value::Null)
            .await
            .body;
        assert_eq!(described[0]["peer_cert_subject"], "CN=app");
        assert_eq!(described[0]["ssl"], true);

        // Without a certificate the mechanism is there, and the log says what is missing.
        let mut raw = Raw::over(ca.dial(&address, None).await);
        raw.start().await;
        send_external(&mut raw).await;
        let text = "ACCESS_REFUSED - Login was refused using authentication mechanism EXTERNAL. For details see the broker \
                    logfile.";
        assert_eq!(raw.closed().await, (403, text.to_owned()));
        let said = |line: &str| {
            line.contains("the client sent no certificate")
                .then_some(())
        };
        broker.process().line("what is missing", said).await;

        // Without TLS there can be no certificate.
        let mut raw = Raw::dial(&broker).await;
        assert_eq!(raw.start().await.mechanisms.to_string(), "PLAIN");
        send_external(&mut raw).await;
        assert_eq!(raw.closed_or_ended().await, None);
    });
}

#[test]
fn pika_speaks_both_versions_and_logs_in_with_a_certificate() {
    run(async {
        let ca = Ca::default();
        ca.client("app.pem", "app");
        let Some(broker) = verifying(&ca).await else {
            return;
        };
        let (_, port) = broker.listener("tls", 0).rsplit_once(':').expect("a port");
        let (authority, certificate) = (ca.path("ca.pem"), ca.path("app.pem"));
        let session = Script::own(Pika::V1_3_2, "tls", "session.py");
        for version in ["TLSv1_2", "TLSv1_3"] {
            for client in [&[][..], &[&*certificate]] {
                let arguments = [&[port, &*authority, version], client].concat();
                assert_eq!(session.run(&broker, &arguments).await, ["equal"]);
            }
        }
    });
}

/// Runs `openssl s_client` with these options, and returns what it prints; `None` without openssl.
fn openssl(address: &str, options: &[&str], input: &str) -> Option<(bool, String)> {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-connect", address])
        .args(options);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("its end");
    let text = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

#[test]
fn old_versions_weak_ciphers_and_renegotiation_are_not_spoken() {
    run(async {
        let ca = Ca::default();
        let Some(mut broker) = broker(&ca, &[]).await else {
            return;
        };
        let address = broker.listener("tls", 0).to_owned();
        let authority = ca.path("ca.pem");
        let Some((_, said)) = openssl(&address, &["-tls1_3", "-CAfile", &authority], "") else {
            eprintln!("skipped: there is no openssl");
            return;
        };
        assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
        let (_, said) =
            openssl(&address, &["-tls1_2", "-CAfile", &authority], "").expect("openssl");
        assert!(
            said.contains("Cipher is ECDHE-ECDSA-AES256-GCM-SHA384"),
            "{said}"
        );
        assert!(said.contains("Secure Renegotiation IS supported"), "{said}");
        assert!(said.contains("Compression: NONE"), "{said}");
        // SECLEVEL=0: it is not openssl that refuses.
        for options in [
            &["-tls1", "-cipher", "ALL:@SECLEVEL=0"][..],
            &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
            &[
                "-tls1_2",
                "-cipher",
                "AES128-SHA:AES256-GCM-SHA384:@SECLEVEL=0",
            ],
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"],
            &["-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"],
            &["-tls1_2", "-cipher", "DHE:@SECLEVEL=0"],
        ] {
            let (succeeded, said) = openssl(&address, options, "").expect("openssl");
            assert!(!succeeded, "{options:?}: {said}");
        }
        let (succeeded, said) = openssl(&address, &["-tls1_2"], "R\n").expect("openssl");
        assert!(!succeeded && said.contains("RENEGOTIATING"), "{said}");
        let said = |line: &str| {
            line.contains("no version of TLS that is supported")
                .then_some(())
        };
        broker.process().line("why", said).await;
    });
}

#[test]
fn replaced_certificates_are_served_without_a_restart() {
    run(async {
        let ca = Ca::default();
        let Some(mut broker) = broker(&ca, &[]).await else {
            return;
        };
        let address = broker.listener("tls", 0).to_owned();
        let shown = async || {
            let stream = ca.dial(&address, None).await;
            let chain = stream.get_ref().1.peer_certificates().expect("a chain");
            chain[0].clone().into_owned()
        };
        let mut before = Raw::over(ca.dial(&address, None).await).as_guest().await;
        let new = ca.server("server.pem", 80);
        eventually("the new certificate", async || {
            (shown().await == new).then_some(())
        })
        .await;
        let newer = ca.server("server.pem", 70);
        broker.ctl(&["reload_tls"]).await;
        assert_eq!(shown().await, newer);
        std::fs::write(ca.file("server.pem"), "nonsense").expect("a file");
        let refused = broker.try_ctl(&["reload_tls"]).await;
        assert_ne!(refused.status, Some(0));
        let wanted = "the old certificates stay in force";
        assert!(refused.stderr.contains(wanted), "{refused:?}");
        broker.process().signal("HUP");
        let said = |line: &str| line.contains("configuration not reloaded").then_some(());
        broker.process().line("why", said).await;
        assert_eq!(shown().await, newer);
        before.open_channel(1).await;
        before.declare(1, "q").await;
    });
}

#[test]
fn it_is_told_in_time_that_a_certificate_expires() {
    run(async {
        let ca = Ca::default();
        let certificate = ca.path("server.pem");
        ca.server("server.pem", 10);
        let options = ["--tls-certfile", &certificate];
        let Some(mut broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        let said = |line: &str| line.contains("a certificate expires soon").then_some(());
        broker.process().line("the warning", said).await;
        let checked = broker
            .try_ctl(&["-q", "check_certificate_expiration"])
            .await;
        assert_eq!(checked.status, Some(69), "{checked:?}");
        let failed = format!("certfile: \"{certificate}\"");
        assert!(checked.stderr.contains(&failed), "{checked:?}");
        let week = ["-q", "check_certificate_expiration", "--within", "1"];
        let wanted = "No certificates are expiring within 1 week.\n";
        assert_eq!(broker.ctl(&week).await, wanted);
        let pem = broker.ctl(&["-q", "certificates"]).await;
        assert!(
            pem.contains("BEGIN CERTIFICATE") && !pem.contains("PRIVATE"),
            "{pem}"
        );
        assert!(
            broker
                .ctl(&["-q", "cipher_suites"])
                .await
                .starts_with("TLS_AES_256")
        );
        let mut https = ca.dial(broker.listener("management_tls", 0), None).await;
        let request =
            b"GET /metrics HTTP/1.1\r\nhost: x\r\nauthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\
                        connection: close\r\n\r\n";
        https.write_all(request).await.expect("sent");
        let mut metrics = String::new();
        https.read_to_string(&mut metrics).await.expect("an answer");
        let name = "leveret_tls_certificate_expires_at_seconds{";
        assert!(metrics.contains(name), "{metrics}");
    });
}

#[test]
fn certificates_to_try_tls_with_are_made_by_one_command() {
    run(async {
        let folder = tempfile::tempdir().expect("a directory");
        let directory = folder.path().join("tls");
        let make = || {
            let mut command = broker_command();
            command.args(["tls", "selfsigned", "--host", "localhost", "--directory"]);
            command.arg(&directory).output().expect("it runs")
        };
        let made = make();
        let said = String::from_utf8_lossy(&made.stdout);
        assert!(
            made.status.success() && said.contains("leveret --tls-certfile"),
            "{made:?}"
        );
        let again = make();
        assert_eq!(again.status.code(), Some(2));
        let said = String::from_utf8_lossy(&again.stderr);
        assert!(said.contains("exists and is not overwritten"), "{said}");
        let path = |name: &str| directory.join(name).display().to_string();
        let (certificate, key) = (path("server.pem"), path("server.key"));
        let options = ["--tls-certfile", &*certificate, "--tls-keyfile", &*key];
        let Some(broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        let (_, port) = broker.listener("tls", 0).rsplit_once(':').expect("a port");
        let session = Script::own(Pika::V1_3_2, "tls", "session.py");
        let lines = session
            .run(&broker, &[port, &path("ca.pem"), "TLSv1_3"])
            .await;
        assert_eq!(lines, ["equal"]);
    });
}
