//! From RabbitMQ to Leveret and back, by the commands of docs/moving-from-rabbitmq.md as they are written there. Needs
//! Debian's RabbitMQ.

mod definitions;
mod killed;
mod page;
mod world;

use std::time::Duration;

use definitions::{every_entry_came_over, read};
use leveret_tests::{RabbitMq, TestBroker, run_within};
use page::{Outcome, Terminal, blocks};
use tempfile::TempDir;
use world::{CAFE, Contents, ORDERS, login};

/// How long a test of this module may take: Erlang is slow to start on a busy machine, and rabbitmqctl is Erlang.
const LIMIT: Duration = Duration::from_secs(600);
/// How often a block is run until RabbitMQ's counts, which lag a few seconds behind, are right.
const ATTEMPTS: usize = 30;
/// The objects that are moved, as a definition file of RabbitMQ 3.10.
const OBJECTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/definitions/moved.json");
/// What the old node has in its rabbitmq.conf.
const CONFIGURATION: &str =
    "heartbeat = 30\nchannel_max = 1000\nvm_memory_high_watermark.relative = 0.5\n";

/// Both brokers and the terminal of a move that has come as far as step 3, with all objects at both.
struct Move {
    old: RabbitMq,
    new: TestBroker,
    terminal: Terminal,
    contents: Contents,
}

impl Move {
    /// Starts RabbitMQ with all objects, has it filled, and does the steps up to the third. `None` where there is no RabbitMQ.
    async fn up_to_definitions(fill: impl AsyncFn(&str) -> Contents) -> Option<Self> {
        let old = RabbitMq::start(CONFIGURATION).await?;
        let data = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let mut terminal = Terminal::open(&old, data.path());
        let import = format!("rabbitmqctl import_definitions '{OBJECTS}'");
        terminal.succeed(&import).await;
        let contents = fill(&old.address()).await;
        terminal.settings(&old).await;
        let [_, user] = &blocks("0")[..] else {
            panic!("the settings, and a user")
        };
        terminal.succeed(user).await;
        let [configuration, ping] = &blocks("2")[..] else {
            panic!("the configuration, and a ping")
        };
        terminal.succeed(configuration).await;
        let file = terminal.file("leveret.toml").display().to_string();
        let options = ["--config", &file, "--management-port", "0"];
        let new = TestBroker::start_in(data, &options, Vec::new()).await;
        terminal.turn_to_new(new.address()).await;
        terminal.succeed(ping).await;
        definitions_come_over(&mut terminal).await;
        Some(Self {
            old,
            new,
            terminal,
            contents,
        })
    }
}

async fn definitions_come_over(terminal: &mut Terminal) {
    let [import, internal, guest] = &blocks("3")[..] else {
        panic!("the import, that of an internal exchange, and the user guest")
    };
    let outcome = terminal.run(import).await;
    let mut named: Vec<&str> = outcome
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("not imported: "))
        .filter_map(|line| line.split(": ").next())
        .collect();
    named.sort_unstable();
    let expected = [
        "binding of 'inner' to 'events' in vhost 'orders'",
        "binding of 'quorum' to 'inner' in vhost 'orders'",
        "policy 'mirrors' in vhost 'orders'",
        "policy 'only mirrors' in vhost 'café au lait'",
    ];
    assert_eq!(
        (outcome.status, &named[..]),
        (65, &expected[..]),
        "{outcome:#?}"
    );
    terminal.succeed(internal).await;
    terminal.succeed(guest).await;
    terminal
        .succeed("leveretctl export_definitions new.json")
        .await;
    let files = ["rabbit.json", "new.json"].map(|name| read(&terminal.file(name)));
    every_entry_came_over(&files[0], &files[1]);
}

/// Logs in as each user whose password is not to have changed, and as some who may not.
async fn users_log_in(address: &str) {
    for (user, vhost) in [
        ("admin", CAFE),
        ("app", ORDERS),
        ("limited", CAFE),
        ("long", "%2f"),
    ] {
        let client = login(address, user, vhost).await;
        let client = client.unwrap_or_else(|error| panic!("{user}: {error}"));
        drop(client);
    }
    for (user, vhost) in [("nobody", "%2f"), ("app", CAFE), ("rules", ORDERS)] {
        assert!(login(address, user, vhost).await.is_err(), "{user}");
    }
}

/// Runs a block until it succeeds with an output that `is_right`.
async fn until(terminal: &mut Terminal, block: &str, is_right: impl Fn(&str) -> bool) {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let outcome = terminal.run(block).await;
        if outcome.status == 0 && is_right(&outcome.stdout) {
            return;
        }
        last = Some(outcome);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("{block}\n{last:#?}");
}

/// Runs the block with the helpers until it has listed as many messages as there are.
async fn lists_queues(terminal: &mut Terminal, helpers: &str, messages: usize) {
    for _ in 0..ATTEMPTS {
        terminal.succeed(helpers).await;
        let listed = std::fs::read_to_string(terminal.file("before.txt")).expect("a list");
        let count = |line: &str| {
            line.split('\t')
                .nth(2)
                .and_then(|n| n.parse::<usize>().ok())
        };
        let counts = listed.lines().map(|line| count(line).expect("a count"));
        let counted: usize = counts.sum();
        if counted == messages {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("RabbitMQ does not count {messages} messages");
}

#[test]
fn a_node_moves_over_and_back_as_the_page_says() {
    run_within(LIMIT, async {
        let moved = Move::up_to_definitions(async |address| world::fill(address).await).await;
        let Some(mut moved) = moved else { return };
        users_log_in(moved.new.address()).await;
        let [helpers, drain] = &blocks("6")[..] else {
            panic!("the helpers, and the drain")
        };
        let terminal = &mut moved.terminal;
        lists_queues(terminal, helpers, world::total(&moved.contents)).await;
        terminal.succeed(drain).await;
        let [compare] = &blocks("7")[..] else {
            panic!("the comparison")
        };
        until(terminal, compare, str::is_empty).await;
        world::check(moved.new.address(), &moved.contents).await;
        comes_back(moved).await;
    });
}

/// Fills Leveret, and goes back to a RabbitMQ that has nothing.
async fn comes_back(moved: Move) {
    let Move {
        old,
        new,
        mut terminal,
        ..
    } = moved;
    drop(old);
    let contents = world::fill(new.address()).await;
    for change in [
        "add_user walker 123456",
        "set_permissions walker '.*' '.*' '.*'",
        "change_password watcher abc",
    ] {
        terminal.succeed(&format!("leveretctl {change}")).await;
    }
    let old = RabbitMq::start(CONFIGURATION).await.expect("as before");
    terminal.turn_to_old(&old).await;
    let [definitions, drain] = &blocks("9")[..] else {
        panic!("the definitions, and the drain")
    };
    let Outcome { stderr, .. } = terminal.succeed(definitions).await;
    assert!(stderr.contains("(argon2id): walker, watcher\n"), "{stderr}");
    terminal
        .succeed("rabbitmqctl export_definitions returned.json")
        .await;
    let files = ["leveret.json", "returned.json"].map(|name| read(&terminal.file(name)));
    every_entry_came_over(&files[0], &files[1]);
    users_log_in(&old.address()).await;
    assert!(login(&old.address(), "walker", "%2f").await.is_err());
    let outcome = terminal.run(drain).await;
    // 1: diff has found a difference, as RabbitMQ's counts lag behind.
    assert!(outcome.status < 2, "{outcome:#?}");
    world::check(&old.address(), &contents).await;
    terminal.has_run_the_whole_page();
}
