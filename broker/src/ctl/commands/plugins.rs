//! RabbitMQ's plugins: those whose features are built in count as enabled.

use serde_json::{Value as Json, json};

use regex::Regex;

use crate::manage::request::Request;
use crate::text::names::NODE_NAME;

use super::super::action::{Answer, Reply};
use super::super::exit;
use super::super::options::CommandLine;
use super::super::request::{Invalid, bad_argument, usage};
use super::super::verbs::most_similar;

/// A plugin whose features are built in.
struct Plugin {
    name: &'static str,
    /// What it gives.
    description: &'static str,
    /// Whether others need it, and nobody enables it for itself.
    is_dependency: bool,
}

const fn plugin(name: &'static str, description: &'static str) -> Plugin {
    Plugin {
        name,
        description,
        is_dependency: false,
    }
}

const fn dependency(name: &'static str, description: &'static str) -> Plugin {
    Plugin {
        is_dependency: true,
        ..plugin(name, description)
    }
}

/// By name.
const BUILT_IN: [Plugin; 7] = [
    plugin(
        "rabbitmq_consistent_hash_exchange",
        "Consistent hash exchanges",
    ),
    plugin(
        "rabbitmq_delayed_message_exchange",
        "Delayed message exchanges",
    ),
    plugin("rabbitmq_management", "HTTP API and management page"),
    dependency("rabbitmq_management_agent", "Figures of the node"),
    plugin("rabbitmq_prometheus", "Metrics for Prometheus"),
    plugin("rabbitmq_random_exchange", "Random exchanges"),
    dependency("rabbitmq_web_dispatch", "Web server"),
];

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn find(name: &str) -> Option<&'static Plugin> {
    BUILT_IN.iter().find(|plugin| plugin.name == name)
}

/// Lists the plugins whose names match a pattern.
pub(in crate::ctl) fn list(line: &CommandLine) -> Result<Answer, Invalid> {
    let pattern = line.arguments.first().map_or(".*", String::as_str);
    let regex = Regex::new(pattern)
        .map_err(|_| bad_argument(&format!(": '{pattern}' is not a regular expression")))?;
    let (minimal, verbose) = (line.has("minimal"), line.has("verbose"));
    if minimal && verbose {
        return Err(usage("Cannot set both verbose and minimal"));
    }
    let explicit_only = line.has("enabled") && !line.has("implicitly-enabled");
    let plugins: Vec<&Plugin> = BUILT_IN
        .iter()
        .filter(|plugin| regex.is_match(plugin.name))
        .filter(|plugin| !(explicit_only && plugin.is_dependency))
        .collect();
    let mut lines = Vec::new();
    if !line.is_quiet() {
        lines.push(format!("Listing plugins with pattern \"{pattern}\" ..."));
        if !minimal {
            lines.push(" Configured: E = explicitly enabled; e = implicitly enabled".to_owned());
            lines.push(format!(" | Status: * = built in, running on {NODE_NAME}"));
            lines.push(" |/".to_owned());
        }
    }
    let width = plugins
        .iter()
        .map(|plugin| plugin.name.len())
        .max()
        .unwrap_or(0);
    for plugin in &plugins {
        let mark = if plugin.is_dependency { 'e' } else { 'E' };
        let (name, description) = (plugin.name, plugin.description);
        lines.push(match (minimal, verbose) {
            (true, _) => name.to_owned(),
            (_, true) => format!(
                "[{mark}*] {name}\n     Version:     \t{VERSION}\n     Description: \t{description}\n"
            ),
            _ => format!("[{mark}*] {name:<width$} {VERSION}"),
        });
    }
    let format = match (minimal, verbose) {
        (true, _) => "minimal",
        (_, true) => "verbose",
        _ => "normal",
    };
    let shown: Vec<Json> = plugins
        .iter()
        .map(|plugin| as_json(plugin, minimal))
        .collect();
    let json = json!({ "format": format, "plugins": shown, "status": "running" });
    let mut answer = Answer::message(lines.join("\n"));
    if lines.is_empty() {
        answer = Answer::done();
    }
    Ok(answer.with_json(json))
}

fn as_json(plugin: &Plugin, minimal: bool) -> Json {
    if minimal {
        return json!({ "name": plugin.name });
    }
    let enabled = if plugin.is_dependency {
        "implicit"
    } else {
        "enabled"
    };
    json!({
        "description": plugin.description,
        "enabled": enabled,
        "name": plugin.name,
        "running": true,
        "version": VERSION,
    })
}

pub(in crate::ctl) fn is_enabled_request(_: &CommandLine) -> Result<Request, Invalid> {
    Ok(Request::Ping)
}

