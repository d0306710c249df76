//! Output for wrong command lines and refused requests.

use super::*;
use crate::manage::request::ErrorKind;
use crate::text::version::FULL_VERSION;

/// A command, the broker's error, the text for the user, the exit status.
type Refusal = (&'static [&'static str], ErrorKind, &'static str, u8);

const REFUSALS: &[Refusal] = &[
    (
        &["list_users"],
        ErrorKind::AppStopped,
        "Error: this command requires the 'rabbit' app to be running on the target node. Start it with 'leveretctl start_app'.",
        64,
    ),
    (
        &["reset"],
        ErrorKind::AppRunning,
        "Error: this command requires the 'rabbit' app to be stopped on the target node. Stop it with 'leveretctl stop_app'.",
        64,
    ),
    (
        &["await_startup"],
        ErrorKind::AppStopped,
        "Error:\nRabbitMQ on node leveret@localhost is not running: 'leveretctl stop_app' has stopped it",
        69,
    ),
    (
        &["set_vhost_tags", "v", "t"],
        ErrorKind::NoSuchVhost,
        "Error:\nVirtual host \"v\" does not exist",
        65,
    ),
    (
        &["restart_vhost", "-p", "v"],
        ErrorKind::NoSuchVhost,
        "Error:\nFailed to start vhost 'v': it does not exist",
        70,
    ),
    (
        &["list_parameters", "-p", "v"],
        ErrorKind::NoSuchVhost,
        "Virtual host 'v' does not exist",
        65,
    ),
    (
        &["trace_on", "-p", "v"],
        ErrorKind::NoSuchVhost,
        "Virtual host 'v' does not exist",
        65,
    ),
    (
        &["clear_password", "w"],
        ErrorKind::NoSuchUser,
        "Error:\nUser \"w\" does not exist",
        67,
    ),
    (
        &["sync_queue", "q"],
        ErrorKind::NoSuchQueue,
        "Error:\nQueue not found",
        69,
    ),
    (
        &["add_user", "w", "x"],
        ErrorKind::UserExists,
        "Error:\nUser \"w\" already exists",
        70,
    ),
    (
        &["delete_user", "w"],
        ErrorKind::NoSuchUser,
        "Error:\nUser \"w\" does not exist",
        67,
    ),
    (
        &["change_password", "w", "x"],
        ErrorKind::NoSuchUser,
        "Error:\nUser \"w\" does not exist",
        67,
    ),
    (
        &["authenticate_user", "w", "x"],
        ErrorKind::InvalidCredentials,
        "Error:\nError: failed to authenticate user \"w\"\nuser 'w' - invalid credentials",
        65,
    ),
    (
        &["set_permissions", "w", "", "", ""],
        ErrorKind::NoSuchUser,
        "Error:\nUser w does not exist",
        67,
    ),
    (
        &["set_permissions", "-p", "v", "w", "", "", ""],
        ErrorKind::NoSuchVhost,
        "Error:\nVirtual host v does not exist",
        69,
    ),
    (
        &["set_permissions", "w", "(", "", ""],
        ErrorKind::InvalidPattern,
        "Error:\ninvalid regular expression \"(\": unclosed group",
        69,
    ),
    (
        &["set_topic_permissions", "w", "x", "", ""],
        ErrorKind::NoSuchUser,
        "Error:\nUser w does not exist",
        67,
    ),
    (
        &["clear_topic_permissions", "-p", "v", "w"],
        ErrorKind::NoSuchVhost,
        "Error:\nVirtual host v does not exist",
        69,
    ),
    (
        &["list_topic_permissions", "-p", "v"],
        ErrorKind::NoSuchVhost,
        "Virtual host 'v' does not exist",
        65,
    ),
    (
        &["list_permissions", "-p", "v"],
        ErrorKind::NoSuchVhost,
        "Virtual host 'v' does not exist",
        65,
    ),
    (
        &["delete_vhost", "v"],
        ErrorKind::NoSuchVhost,
        "Virtual host 'v' does not exist",
        65,
    ),
    (
        &["delete_queue", "q"],
        ErrorKind::NoSuchQueue,
        "Error:\nQueue not found",
        64,
    ),
    (
        &["delete_queue", "q", "-e"],
        ErrorKind::QueueNotEmpty,
        "Error:\nQueue is not empty",
        64,
    ),
    (
        &["delete_queue", "q", "-u"],
        ErrorKind::QueueInUse,
        "Error:\nQueue is in use",
        64,
    ),
    (
        &["purge_queue", "q"],
        ErrorKind::NoSuchQueue,
        "Error:\nQueue not found",
        69,
    ),
];

