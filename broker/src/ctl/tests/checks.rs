//! Health checks and what a node tells of itself.

use std::net::TcpListener;

use super::listings::status;
use super::*;
use crate::manage::request::{ErrorKind, Resource};
use crate::manage::status::{Listener, Status};
use crate::manage::value::Value;

/// Runs a verb against a broker with this status.
fn on(status: Status, words: &str) -> Outcome {
    let words: Vec<&str> = words.split(' ').collect();
    let (request, shown) = ctl(&words, vec![Response::Status(Box::new(status))]);
    assert_eq!(request, Request::Status, "{words:?}");
    shown
}

fn listener(protocol: &str, port: u16) -> Listener {
    Listener {
        interface: text("127.0.0.1"),
        port,
        protocol: text(protocol),
        purpose: text("AMQP 0-9-1"),
    }
}

const BOOTED: &str = "RabbitMQ on node leveret@localhost is fully booted and running\n";

#[test]
fn a_broker_that_answers_runs() {
    let asked = |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        let (request, shown) = ctl(&words, vec![Response::Ok]);
        assert_eq!(request, Request::IsRunning, "{words:?}");
        shown
    };
    for words in ["-q check_running", "is_running -s"] {
        assert_eq!(asked(words), outcome(0, BOOTED, ""));
    }
    let banner = "Checking if RabbitMQ is running on node leveret@localhost ...\n";
    let shown = asked("check_running");
    assert_eq!(shown, outcome(0, &format!("{banner}{BOOTED}"), ""));
    let json = asked("is_running --formatter json").out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["result"], true);
    let json = asked("is_booting --formatter json").out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["result"], false);
    let vhosts = on(status(), "-q check_virtual_hosts");
    let wanted = "Node leveret@localhost reported all vhosts as running\n";
    assert_eq!(vhosts, outcome(0, wanted, ""));
    assert_eq!(on(status(), "-s check_virtual_hosts"), outcome(0, "", ""));
    for words in ["check_running", "is_running", "check_port_connectivity"] {
        assert_eq!(alone(&[words]).status, 69, "{words}");
    }
}

/// Recorded from 3.10.8 after `stop_app`.
#[test]
fn a_stopped_application_is_told_from_a_running_one() {
    let asked = |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        ctl(&words, vec![Response::refused(ErrorKind::AppStopped)]).1
    };
    let text = "RabbitMQ on node leveret@localhost is not running or has not fully booted yet (check with is_booting)\n";
    let failed = outcome(69, "", &format!("Error:\n{text}"));
    assert_eq!(asked("-q check_running"), failed);
    assert_eq!(asked("-q is_running"), outcome(0, text, ""));
    assert_eq!(asked("-q is_booting").status, 0);
    assert_eq!(asked("-q check_virtual_hosts").status, 64);
}

#[test]
fn listeners_are_found_by_port_and_by_protocol() {
    let two = || Status {
        listeners: vec![listener("amqp", 5690), listener("http", 15690)],
        ..status()
    };
    let node = "node leveret@localhost";
    assert_eq!(
        on(two(), "check_port_listener 5690").out,
        format!(
            "Asking {node} if there's an active listener on port 5690 ...\nA listener for port 5690 is \
             running on {node}.\n"
        )
    );
    assert_eq!(
        on(two(), "-q check_port_listener 1"),
        outcome(
            69,
            "",
            &format!(
                "No listener for port 1 is active on {node}. Found listeners that use the following \
                 ports: 5690, 15690\n"
            )
        )
    );
    assert_eq!(
        on(two(), "-q check_protocol_listener amqp").out,
        format!("A listener for protocol amqp is running on {node}.\n")
    );
    assert_eq!(
        on(two(), "-q check_protocol_listener mqtt"),
        outcome(
            69,
            "",
            &format!(
                "Error:\nNo listener for protocol mqtt is active on {node}. Found listeners for the \
                 following protocols: amqp, http\n"
            )
        )
    );
    let json = on(two(), "check_port_listener 1 --formatter json").err;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (
            json["missing"].as_str(),
            json["ports"][0].as_u64(),
            json["result"].as_str()
        ),
        (Some("1"), Some(5690), Some("error"))
    );
    let shown = alone(&["check_port_listener", "x"]);
    assert_eq!(shown.status, 65);
    assert!(
        shown.err.starts_with(
            "Error (argument validation): Bad argument: Argument must be a positive integer\n"
        ),
        "{}",
        shown.err
    );
}

