//! `alarms` and its health checks, which are verbs of rabbitmq-diagnostics.

use serde_json::{Value as Json, json};

use crate::manage::request::Resource;
use crate::text::names::NODE_NAME;

use super::exit;

/// The output of a command, and its exit status.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) out: Option<String>,
    pub(super) err: Option<String>,
    pub(super) status: u8,
}

/// The options of the command.
#[derive(Clone, Copy, Debug)]
pub(super) struct AlarmOptions<'a> {
    pub(super) verb: &'a str,
    pub(super) json: bool,
    pub(super) silent: bool,
}

/// Describes an alarm.
pub(super) fn describe(alarm: Resource) -> &'static str {
    match alarm {
        Resource::Disk => "Free disk space alarm",
        Resource::Memory => "Memory alarm",
        Resource::CommitLog => "Commit log alarm: it cannot be written, and nothing is confirmed",
    }
}

/// Formats the alarms in force. `alarms` lists them; the checks fail if there are any.
pub(super) fn show(alarms: &[Resource], options: AlarmOptions<'_>) -> Output {
    let broker = format!("Node {NODE_NAME}");
    let lines: Vec<&str> = alarms.iter().map(|alarm| describe(*alarm)).collect();
    let checks = options.verb != "alarms";
    let fails = checks && !lines.is_empty();
    let text = if options.json {
        Some(as_json(options.verb, &lines, &broker).to_string())
    } else if checks && options.silent {
        None
    } else {
        Some(match (options.verb, lines.is_empty()) {
            ("check_local_alarms", true) => format!("{broker} reported no local alarms"),
            (_, true) => format!("{broker} reported no alarms, local or clusterwide"),
            ("check_local_alarms", false) => format!("Error:\n{}", lines.join("\n")),
            (_, false) => lines.join("\n"),
        })
    };
    if fails {
        Output {
            err: text,
            status: exit::UNAVAILABLE,
            ..Output::default()
        }
    } else {
        Output {
            out: text,
            ..Output::default()
        }
    }
}

fn as_json(verb: &str, lines: &[&str], broker: &str) -> Json {
    match (verb, lines.is_empty()) {
        ("alarms", true) => json!({ "alarms": [], "result": "ok" }),
        ("alarms", false) => json!({
            "global": [],
            "local": lines,
            "message": format!("{broker} reported alarms"),
            "result": "ok",
        }),
        (_, true) => json!({ "result": "ok" }),
        ("check_local_alarms", false) => json!({
            "local": lines,
            "message": format!("{broker} reported local alarms"),
            "result": "error",
        }),
        (_, false) => json!({
            "global": [],
            "local": lines,
            "message": format!("{broker} reported alarms"),
            "result": "error",
        }),
    }
}