#[test]
fn refusals_have_rabbitmqctls_texts_and_statuses() {
    for (words, kind, err, status) in REFUSALS.iter().copied() {
        let message = text("invalid regular expression \"(\": unclosed group");
        let quiet: Vec<&str> = words.iter().copied().chain(["-q"]).collect();
        let (_, shown) = ctl(&quiet, vec![Response::Error { kind, message }]);
        assert_eq!(shown, outcome(status, "", &format!("{err}\n")), "{words:?}");
    }
}

#[test]
fn a_wrong_command_line_is_told_with_its_usage_and_no_broker_is_asked() {
    let usage = |reason: &str, words: &str, verb: &str| {
        format!(
            "Error (argument validation): {reason}\nArguments given:\n\t{words}\n\nUsage\n\n\
             leveretctl [--data-dir <dir>] [--quiet] {verb}\n"
        )
    };
    let users = "list_users [--no-table-headers] [--timeout <timeout>]";
    let queues = "list_queues [--vhost <vhost>] [--online] [--offline] [--local] \
                  [--no-table-headers] [<column>, ...] [--timeout <timeout>]";
    let add_user = "add_user <username> [<password>]";
    for (words, reason, verb, status) in [
        (
            "list_queues nope blah",
            "Info key(s) blah,nope are not supported",
            queues,
            64,
        ),
        ("list_users x", "too many arguments.", users, 64),
        ("add_user", "not enough arguments.", add_user, 64),
        (
            "list_queues --nope=3 -t x",
            "Invalid options for this command:\n--nope : \nDid you mean '--node'?\n-t : x",
            queues,
            64,
        ),
        (
            "list_users --formatter nope",
            "formatter 'nope' is not supported: use table, pretty_table, json, csv, erlang, string or inspect",
            users,
            64,
        ),
    ] {
        let given: Vec<&str> = words.split(' ').collect();
        assert_eq!(
            alone(&given),
            outcome(status, "", &usage(reason, words, verb))
        );
    }
    let reason = "Bad argument: user cannot be an empty string";
    assert_eq!(
        alone(&["add_user", "", "x"]),
        outcome(65, "", &usage(reason, "add_user  x", add_user))
    );
    assert_eq!(alone(&["close_connection", "nopid", "x"]).status, 69);
}

#[test]
fn what_is_similar_to_a_wrong_word_is_suggested() {
    let first = |words: &[&str]| {
        let shown = alone(words);
        assert_eq!((shown.status, shown.out.as_str()), (64, ""), "{words:?}");
        let lines: Vec<&str> = shown.err.lines().take(3).collect();
        lines.join("\n")
    };
    assert_eq!(
        first(&["list_queues", "nmae"]).lines().next(),
        Some(
            "Error (argument validation): Info key(s) nmae are not supported. Did you mean 'name'?"
        )
    );
    assert_eq!(
        first(&["list_queues", "--vhsot", "v"]),
        "Error (argument validation): Invalid options for this command:\n--vhsot : \nDid you mean \
         '--vhost'?"
    );
}

#[test]
fn an_unknown_verb_is_told_with_a_neighbour_or_where_to_look() {
    let err = "\nCommand 'list_queue' not found. \nDid you mean 'list_queues'? \n\n";
    assert_eq!(alone(&["list_queue"]), outcome(64, "", err));
    assert_eq!(
        alone(&["blah"]),
        outcome(
            64,
            "",
            "\nCommand 'blah' not found. \nSee 'leveretctl help'\n"
        )
    );
    assert_eq!(
        called("rabbitmq-diagnostics", &["add_user", "a", "b"]),
        outcome(
            64,
            "",
            "\nCommand 'add_user' not found. \nIt is a command of rabbitmqctl\n"
        )
    );
    assert_eq!(
        alone(&["help", "list_queue"]),
        outcome(
            64,
            "",
            "Error:\n\nCommand 'list_queue' not found. \nDid you mean 'list_queues'? \n"
        )
    );
    assert_eq!(
        (alone(&[]).status, alone(&["help", "nope"]).status),
        (64, 64)
    );
}

