//! Where settings come from, what `--check-config` says of them, which data directories are refused, and how leveretctl finds
//! the broker.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use leveret_tests::tools::needed;
use leveret_tests::{
    Process, TestBroker, binaries, broker_command, eventually, isolate, ready_address, run,
};
use serde_json::json;
use tempfile::TempDir;

fn needs_leveret() -> bool {
    std::env::var_os("LEVERET_TEST_ADDRESS").is_some()
}

fn folder() -> TempDir {
    TempDir::with_prefix("leveret-test-").expect("a temporary directory")
}

/// Runs `leveret --check-config` with these arguments.
fn checked(arguments: &[&str]) -> Output {
    let mut command = broker_command();
    command.arg("--check-config").args(arguments);
    command.output().expect("leveret runs")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Makes certificates, and returns arguments that name them.
fn certificates(folder: &Path) -> [String; 4] {
    let mut command = broker_command();
    command
        .args(["tls", "selfsigned", "--directory"])
        .arg(folder.join("tls"));
    assert!(command.output().expect("leveret runs").status.success());
    let path = |name: &str| text(&folder.join("tls").join(name)).to_owned();
    [
        "--tls-certfile".to_owned(),
        path("server.pem"),
        "--tls-keyfile".to_owned(),
        path("server.key"),
    ]
}

#[test]
fn check_config_reads_what_a_start_reads_and_changes_nothing() {
    run(async {
        if needs_leveret() {
            return;
        }
        let folder = folder();
        let (settings, data) = (folder.path().join("settings"), folder.path().join("data"));
        fs::create_dir(&settings).expect("a directory");
        fs::write(settings.join("a.toml"), "port = 1\nheartbeat = 5\n").expect("a file");
        let b = "port = 2\nload_definitions = 'd.json'\ndata_dir = '../data'\nlog_file = '/nowhere/x'\n";
        fs::write(settings.join("b.toml"), b).expect("a file");
        let definitions =
            json!({"vhosts": [{"name": "/"}], "queues": [{"vhost": "/", "name": "q"}]});
        fs::write(settings.join("d.json"), definitions.to_string()).expect("a file");
        let tls = certificates(folder.path());
        let mut arguments = vec!["--config", text(&settings)];
        arguments.extend(tls.iter().map(String::as_str));
        let output = checked(&arguments);
        let said = String::from_utf8_lossy(&output.stdout);
        let wanted = format!(
            "These configuration files were read, of which later ones win:\n  {0}/a.toml\n  {0}/b.toml\n",
            settings.display()
        );
        assert!(said.starts_with(&wanted), "{output:?}");
        assert!(
            said.ends_with("The configuration is valid.\n"),
            "{output:?}"
        );
        assert_eq!(output.status.code(), Some(0));
        assert!(!data.exists() && !Path::new("/nowhere").exists());
    });
}

#[test]
fn check_config_ends_as_a_start_would() {
    run(async {
        if needs_leveret() {
            return;
        }
        let folder = folder();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("a file");
            path.to_str().expect("a plain path").to_owned()
        };
        let data = folder.path().join("data");
        let [certfile, certificate, keyfile, key] = certificates(folder.path());
        let other_key = folder.path().join("tls/client.key");
        let wrong = write("wrong.toml", "\nprot = 1");
        let no_json = write("no.json", "nonsense");
        let policy =
            json!({"vhost": "/", "name": "p", "pattern": ".*", "definition": {"max-length": "x"}});
        let invalid = json!({"vhosts": [{"name": "/"}], "policies": [policy]}).to_string();
        let invalid = write("invalid.json", &invalid);
        for (arguments, status, said) in [
            (
                vec!["--config", &*wrong],
                78,
                "wrong.toml: line 2: unknown key `prot`: did you mean `port`?",
            ),
            (
                vec!["--config", "/nowhere/x.toml"],
                78,
                "/nowhere/x.toml: No such file",
            ),
            (vec!["--port", "99999"], 64, "not a number from 0 to 65535"),
            (
                vec!["--vm-memory-high-watermark", "40"],
                64,
                "did you mean 0.4 (40 % of the memory) or 40MB?",
            ),
            (
                vec!["--default-pass-file", "/nowhere/pass"],
                78,
                "/nowhere/pass",
            ),
            (vec![&*certfile, "/nowhere/c.pem"], 1, "/nowhere/c.pem"),
            (
                vec![&*certfile, &*certificate, &*keyfile, text(&other_key)],
                1,
                "cannot set up TLS",
            ),
            (
                vec![
                    "--tls-crlfile",
                    &*key,
                    &*certfile,
                    &*certificate,
                    &*keyfile,
                    &*key,
                ],
                1,
                "cannot set up TLS",
            ),
            (
                vec!["--listeners", "amqps://localhost:1"],
                69,
                "there is no certificate for TLS",
            ),
            (
                vec!["--listeners", "no-such-host.invalid:1"],
                69,
                "the name cannot be resolved",
            ),
            (
                vec!["--load-definitions", &*no_json],
                1,
                "no.json is not a definition file",
            ),
            (
                vec!["--load-definitions", &*invalid],
                1,
                "policy 'p' in vhost '/'",
            ),
            (
                vec!["check", "--data-dir", text(&data)],
                64,
                "--check-config is for a start without a command",
            ),
        ] {
            let output = checked(&arguments);
            let words = String::from_utf8_lossy(&output.stderr);
            assert_eq!(
                output.status.code(),
                Some(status),
                "{arguments:?}: {output:?}"
            );
            assert!(words.contains(said), "{arguments:?}: {words}");
            let errors = words
                .lines()
                .filter(|line| line.starts_with("leveret: error: "));
            assert_eq!(errors.count(), 1, "{words}");
            assert!(output.stdout.is_empty(), "{output:?}");
        }
        assert!(!data.exists());
    });
}