#[test]
fn ports_are_connected_to() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = open.local_addr().unwrap().port();
    let listening = || Status {
        listeners: vec![listener("amqp", port)],
        ..status()
    };
    let shown = on(listening(), "-q check_port_connectivity");
    let wanted = format!("Successfully connected to ports {port} on node leveret@localhost.\n");
    assert_eq!(shown, outcome(0, &wanted, ""));
    drop(open);
    let shown = on(listening(), "-q check_port_connectivity -t 5");
    let wanted = format!(
        "Error:\nConnection to ports of the following listeners on node leveret@localhost failed: \n\
         Interface: 127.0.0.1, port: {port}, protocol: amqp, purpose: AMQP 0-9-1\n"
    );
    assert_eq!(shown, outcome(69, "", &wanted));
}

#[test]
fn checks_of_clusters_pass_on_one_node() {
    for check in [
        "check_if_node_is_quorum_critical",
        "check_if_node_is_mirror_sync_critical",
    ] {
        let wanted = "Node leveret@localhost seems to be the only one in a single node cluster, the \
                      check does not apply\n";
        assert_eq!(on(status(), &format!("-q {check}")), outcome(0, wanted, ""));
        assert_eq!(on(status(), &format!("-s {check}")), outcome(0, "", ""));
    }
    assert_eq!(
        on(status(), "-q node_health_check").out,
        "Health check passed\n"
    );
    let ill = Status {
        alarms: vec![Resource::Memory],
        ..status()
    };
    assert_eq!(on(ill, "-q node_health_check").status, 70);
}

#[test]
fn the_cluster_is_one_node() {
    let shown = on(status(), "-q cluster_status").out;
    for wanted in [
        "Basics\n\nCluster name: burrow\n\nDisk Nodes\n\nleveret@localhost\n\nRunning Nodes\n\n\
         leveret@localhost\n\nVersions\n\nleveret@localhost: Leveret 0.1.0\n\nMaintenance status\n\n\
         Node: leveret@localhost, status: not under maintenance\n\nAlarms\n\n(none)\n\nNetwork \
         Partitions\n\n(none)\n\nListeners\n\nNode: leveret@localhost, interface: 127.0.0.1, port: 5690, \
         protocol: amqp, purpose: AMQP 0-9-1\n\nFeature flags\n\n",
        "Flag: quorum_queue, state: enabled\n",
    ] {
        assert!(shown.contains(wanted), "{shown}");
    }
    let json = on(status(), "cluster_status --formatter json").out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json["running_nodes"],
        serde_json::json!(["leveret@localhost"])
    );
    assert_eq!(json["listeners"]["leveret@localhost"][0]["port"], 5690);
    assert_eq!(on(status(), "-q await_online_nodes 1"), outcome(0, "", ""));
    assert_eq!(on(status(), "-q await_online_nodes 2").status, 70);
    assert_eq!(alone(&["await_online_nodes", "x"]).status, 65);
    assert_eq!(
        on(status(), "-q enable_feature_flag all"),
        outcome(0, "", "")
    );
    let unknown = "Error:\nThis feature flag is not supported by node leveret@localhost\n";
    assert_eq!(
        on(status(), "-q enable_feature_flag x"),
        outcome(64, "", unknown)
    );
    let flags = on(status(), "list_feature_flags").out;
    let wanted = "Listing feature flags ...\nname\tstate\n";
    assert!(
        flags.starts_with(wanted) && flags.contains("\nquorum_queue\tenabled\n"),
        "{flags}"
    );
    let named = on(
        status(),
        "-q list_feature_flags state name --formatter json",
    )
    .out;
    assert!(
        named.starts_with("[\n{\"state\":\"enabled\",\"name\":"),
        "{named}"
    );
    assert_eq!(on(status(), "-q forget_cluster_node x@y").status, 69);
    assert_eq!(
        on(status(), "-q discover_peers").out,
        "No peers discovered\n"
    );
    let (request, shown) = ctl(&["set_cluster_name", "den"], vec![Response::Ok]);
    let (name, value) = (text("cluster_name"), "den".into());
    assert_eq!(request, Request::SetGlobalParameter { name, value });
    assert_eq!(shown, outcome(0, "Setting cluster name to den ...\n", ""));
}

