//! The virtual host and the user of a new data directory, from variables and files, Leveret's and RabbitMQ's.

use super::can_log_in;
use leveret_tests::{Client, Process, TestBroker, broker_command, run};
use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

fn is_elsewhere() -> bool {
    std::env::var_os("LEVERET_TEST_ADDRESS").is_some()
}

fn folder() -> TempDir {
    TempDir::with_prefix("leveret-test-").expect("a temporary directory")
}

async fn started(variables: &[(&'static str, &str)], options: &[&str]) -> TestBroker {
    let variables = variables.iter();
    let variables = variables.map(|(name, value)| (*name, OsString::from(value)));
    TestBroker::start_in(folder(), options, variables.collect()).await
}

/// Runs a broker that does not start, and returns its output.
async fn refused(variables: &[(&str, &str)], options: &[&str]) -> String {
    let data = folder();
    let mut command: Command = broker_command();
    command.args(["--port", "0", "--data-dir"]).arg(data.path());
    command.args(options).envs(variables.iter().copied());
    let mut process = Process::start("leveret", &mut command);
    let status = tokio::time::timeout(Duration::from_secs(10), process.ended());
    assert!(!status.await.expect("it ends by itself").success());
    let mut words = String::new();
    leveret_tests::eventually("a word of explanation", async || {
        words = process.lines().join("\n");
        words.contains("error").then_some(())
    })
    .await;
    assert!(!words.contains("panicked"), "{words}");
    words
}

#[test]
fn variables_name_the_user_the_password_and_the_virtual_host() {
    run(async {
        if is_elsewhere() {
            return;
        }
        let ours = [
            ("LEVERET_DEFAULT_USER", "hare"),
            ("LEVERET_DEFAULT_PASS", "field"),
            ("LEVERET_DEFAULT_VHOST", "meadow"),
        ];
        let broker = started(&ours, &[]).await;
        let client = Client::login(&broker, "hare", "field", "meadow").await;
        client.expect("hare logs in").close().await;
        assert!(!can_log_in(&broker, "guest", "guest").await);
        let vhosts = broker
            .ctl(&["-q", "list_vhosts", "--no-table-headers"])
            .await;
        assert_eq!(vhosts, "meadow\n");
    });
}

#[test]
fn the_password_may_be_in_a_file_and_in_one_place_only() {
    run(async {
        if is_elsewhere() {
            return;
        }
        let files = folder();
        let path = |name: &str, text: &str| {
            let path = files.path().join(name);
            std::fs::write(&path, text).expect("it is written");
            path.to_str().expect("text").to_owned()
        };
        let file = path("pass", "field\n");
        let both = [
            ("LEVERET_DEFAULT_PASS_FILE", &*file),
            ("LEVERET_DEFAULT_USER", "hare"),
        ];
        let broker = started(&both, &[]).await;
        assert!(can_log_in(&broker, "hare", "field").await);
        let rabbitmqs = [
            ("RABBITMQ_DEFAULT_PASS_FILE", &*file),
            ("RABBITMQ_DEFAULT_USER", "hare"),
        ];
        let broker = started(&rabbitmqs, &[]).await;
        assert!(can_log_in(&broker, "hare", "field").await);
        let twice = [
            ("LEVERET_DEFAULT_PASS_FILE", &*file),
            ("LEVERET_DEFAULT_PASS", "x"),
        ];
        let words = refused(&twice, &[]).await;
        assert!(
            words.contains("LEVERET_DEFAULT_PASS_FILE: the password is given directly, too"),
            "{words}"
        );
        for (name, text, wanted) in [
            ("empty", "", "empty is empty"),
            ("long", "one\ntwo\n", "long has more than one line"),
        ] {
            let words = refused(&[("LEVERET_DEFAULT_PASS_FILE", &path(name, text))], &[]).await;
            assert!(words.contains(wanted), "{words}");
        }
        let words = refused(&[("LEVERET_DEFAULT_PASS_FILE", "/nowhere/x")], &[]).await;
        assert!(words.contains("/nowhere/x: No such file"), "{words}");
    });
}

#[test]
fn variables_of_rabbitmq_are_taken_named_and_weaker_than_ours() {
    run(async {
        if is_elsewhere() {
            return;
        }
        let variables = [
            ("RABBITMQ_DEFAULT_USER", "hare"),
            ("RABBITMQ_DEFAULT_PASS", "field"),
            ("RABBITMQ_DEFAULT_VHOST", "meadow"),
            ("LEVERET_DEFAULT_VHOST", "forest"),
            ("RABBITMQ_DEFAULT_PERMISSIONS", "x"),
            ("RABBITMQ_SSL_CERTFILE", "/x"),
            ("RABBITMQ_PORT_5672_TCP_ADDR", "10.0.0.1"),
        ];
        let mut broker = started(&variables, &[]).await;
        let client = Client::login(&broker, "hare", "field", "forest").await;
        client.expect("hare logs in").close().await;
        let log = broker.process().lines().join("\n");
        for variable in ["RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS"] {
            assert!(
                log.contains(&format!("\"variable\":\"{variable}\"")),
                "{log}"
            );
        }
        assert!(
            !log.contains("\"variable\":\"RABBITMQ_DEFAULT_VHOST\""),
            "{log}"
        );
        let unknown = "\"variables\":\"RABBITMQ_DEFAULT_PERMISSIONS, RABBITMQ_SSL_CERTFILE\"";
        assert!(log.contains(unknown), "{log}");
        // "fields" stands in every line.
        assert!(!log.contains("\"field\""), "{log}");
    });
}

#[test]
fn nobody_can_guess_the_administrator_from_the_network() {
    run(async {
        if is_elsewhere() {
            return;
        }
        // Refused before anything listens.
        let open = ["--bind", "0.0.0.0", "--loopback-users=none"];
        for (user, password) in [
            ("admin", "admin"),
            ("admin", "change me"),
            ("guest", "guest"),
        ] {
            let variables = [
                ("RABBITMQ_DEFAULT_USER", user),
                ("RABBITMQ_DEFAULT_PASS", password),
            ];
            let words = refused(&variables, &open).await;
            assert!(words.contains("a password that anybody guesses"), "{words}");
        }
        let variables = [
            ("LEVERET_DEFAULT_USER", "admin"),
            ("LEVERET_DEFAULT_PASS", "admin"),
        ];
        let mut logs = Vec::new();
        for options in [&["--loopback-users=admin"][..], &[]] {
            let mut broker = started(&variables, options).await;
            assert!(can_log_in(&broker, "admin", "admin").await);
            logs.push(broker.process().lines().join("\n"));
        }
        let warned = "a password that anybody guesses";
        assert!(!logs[0].contains(warned), "{}", logs[0]);
        assert!(logs[1].contains(warned), "{}", logs[1]);
        let mut broker = started(&[], &["--loopback-users=none"]).await;
        assert!(broker.process().lines().join("\n").contains(warned));
        let again = "with a password that everybody knows";
        broker.restart().await;
        assert!(broker.process().lines().join("\n").contains(again));
        broker.ctl(&["change_password", "guest", "q7Hn2"]).await;
        broker.restart().await;
        assert!(!broker.process().lines().join("\n").contains(again));
    });
}