#[test]
fn another_node_is_refused_and_the_own_one_is_not() {
    let shown = alone(&["list_queues", "-n", "other@localhost"]);
    assert_eq!(shown.status, 69);
    assert_eq!(shown.err.lines().count(), 1, "{}", shown.err);
    assert!(
        shown
            .err
            .starts_with("Error: unable to perform an operation on node 'other@localhost'"),
        "{}",
        shown.err
    );
    for node in ["leveret@localhost", "rabbit@localhost", "rabbit"] {
        let (_, shown) = ctl(&["-n", node, "-q", "ping"], vec![Response::Ok]);
        assert_eq!(shown, outcome(0, "Ping succeeded\n", ""), "{node}");
    }
}

#[test]
fn options_of_rabbitmqs_tools_that_change_nothing_are_accepted() {
    let words = "--longnames --print-stacktrace --erlang-cookie x -q ping";
    let words: Vec<&str> = words.split(' ').collect();
    let (_, shown) = ctl(&words, vec![Response::Ok]);
    assert_eq!(shown, outcome(0, "Ping succeeded\n", ""));
    assert_eq!(alone(&["--dry-run", "list_queues"]), outcome(0, "", ""));
    let shown = alone(&["--script-name", "rabbitmq-queues", "list_queues"]);
    assert!(shown.err.contains("rabbitmqctl"), "{}", shown.err);
}

#[test]
fn help_and_version_need_no_broker() {
    for words in [
        &["help"][..],
        &["--help"],
        &["help", "list_queues"],
        &["list_queues", "-?"],
    ] {
        let shown = alone(words);
        assert_eq!((shown.status, shown.err.as_str()), (0, ""));
        assert!(shown.out.contains("list_queues"), "{words:?}");
    }
    assert!(
        alone(&["help", "list_queues"])
            .out
            .contains("message_bytes_unacknowledged")
    );
    let number = concat!(env!("CARGO_PKG_VERSION"), "\n");
    let full = format!("leveretctl {FULL_VERSION}\n");
    for words in [&["version"][..], &["--version"], &["version", "-q"]] {
        assert_eq!(alone(words), outcome(0, &full, ""));
        // RabbitMQ's tools show the number alone.
        assert_eq!(called("rabbitmqctl", words), outcome(0, number, ""));
    }
}

#[test]
fn without_a_broker_the_directory_is_named() {
    let err = "Error: no broker is running with data directory /nonexistent. Start one with \
               'leveret --data-dir /nonexistent', or name the directory of a running one with \
               --data-dir or LEVERET_DATA_DIR.\n";
    for words in [
        &["list_queues"][..],
        &["ping"],
        &["stop"],
        &["await_startup", "-t", "0"],
    ] {
        assert_eq!(alone(words), outcome(69, "", err));
    }
    let shown = alone(&["stop", "--idempotent"]);
    assert_eq!(
        shown,
        outcome(0, "Node leveret@localhost is no longer running\n", "")
    );
    let other = alone(&["ping", "--data-dir", "/elsewhere"]);
    assert!(other.err.contains("/elsewhere") && other.status == 69);
    let config = alone(&["ping", "--config", "/nowhere.toml"]);
    assert_eq!(
        config.status, 69,
        "a file is not read when it cannot matter: {}",
        config.err
    );
    // The socket that a killed broker leaves behind.
    let folder = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(folder.path().join("leveret.sock")).unwrap());
    let stale = ctl_in(folder.path(), &["ping"]);
    assert!(
        stale.err.starts_with("Error: no broker is running"),
        "{}",
        stale.err
    );
}

#[test]
fn a_silent_broker_and_a_foolish_one_do_not_hold_the_user() {
    let folder = tempfile::tempdir().unwrap();
    let _listening = UnixListener::bind(folder.path().join("leveret.sock")).unwrap();
    let shown = ctl_in(folder.path(), &["list_queues", "-q", "-t", "0"]);
    let err = "Error: operation list_queues timed out. Timeout value used: 0\n";
    assert_eq!(shown, outcome(75, "", err));
    let (_, shown) = ctl(&["-q", "ping"], vec![]);
    let err = "Error: the broker closed the connection without an answer\n";
    assert_eq!(shown, outcome(70, "", err));
    let message = text("the broker is version 9.9.9");
    let answer = Response::Error {
        kind: ErrorKind::VersionMismatch,
        message,
    };
    let (_, shown) = ctl(&["-q", "ping"], vec![answer]);
    assert!(
        shown.status == 70 && shown.err.contains("9.9.9"),
        "{}",
        shown.err
    );
}
