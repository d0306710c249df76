//! Health checks: what a status says about the broker, and whether its ports accept connections.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::manage::objects;
use crate::manage::request::Request;
use crate::manage::status::{Listener, Status};
use crate::text::names::NODE_NAME;

use super::super::action::{Answer, Reply, status};
use super::super::options::CommandLine;
use super::super::request::{Invalid, bad_argument};
use super::super::{alarms, exit};

/// How long all connections of `check_port_connectivity` may take, unless `--timeout` says otherwise.
const CONNECTIVITY_TIMEOUT: Duration = Duration::from_secs(30);

pub(in crate::ctl) fn running_banner(_: &CommandLine) -> String {
    format!("Checking if RabbitMQ is running on node {NODE_NAME} ...")
}

pub(in crate::ctl) fn check_running(reply: &Reply, _: &CommandLine) -> Answer {
    if reply.is_stopped {
        return Answer::failed(format!("Error:\n{}", not_running()));
    }
    Answer::message(fully_booted())
}

pub(in crate::ctl) fn status_banner(_: &CommandLine) -> String {
    format!("Asking node {NODE_NAME} for its status ...")
}

pub(in crate::ctl) fn is_running(reply: &Reply, _: &CommandLine) -> Answer {
    let text = if reply.is_stopped {
        not_running()
    } else {
        fully_booted()
    };
    let json = json!({ "message": text, "result": !reply.is_stopped });
    Answer::message(text).with_json(json)
}

pub(in crate::ctl) fn boot_banner(_: &CommandLine) -> String {
    format!("Asking node {NODE_NAME} for its boot status ...")
}

pub(in crate::ctl) fn is_booting(_: &Reply, _: &CommandLine) -> Answer {
    let text = format!(
        "RabbitMQ on node {NODE_NAME} is fully booted (check with is_running), stopped or has not \
         started booting yet"
    );
    let json = json!({ "message": text, "result": false });
    Answer::message(text).with_json(json)
}

fn not_running() -> String {
    format!(
        "RabbitMQ on node {NODE_NAME} is not running or has not fully booted yet (check with is_booting)"
    )
}

fn fully_booted() -> String {
    format!("RabbitMQ on node {NODE_NAME} is fully booted and running")
}

pub(in crate::ctl) fn vhosts_banner(_: &CommandLine) -> String {
    format!("Checking if all vhosts are running on node {NODE_NAME} ...")
}

/// A virtual host runs for as long as the broker does.
pub(in crate::ctl) fn check_virtual_hosts(reply: &Reply, line: &CommandLine) -> Answer {
    reply.of_status(|_| {
        let text = format!("Node {NODE_NAME} reported all vhosts as running");
        let answer = Answer::message(text).with_json(json!({ "result": "ok" }));
        answer.unless_silent(line)
    })
}

pub(in crate::ctl) fn mirrors_banner(_: &CommandLine) -> String {
    format!(
        "Checking if node {NODE_NAME} is critical for data safety of any classic mirrored queues ..."
    )
}

pub(in crate::ctl) fn quorum_banner(_: &CommandLine) -> String {
    format!("Checking if node {NODE_NAME} is critical for quorum of any quorum queues ...")
}

/// The check of a node that others depend on.
pub(in crate::ctl) fn is_the_only_node(reply: &Reply, line: &CommandLine) -> Answer {
    let says = |node: &str| {
        format!(
            "{node} seems to be the only one in a single node cluster, the check does not apply"
        )
    };
    reply.of_status(|_| {
        let json = json!({ "result": "ok", "message": says("Target node") });
        let answer = Answer::message(says(&format!("Node {NODE_NAME}"))).with_json(json);
        answer.unless_silent(line)
    })
}

pub(in crate::ctl) fn health_banner(line: &CommandLine) -> String {
    let seconds = line.number("timeout").unwrap_or(70);
    format!(
        "This command is DEPRECATED and will be removed in a future version.\nIt performs intrusive, \
         opinionated health checks and requires a fully booted node.\nUse one of the options covered in \
         https://www.rabbitmq.com/monitoring.html#health-checks instead.\nTimeout: {seconds} seconds ...\n\
         Checking health of node {NODE_NAME} ..."
    )
}

pub(in crate::ctl) fn node_health_check(reply: &Reply, _: &CommandLine) -> Answer {
    reply.of_status(|status| {
        if status.alarms.is_empty() {
            return Answer::message("Health check passed");
        }
        let alarms = status.alarms.iter().map(|alarm| alarms::describe(*alarm));
        let alarms = alarms.collect::<Vec<_>>().join(", ");
        let text = format!("Error:\nError: health check failed. Message: {alarms}");
        Answer::failed(text).with_status(exit::SOFTWARE)
    })
}

pub(in crate::ctl) fn listeners_banner(_: &CommandLine) -> String {
    format!("Asking node {NODE_NAME} to report its protocol listeners ...")
}

pub(in crate::ctl) fn listeners(reply: &Reply, _: &CommandLine) -> Answer {
    reply.of_status(|status| {
        let lines: Vec<String> = status.listeners.iter().map(describe).collect();
        Answer::message(lines.join("\n")).with_json(listening(status))
    })
}

/// Describes a listener in a line.
pub(in crate::ctl) fn describe(listener: &Listener) -> String {
    let Listener {
        port,
        protocol,
        purpose,
        ..
    } = listener;
    let interface = interface(listener);
    format!("Interface: {interface}, port: {port}, protocol: {protocol}, purpose: {purpose}")
}

/// Returns the address of a listener; an IPv6 address in brackets, as rabbitmqctl writes it.
fn interface(listener: &Listener) -> String {
    match listener.interface.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => listener.interface.clone(),
    }
}

