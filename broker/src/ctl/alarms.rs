//! `alarms` and the health checks on them: rabbitmq-diagnostics' verbs.

use std::path::Path;

use serde_json::{Value as Json, json};

use crate::manage::request::Resource;

use super::exit;

/// What is printed where, and the exit status.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) out: Option<String>,
    pub(super) err: Option<String>,
    pub(super) status: u8,
}

/// How it was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) verb: &'a str,
    pub(super) json: bool,
    pub(super) silent: bool,
    pub(super) data_dir: &'a Path,
}

/// An alarm as a sentence.
pub(super) fn sentence(alarm: Resource) -> &'static str {
    match alarm {
        Resource::Disk => "Free disk space alarm",
        Resource::Memory => "Memory alarm",
    }
}

/// Shows the alarms in force. `alarms` tells; the checks fail when there is one.
pub(super) fn show(alarms: &[Resource], asked: Asked<'_>) -> Shown {
    let broker = format!("The broker in {}", asked.data_dir.display());
    let lines: Vec<&str> = alarms.iter().map(|alarm| sentence(*alarm)).collect();
    let checks = asked.verb != "alarms";
    let fails = checks && !lines.is_empty();
    let text = if asked.json {
        Some(as_json(asked.verb, &lines, &broker).to_string())
    } else if checks && asked.silent {
        None
    } else {
        Some(match (asked.verb, lines.is_empty()) {
            ("check_local_alarms", true) => format!("{broker} reported no local alarms"),
            (_, true) => format!("{broker} reported no alarms, local or clusterwide"),
            ("check_local_alarms", false) => format!("Error:\n{}", lines.join("\n")),
            (_, false) => lines.join("\n"),
        })
    };
    if fails {
        Shown {
            err: text,
            status: exit::UNAVAILABLE,
            ..Shown::default()
        }
    } else {
        Shown {
            out: text,
            ..Shown::default()
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
