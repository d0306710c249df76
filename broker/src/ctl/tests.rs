//! leveretctl as a user sees it, against a broker that answers by heart. The texts and statuses
//! were recorded from rabbitmqctl 3.10.8, except where the texts name leveretctl or a directory.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread::{self, JoinHandle};

use super::*;
use crate::admin::columns::QueueColumn;
use crate::admin::pid::Pid;
use crate::admin::socket::SocketPath;
use crate::admin::status::{Listener, Status};
use crate::admin::value::Value;
use crate::admin::wire::{self, ErrorKind, Request, Response};
use crate::config::Environment;

/// What a command printed, and its status.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    status: u8,
    out: String,
    err: String,
}

fn outcome(status: u8, out: &str, err: &str) -> Outcome {
    Outcome {
        status,
        out: out.to_owned(),
        err: err.to_owned(),
    }
}

/// Runs leveretctl with the data directory in its environment.
fn ctl_in(data_dir: &Path, words: &[&str]) -> Outcome {
    let variable =
        |name: &str| (name == "LEVERET_DATA_DIR").then(|| OsString::from(data_dir.as_os_str()));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let environment = Environment {
        variable: &variable,
        uid: 1000,
    };
    let mut terminal = Terminal {
        out: &mut out,
        err: &mut err,
        bold: false,
        environment,
    };
    let status = main(
        words.iter().copied().map(str::to_owned).collect(),
        &mut terminal,
    );
    let text = |octets| String::from_utf8(octets).unwrap();
    Outcome {
        status,
        out: text(out),
        err: text(err),
    }
}

/// A broker that answers one request with these responses.
fn broker(data_dir: &Path, answer: Vec<Response>) -> JoinHandle<Request> {
    let socket = UnixListener::bind(SocketPath::of(data_dir).unwrap().path()).unwrap();
    thread::spawn(move || {
        let (stream, _) = socket.accept().unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        for response in answer {
            let line = serde_json::to_string(&response).unwrap();
            writeln!(stream.get_mut(), "{line}").unwrap();
        }
        wire::decode_request(line.as_bytes()).unwrap()
    })
}

/// Runs leveretctl against a broker with this answer: what was asked, and what came of it.
fn ctl(words: &[&str], answer: Vec<Response>) -> (Request, Outcome) {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path(), answer);
    let outcome = ctl_in(folder.path(), words);
    (broker.join().unwrap(), outcome)
}

