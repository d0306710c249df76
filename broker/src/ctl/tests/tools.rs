//! The names of RabbitMQ's tools, and the page that lists their verbs.

use std::collections::BTreeMap;

use super::*;
use crate::ctl::verbs::{self, Tool};

const PAGE: &str = include_str!("../../../../docs/operate/leveretctl.md");

#[test]
fn the_reference_page_names_every_column() {
    for verb in verbs::all() {
        for column in verb.columns.map(|columns| columns()).unwrap_or_default() {
            let named = PAGE.split([' ', '|', '\n']).any(|word| word == column);
            assert!(named, "{} {column}", verb.name);
        }
    }
}

/// The table of verbs has a row for each: its name and the tools that have it.
#[test]
fn the_reference_page_has_every_verb_with_its_tools_and_no_other() {
    let section = PAGE.split("## All verbs\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let mut listed: BTreeMap<&str, String> = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [verb, tools, fate] = cells[..] else {
            panic!("{row}");
        };
        assert!(!fate.is_empty(), "{row}");
        listed.insert(verb.trim_matches('`'), tools.to_owned());
    }
    let own: BTreeMap<&str, String> = verbs::all()
        .map(|verb| {
            let tools: Vec<&str> = verb.tools.iter().map(|tool| short(*tool)).collect();
            (verb.name, tools.join(", "))
        })
        .collect();
    assert_eq!(listed, own);
}

fn short(tool: Tool) -> &'static str {
    let name = tool.name();
    name.strip_prefix("rabbitmq-").unwrap_or("ctl")
}

#[test]
fn a_verb_is_declared_once() {
    let mut names: Vec<&str> = verbs::all().map(|verb| verb.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn each_tool_has_its_verbs_only() {
    let listed = |program: &str| called(program, &["help", "--list-commands"]).out;
    let of = |program: &str| -> Vec<String> { listed(program).lines().map(text).collect() };
    assert!(of("rabbitmq-queues").contains(&text("rebalance")));
    assert!(!of("rabbitmq-queues").contains(&text("list_queues")));
    assert!(of("/usr/sbin/rabbitmqctl").contains(&text("list_queues")));
    assert!(!of("rabbitmqctl").contains(&text("check_running")));
    let streams = [
        "autocomplete",
        "help",
        "add_replica",
        "delete_replica",
        "set_stream_retention_policy",
        "stream_status",
    ];
    assert_eq!(of("rabbitmq-streams"), streams);
    let all = of("leveretctl");
    for verb in ["list_queues", "check_running", "rebalance", "is_enabled"] {
        assert!(all.contains(&text(verb)), "{verb}");
    }
    let usage = called("rabbitmq-plugins", &["enable"]);
    assert_eq!(usage.status, 64);
    assert!(
        usage.err.contains("rabbitmq-plugins [--data-dir <dir>]"),
        "{}",
        usage.err
    );
    assert_eq!(
        called("rabbitmqctl", &["autocomplete", "list_q"]).out,
        "list_queues\n"
    );
}

#[test]
fn plugins_that_are_built_in_are_enabled() {
    let plugins = |words: &[&str]| called("rabbitmq-plugins", words);
    // What Ansible's module rabbitmq_plugin asks.
    let shown = plugins(&["list", "-E", "-m"]);
    let names = "rabbitmq_consistent_hash_exchange\nrabbitmq_delayed_message_exchange\n\
                 rabbitmq_management\nrabbitmq_prometheus\nrabbitmq_random_exchange\n";
    let banner = "Listing plugins with pattern \".*\" ...\n";
    assert_eq!(shown, outcome(0, &format!("{banner}{names}"), ""));
    assert_eq!(plugins(&["-q", "list", "-E", "-m"]).out, names);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        plugins(&["list", "-q", "rabbitmq_man"]).out,
        format!(
            "[E*] rabbitmq_management       {version}\n[e*] rabbitmq_management_agent {version}\n"
        )
    );
    let shown = plugins(&["enable", "--offline", "rabbitmq_management"]);
    assert_eq!((shown.status, shown.err.as_str()), (0, ""));
    assert!(
        shown.out.ends_with("Plugin configuration unchanged.\n"),
        "{}",
        shown.out
    );
    assert_eq!(
        plugins(&["enable", "rabbitmq_managment"]),
        outcome(
            70,
            "",
            "Error:\nThe following plugins were not found: rabbitmq_managment. Did you mean \
             'rabbitmq_management'?\n"
        )
    );
    assert_eq!(plugins(&["set", "nope"]).status, 65);
    assert_eq!(plugins(&["set", "rabbitmq_prometheus"]).status, 0);
    assert_eq!(plugins(&["disable", "nope"]).status, 0);
    assert_eq!(
        plugins(&["disable", "rabbitmq_management"]),
        outcome(0, "rabbitmq_management is built in and stays enabled\n", "")
    );
    let json = plugins(&["list", "-m", "--formatter", "json", "rabbitmq_prometheus"]);
    assert_eq!(
        json.out,
        "{\"format\":\"minimal\",\"plugins\":[{\"name\":\"rabbitmq_prometheus\"}],\"status\":\"running\"}\n"
    );
}

#[test]
fn what_needs_erlang_or_another_node_says_so_in_one_line() {
    for (words, status) in [
        ("eval 1+1.", 69),
        ("remote_shell", 69),
        ("join_cluster rabbit@elsewhere", 69),
        ("erlang_version", 0),
        ("force_boot", 0),
        ("maybe_stuck -q", 0),
        ("runtime_thread_stats --sample-interval 5", 0),
    ] {
        let shown = alone(&words.split(' ').collect::<Vec<_>>());
        assert_eq!(shown.status, status, "{words}");
        let said = format!("{}{}", shown.out, shown.err);
        let said = said.trim_start_matches("Error:\n");
        assert_eq!(said.lines().count(), 1, "{words}: {said}");
    }
}
