//! What a node tells of itself: versions, settings, its environment, its memory, who logged in.

use std::net::{IpAddr, ToSocketAddrs};

use serde_json::{Map, Value as Json, json};

use crate::manage::columns::{Column, QueueColumn};
use crate::manage::request::{PasswordHash, Request};
use crate::manage::value::Value;
use crate::text::names::NODE_NAME;

use super::super::action::{Answer, Reply};
use super::super::help::heading;
use super::super::options::CommandLine;
use super::super::request::{Invalid, argument, selected, usage};
use super::super::status::Unit;
use super::super::{exit, verbs};

pub(in crate::ctl) fn version_banner(_: &CommandLine) -> String {
    format!("Asking node {NODE_NAME} for its RabbitMQ version...")
}

pub(in crate::ctl) fn server_version(reply: &Reply, _: &CommandLine) -> Answer {
    reply.of_status(|status| Answer::value(&status.version))
}

pub(in crate::ctl) fn memory_request(line: &CommandLine) -> Result<Request, Invalid> {
    unit(line)?;
    Ok(Request::MemoryBreakdown)
}

/// Checks `--unit`.
pub(in crate::ctl) fn unit(line: &CommandLine) -> Result<Unit, Invalid> {
    let given = line.text("unit");
    let known = given.map(str::to_lowercase);
    match (known.as_deref(), given) {
        (Some("bytes" | "mb" | "gb"), _) | (_, None) => Ok(Unit::parse(given)),
        (_, Some(unit)) => Err(usage(format!(
            "\"unit '{unit}' is not supported. Please use one of: bytes, mb, gb\""
        ))),
    }
}

pub(in crate::ctl) fn memory_banner(_: &CommandLine) -> String {
    format!("Reporting memory breakdown on node {NODE_NAME}...")
}

pub(in crate::ctl) fn memory_breakdown(reply: &Reply, line: &CommandLine) -> Answer {
    let unit = Unit::parse(line.text("unit"));
    let mut categories: Vec<(&str, u64)> = reply.rows.iter().filter_map(|row| pair(row)).collect();
    categories.sort_by_key(|(name, bytes)| (std::cmp::Reverse(*bytes), *name));
    let total: u64 = categories.iter().map(|(_, bytes)| bytes).sum();
    #[allow(clippy::cast_precision_loss, reason = "shown to two places")]
    let share = |bytes: u64| (bytes as f64 * 1e4 / total.max(1) as f64).round() / 1e2;
    let lines: Vec<String> = categories
        .iter()
        .map(|(name, bytes)| format!("{name}: {} ({:?}%)", unit.show(*bytes), share(*bytes)))
        .collect();
    let json: Map<String, Json> = categories
        .iter()
        .map(|(name, bytes)| {
            let category = json!({ "bytes": bytes, "percentage": share(*bytes) });
            ((*name).to_owned(), category)
        })
        .collect();
    Answer::message(lines.join("\n") + "\n").with_json(json.into())
}

fn pair(row: &[Value]) -> Option<(&str, u64)> {
    match row {
        [Value::Text(name), Value::Integer(bytes)] => Some((name, u64::try_from(*bytes).ok()?)),
        _ => None,
    }
}

pub(in crate::ctl) fn environment_banner(_: &CommandLine) -> String {
    format!("Application environment of node {NODE_NAME} ...")
}

/// The settings as Erlang's terms, as the environment of the one application.
pub(in crate::ctl) fn environment(reply: &Reply, _: &CommandLine) -> Answer {
    reply.of_status(|status| {
        let settings: Vec<String> = status
            .settings
            .iter()
            .map(|(key, value)| match is_bare(value) {
                true => format!("{{{key},{value}}}"),
                false => format!("{{{key},{value:?}}}"),
            })
            .collect();
        let json = status.settings.iter();
        let json: Map<String, Json> = json
            .map(|(key, value)| {
                let bare = is_bare(value).then(|| serde_json::from_str(value).ok());
                let value = bare.flatten().unwrap_or_else(|| value.as_str().into());
                (key.clone(), value)
            })
            .collect();
        Answer::message(format!(
            "[{{leveret,\n     [{}]}}]",
            settings.join(",\n      ")
        ))
        .with_json(json!({ "leveret": json }))
    })
}

fn is_bare(value: &str) -> bool {
    value.parse::<f64>().is_ok() || value.parse::<bool>().is_ok()
}

pub(in crate::ctl) fn variables_banner(_: &CommandLine) -> String {
    format!("Listing RabbitMQ-specific environment variables defined on node {NODE_NAME}...")
}

pub(in crate::ctl) fn os_env(reply: &Reply, _: &CommandLine) -> Answer {
    reply.of_status(|status| {
        let lines = status.variables.iter();
        let lines: Vec<String> = lines
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let variables: Map<String, Json> = status
            .variables
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        let json = json!({ "node": NODE_NAME, "result": "ok", "variables": variables });
        Answer::message(lines.join("\n")).with_json(json)
    })
}

pub(in crate::ctl) fn attempts_request(line: &CommandLine) -> Result<Request, Invalid> {
    Ok(Request::ListLoginAttempts {
        by_source: line.has("by-source"),
    })
}

pub(in crate::ctl) fn attempts_banner(_: &CommandLine) -> String {
    format!("Listing authentication\n attempts for node \"{NODE_NAME}\" ...")
}

