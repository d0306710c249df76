//! The broker's flags, variables and file, and mistakes in them.

use std::fs;
use std::process::Command;
use std::time::Duration;

use leveret_tests::{Process, TestBroker, broker_command, ready_address, run};
use tempfile::TempDir;

fn needs_leveret() -> bool {
    std::env::var_os("LEVERET_TEST_ADDRESS").is_some()
}

/// Runs the broker until it exits and returns its exit status and output.
async fn ends(command: &mut Command) -> (Option<i32>, String) {
    let mut process = Process::start("leveret", command);
    let status = tokio::time::timeout(Duration::from_secs(10), process.ended())
        .await
        .expect("it ends by itself");
    let mut words = String::new();
    // Its last lines may still be in the pipe.
    leveret_tests::eventually("a word of explanation", async || {
        words = process.lines().join("\n");
        (!words.is_empty()).then_some(())
    })
    .await;
    (status.code(), words)
}

async fn refused(command: &mut Command, mention: &str) {
    let (status, words) = ends(command).await;
    assert!(
        status.is_some_and(|status| status != 0),
        "{status:?}: {words}"
    );
    assert!(words.contains(mention), "no word of {mention} in: {words}");
    assert!(!words.contains("panicked"), "{words}");
}

#[test]
fn help_shows_the_flags_and_how_variables_are_named() {
    run(async {
        if needs_leveret() {
            return;
        }
        let output = broker_command().arg("--help").output().expect("it runs");
        assert!(output.status.success());
        let help = String::from_utf8_lossy(&output.stdout);
        for flag in [
            "--bind",
            "--port",
            "--data-dir",
            "--log-level",
            "--log-format",
            "--config",
        ] {
            assert!(help.contains(flag), "{flag}: {help}");
        }
        assert!(
            help.contains("LEVERET_DATA_DIR"),
            "no word of the environment: {help}"
        );
    });
}

#[test]
fn mistakes_are_named_in_one_line() {
    run(async {
        if needs_leveret() {
            return;
        }
        let data = TempDir::new().expect("a temporary directory");
        let command = || {
            let mut command = broker_command();
            command
                .arg("--data-dir")
                .arg(data.path())
                .args(["--bind", "127.0.0.1"]);
            command
        };
        refused(command().args(["--port", "0", "--prot", "1"]), "--prot").await;
        refused(command().args(["--port", "rabbit"]), "rabbit").await;
        refused(
            command().args(["--port", "0", "--log-level", "shout"]),
            "shout",
        )
        .await;
        refused(command().env("LEVERET_PORT", "70000"), "70000").await;
        let missing = data.path().join("missing.toml");
        refused(command().arg("--config").arg(&missing), "missing.toml").await;
        let config = data.path().join("leveret.toml");
        fs::write(&config, "prot = 1\n").expect("written");
        refused(command().arg("--config").arg(&config), "prot").await;
    });
}

#[test]
fn a_port_in_use_is_named() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let data = TempDir::new().expect("a temporary directory");
        let mut command = broker_command();
        let port = broker.port().to_string();
        command
            .args(["--bind", "127.0.0.1", "--port", &port, "--data-dir"])
            .arg(data.path());
        refused(&mut command, &port).await;
    });
}

/// An address of this machine that nobody else uses.
const SPARE: &str = "127.15.67.2";

#[test]
fn an_occupied_default_port_of_the_management_api_is_a_warning_and_a_chosen_one_an_error() {
    run(async {
        if needs_leveret() {
            return;
        }
        let _occupied = std::net::TcpListener::bind((SPARE, 15672)).expect("a free address");
        let data = TempDir::new().expect("a temporary directory");
        let command = || {
            let mut command = broker_command();
            command.env_remove("LEVERET_MANAGEMENT_PORT");
            command.args(["--bind", "127.0.0.1", "--port", "0", "--log-format", "json"]);
            command.args(["--management-bind", SPARE, "--data-dir"]);
            command.arg(data.path());
            command
        };
        let mut asked_for = command();
        asked_for.args(["--management-port", "15672"]);
        refused(&mut asked_for, "--management-port").await;
        let mut process = Process::start("leveret", &mut command());
        process.line("the ready line", ready_address).await;
        let lines = process.lines();
        let warned =
            |line: &String| line.contains("WARN") && line.contains("default port is in use");
        assert!(lines.iter().any(warned), "{lines:#?}");
    });
}

#[test]
fn without_the_management_api_nobody_listens_for_it() {
    run(async {
        if needs_leveret() {
            return;
        }
        let data = TempDir::new().expect("a temporary directory");
        let mut command = broker_command();
        command.env_remove("LEVERET_MANAGEMENT_PORT");
        command.args(["--bind", "127.0.0.1", "--port", "0", "--log-format", "json"]);
        command.args(["--management", "false", "--management-bind", "127.15.67.3"]);
        command.arg("--data-dir").arg(data.path());
        let mut process = Process::start("leveret", &mut command);
        process.line("the ready line", ready_address).await;
        let refused = std::net::TcpStream::connect(("127.15.67.3", 15672));
        let kind = refused.expect_err("nobody listens").kind();
        assert_eq!(kind, std::io::ErrorKind::ConnectionRefused);
        let lines = process.lines();
        assert!(
            !lines.iter().any(|line| line.contains("WARN")),
            "{lines:#?}"
        );
    });
}

#[test]
fn a_data_directory_in_use_is_named() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let mut command = broker_command();
        command
            .args(["--bind", "127.0.0.1", "--port", "0", "--data-dir"])
            .arg(broker.data_dir());
        let directory = broker.data_dir().to_str().expect("a plain path").to_owned();
        refused(&mut command, &directory).await;
        // The one that holds it is unaffected.
        broker.client().await.close().await;
    });
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    run(async {
        if needs_leveret() {
            return;
        }
        let data = TempDir::new().expect("a temporary directory");
        // A file in place of a folder stops even root.
        let file = data.path().join("file");
        fs::write(&file, "").expect("written");
        let mut command = broker_command();
        command
            .args(["--bind", "127.0.0.1", "--port", "0", "--data-dir"])
            .arg(file.join("data"));
        refused(&mut command, "file/data").await;
    });
}

#[test]
fn settings_come_from_variables_and_the_file_and_flags_win() {
    run(async {
        if needs_leveret() {
            return;
        }
        let data = TempDir::new().expect("a temporary directory");
        let config = data.path().join("leveret.toml");
        fs::write(&config, "port = 1\nlog_format = \"json\"\n").expect("written");
        let mut command = broker_command();
        command
            .env("LEVERET_CONFIG", &config)
            .env("LEVERET_BIND", "127.0.0.1")
            .env("LEVERET_PORT", "1")
            .env("LEVERET_DATA_DIR", data.path().join("data"))
            .args(["--port", "0"]);
        command.env("LEVERET_MANAGMENT", "false");
        let mut process = Process::start("leveret", &mut command);
        let address = process.line("the ready line", ready_address).await;
        let log = process.lines().join("\n");
        assert!(
            log.contains("no settings") && log.contains("LEVERET_MANAGMENT"),
            "{log}"
        );
        assert!(
            address.starts_with("127.0.0.1:") && !address.ends_with(":1"),
            "{address}"
        );
        assert!(data.path().join("data").is_dir());
    });
}
