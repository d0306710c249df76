//! The cluster, which is one node: what it looks like, its name and its feature flags.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::manage::objects::feature_flag::{FEATURE_FLAGS, FeatureFlag};
use crate::manage::request::Request;
use crate::manage::status::Status;
use crate::text::names::{NODE_NAME, RABBITMQ_VERSION};

use super::super::action::{Answer, Reply, status};
use super::super::help::heading;
use super::super::options::CommandLine;
use super::super::request::{Invalid, argument, bad_argument, selected};
use super::super::{alarms, exit};
use super::health;

/// The columns of `list_feature_flags`.
pub(in crate::ctl) const FLAG_COLUMNS: [&str; 6] = [
    "name",
    "state",
    "stability",
    "provided_by",
    "desc",
    "doc_url",
];

pub(in crate::ctl) fn status_banner(_: &CommandLine) -> String {
    format!("Cluster status of node {NODE_NAME} ...")
}

pub(in crate::ctl) fn cluster_status(reply: &Reply, line: &CommandLine) -> Answer {
    reply.of_status(|status| Answer::message(text(status, line.bold)).with_json(as_json(status)))
}

fn text(status: &Status, bold: bool) -> String {
    let alarms: Vec<String> = match status.alarms.as_slice() {
        [] => vec!["(none)".to_owned()],
        alarms => alarms
            .iter()
            .map(|alarm| format!("{} on node {NODE_NAME}", alarms::describe(*alarm)))
            .collect(),
    };
    let listeners = status.listeners.iter().map(|listener| {
        let described = health::describe(listener).replacen("Interface", "interface", 1);
        format!("Node: {NODE_NAME}, {described}")
    });
    let flags = FEATURE_FLAGS.iter();
    let flags = flags.map(|flag| format!("Flag: {}, state: {}", flag.name, flag.state));
    let node = || vec![NODE_NAME.to_owned()];
    let sections = [
        (
            "Basics",
            vec![format!("Cluster name: {}", status.cluster_name)],
        ),
        ("Disk Nodes", node()),
        ("Running Nodes", node()),
        (
            "Versions",
            vec![format!("{NODE_NAME}: Leveret {}", status.version)],
        ),
        (
            "Maintenance status",
            vec![format!(
                "Node: {NODE_NAME}, status: {}",
                maintenance(status)
            )],
        ),
        ("Alarms", alarms),
        ("Network Partitions", vec!["(none)".to_owned()]),
        ("Listeners", listeners.collect()),
        ("Feature flags", flags.collect()),
    ];
    let mut text = String::new();
    for (title, lines) in sections {
        let gap = if text.is_empty() { "" } else { "\n\n" };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{gap}{}\n\n{}",
            heading(title, bold),
            lines.join("\n")
        );
    }
    text
}

fn maintenance(status: &Status) -> &'static str {
    match status.is_under_maintenance {
        true => "marked for maintenance",
        false => "not under maintenance",
    }
}

fn as_json(status: &Status) -> Json {
    let listeners: Vec<Json> = status.listeners.iter().map(health::as_json).collect();
    let alarm = |alarm| json!({ "node": NODE_NAME, "resource": alarm, "type": "resource_limit" });
    let version = json!({ "leveret_version": status.version, "rabbitmq_name": "Leveret",
        "rabbitmq_version": RABBITMQ_VERSION });
    json!({
        "alarms": status.alarms.iter().map(alarm).collect::<Vec<_>>(),
        "cluster_name": status.cluster_name,
        "disk_nodes": [NODE_NAME],
        "feature_flags": FEATURE_FLAGS,
        "listeners": { NODE_NAME: listeners },
        "maintenance_status": { NODE_NAME: maintenance(status) },
        "partitions": {},
        "ram_nodes": [],
        "running_nodes": [NODE_NAME],
        "versions": { NODE_NAME: version },
    })
}

pub(in crate::ctl) fn set_name_request(line: &CommandLine) -> Result<Request, Invalid> {
    Ok(Request::SetGlobalParameter {
        name: "cluster_name".to_owned(),
        value: argument(line, 0).into(),
    })
}

pub(in crate::ctl) fn set_name_banner(line: &CommandLine) -> String {
    format!("Setting cluster name to {} ...", argument(line, 0))
}