/// Describes a listener as a JSON object.
pub(in crate::ctl) fn as_json(listener: &Listener) -> Json {
    let mut json = json!(listener);
    json["interface"] = interface(listener).into();
    json["node"] = NODE_NAME.into();
    json
}

fn listening(status: &Status) -> Json {
    let listeners: Vec<Json> = status.listeners.iter().map(as_json).collect();
    json!({ "listeners": listeners, "node": NODE_NAME, "result": "ok" })
}

pub(in crate::ctl) fn connectivity_banner(_: &CommandLine) -> String {
    format!("Testing TCP connections to all active listeners on node {NODE_NAME} ...")
}

pub(in crate::ctl) fn check_port_connectivity(reply: &Reply, line: &CommandLine) -> Answer {
    reply.of_status(|status| {
        let all = line.number("timeout").map(Duration::from_secs);
        let count = u32::try_from(status.listeners.len()).unwrap_or(u32::MAX);
        let each = all.unwrap_or(CONNECTIVITY_TIMEOUT) / count.saturating_add(1);
        let refused = status.listeners.iter().filter(|listener| !accepts(listener, each));
        let refused: Vec<&Listener> = refused.collect();
        if refused.is_empty() {
            let ports = joined(&ports(status));
            let text = format!("Successfully connected to ports {ports} on node {NODE_NAME}.");
            return Answer::message(text).with_json(listening(status));
        }
        let lines: Vec<String> = refused.iter().map(|listener| describe(listener)).collect();
        let failures: Vec<Json> = refused.iter().map(|listener| as_json(listener)).collect();
        let text = format!(
            "Error:\nConnection to ports of the following listeners on node {NODE_NAME} failed: \n{}",
            lines.join("\n")
        );
        Answer::failed(text)
            .with_json(json!({ "failures": failures, "node": NODE_NAME, "result": "error" }))
    })
}

/// Returns whether a listener accepts a connection. leveretctl runs on the broker's machine.
fn accepts(listener: &Listener, timeout: Duration) -> bool {
    if let Some(path) = listener.interface.strip_prefix("unix:") {
        return UnixStream::connect(path).is_ok();
    }
    let Ok(mut address) = listener.interface.parse::<IpAddr>() else {
        return false;
    };
    if address.is_unspecified() {
        address = match address {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
    }
    let timeout = timeout.max(Duration::from_millis(1));
    TcpStream::connect_timeout(&SocketAddr::new(address, listener.port), timeout).is_ok()
}

fn ports(status: &Status) -> BTreeSet<u16> {
    status
        .listeners
        .iter()
        .map(|listener| listener.port)
        .collect()
}

fn joined(ports: &BTreeSet<u16>) -> String {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    ports.join(", ")
}

/// Returns the port or the protocol that is asked about.
fn asked(line: &CommandLine) -> &str {
    line.arguments.first().map_or("", String::as_str)
}

pub(in crate::ctl) fn port_request(line: &CommandLine) -> Result<Request, Invalid> {
    positive(asked(line))?;
    status(line)
}

/// Checks that an argument is a positive integer.
pub(in crate::ctl) fn positive(argument: &str) -> Result<u64, Invalid> {
    let number = argument.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| bad_argument(": Argument must be a positive integer"))
}

pub(in crate::ctl) fn port_banner(line: &CommandLine) -> String {
    let port = asked(line);
    format!("Asking node {NODE_NAME} if there's an active listener on port {port} ...")
}

pub(in crate::ctl) fn check_port_listener(reply: &Reply, line: &CommandLine) -> Answer {
    let port = asked(line);
    reply.of_status(|status| {
        let found = status.listeners.iter().any(|l| l.port.to_string() == port);
        if found {
            let text = format!("A listener for port {port} is running on node {NODE_NAME}.");
            let json = json!({ "node": NODE_NAME, "port": port, "result": "ok" });
            return Answer::message(text).with_json(json);
        }
        let ports = ports(status);
        let mut json = listening(status);
        json["missing"] = port.into();
        json["ports"] = json!(ports);
        json["result"] = "error".into();
        Answer::failed(format!(
            "No listener for port {port} is active on node {NODE_NAME}. Found listeners that use the \
             following ports: {}",
            joined(&ports)
        ))
        .with_json(json)
    })
}

pub(in crate::ctl) fn protocol_banner(line: &CommandLine) -> String {
    let protocol = asked(line);
    format!("Asking node {NODE_NAME} if there's an active listener for protocol {protocol} ...")
}

pub(in crate::ctl) fn check_protocol_listener(reply: &Reply, line: &CommandLine) -> Answer {
    let protocol = asked(line);
    let wanted = objects::listener::protocol(protocol);
    reply.of_status(|status| {
        if status.listeners.iter().any(|l| l.protocol == wanted) {
            let text = format!("A listener for protocol {protocol} is running on node {NODE_NAME}.");
            let json = json!({ "node": NODE_NAME, "protocol": protocol, "result": "ok" });
            return Answer::message(text).with_json(json);
        }
        let found: BTreeSet<&str> = status.listeners.iter().map(|l| l.protocol.as_str()).collect();
        let mut json = listening(status);
        json["missing"] = protocol.into();
        json["protocols"] = json!(found);
        json["result"] = "error".into();
        let found: Vec<&str> = found.into_iter().collect();
        Answer::failed(format!(
            "Error:\nNo listener for protocol {protocol} is active on node {NODE_NAME}. Found listeners \
             for the following protocols: {}",
            found.join(", ")
        ))
        .with_json(json)
    })
}
