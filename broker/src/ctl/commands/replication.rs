//! Replicas of queues, of which a single node has one each.

use crate::manage::request::Request;
use crate::manage::value::Value;
use crate::text::names::NODE_NAME;

use super::super::action::{Answer, Reply};
use super::super::options::CommandLine;
use super::super::request::{Invalid, argument, usage};

/// The member of every queue: the node itself.
const LEADER: &str = "leader";

/// Asks of which kind a queue is.
pub(in crate::ctl) fn kind_of_queue(line: &CommandLine) -> Result<Request, Invalid> {
    Ok(Request::QueueKind {
        vhost: line.vhost().to_owned(),
        queue: argument(line, 0),
    })
}

fn refused(text: impl std::fmt::Display) -> Answer {
    Answer::failed(format!("Error:\n{text}"))
}

pub(in crate::ctl) fn quorum_banner(line: &CommandLine) -> String {
    let queue = argument(line, 0);
    format!("Status of quorum queue {queue} on node {NODE_NAME} ...")
}

/// There is no log that is replicated, so its figures are undefined.
pub(in crate::ctl) fn quorum_status(reply: &Reply, _: &CommandLine) -> Answer {
    if reply.text != "quorum" {
        return refused(format_args!(
            "Cannot get quorum status of a {} queue",
            reply.text
        ));
    }
    let columns = vec![
        "Node Name",
        "Raft State",
        "Log Index",
        "Commit Index",
        "Snapshot Index",
        "Term",
        "Machine Version",
    ];
    let mut row: Vec<Value> = vec![NODE_NAME.into(), LEADER.into()];
    row.resize(columns.len(), "undefined".into());
    Answer::bordered(columns, vec![row])
}

pub(in crate::ctl) fn stream_banner(line: &CommandLine) -> String {
    let queue = argument(line, 0);
    format!("Status of stream {queue} on node {NODE_NAME} ...")
}

pub(in crate::ctl) fn stream_status(reply: &Reply, _: &CommandLine) -> Answer {
    if reply.text != "stream" {
        return refused(format_args!(
            "Cannot get stream status of a {} queue",
            reply.text
        ));
    }
    let columns = vec![
        "role",
        "node",
        "offset",
        "committed_offset",
        "first_offset",
        "readers",
        "segments",
    ];
    let mut row: Vec<Value> = vec!["writer".into(), NODE_NAME.into()];
    row.resize(columns.len(), "undefined".into());
    Answer::bordered(columns, vec![row])
}

pub(in crate::ctl) fn reclaim_banner(line: &CommandLine) -> String {
    let queue = argument(line, 0);
    format!("Will flush Raft WAL of quorum queue {queue} ...")
}

/// The log is one for all queues, and synced already.
pub(in crate::ctl) fn reclaim_quorum_memory(reply: &Reply, _: &CommandLine) -> Answer {
    match reply.text.as_str() {
        "quorum" => Answer::done(),
        kind => refused(format_args!(
            "This operation is not applicable to {kind} queues"
        )),
    }
}

pub(in crate::ctl) fn add_banner(line: &CommandLine) -> String {
    let (queue, node) = (argument(line, 0), argument(line, 1));
    format!("Adding a replica for queue {queue} on node {node}...")
}

pub(in crate::ctl) fn delete_banner(line: &CommandLine) -> String {
    let (queue, node) = (argument(line, 0), argument(line, 1));
    format!("Removing a replica of queue {queue} on node {node}...")
}

pub(in crate::ctl) fn add_member(reply: &Reply, line: &CommandLine) -> Answer {
    add_to("quorum", "members", reply, line)
}

pub(in crate::ctl) fn delete_member(reply: &Reply, line: &CommandLine) -> Answer {
    match reply.text.as_str() {
        "quorum" if is_here(line, 1) => refused("last_node"),
        "quorum" => Answer::done(),
        kind => refused(format_args!("Cannot delete members from a {kind} queue")),
    }
}

pub(in crate::ctl) fn add_replica(reply: &Reply, line: &CommandLine) -> Answer {
    add_to("stream", "replicas", reply, line)
}