pub(in crate::ctl) fn is_enabled_banner(line: &CommandLine) -> String {
    let names = line.arguments.join(", ");
    match line.arguments.len() {
        1 => format!("Asking node {NODE_NAME} if plugin {names} is enabled..."),
        _ => format!("Asking node {NODE_NAME} if plugins {names} are enabled..."),
    }
}

pub(in crate::ctl) fn is_enabled(_: &Reply, line: &CommandLine) -> Answer {
    let (names, missing) = (&line.arguments, missing(&line.arguments));
    let told = if missing.is_empty() {
        names.len()
    } else {
        missing.len()
    };
    let (noun, verb) = match told {
        1 => ("Plugin", "is"),
        _ => ("Plugins", "are"),
    };
    if missing.is_empty() {
        let names = names.join(", ");
        return Answer::message(format!("{noun} {names} {verb} enabled on node {NODE_NAME}"));
    }
    let enabled: Vec<&str> = BUILT_IN.iter().map(|plugin| plugin.name).collect();
    Answer::failed(format!(
        "Error:\n{noun} {} {verb} not enabled on node {NODE_NAME}. Enabled plugins and dependencies: {}",
        missing.join(", "),
        enabled.join(", ")
    ))
}

fn missing(names: &[String]) -> Vec<&str> {
    let names = names.iter().map(String::as_str);
    names.filter(|name| find(name).is_none()).collect()
}

/// Refuses plugins that are not built in.
fn not_found(names: &[&str], status: u8) -> Answer {
    let known = || BUILT_IN.iter().map(|plugin| plugin.name);
    let meant: Vec<&str> = names
        .iter()
        .filter_map(|name| most_similar(name, known()))
        .collect();
    let hint = match meant.as_slice() {
        [] => String::new(),
        meant => format!(". Did you mean '{}'?", meant.join("', '")),
    };
    let names = names.join(", ");
    let text = format!("Error:\nThe following plugins were not found: {names}{hint}");
    Answer::failed(text).with_status(status)
}

/// Reports that nothing had to change.
fn unchanged(line: &CommandLine, announcement: &str) -> Answer {
    let mut lines = Vec::new();
    if !line.is_quiet() {
        lines.push(announcement.to_owned());
        lines.extend(line.arguments.iter().cloned());
    }
    lines.push("The following plugins have been configured:".to_owned());
    lines.extend(BUILT_IN.iter().map(|plugin| format!("  {}", plugin.name)));
    lines.push(format!("Applying plugin configuration to {NODE_NAME}..."));
    lines.push("Plugin configuration unchanged.".to_owned());
    let enabled: Vec<&str> = BUILT_IN.iter().map(|plugin| plugin.name).collect();
    Answer::message(lines.join("\n"))
        .with_json(json!({ "enabled": enabled, "mode": "online", "set": enabled }))
}

fn check_mode(line: &CommandLine) -> Result<(), Invalid> {
    if line.has("online") && line.has("offline") {
        return Err(usage("Cannot set both online and offline"));
    }
    if line.arguments.is_empty() && !line.has("all") {
        return Err(usage("not enough arguments."));
    }
    if !line.arguments.is_empty() && line.has("all") {
        return Err(usage("Cannot set --all and specify plugins"));
    }
    Ok(())
}

pub(in crate::ctl) fn enable(line: &CommandLine) -> Result<Answer, Invalid> {
    check_mode(line)?;
    let missing = missing(&line.arguments);
    if !missing.is_empty() {
        return Ok(not_found(&missing, exit::SOFTWARE));
    }
    Ok(unchanged(
        line,
        &format!("Enabling plugins on node {NODE_NAME}:"),
    ))
}

/// Enables some plugins and disables the rest, of which the built-in ones stay.
pub(in crate::ctl) fn set(line: &CommandLine) -> Result<Answer, Invalid> {
    let missing = missing(&line.arguments);
    if !missing.is_empty() {
        return Ok(not_found(&missing, exit::DATA));
    }
    Ok(unchanged(
        line,
        &format!("Enabling plugins on node {NODE_NAME}:"),
    ))
}

pub(in crate::ctl) fn disable(line: &CommandLine) -> Result<Answer, Invalid> {
    check_mode(line)?;
    let built_in = line.arguments.iter().find(|name| find(name).is_some());
    let stays = match built_in {
        Some(name) => name.as_str(),
        None if line.has("all") => "what is enabled",
        None => {
            return Ok(unchanged(
                line,
                &format!("Disabling plugins on node {NODE_NAME}:"),
            ));
        }
    };
    // Not a failure: Ansible's module disables whatever is enabled and not on its list.
    Ok(Answer::message(format!(
        "{stays} is built in and stays enabled"
    )))
}
