//! Verbs that take several steps: `wait`, and `report`, which runs other verbs.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};

use crate::manage::request::{ErrorKind, Request, Response};
use crate::manage::value::Value;
use crate::text::names::NODE_NAME;

use super::client::{Client, ClientError};
use super::exit;
use super::options::CommandLine;
use super::report;
use super::run::{EarlyExit, Terminal, check_node, data_dir, run};
use super::verbs::Verb;

/// The pause between two looks at what is waited for.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// RabbitMQ's timeout for `wait`.
const WAIT_SECONDS: u64 = 10;

/// Waits until the process of a pid file runs and the broker answers.
pub(super) fn wait(line: &CommandLine, terminal: &mut Terminal<'_>) -> Result<u8, EarlyExit> {
    let wrong = |reason: &str| {
        let text = format!("Error (argument validation): \"{reason}\"");
        Err(EarlyExit::Message(text, exit::USAGE))
    };
    let (file, pid) = (line.arguments.first(), line.number("pid"));
    match (file, pid) {
        (None, None) => return wrong("No pid or pidfile specified"),
        (Some(_), Some(_)) => return wrong("Cannot specify both pid and pidfile"),
        _ => {}
    }
    check_node(line)?;
    let environment = terminal.environment;
    let place = || match data_dir(line, &environment) {
        Err(EarlyExit::Message(_, exit::UNAVAILABLE)) => Ok(None),
        found => found.map(Some),
    };
    let seconds = line.number("timeout").unwrap_or(WAIT_SECONDS);
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut say = |text: String| -> Result<(), EarlyExit> {
        if !line.is_quiet() {
            writeln!(terminal.out, "{text}")?;
            terminal.out.flush()?;
        }
        Ok(())
    };
    let timed_out = || {
        let text = format!(
            "Error: operation wait on node {NODE_NAME} timed out. Timeout value used: {}",
            seconds * 1000
        );
        EarlyExit::Message(text, exit::TIMED_OUT)
    };
    let pid = match (pid, file) {
        (Some(pid), _) => pid,
        (None, file) => {
            let file = Path::new(file.map_or("", String::as_str));
            say(format!(
                "Waiting for pid file '{}' to appear",
                file.display()
            ))?;
            let pid = pid_in(file, deadline).ok_or_else(timed_out)?;
            say(format!("pid is {pid}"))?;
            pid
        }
    };
    say(format!(
        "Waiting for node '{NODE_NAME}' to answer while OS process '{pid}' is running"
    ))?;
    loop {
        let failed = |why: &str| {
            Err(EarlyExit::Message(
                format!("Error:\n{why}"),
                exit::UNAVAILABLE,
            ))
        };
        if !is_running(pid) {
            return failed("process_not_running");
        }
        match place()?.map(|data_dir| state(&data_dir, deadline)) {
            Some(Ok(Response::Error { .. })) => return failed("rabbit_is_not_running"),
            Some(Ok(_)) => break,
            None | Some(Err(_)) => {}
        }
        if Instant::now() >= deadline {
            return Err(timed_out());
        }
        thread::sleep(POLL_INTERVAL);
    }
    say(format!(
        "Applications 'rabbit_and_plugins' are running on node '{NODE_NAME}'"
    ))?;
    Ok(exit::OK)
}

