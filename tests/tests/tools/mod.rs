//! Other people's tools on the HTTP API: `tests/tools/README.md`.

mod flower;
mod table;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use leveret_tests::tools::{debian, needed, programs};
use leveret_tests::{Client, TestBroker, eventually, run_within};
use serde_json::Value;
use table::Table;
use tempfile::TempDir;

/// How long the commands of one tool may take: each is a process that costs up to a fifth of a second.
const PATIENCE: Duration = Duration::from_secs(300);
/// The version of rabbitmqadmin 2 whose commands are listed; another may have more.
const LISTED: &str = "2.35.";

#[test]
fn rabbitmqadmin_works() {
    let Some((program, version)) = needed("rabbitmqadmin 2", rabbitmqadmin()) else {
        return;
    };
    let table = Table::read("rabbitmqadmin.txt");
    if version.contains(LISTED) {
        let mut commands = BTreeSet::new();
        for group in listed(&program, &[]) {
            for command in listed(&program, &[&group]) {
                commands.insert(format!("{group} {command}"));
            }
        }
        // Commands without subcommands of their own are only `help`, which is not of interest.
        assert!(commands.len() > 100, "{commands:?}");
        table.has_all(&commands);
    }
    play(&table, |port, folder| {
        let mut command = Command::new(&program);
        command.args(["--host", "127.0.0.1", "--port", port, "--non-interactive"]);
        command.env("HOME", folder);
        command
    });
}

/// RabbitMQ 3's, in Python, needs an API that takes booleans and numbers as texts.
#[test]
fn the_older_rabbitmqadmin_works() {
    let Some(program) = needed("the rabbitmqadmin of RabbitMQ 3", older_rabbitmqadmin()) else {
        return;
    };
    let table = Table::read("rabbitmqadmin-python.txt");
    let help = output_of(
        Command::new("python3")
            .arg(&program)
            .args(["help", "subcommands"]),
    );
    let commands: BTreeSet<String> = help.lines().filter_map(listed_by_older).collect();
    assert!(commands.len() > 30, "{commands:?}");
    table.has_all(&commands);
    play(&table, |port, folder| {
        let mut command = Command::new("python3");
        command.arg(&program).args(["--host", "127.0.0.1"]);
        command.args(["--port", port]).env("HOME", folder);
        command
    });
}

/// Runs the commands of a table against a broker of its own; `tool` makes the beginning of each from the port of the
/// HTTP API and an empty folder. Panics with everything that is not as the table has it.
fn play(table: &Table, tool: impl Fn(&str, &Path) -> Command) {
    run_within(PATIENCE, async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        let queue = client.queue("watched").await;
        let _consumer = client.consume(&queue, "watched").await;
        let connection = eventually("the connection is listed", async || {
            let list = broker.ask("GET", "/api/consumers", Value::Null).await.body;
            let details = &list[0]["channel_details"];
            Some(details["connection_name"].as_str()?.to_owned())
        })
        .await;
        let folder = TempDir::new().expect("a folder");
        let names = HashMap::from([
            ("$port", broker.port().to_string()),
            ("$folder", folder.path().display().to_string()),
            ("$connection", connection),
        ]);
        let (_, port) = broker.management().rsplit_once(':').expect("a port");
        let failures = table.run(&names, || tool(port, folder.path()));
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        is_closed(&client).await;
    });
}

async fn is_closed(client: &Client) {
    eventually("the client's connection is closed", async || {
        (!client.connection.status().connected()).then_some(())
    })
    .await;
}

/// The program, and what it says of its version. RabbitMQ 3 has one of the same name.
fn rabbitmqadmin() -> Option<(PathBuf, String)> {
    programs("rabbitmqadmin").find_map(|program| {
        let output = Command::new(&program).arg("--version").output().ok()?;
        let version = text(&output);
        version.contains(" 2.").then_some((program, version))
    })
}

fn older_rabbitmqadmin() -> Option<PathBuf> {
    let below = |root: PathBuf| {
        let servers = std::fs::read_dir(root.join("usr/lib/rabbitmq/lib")).ok()?;
        servers.flatten().find_map(|server| {
            let name = server.file_name().into_string().ok()?;
            let version = name.strip_prefix("rabbitmq_server-")?;
            let plugin =
                format!("plugins/rabbitmq_management-{version}/priv/www/cli/rabbitmqadmin");
            let program = server.path().join(plugin);
            program.is_file().then_some(program)
        })
    };
    debian().into_iter().find_map(below)
}

/// The commands in the help of rabbitmqadmin 2, or in that of a group of commands.
fn listed(program: &Path, group: &[&str]) -> Vec<String> {
    let help = output_of(Command::new(program).args(group).arg("--help"));
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = lines.take_while(|line| !line.is_empty());
    let names = commands.filter_map(|line| line.split_whitespace().next());
    let names = names.filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

/// The command in a line of the older one's help: `list queues` of `  list queues [<column>...]`.
fn listed_by_older(line: &str) -> Option<String> {
    let rest = line.strip_prefix("  ")?;
    if !rest.starts_with(|first: char| first.is_ascii_lowercase()) || rest.contains("where") {
        return None;
    }
    let is_name = |word: &&str| !word.contains(['=', '<', '[']);
    let words: Vec<&str> = rest.split(' ').take_while(is_name).collect();
    (words.first() != Some(&"rabbitmqadmin")).then(|| words.join(" "))
}

fn output_of(command: &mut Command) -> String {
    let output = command.output();
    text(&output.unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

/// Both of its outputs.
fn text(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr];
    both.map(|bytes| String::from_utf8_lossy(bytes)).concat()
}