#[test]
fn a_node_tells_its_version_settings_and_memory() {
    assert_eq!(on(status(), "-q server_version").out, "0.1.0\n");
    assert_eq!(
        on(status(), "server_version --formatter json").out,
        "{\"result\":\"ok\",\"value\":\"0.1.0\"}\n"
    );
    assert_eq!(
        on(status(), "-q environment").out,
        "[{leveret,\n     [{port,5690},\n      {management,true},\n      {bind,\"127.0.0.1\"}]}]\n"
    );
    assert_eq!(on(status(), "-q os_env").out, "LEVERET_PORT=5690\n");
    let row = |name: &str, bytes: u64| vec![Value::from(name), Value::from(bytes)];
    let rows = vec![
        row("binary", 1_000_000),
        row("code", 0),
        row("other_system", 3_000_000),
    ];
    let answer = || vec![Response::Rows(rows.clone()), Response::Ok];
    let (request, shown) = ctl(&["-q", "memory_breakdown", "--unit", "mb"], answer());
    assert_eq!(request, Request::MemoryBreakdown);
    assert_eq!(
        shown.out,
        "other_system: 3.0 mb (75.0%)\nbinary: 1.0 mb (25.0%)\ncode: 0.0 mb (0.0%)\n\n"
    );
    let (_, shown) = ctl(&["memory_breakdown", "--formatter", "json"], answer());
    let json: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(
        json["binary"],
        serde_json::json!({ "bytes": 1_000_000, "percentage": 25.0 })
    );
    let (_, shown) = ctl(&["-q", "list_node_auth_attempt_stats"], vec![Response::Ok]);
    assert_eq!(
        shown.out,
        "Node leveret@localhost reported no authentication attempt stats\n"
    );
}

#[test]
fn members_of_queues_are_this_node() {
    let kind = |kind: &str| vec![Response::Text(text(kind))];
    let refused = |words: &[&str], queue: &str| {
        let (_, shown) = ctl(words, kind(queue));
        (shown.err, shown.status)
    };
    assert_eq!(
        refused(&["-q", "quorum_status", "q"], "classic"),
        (
            text("Error:\nCannot get quorum status of a classic queue\n"),
            69
        )
    );
    assert_eq!(
        refused(&["-q", "delete_member", "q", "rabbit@localhost"], "quorum"),
        (text("Error:\nlast_node\n"), 69)
    );
    assert_eq!(
        refused(&["-q", "add_member", "q", "other@elsewhere"], "quorum"),
        (text("Error:\nnode_not_running\n"), 69)
    );
    let (request, shown) = ctl(
        &["quorum_status", "q", "--formatter", "json"],
        kind("quorum"),
    );
    let (vhost, queue) = (text("/"), text("q"));
    assert_eq!(request, Request::QueueKind { vhost, queue });
    let json: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(json[0]["Raft State"], "leader");
    let missing = Response::refused(ErrorKind::NoSuchQueue);
    let (_, shown) = ctl(&["-q", "stream_status", "q"], vec![missing]);
    assert_eq!(shown, outcome(69, "", "Error:\nnot_found\n"));
    let row = |name: &str, kind: &str| vec![Value::from(name), Value::from(kind)];
    let rows = vec![row("q", "quorum"), row("c", "classic")];
    let answer = || vec![Response::Rows(rows.clone()), Response::Ok];
    let (_, shown) = ctl(&["-q", "shrink", "leveret@localhost"], answer());
    assert_eq!(
        shown.out,
        "vhost\tname\tsize\tresult\n/\tq\t1\terror: the last node cannot be removed\n"
    );
    let (_, shown) = ctl(&["-q", "rebalance", "all"], answer());
    assert!(
        shown.out.starts_with('┌') && shown.out.contains("│ leveret@localhost │ 1 "),
        "{}",
        shown.out
    );
    assert_eq!(alone(&["rebalance", "foo"]).status, 69);
}