#[test]
fn a_data_directory_of_something_else_is_refused_before_anything_is_written() {
    run(async {
        if needs_leveret() {
            return;
        }
        for (names, said) in [
            (
                &["mnesia/x", ".erlang.cookie"][..],
                "docs/moving-from-rabbitmq.md",
            ),
            (&["thesis.txt"], "holds what is not Leveret's (thesis.txt)"),
            (&["store/shop.db"], "a folder store that is not Leveret's"),
        ] {
            let folder = folder();
            for name in names {
                let path = folder.path().join(name);
                fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
                fs::write(path, "").expect("a file");
            }
            let before = tree(folder.path());
            let mut command = broker_command();
            command.args(["--bind", "127.0.0.1", "--port", "0", "--data-dir"]);
            command.arg(folder.path());
            command
                .arg("--log-file")
                .arg(folder.path().join("leveret.log"));
            let output = command.output().expect("leveret runs");
            let words = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(78), "{words}");
            assert!(
                words.contains(said) && words.contains("nothing was changed"),
                "{words}"
            );
            assert_eq!(words.lines().count(), 1, "{words}");
            assert_eq!(tree(folder.path()), before);
        }
    });
}

/// Returns the paths below a directory.
fn tree(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        found.push(path.display().to_string());
        if path.is_dir() {
            found.extend(tree(&path));
        }
    }
    found.sort();
    found
}

#[test]
fn a_test_broker_takes_nothing_from_the_machine() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let lines = broker.process().lines();
        let starting = lines.iter().find(|line| line.contains("leveret starting"));
        let starting = starting.expect("a first line");
        assert!(!starting.contains("config_files"), "{starting}");
        assert!(
            !lines
                .iter()
                .any(|line| line.contains("variable of RabbitMQ")),
            "{lines:?}"
        );
    });
}

/// Runs leveretctl as somebody who has never heard of data directories.
fn plain_ctl(home: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(&binaries().leveretctl);
    isolate(&mut command);
    command
        .env("HOME", home)
        .env_remove("XDG_DATA_HOME")
        .env_remove("SUDO_UID");
    command.args(words).output().expect("leveretctl runs")
}

/// The tests run many brokers at a time, so this one may not be the only one.
#[test]
fn leveretctl_finds_or_lists_a_broker_that_runs_elsewhere() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let home = folder();
        let output = plain_ctl(home.path(), &["status"]);
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        let directory = broker.data_dir().display().to_string();
        match output.status.code() {
            Some(0) => assert!(
                out.contains(&format!("Node data directory: {directory}")),
                "{out}"
            ),
            Some(69) => {
                assert!(
                    err.starts_with("Error: several brokers are running:\n"),
                    "{err}"
                );
                assert!(err.contains(&format!("  {directory}\n")), "{err}");
                assert!(err.contains("--data-dir or LEVERET_DATA_DIR"), "{err}");
            }
            other => panic!("{other:?}: {out}{err}"),
        }
    });
}

/// Sockets are told apart by network namespaces: in one of its own, the broker is the only one.
const ALONE: &str = r#"
"$1" --config none --data-dir "$3" --listeners "unix:$3.amqp" --management false >"$3.log" 2>&1 &
broker=$!
"$2" --data-dir "$3" await_startup -t 20 >/dev/null
"$2" status
status=$?
"$2" stop >/dev/null
wait $broker
"$2" list_queues
echo "ended $? after $status" >&2
"#;