/// Runs leveretctl where no broker is.
fn alone(words: &[&str]) -> Outcome {
    ctl_in(Path::new("/nonexistent"), words)
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn queues_are_listed_under_a_banner_and_a_header() {
    let row = |name: &str, count: u64| vec![Value::from(name), Value::from(count)];
    let answer = || {
        let batches = [vec![row("task_queue", 2)], vec![row("hello", 1)]];
        batches
            .into_iter()
            .map(Response::Rows)
            .chain([Response::Ok])
            .collect()
    };
    let (request, shown) = ctl(&["list_queues"], answer());
    let columns = vec![QueueColumn::Name, QueueColumn::Messages];
    assert_eq!(
        request,
        Request::ListQueues {
            vhost: text("/"),
            columns
        }
    );
    let banner = "Timeout: 60.0 seconds ...\nListing queues for vhost / ...\n";
    let (header, rows) = ("name\tmessages\n", "task_queue\t2\nhello\t1\n");
    assert_eq!(shown, outcome(0, &format!("{banner}{header}{rows}"), ""));

    let shown = |words: &[&str]| ctl(words, answer()).1;
    assert_eq!(
        shown(&["-q", "list_queues"]),
        outcome(0, &format!("{header}{rows}"), "")
    );
    assert_eq!(shown(&["list_queues", "-s"]), outcome(0, rows, ""));
    let (timeout, bare) = ("Timeout: 5.0 seconds ...", "--no-table-headers");
    let listing = format!("{timeout}\nListing queues for vhost / ...\n{rows}");
    assert_eq!(
        shown(&["list_queues", bare, "-t", "5"]),
        outcome(0, &listing, "")
    );
    let json =
        "[\n{\"name\":\"task_queue\",\"messages\":2}\n,{\"name\":\"hello\",\"messages\":1}\n]\n";
    assert_eq!(
        shown(&["list_queues", "--formatter", "json"]),
        outcome(0, json, "")
    );
}

#[test]
fn columns_may_be_separated_by_commas_and_are_shown_once() {
    let words = ["list_queues", "name, messages", "durable,name", "-p", "v"];
    let (request, shown) = ctl(&words, vec![Response::Ok]);
    let columns = vec![
        QueueColumn::Name,
        QueueColumn::Messages,
        QueueColumn::Durable,
    ];
    assert_eq!(
        request,
        Request::ListQueues {
            vhost: text("v"),
            columns
        }
    );
    assert_eq!(
        shown.out,
        "Timeout: 60.0 seconds ...\nListing queues for vhost v ...\n"
    );
}

#[test]
fn banners_name_what_is_done() {
    let shown = |words: &[&str]| ctl(words, vec![Response::Ok]).1.out;
    for (words, banner) in [
        (&["list_connections"][..], "Listing connections ...\n"),
        (&["list_channels"], "Listing channels ...\n"),
        (&["list_consumers"], "Listing consumers in vhost / ...\n"),
        (&["list_exchanges"], "Listing exchanges for vhost / ...\n"),
        (&["list_bindings"], "Listing bindings for vhost /...\n"),
        (&["list_vhosts"], "Listing vhosts ...\n"),
        (
            &["list_permissions"],
            "Listing permissions for vhost \"/\" ...\n\n",
        ),
        (
            &["list_user_permissions", "w"],
            "Listing permissions for user \"w\" ...\n\n",
        ),
        (
            &["change_password", "walker", "1"],
            "Changing password for user \"walker\" ...\n",
        ),
        (&["delete_user", "walker"], "Deleting user \"walker\" ...\n"),
        (
            &["set_user_tags", "w", "administrator", "x"],
            "Setting tags for user \"w\" to [administrator, x] ...\n",
        ),
        (
            &["set_user_tags", "w"],
            "Setting tags for user \"w\" to [] ...\n",
        ),
        (
            &["set_permissions", "walker", ".*", "", "^a"],
            "Setting permissions for user \"walker\" in vhost \"/\" ...\n",
        ),
        (
            &["clear_permissions", "-p", "v", "walker"],
            "Clearing permissions for user \"walker\" in vhost \"v\" ...\n",
        ),
        (&["add_vhost", "v1"], "Adding vhost \"v1\" ...\n"),
        (&["delete_vhost", "v1"], "Deleting vhost \"v1\" ...\n"),
        (
            &["purge_queue", "hello"],
            "Purging queue 'hello' in vhost '/' ...\n",
        ),
        (
            &["close_connection", "<leveret.3.0>", "why"],
            "Closing connection <leveret.3.0>, reason: why...\n",
        ),
        (
            &["authenticate_user", "w", "x"],
            "Authenticating user \"w\" ...\nSuccess\n",
        ),
    ] {
        assert_eq!(shown(words), banner);
        let quiet: Vec<&str> = words.iter().copied().chain(["-q"]).collect();
        let rest = banner.split_once('\n').map_or("", |(_, rest)| rest);
        assert_eq!(shown(&quiet), rest);
    }
}

#[test]
fn a_user_is_added_with_a_hint() {
    let words = ["add_user", "walker", "123456"];
    let (request, shown) = ctl(&words, vec![Response::Ok]);
    let (user, password) = (text("walker"), text("123456"));
    assert_eq!(request, Request::AddUser { user, password });
    let hint = "Done. Don't forget to grant the user permissions to some virtual hosts! See \
                'leveretctl help set_permissions' to learn more.";
    assert_eq!(
        shown,
        outcome(0, &format!("Adding user \"walker\" ...\n{hint}\n"), "")
    );
    let quiet = ["-q", "add_user", "walker", "--", "-x"];
    let (request, shown) = ctl(&quiet, vec![Response::Ok]);
    assert!(matches!(request, Request::AddUser { password, .. } if password == "-x"));
    assert_eq!(shown, outcome(0, "", ""));
    let json = ["add_user", "walker", "1", "--formatter=json"];
    let wanted = format!("{{\"message\":\"{hint}\",\"status\":\"ok\"}}\n");
    assert_eq!(ctl(&json, vec![Response::Ok]).1, outcome(0, &wanted, ""));
    let json = ["delete_user", "walker", "--formatter=json"];
    assert_eq!(
        ctl(&json, vec![Response::Ok]).1.out,
        "{\"result\":\"ok\"}\n"
    );
}

#[test]
fn counts_are_told() {
    let (request, shown) = ctl(&["delete_queue", "q", "-e", "-u"], vec![Response::Count(1)]);
    let (vhost, queue, if_empty, if_unused) = (text("/"), text("q"), true, true);
    assert_eq!(
        request,
        Request::DeleteQueue {
            vhost,
            queue,
            if_empty,
            if_unused
        }
    );
    let banner = "Deleting queue 'q' on vhost '/' if queue is empty and if queue is unused ...\n";
    let deleted = "Queue was successfully deleted with 1 ready messages\n";
    assert_eq!(shown, outcome(0, &format!("{banner}{deleted}"), ""));
    let (request, shown) = ctl(
        &["-q", "close_all_connections", "x"],
        vec![Response::Count(0)],
    );
    let (vhost, reason) = (Some(text("/")), text("x"));
    assert_eq!(
        request,
        Request::CloseAllConnections {
            vhost,
            limit: None,
            reason
        }
    );
    assert_eq!(shown, outcome(0, "Closed 0 connections\n", ""));
}

#[test]
fn refusals_have_rabbitmqctls_texts_and_statuses() {
    use ErrorKind::*;
    let pattern = "invalid regular expression \"(\": unclosed group";
    for (words, kind, err, status) in [
        (
            &["add_user", "w", "x"][..],
            UserExists,
            "Error:\nUser \"w\" already exists",
            70,
        ),
        (
            &["delete_user", "w"],
            NoSuchUser,
            "Error:\nUser \"w\" does not exist",
            67,
        ),
        (
            &["change_password", "w", "x"],
            NoSuchUser,
            "Error:\nUser \"w\" does not exist",
            67,
        ),
        (
            &["authenticate_user", "w", "x"],
            InvalidCredentials,
            "Error:\nError: failed to authenticate user \"w\"\nuser 'w' - invalid credentials",
            65,
        ),
        (
            &["set_permissions", "w", "", "", ""],
            NoSuchUser,
            "Error:\nUser w does not exist",
            67,
        ),
        (
            &["set_permissions", "-p", "v", "w", "", "", ""],
            NoSuchVhost,
            "Error:\nVirtual host v does not exist",
            69,
        ),
        (
            &["set_permissions", "w", "(", "", ""],
            InvalidPattern,
            "Error:\ninvalid regular expression \"(\": unclosed group",
            69,
        ),
        (
            &["list_permissions", "-p", "v"],
            NoSuchVhost,
            "Virtual host 'v' does not exist",
            65,
        ),
        (
            &["delete_vhost", "v"],
            NoSuchVhost,
            "Virtual host 'v' does not exist",
            65,
        ),
        (
            &["delete_queue", "q"],
            NoSuchQueue,
            "Error:\nQueue not found",
            64,
        ),
        (
            &["delete_queue", "q", "-e"],
            QueueNotEmpty,
            "Error:\nQueue is not empty",
            64,
        ),
        (
            &["delete_queue", "q", "-u"],
            QueueInUse,
            "Error:\nQueue is in use",
            64,
        ),
        (
            &["purge_queue", "q"],
            NoSuchQueue,
            "Error:\nQueue not found",
            69,
        ),
    ] {
        let answer = Response::Error {
            kind,
            message: text(pattern),
        };
        let quiet: Vec<&str> = words.iter().copied().chain(["-q"]).collect();
        let (_, shown) = ctl(&quiet, vec![answer]);
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
            "Invalid options for this command:\n--nope : \n-t : x",
            queues,
            64,
        ),
        (
            "list_users --formatter nope",
            "formatter 'nope' is not supported: use table, pretty_table, json or csv",
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
fn an_unknown_verb_is_told_with_a_neighbour_or_all_verbs() {
    let err = "\nCommand 'list_queue' not found. \nDid you mean 'list_queues'? \n\n";
    assert_eq!(alone(&["list_queue"]), outcome(64, "", err));
    let shown = alone(&["blah"]);
    assert_eq!((shown.status, shown.out.as_str()), (64, ""));
    assert!(
        shown
            .err
            .starts_with("\nCommand 'blah' not found. \n\nUsage\n\n"),
        "{}",
        shown.err
    );
    assert_eq!(
        (alone(&[]).status, alone(&["help", "nope"]).status),
        (64, 64)
    );
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
    let version = concat!(env!("CARGO_PKG_VERSION"), "\n");
    for words in [&["version"][..], &["--version"], &["version", "-q"]] {
        assert_eq!(alone(words), outcome(0, version, ""));
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
        outcome(0, "The broker in /nonexistent is no longer running\n", "")
    );
    let other = alone(&["ping", "--data-dir", "/elsewhere"]);
    assert!(other.err.contains("/elsewhere") && other.status == 69);
    let config = alone(&["ping", "--config", "/nowhere.toml"]);
    assert_eq!(
        config.status, 69,
        "a file is not read when it cannot matter: {}",
        config.err
    );
    // What a killed broker leaves behind.
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

#[test]
fn ping_stop_and_await_startup() {
    let (request, shown) = ctl(&["ping"], vec![Response::Ok]);
    assert_eq!(request, Request::Ping);
    assert!(
        shown
            .out
            .ends_with(". Timeout: 60000 ms.\nPing succeeded\n"),
        "{}",
        shown.out
    );
    assert_eq!(
        ctl(&["ping", "-s"], vec![Response::Ok]).1,
        outcome(0, "Ping succeeded\n", "")
    );
    assert_eq!(
        ctl(&["await_startup"], vec![Response::Ok]).1,
        outcome(0, "", "")
    );
    let (request, shown) = ctl(&["-q", "stop", "/run/leveret.pid"], vec![Response::Ok]);
    assert_eq!((request, shown), (Request::Stop, outcome(0, "", "")));
}

#[test]
fn await_startup_waits_for_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_owned();
    let waiting = thread::spawn(move || ctl_in(&data_dir, &["await_startup", "-t", "20"]));
    let asked = broker(folder.path(), vec![Response::Ok]);
    assert_eq!(waiting.join().unwrap(), outcome(0, "", ""));
    assert_eq!(asked.join().unwrap(), Request::Ping);
}

#[test]
fn pids_are_given_back_as_they_were_shown() {
    let pid = Pid {
        connection: 3,
        channel: 0,
    };
    let words = [
        "-q",
        "close_connection",
        &pid.to_string(),
        "because I say so",
    ];
    let (request, _) = ctl(&words, vec![Response::Ok]);
    assert_eq!(
        request,
        Request::CloseConnection {
            pid,
            reason: text("because I say so")
        }
    );
}

fn status() -> Status {
    let [interface, protocol, purpose] = ["127.0.0.1", "amqp", "AMQP 0-9-1"].map(text);
    Status {
        pid: 8204,
        uptime: 867,
        version: text("0.1.0"),
        data_directory: text("/var/lib/leveret"),
        config_files: vec![],
        log_files: vec![text("<stderr>")],
        alarms: vec![],
        memory: 126_300_000,
        memory_limit: None,
        file_descriptors: 4,
        file_descriptors_limit: 19_903,
        sockets: 1,
        disk_free: Some(84_314_700_000),
        disk_free_limit: Some(50_000_000),
        connections: 1,
        queues: 3,
        vhosts: 1,
        listeners: vec![Listener {
            interface,
            port: 5690,
            protocol,
            purpose,
        }],
    }
}

#[test]
fn status_has_rabbitmqctls_sections() {
    let answer = || vec![Response::Status(Box::new(status()))];
    let (request, shown) = ctl(&["-q", "status"], answer());
    assert_eq!(request, Request::Status);
    let wanted = "Runtime\n\nOS PID: 8204\nOS: Linux\nUptime (seconds): 867\n\
        Leveret version: 0.1.0\n\nData directory\n\nNode data directory: /var/lib/leveret\n\n\
        Config files\n\n(none)\n\nLog file(s)\n\n * <stderr>\n\nAlarms\n\n(none)\n\nMemory\n\n\
        Total memory used: 0.1263 gb\n\nFile Descriptors\n\nTotal: 4, limit: 19903\nSockets: 1\n\n\
        Free Disk Space\n\nLow free disk space watermark: 0.05 gb\nFree disk space: 84.3147 gb\n\n\
        Totals\n\nConnection count: 1\nQueue count: 3\nVirtual host count: 1\n\nListeners\n\n\
        Interface: 127.0.0.1, port: 5690, protocol: amqp, purpose: AMQP 0-9-1\n";
    assert_eq!(
        shown.out,
        wanted.replace(
            "Linux",
            if cfg!(target_os = "linux") {
                "Linux"
            } else {
                "Darwin"
            }
        )
    );
    let (_, shown) = ctl(&["status", "--formatter", "json"], answer());
    let json: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(json["totals"]["queue_count"], 3);
    assert_eq!(json["file_descriptors"]["total_used"], 4);
    let (_, shown) = ctl(&["-q", "status", "--unit", "mb"], answer());
    assert!(
        shown.out.contains("Total memory used: 126.3 mb\n"),
        "{}",
        shown.out
    );
    assert_eq!(alone(&["status", "--unit", "tb"]).status, 64);
}