/// The keys of a row of attempts.
const ATTEMPTS: [&str; 6] = [
    "remote_address",
    "username",
    "protocol",
    "auth_attempts",
    "auth_attempts_failed",
    "auth_attempts_succeeded",
];

pub(in crate::ctl) fn list_attempts(reply: &Reply, line: &CommandLine) -> Answer {
    let columns = match line.has("by-source") {
        true => &ATTEMPTS[..],
        false => &ATTEMPTS[2..],
    };
    let object = |row: &Vec<Value>| {
        let cells = columns.iter().zip(row);
        let cells = cells.map(|(column, cell)| match cell {
            Value::Integer(count) => ((*column).to_owned(), json!(count)),
            Value::Text(text) => ((*column).to_owned(), json!(text)),
            _ => ((*column).to_owned(), Json::Null),
        });
        Json::Object(cells.collect())
    };
    let attempts: Vec<Json> = reply.rows.iter().map(object).collect();
    let json = json!({ "attempts": attempts, "node": NODE_NAME, "result": "ok" });
    if reply.rows.is_empty() {
        let text = format!("Node {NODE_NAME} reported no authentication attempt stats");
        return Answer::message(text).with_json(json);
    }
    Answer::rows(columns.to_vec(), reply.rows.clone()).with_json(json)
}

pub(in crate::ctl) fn reset_attempts(_: &CommandLine) -> Result<Request, Invalid> {
    Ok(Request::ResetLoginAttempts)
}

pub(in crate::ctl) fn reset_attempts_banner(_: &CommandLine) -> String {
    format!("Reset auth attempt metrics on node {NODE_NAME} ...")
}

/// Asks whether the broker answers: queues answer while it does.
pub(in crate::ctl) fn unresponsive_request(line: &CommandLine) -> Result<Request, Invalid> {
    let known: Vec<&str> = QueueColumn::ALL
        .iter()
        .map(|column| column.name())
        .collect();
    selected(line, &known, &["name"])?;
    Ok(Request::Ping)
}

pub(in crate::ctl) fn unresponsive_banner(line: &CommandLine) -> String {
    format!("Listing unresponsive queues for vhost {} ...", line.vhost())
}

/// Queues are state behind locks, and answer while the broker does.
pub(in crate::ctl) fn unresponsive_queues(_: &Reply, _: &CommandLine) -> Answer {
    Answer::done().with_json(json!([]))
}

/// Completes the beginning of a verb, for shells.
pub(in crate::ctl) fn autocomplete(line: &CommandLine) -> Result<Answer, Invalid> {
    let beginning = argument(line, 0);
    let verbs = verbs::of_tool(line.program.tool).map(|verb| verb.name);
    let mut found: Vec<&str> = verbs.filter(|name| name.starts_with(&beginning)).collect();
    found.sort_unstable();
    let mut answer = Answer::message(found.join("\n")).with_json(json!(found));
    if found.is_empty() {
        answer.body = Answer::done().body;
    }
    Ok(answer)
}

/// Hashes a password as `add_user` does, for definition files.
pub(in crate::ctl) fn hash_password(line: &CommandLine) -> Result<Answer, Invalid> {
    Ok(Answer::message(
        PasswordHash::of(&argument(line, 0)).as_str(),
    ))
}

/// Resolves a name with the resolver of the machine, which is the broker's.
pub(in crate::ctl) fn resolve_hostname(line: &CommandLine) -> Result<Answer, Invalid> {
    let family = line.text("address-family").map(str::to_lowercase);
    let wanted: fn(&IpAddr) -> bool = match family.as_deref() {
        None | Some("ipv4") => IpAddr::is_ipv4,
        Some("ipv6") => IpAddr::is_ipv6,
        Some(_) => {
            return Err(usage(
                "unsupported IP address family. Valid values are: ipv4, ipv6",
            ));
        }
    };
    let resolved = (argument(line, 0).as_str(), 0).to_socket_addrs();
    let addresses = resolved.into_iter().flatten().map(|address| address.ip());
    let mut addresses: Vec<String> = addresses.filter(wanted).map(|ip| ip.to_string()).collect();
    addresses.dedup();
    if addresses.is_empty() {
        let text = "Error:\nHostname does not resolve (resolution failed with an nxdomain)";
        return Ok(Answer::failed(text).with_status(exit::DATA));
    }
    Ok(Answer::message(addresses.join("\n")).with_json(json!(addresses)))
}

/// The resolver is the machine's own.
pub(in crate::ctl) fn resolver_info(line: &CommandLine) -> Result<Answer, Invalid> {
    let settings = heading("Runtime Hostname Resolver (inetrc) Settings", line.bold);
    let hosts = heading("inetrc File Host Entries", line.bold);
    let json = json!({
        "node": NODE_NAME,
        "resolver": {
            "hosts_file": "/etc/hosts",
            "lookup": "native",
            "resolv_conf": "/etc/resolv.conf",
        },
        "result": "ok",
    });
    Ok(Answer::message(format!(
        "{settings}\n\nLookup order: native\nHosts file: /etc/hosts\nResolver conf file: \
         /etc/resolv.conf\nCache size: \n\n{hosts}\n\n(none)"
    ))
    .with_json(json))
}