/// Returns the process id in a file, once there is one; `None` after the deadline.
fn pid_in(file: &Path, deadline: Instant) -> Option<u64> {
    loop {
        let pid = fs::read_to_string(file).ok();
        if let Some(pid) = pid.and_then(|text| text.trim().parse().ok()) {
            return Some(pid);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Returns whether a process exists; one of another user's counts.
fn is_running(pid: u64) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let Some(pid) = pid else {
        return false;
    };
    match test_kill_process(pid) {
        Ok(()) => true,
        Err(error) => error == rustix::io::Errno::PERM,
    }
}

/// Asks the broker whether it serves clients; the answer is an error if `stop_app` has stopped that.
fn state(data_dir: &Path, deadline: Instant) -> Result<Response, ClientError> {
    let mut client = Client::connect(data_dir, Some(deadline))?;
    client.send(&Request::IsRunning)?;
    client.receive()
}

/// The verbs of a report about the broker, then those about each virtual host, with `*` for all columns.
const REPORTED: [&str; 6] = [
    "status",
    "cluster_status",
    "environment",
    "list_connections *",
    "list_channels *",
    "os_env",
];
const REPORTED_PER_VHOST: [&str; 7] = [
    "list_queues *",
    "list_exchanges *",
    "list_bindings *",
    "list_permissions",
    "list_policies",
    "list_global_parameters",
    "list_parameters",
];

/// Runs the verbs that say everything about the broker.
pub(super) fn report(line: &CommandLine, terminal: &mut Terminal<'_>) -> Result<u8, EarlyExit> {
    if line.text("formatter").is_some() {
        let text = "Error (argument validation): \"Only report formatter is supported\"";
        return Err(EarlyExit::Message(text.to_owned(), exit::USAGE));
    }
    check_node(line)?;
    let data_dir = data_dir(line, &terminal.environment)?;
    let deadline = line
        .number("timeout")
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let vhosts = vhosts(&data_dir, deadline);
    let vhosts = vhosts.map_err(|error| match error {
        ClientError::Unreachable(text) => {
            EarlyExit::Message(format!("Error: {text}"), exit::UNAVAILABLE)
        }
        ClientError::TimedOut => EarlyExit::Message(
            "Error: operation report timed out".to_owned(),
            exit::TIMED_OUT,
        ),
        other => EarlyExit::Message(format!("Error: {other}"), exit::SOFTWARE),
    })?;
    let vhosts = vhosts.map_err(|kind| {
        let request = Request::Status;
        let (text, status) = report::refusal(&line.program.name, &request, kind, "");
        EarlyExit::Message(text, status)
    })?;
    if !line.is_quiet() {
        writeln!(
            terminal.out,
            "Reporting server status of node {NODE_NAME} ...\n"
        )?;
    }
    for verb in REPORTED {
        part(verb, None, line, terminal)?;
    }
    for vhost in vhosts {
        for verb in REPORTED_PER_VHOST {
            part(verb, Some(&vhost), line, terminal)?;
        }
    }
    Ok(exit::OK)
}

/// Runs a verb as a part of a report, on the broker that the report is about.
fn part(
    words: &str,
    vhost: Option<&str>,
    line: &CommandLine,
    terminal: &mut Terminal<'_>,
) -> Result<(), EarlyExit> {
    let (name, all_columns) = match words.strip_suffix(" *") {
        Some(name) => (name, true),
        None => (words, false),
    };
    let Some(verb) = Verb::find(name, None) else {
        return Ok(());
    };
    let mut given = vec![name.to_owned()];
    for switch in ["quiet", "silent"] {
        given.extend(line.has(switch).then(|| format!("--{switch}")));
    }
    for option in ["data-dir", "config", "timeout"] {
        if let Some(value) = line.text(option) {
            given.push(format!("--{option}={value}"));
        }
    }
    given.extend(vhost.map(|vhost| format!("--vhost={vhost}")));
    if let Some(columns) = verb.columns.filter(|_| all_columns) {
        given.extend(columns().into_iter().map(str::to_owned));
    }
    let mut part = CommandLine::parse(Default::default(), given);
    part.bold = line.bold;
    match run(&part, terminal) {
        // What one part cannot say must not keep the others from the report.
        Err(EarlyExit::Message(text, _)) => writeln!(terminal.out, "{text}")?,
        other => {
            other?;
        }
    }
    writeln!(terminal.out)?;
    Ok(())
}

/// Returns the names of the virtual hosts, or why the broker refuses to tell them.
fn vhosts(
    data_dir: &Path,
    deadline: Option<Instant>,
) -> Result<Result<Vec<String>, ErrorKind>, ClientError> {
    use crate::manage::columns::VhostColumn;
    let mut client = Client::connect(data_dir, deadline)?;
    client.send(&Request::ListVhosts {
        columns: vec![VhostColumn::Name],
    })?;
    let mut names = Vec::new();
    loop {
        match client.receive()? {
            Response::Rows(rows) => {
                names.extend(rows.into_iter().flatten().filter_map(|cell| match cell {
                    Value::Text(name) => Some(name),
                    _ => None,
                }));
            }
            Response::Error { kind, .. } => return Ok(Err(kind)),
            _ => return Ok(Ok(names)),
        }
    }
}