#[test]
fn leveretctl_finds_the_only_broker_and_says_where_it_looked_without_one() {
    run(async {
        if needs_leveret() {
            return;
        }
        let flags = ["-n", "-rn"];
        let works = |flag: &&&str| {
            let tried = Command::new("unshare").arg(flag).arg("true").output();
            tried.is_ok_and(|output| output.status.success())
        };
        let Some(flag) = needed("unshare with network namespaces", flags.iter().find(works)) else {
            return;
        };
        let home = folder();
        let data = home.path().join("somewhere/else");
        fs::create_dir(home.path().join("somewhere")).expect("a directory");
        let mut command = Command::new("unshare");
        isolate(&mut command);
        command.arg(flag).args(["sh", "-c", ALONE, "sh"]);
        command
            .arg(&binaries().leveret)
            .arg(&binaries().leveretctl)
            .arg(&data);
        command
            .env("HOME", home.path())
            .env_remove("XDG_DATA_HOME")
            .env_remove("SUDO_UID");
        let output = command.output().expect("unshare runs");
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        let log = fs::read_to_string(data.with_extension("log")).unwrap_or_default();
        let found = format!("Node data directory: {}", data.display());
        assert!(out.contains(&found), "{out}{err}{log}");
        assert!(err.contains("ended 69 after 0"), "{err}");
        assert!(
            err.contains("Error: no broker was found. These places were looked at:\n"),
            "{err}"
        );
        assert!(err.contains("  /var/lib/leveret: "), "{err}");
    });
}

#[test]
fn a_hangup_applies_changed_policies_and_limits_of_the_definitions_or_none() {
    run(async {
        if needs_leveret() {
            return;
        }
        let folder = folder();
        let file = folder.path().join("definitions.json");
        let write = |length: serde_json::Value, more: serde_json::Value| {
            let policy = json!({"vhost": "/", "name": "short", "pattern": ".*", "definition": {"max-length": length}});
            let mut policies = vec![policy];
            policies.extend(more.as_array().cloned().unwrap_or_default());
            let definitions = json!({
                "vhosts": [{"name": "/"}],
                "users": [{"name": "hare", "password": "x", "tags": []}],
                "policies": policies,
                "queues": [{"vhost": "/", "name": "q"}],
            });
            fs::write(&file, definitions.to_string()).expect("a file");
        };
        write(1.into(), json!([]));
        let options = ["--load-definitions", text(&file)];
        let mut broker = TestBroker::start_with(&options).await;
        broker
            .ctl(&["set_policy", "by-hand", "^x", r#"{"max-length":9}"#])
            .await;
        // Nothing changed, nothing is applied, and what was set by hand stays.
        broker.process().signal("HUP");
        logged(&mut broker, "configuration reloaded", 1).await;
        assert_eq!(count(&mut broker, "definitions reloaded"), 0);
        write(2.into(), json!([]));
        broker.process().signal("HUP");
        logged(&mut broker, "definitions reloaded", 1).await;
        let policies = broker.ctl(&["-q", "list_policies"]).await;
        assert!(policies.contains(r#"{"max-length":2}"#), "{policies}");
        assert!(policies.contains(r#"{"max-length":9}"#), "{policies}");
        let wrong = json!([{"vhost": "/", "name": "wrong", "pattern": "(", "definition": {"max-length": 1}}]);
        write(3.into(), wrong);
        broker.process().signal("HUP");
        logged(&mut broker, "configuration not reloaded", 1).await;
        let policies = broker.ctl(&["-q", "list_policies"]).await;
        assert!(
            policies.contains(r#"{"max-length":2}"#) && !policies.contains("wrong"),
            "{policies}"
        );
    });
}

fn count(broker: &mut TestBroker, what: &str) -> usize {
    let lines = broker.process().lines();
    lines.iter().filter(|line| line.contains(what)).count()
}

async fn logged(broker: &mut TestBroker, what: &str, times: usize) {
    eventually(what, async || (count(broker, what) == times).then_some(())).await;
}

#[test]
fn a_later_file_wins_and_status_lists_all() {
    run(async {
        if needs_leveret() {
            return;
        }
        let folder = folder();
        let settings = folder.path().join("conf.d");
        fs::create_dir(&settings).expect("a directory");
        fs::write(
            settings.join("1.toml"),
            "heartbeat = 1\nlog_format = 'json'\n",
        )
        .expect("a file");
        fs::write(settings.join("2.toml"), "heartbeat = 2\n").expect("a file");
        let data = folder.path().join("data");
        let mut command = broker_command();
        command
            .arg("--config")
            .arg(&settings)
            .arg("--data-dir")
            .arg(&data);
        command.args(["--bind", "127.0.0.1", "--port", "0"]);
        let mut process = Process::start("leveret", &mut command);
        process.line("the ready line", ready_address).await;
        let status = TestBroker::ctl_of(&data, &["status"]).await.stdout;
        for name in ["1.toml", "2.toml"] {
            let path = settings.join(name).display().to_string();
            assert!(status.contains(&path), "{status}");
            let starting =
                |line: &&String| line.contains("leveret starting") && line.contains(&path);
            assert!(process.lines().iter().any(|line| starting(&line)), "{path}");
        }
        let environment = TestBroker::ctl_of(&data, &["environment"]).await.stdout;
        assert!(environment.contains("heartbeat"), "{environment}");
    });
}