/// This node has every queue already, and there is no other.
fn add_to(wanted: &str, what: &str, reply: &Reply, line: &CommandLine) -> Answer {
    match reply.text.as_str() {
        kind if kind != wanted => refused(format_args!("Cannot add {what} to a {kind} queue")),
        _ if is_here(line, 1) => Answer::done(),
        _ => refused("node_not_running"),
    }
}

pub(in crate::ctl) fn delete_replica(reply: &Reply, line: &CommandLine) -> Answer {
    match reply.text.as_str() {
        "stream" if is_here(line, 1) => refused("last_stream_member"),
        "stream" => refused("node_not_running"),
        kind => refused(format_args!("Cannot delete replicas from a {kind} queue")),
    }
}

fn is_here(line: &CommandLine, index: usize) -> bool {
    line.is_this_node(&argument(line, index))
}

pub(in crate::ctl) fn grow_request(line: &CommandLine) -> Result<Request, Invalid> {
    match argument(line, 1).as_str() {
        "all" | "even" => Ok(Request::Ping),
        _ => Err(usage("The second argument must be all or even")),
    }
}

pub(in crate::ctl) fn grow_banner(line: &CommandLine) -> String {
    let (node, strategy) = (argument(line, 0), argument(line, 1));
    format!("Growing {strategy} quorum queues on {node}...")
}

/// No queue can have another member than the one it has.
pub(in crate::ctl) fn grow(_: &Reply, line: &CommandLine) -> Answer {
    match is_here(line, 0) {
        true => Answer::rows(vec!["vhost", "name", "size", "result"], Vec::new()),
        false => refused("node_not_running"),
    }
}

/// Asks for the queues, of which the quorum queues matter.
pub(in crate::ctl) fn queues(line: &CommandLine) -> Result<Request, Invalid> {
    use crate::manage::columns::QueueColumn;
    Ok(Request::ListQueues {
        vhost: line.vhost().to_owned(),
        columns: vec![QueueColumn::Name, QueueColumn::Type],
    })
}

pub(in crate::ctl) fn shrink_banner(line: &CommandLine) -> String {
    format!("Shrinking quorum queues on {}...", argument(line, 0))
}

pub(in crate::ctl) fn shrink(reply: &Reply, line: &CommandLine) -> Answer {
    let result = Value::from("error: the last node cannot be removed");
    let row = |name: &Value| {
        vec![
            line.vhost().into(),
            name.clone(),
            1_u64.into(),
            result.clone(),
        ]
    };
    let rows = match is_here(line, 0) {
        true => quorum_queues(reply).map(row).collect(),
        false => Vec::new(),
    };
    Answer::rows(vec!["vhost", "name", "size", "result"], rows)
}

fn quorum_queues(reply: &Reply) -> impl Iterator<Item = &Value> {
    reply.rows.iter().filter_map(|row| match row.as_slice() {
        [name, Value::Text(kind)] if kind == "quorum" => Some(name),
        _ => None,
    })
}

pub(in crate::ctl) fn rebalance_request(line: &CommandLine) -> Result<Request, Invalid> {
    match argument(line, 0).as_str() {
        "all" | "classic" | "quorum" | "stream" => queues(line),
        kind => Err(Invalid {
            status: super::super::exit::UNAVAILABLE,
            ..usage(format!(
                "type {kind} is not supported. Try one of all, classic, quorum."
            ))
        }),
    }
}

pub(in crate::ctl) fn rebalance_banner(line: &CommandLine) -> String {
    match argument(line, 0).as_str() {
        "all" => "Re-balancing leaders of all queues...".to_owned(),
        kind => format!("Re-balancing leaders of {kind} queues..."),
    }
}

/// All leaders are here already.
pub(in crate::ctl) fn rebalance(reply: &Reply, _: &CommandLine) -> Answer {
    let columns = vec![
        "Node name",
        "Number of quorum queues",
        "Number of replicated classic queues",
    ];
    let count = quorum_queues(reply).count() as u64;
    Answer::bordered(
        columns,
        vec![vec![NODE_NAME.into(), count.into(), 0_u64.into()]],
    )
}