/// The answer of an operation that has no result.
pub(in crate::ctl) fn done(_: &Reply, _: &CommandLine) -> Answer {
    Answer::done()
}

pub(in crate::ctl) fn flags_request(line: &CommandLine) -> Result<Request, Invalid> {
    selected(line, &FLAG_COLUMNS, &["name", "state"])?;
    status(line)
}

pub(in crate::ctl) fn flags_banner(_: &CommandLine) -> String {
    "Listing feature flags ...".to_owned()
}

pub(in crate::ctl) fn list_feature_flags(_: &Reply, line: &CommandLine) -> Answer {
    let columns = selected(line, &FLAG_COLUMNS, &["name", "state"]).unwrap_or_default();
    let cell = |flag: &FeatureFlag, column: &str| {
        let shown = json!(flag);
        shown[column].as_str().unwrap_or_default().into()
    };
    let row = |flag| columns.iter().map(|column| cell(flag, column)).collect();
    let rows = FEATURE_FLAGS.iter().map(row).collect();
    Answer::rows(columns.clone(), rows)
}

pub(in crate::ctl) fn enable_flag_banner(line: &CommandLine) -> String {
    match argument(line, 0).as_str() {
        "all" => "Enabling all feature flags ...".to_owned(),
        flag => format!("Enabling feature flag \"{flag}\" ..."),
    }
}

/// All feature flags are enabled for good.
pub(in crate::ctl) fn enable_feature_flag(_: &Reply, line: &CommandLine) -> Answer {
    let wanted = argument(line, 0);
    if wanted == "all" || FEATURE_FLAGS.iter().any(|flag| flag.name == wanted) {
        return Answer::done();
    }
    let text = format!("Error:\nThis feature flag is not supported by node {NODE_NAME}");
    Answer::failed(text).with_status(exit::USAGE)
}

pub(in crate::ctl) fn count_request(line: &CommandLine) -> Result<Request, Invalid> {
    health::positive(&argument(line, 0))?;
    status(line)
}

pub(in crate::ctl) fn count_banner(line: &CommandLine) -> String {
    let (count, seconds) = (argument(line, 0), line.number("timeout").unwrap_or(300));
    format!(
        "Will wait for at least {count} nodes to join the cluster of {NODE_NAME}. Timeout: {seconds} \
         seconds."
    )
}

/// There is one node, and waiting brings no other.
pub(in crate::ctl) fn await_online_nodes(_: &Reply, line: &CommandLine) -> Answer {
    if argument(line, 0) == "1" {
        return Answer::done();
    }
    Answer::failed(format!(
        "Error:\nError: timed out while waiting. Not enough nodes joined {NODE_NAME}'s cluster."
    ))
    .with_status(exit::SOFTWARE)
}

pub(in crate::ctl) fn peers_banner(_: &CommandLine) -> String {
    "Discovering peers nodes ...".to_owned()
}

pub(in crate::ctl) fn discover_peers(_: &Reply, _: &CommandLine) -> Answer {
    Answer::message("No peers discovered")
}

pub(in crate::ctl) fn forget_banner(line: &CommandLine) -> String {
    format!("Removing node {} from the cluster", argument(line, 0))
}

/// There is no other node to forget.
pub(in crate::ctl) fn forget_cluster_node(_: &Reply, _: &CommandLine) -> Answer {
    Answer::failed("Error:\n{:not_a_cluster_node, 'The node selected is not in the cluster.'}")
}

pub(in crate::ctl) fn node_type_request(line: &CommandLine) -> Result<Request, Invalid> {
    match argument(line, 0).as_str() {
        "disc" | "disk" | "ram" => status(line),
        _ => Err(bad_argument(": The node type must be either disc or ram.")),
    }
}

pub(in crate::ctl) fn node_type_banner(line: &CommandLine) -> String {
    format!("Turning {NODE_NAME} into a {} node", argument(line, 0))
}

pub(in crate::ctl) fn change_cluster_node_type(_: &Reply, line: &CommandLine) -> Answer {
    match argument(line, 0).as_str() {
        "ram" => Answer::failed(
            "Error:\na single node keeps everything on disk and cannot be a ram node",
        ),
        _ => Answer::done(),
    }
}
