//! Runs a command from its words to its exit status.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::config::{Environment, locate_data_dir};
use crate::manage::definitions::Imported;
use crate::manage::request::Resource;
use crate::manage::request::{Request, Response};
use crate::text::escape::{Escaped, Form};

use super::client::{Client, ClientError};
use super::commands::definitions;
use super::definitions::{self as definition_files, Exported};
use super::listing::Listing;
use super::options::CommandLine;
use super::render::{Format, Rows, json_object};
use super::report::{self, SuccessText};
use super::request::{Command, Invalid};
use super::status::{self, Unit};
use super::verbs::Verb;
use super::{alarms, commands, exit, help, password};

/// The pause between two attempts to reach a broker that is starting.
const STARTUP_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The streams and the environment of a command.
pub struct Terminal<'a> {
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
    /// Whether headings are bold.
    pub bold: bool,
    /// The environment that names the data directory.
    pub environment: Environment<'a>,
}

/// Why a command stops early.
enum EarlyExit {
    /// With a message on stderr and an exit status.
    Message(String, u8),
    /// Because the output cannot be written.
    Output(io::Error),
}

impl From<io::Error> for EarlyExit {
    fn from(error: io::Error) -> Self {
        EarlyExit::Output(error)
    }
}

/// Runs a command, given its words without the program's name, and returns its exit status.
pub fn main(words: Vec<String>, terminal: &mut Terminal<'_>) -> u8 {
    let line = CommandLine::parse(words);
    let text = match terminal.bold {
        true => Form::BoldLines,
        false => Form::Lines,
    };
    let exports = line.verb.as_deref() == Some("export_definitions");
    let form = match line.text("formatter") {
        Some("json") => Form::Json,
        _ if exports && definitions::path(&line).is_none() => Form::Json,
        _ => text,
    };
    // All output is escaped here, because clients choose names and reasons.
    let terminal = &mut Terminal {
        out: &mut Escaped::new(&mut *terminal.out, form),
        err: &mut Escaped::new(&mut *terminal.err, text),
        bold: terminal.bold,
        environment: terminal.environment,
    };
    let result = run(&line, terminal).and_then(|status| {
        terminal.out.flush()?;
        Ok(status)
    });
    match result {
        Ok(status) => status,
        Err(EarlyExit::Message(text, status)) => {
            // Earlier output comes first. If stderr is gone there is nowhere to report that.
            let _ = terminal.out.flush();
            let _ = writeln!(terminal.err, "{text}");
            status
        }
        // As with `leveretctl list_queues | head`.
        Err(EarlyExit::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => exit::OK,
        Err(EarlyExit::Output(error)) => {
            let _ = writeln!(terminal.err, "Error: cannot write the output: {error}");
            exit::IO
        }
    }
}

fn run(line: &CommandLine, terminal: &mut Terminal<'_>) -> Result<u8, EarlyExit> {
    let bold = terminal.bold;
    let Some(name) = line.verb.as_deref() else {
        return match (line.has("version"), line.has("help")) {
            (true, _) => version(terminal),
            (false, true) => show(terminal, &help::overview(bold)),
            (false, false) => Err(EarlyExit::Message(
                trim_line_feeds(&help::overview(bold)),
                exit::USAGE,
            )),
        };
    };
    let Some(verb) = Verb::find(name) else {
        return Err(EarlyExit::Message(unknown_verb(name, bold), exit::USAGE));
    };
    if line.has("help") {
        return show(terminal, &help::for_verb(verb, bold));
    }
    match verb.name {
        "help" if line.invalid.is_empty() && line.arguments.len() < 2 => help_of(line, terminal),
        "version" if line.invalid.is_empty() && line.arguments.is_empty() => version(terminal),
        _ => {
            let command = Command::of(verb, line, commands::request)
                .map_err(|invalid| usage_error(verb, line, &invalid, bold))?;
            execute(verb, command, line, terminal)
        }
    }
}

fn show(terminal: &mut Terminal<'_>, text: &str) -> Result<u8, EarlyExit> {
    terminal.out.write_all(text.as_bytes())?;
    Ok(exit::OK)
}

fn version(terminal: &mut Terminal<'_>) -> Result<u8, EarlyExit> {
    show(terminal, concat!(env!("CARGO_PKG_VERSION"), "\n"))
}

fn help_of(line: &CommandLine, terminal: &mut Terminal<'_>) -> Result<u8, EarlyExit> {
    let text = match line.arguments.first() {
        _ if line.has("list-commands") => help::list(),
        None => help::overview(terminal.bold),
        Some(name) => match Verb::find(name) {
            Some(verb) => help::for_verb(verb, terminal.bold),
            None => {
                let text = format!("Error:\n\nCommand '{name}' not found.");
                return Err(EarlyExit::Message(text, exit::USAGE));
            }
        },
    };
    show(terminal, &text)
}

fn unknown_verb(name: &str, bold: bool) -> String {
    let found = format!("\nCommand '{name}' not found. \n");
    match Verb::similar_to(name) {
        Some(verb) => format!("{found}Did you mean '{}'? \n", verb.name),
        None => format!("{found}{}", trim_line_feeds(&help::overview(bold))),
    }
}

fn usage_error(verb: &Verb, line: &CommandLine, invalid: &Invalid, bold: bool) -> EarlyExit {
    let Invalid { reason, status } = invalid;
    let (given, usage) = (line.given.join(" "), help::usage(verb));
    let heading = help::heading("Usage", bold);
    let text = format!(
        "Error (argument validation): {reason}\nArguments given:\n\t{given}\n\n{heading}\n\n{usage}"
    );
    EarlyExit::Message(text, *status)
}

/// Removes the line feeds at the end: the caller adds one when it prints the text.
fn trim_line_feeds(text: &str) -> String {
    text.trim_end_matches('\n').to_owned()
}

/// Returns the timeout of a verb in seconds: the given one, or rabbitmqctl's; `None` for no limit.
fn timeout(verb: &Verb, line: &CommandLine) -> Option<u64> {
    line.number("timeout").or(match verb.name {
        "list_queues" | "ping" => Some(60),
        "await_startup" => Some(300),
        // There is no response until all is done, however slow the disk: a day.
        "backup" | "import_definitions" | "export_definitions" => Some(24 * 60 * 60),
        _ => None,
    })
}

/// Sends the request to the broker and shows the response.
fn execute(
    verb: &Verb,
    mut command: Command,
    line: &CommandLine,
    terminal: &mut Terminal<'_>,
) -> Result<u8, EarlyExit> {
    let data_dir = data_dir(line, &terminal.environment)?;
    let timeout = timeout(verb, line);
    let deadline = timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let failed = |error| failure(verb, timeout, error);
    let connected = match verb.name {
        "await_startup" => wait_for_broker(&data_dir, deadline),
        _ => Client::connect(&data_dir, deadline),
    };
    let mut client = match connected {
        Err(ClientError::Unreachable(_)) if verb.name == "stop" && line.has("idempotent") => {
            writeln!(
                terminal.out,
                "The broker in {} is no longer running",
                data_dir.display()
            )?;
            return Ok(exit::OK);
        }
        other => other.map_err(failed)?,
    };
    let chatty = !line.has("quiet") && !line.has("silent") && !command.format.is_for_programs();
    let banner = commands::banner(verb.name, line, &command.request, &data_dir, timeout);
    if let Some(banner) = banner.filter(|_| chatty) {
        writeln!(terminal.out, "{banner}")?;
    }
    if command.prompts_for_password {
        let given = password::prompt(terminal.out)?;
        command.set_password(given.ok_or_else(|| no_password(verb))?);
        // While the user typed, the broker may have closed the connection.
        client = Client::connect(&data_dir, deadline).map_err(failed)?;
    }
    terminal.out.flush()?;
    if let Request::ImportDefinitions { bytes, .. } = &mut command.request {
        let file = definition_files::read(definitions::path(line)).map_err(wrong_file)?;
        *bytes = file.len() as u64;
        client.send(&command.request).map_err(failed)?;
        client.send_file(&file).map_err(failed)?;
    } else {
        client.send(&command.request).map_err(failed)?;
    }
    if command.request == Request::ExportDefinitions {
        return export(&command, line, &mut client, terminal, &failed);
    }
    show_response(
        verb,
        &command,
        line,
        (&mut client, &data_dir),
        terminal,
        &failed,
    )
}

/// Reads the response to its end and shows it as it arrives.
fn show_response(
    verb: &Verb,
    command: &Command,
    line: &CommandLine,
    (client, data_dir): (&mut Client, &Path),
    terminal: &mut Terminal<'_>,
    failed: &dyn Fn(ClientError) -> EarlyExit,
) -> Result<u8, EarlyExit> {
    let listing = Listing::of(&command.request);
    let columns = listing.as_ref().map_or(&[][..], |listing| &listing.columns);
    // rabbitmqctl shows no headers for this one.
    let never = verb.name == "list_user_topic_permissions" && command.format == Format::Table;
    let headers = !never && !line.has("silent") && !line.has("no-table-headers");
    let mut rows = Rows::new(command.format, columns, headers);
    loop {
        match client.receive().map_err(failed)? {
            // `--offline`: a running broker has no offline queues.
            Response::Rows(_) if line.has("offline") => {}
            Response::Rows(batch) => {
                for row in batch {
                    rows.row(terminal.out, &row)?;
                }
            }
            Response::Ok => {
                if let Some(listing) = &listing {
                    rows.end(terminal.out, listing.is_streamed)?;
                    return Ok(exit::OK);
                }
                if command.request == Request::Stop {
                    client.wait_for_end().map_err(failed)?;
                }
                return finish(verb, command, line, 0, terminal);
            }
            Response::Count(count) => return finish(verb, command, line, count, terminal),
            Response::Text(text) => return show_text(command, text, terminal),
            Response::Imported(imported) => {
                return show_imported(command, line, &imported, terminal);
            }
            // Only `export` asks for a file.
            Response::Chunk(_) => {}
            Response::Alarms(alarms) => {
                let options = alarms::AlarmOptions {
                    verb: verb.name,
                    json: command.format == Format::Json,
                    silent: line.has("silent"),
                    data_dir,
                };
                return show_alarms(&alarms, options, terminal);
            }
            Response::Status(report) => {
                let text = match command.format {
                    Format::Json => status::as_json(&report) + "\n",
                    _ => status::text(&report, Unit::parse(line.text("unit")), terminal.bold),
                };
                return show(terminal, &text);
            }
            Response::Error { kind, message } => {
                let (text, status) = report::refusal(&command.request, kind, &message);
                return Err(EarlyExit::Message(text, status));
            }
        }
    }
}

/// Writes a definition file as it arrives.
fn export(
    command: &Command,
    line: &CommandLine,
    client: &mut Client,
    terminal: &mut Terminal<'_>,
    failed: &dyn Fn(ClientError) -> EarlyExit,
) -> Result<u8, EarlyExit> {
    let mut file = definitions::path(line)
        .map(Exported::create)
        .transpose()
        .map_err(wrong_file)?;
    loop {
        match (client.receive().map_err(failed)?, &mut file) {
            (Response::Chunk(text), Some(file)) => file.write(&text).map_err(wrong_file)?,
            (Response::Chunk(text), None) => terminal.out.write_all(text.as_bytes())?,
            (Response::Error { kind, message }, _) => {
                let (text, status) = report::refusal(&command.request, kind, &message);
                return Err(EarlyExit::Message(text, status));
            }
            _ => break,
        }
    }
    if let Some(file) = file {
        file.finish().map_err(wrong_file)?;
    }
    Ok(exit::OK)
}

fn wrong_file(text: String) -> EarlyExit {
    EarlyExit::Message(format!("Error:\n{text}"), exit::DATA)
}

/// Reports what became of an import.
fn show_imported(
    command: &Command,
    line: &CommandLine,
    imported: &Imported,
    terminal: &mut Terminal<'_>,
) -> Result<u8, EarlyExit> {
    let (success, problems) = definition_files::outcome(imported);
    for problem in problems {
        writeln!(terminal.err, "{problem}")?;
    }
    if imported.invalid > 0 {
        let plural = if imported.invalid == 1 { "" } else { "s" };
        let text = format!(
            "Error:\n{} invalid definition{plural} left out, the others were imported",
            imported.invalid
        );
        return Err(EarlyExit::Message(text, exit::DATA));
    }
    if command.format == Format::Json {
        let result = json_object([("result", "ok".into())].into_iter());
        writeln!(terminal.out, "{result}")?;
    } else if !line.has("quiet") && !line.has("silent") {
        writeln!(terminal.out, "{success}")?;
    }
    Ok(exit::OK)
}

/// Shows a response that is a text.
fn show_text(
    command: &Command,
    text: String,
    terminal: &mut Terminal<'_>,
) -> Result<u8, EarlyExit> {
    let shown = match (command.format, &command.request) {
        (Format::Json, Request::ListVhostLimits { .. }) if text.is_empty() => "[]".to_owned(),
        (Format::Json, Request::ListVhostLimits { .. }) => {
            json_object([("result", "ok".into()), ("value", text.into())].into_iter())
        }
        (Format::Json, _) => json_object([("message", text.into())].into_iter()),
        _ => text,
    };
    writeln!(terminal.out, "{shown}")?;
    Ok(exit::OK)
}

fn show_alarms(
    alarms: &[Resource],
    options: alarms::AlarmOptions<'_>,
    terminal: &mut Terminal<'_>,
) -> Result<u8, EarlyExit> {
    let output = alarms::show(alarms, options);
    if let Some(text) = output.out {
        writeln!(terminal.out, "{text}")?;
    }
    match output.err {
        Some(text) => Err(EarlyExit::Message(text, output.status)),
        None => Ok(output.status),
    }
}

/// Reports success.
fn finish(
    verb: &Verb,
    command: &Command,
    line: &CommandLine,
    count: u64,
    terminal: &mut Terminal<'_>,
) -> Result<u8, EarlyExit> {
    let quiet = line.has("quiet") || line.has("silent");
    let success = report::success(verb.name, &command.request, count);
    let text = if command.format == Format::Json {
        let members: Vec<(&str, Json)> = match success {
            SuccessText::None => vec![("result", "ok".into())],
            SuccessText::Hint(text) => vec![("message", text.into()), ("status", "ok".into())],
            SuccessText::Result(text) if verb.name == "close_all_connections" => {
                vec![("result", "ok".into()), ("value", text.into())]
            }
            SuccessText::Result(text) => vec![("message", text.into())],
        };
        json_object(members.into_iter())
    } else {
        match success {
            SuccessText::None => return Ok(exit::OK),
            SuccessText::Hint(_) if quiet => return Ok(exit::OK),
            SuccessText::Hint(text) | SuccessText::Result(text) => text,
        }
    };
    writeln!(terminal.out, "{text}")?;
    Ok(exit::OK)
}

fn data_dir(line: &CommandLine, environment: &Environment<'_>) -> Result<PathBuf, EarlyExit> {
    let path = |long| line.text(long).map(PathBuf::from);
    locate_data_dir(path("data-dir"), path("config"), environment)
        .map(|found| found.path)
        .map_err(|error| EarlyExit::Message(format!("Error: {error}"), error.status()))
}

/// Tries to connect to the broker until it answers or the deadline passes.
fn wait_for_broker(data_dir: &Path, deadline: Option<Instant>) -> Result<Client, ClientError> {
    loop {
        match Client::connect(data_dir, deadline) {
            Err(ClientError::Unreachable(_)) if deadline.is_none_or(|at| Instant::now() < at) => {
                thread::sleep(STARTUP_POLL_INTERVAL);
            }
            other => return other,
        }
    }
}

fn no_password(verb: &Verb) -> EarlyExit {
    let text = "Error:\nPassword is not provided via argument or stdin".to_owned();
    // These are rabbitmqctl's statuses, although they differ.
    EarlyExit::Message(
        text,
        if verb.name == "change_password" {
            exit::SOFTWARE
        } else {
            exit::DATA
        },
    )
}

fn failure(verb: &Verb, timeout: Option<u64>, error: ClientError) -> EarlyExit {
    match error {
        ClientError::Unreachable(text) => {
            EarlyExit::Message(format!("Error: {text}"), exit::UNAVAILABLE)
        }
        ClientError::TimedOut => {
            let milliseconds = timeout.unwrap_or(60) * 1000;
            let text = format!(
                "Error: operation {} timed out. Timeout value used: {milliseconds}",
                verb.name
            );
            EarlyExit::Message(text, exit::TIMED_OUT)
        }
        ClientError::Broken(text) => EarlyExit::Message(format!("Error: {text}"), exit::SOFTWARE),
    }
}
