//! Shows responses of the broker, and answers that verbs make of them.

use serde_json::Value as Json;

use crate::manage::definitions::Imported;
use crate::manage::request::{ErrorKind, Request, Resource, Response};
use crate::text::escape::{Form, escaped};

use super::action::{Answer, Ask, Body, Reply};
use super::client::{Client, ClientError};
use super::commands::definitions;
use super::definitions::{self as definition_files, Exported};
use super::listing::Listing;
use super::logs::Lines;
use super::options::CommandLine;
use super::render::{Format, Rows, erlang_json, json_object};
use super::report::{self, SuccessText};
use super::request::Command;
use super::run::{EarlyExit, Terminal};
use super::status::{self, Unit};
use super::verbs::Verb;
use super::{alarms, exit};

/// Returns whether an answer is more than a text.
fn has_parts(json: &Json) -> bool {
    let of_texts = ["message", "result", "value"];
    json.as_object()
        .is_some_and(|parts| parts.keys().any(|name| !of_texts.contains(&name.as_str())))
}

/// Shows the answer of a verb: what went wrong on stderr, and everything else on stdout.
pub(super) fn show_answer(
    answer: Answer,
    format: Format,
    line: &CommandLine,
    terminal: &mut Terminal<'_>,
) -> Result<u8, EarlyExit> {
    let Answer { body, json, status } = answer;
    let text = match (format, body) {
        (
            _,
            Body::Rows {
                columns,
                rows,
                bordered,
            },
        ) if format != Format::Json || json == Answer::done().json => {
            let format = match bordered && line.text("formatter").is_none() {
                true => Format::Pretty,
                false => format,
            };
            let headers = !line.has("silent") && !line.has("no-table-headers");
            let mut shown = Rows::new(format, &columns, headers);
            for row in &rows {
                shown.row(terminal.out, row)?;
            }
            shown.end(terminal.out, false)?;
            return Ok(status);
        }
        (Format::Json, _) => json.to_string(),
        (Format::Erlang, Body::Text(_)) if status == exit::OK && has_parts(&json) => {
            erlang_json(&json)
        }
        (Format::Pretty, Body::Text(text)) if status == exit::OK => {
            let mut shown = Rows::new(format, &["Output"], true);
            for line in text.lines() {
                shown.row(terminal.out, &[line.into()])?;
            }
            shown.end(terminal.out, true)?;
            return Ok(status);
        }
        (_, Body::Text(text)) if status == exit::OK => format.text(text),
        (_, Body::Text(text)) => text,
        (_, Body::Nothing | Body::Rows { .. }) => String::new(),
    };
    match (status, text.is_empty()) {
        (exit::OK, true) => {}
        (exit::OK, false) => writeln!(terminal.out, "{text}")?,
        (_, true) => {}
        (_, false) => return Err(EarlyExit::Message(text, status)),
    }
    Ok(status)
}

/// Shows what a verb makes of the response.
pub(super) fn ask(
    ask: &Ask,
    (request, format): (&Request, Format),
    line: &CommandLine,
    client: &mut Client,
    terminal: &mut Terminal<'_>,
    failed: &dyn Fn(ClientError) -> EarlyExit,
) -> Result<u8, EarlyExit> {
    client.send(request).map_err(failed)?;
    let mut reply = Reply::default();
    loop {
        let response = client.receive().map_err(failed)?;
        reply.is_stopped = *request == Request::IsRunning
            && matches!(&response, Response::Error { kind, .. } if *kind == ErrorKind::AppStopped);
        if let Response::Error { kind, message } = &response
            && !reply.is_stopped
        {
            let (text, status) = report::refusal(&line.program.name, request, *kind, message);
            return Err(EarlyExit::Message(text, status));
        }
        // Only rows have further lines behind them.
        let more = matches!(response, Response::Rows(_));
        reply.take(response);
        if !more {
            return show_answer((ask.answer)(&reply, line), format, line, terminal);
        }
    }
}

/// Shows the response to a request.
pub(super) fn show_response(
    verb: &Verb,
    command: &Command,
    line: &CommandLine,
    client: &mut Client,
    terminal: &mut Terminal<'_>,
    failed: &dyn Fn(ClientError) -> EarlyExit,
) -> Result<u8, EarlyExit> {
    let listing = Listing::of(&command.request);
    let columns = listing.as_ref().map_or(&[][..], |listing| &listing.columns);
    // rabbitmqctl shows no headers for this one.
    let never = verb.name == "list_user_topic_permissions" && command.format == Format::Table;
    let headers = !never && !line.has("silent") && !line.has("no-table-headers");
    let mut rows = Rows::new(command.format, columns, headers);
    let mut lines = Lines::of(&command.request, command.format == Format::Json);
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
                if let Some(lines) = lines {
                    lines.end(terminal.out)?;
                    return Ok(exit::OK);
                }
                if let Some(listing) = &listing {
                    rows.end(terminal.out, listing.is_streamed)?;
                    return Ok(exit::OK);
                }
                if command.request == Request::Stop && line.has("no-wait") {
                    return Ok(exit::OK);
                }
                if command.request == Request::Stop {
                    client.wait_for_end().map_err(failed)?;
                }
                return finish(verb, command, line, 0, terminal);
            }
            // Only `top` and `export_definitions` ask for them.
            Response::Top(_) | Response::LeftOut(_) => {}
            Response::Count(count) => return finish(verb, command, line, count, terminal),
            Response::Text(text) => return show_text(command, text, terminal),
            Response::Imported(imported) => {
                return show_imported(command, line, &imported, terminal);
            }
            Response::Chunk(text) => {
                if let Some(lines) = &mut lines {
                    lines.show(&text, terminal.out)?;
                }
            }
            Response::Alarms(alarms) => {
                let options = alarms::AlarmOptions {
                    verb: verb.name,
                    json: command.format == Format::Json,
                    silent: line.has("silent"),
                };
                return show_alarms(&alarms, options, terminal);
            }
            Response::Status(report) => {
                let text = match command.format {
                    Format::Json => status::as_json(&report) + "\n",
                    Format::Erlang => {
                        let parts = serde_json::from_str(&status::as_json(&report));
                        erlang_json(&parts.unwrap_or_default()) + "\n"
                    }
                    _ => status::text(&report, Unit::parse(line.text("unit")), terminal.bold),
                };
                terminal.out.write_all(text.as_bytes())?;
                return Ok(exit::OK);
            }
            Response::Error { kind, message } => {
                let (text, status) =
                    report::refusal(&line.program.name, &command.request, kind, &message);
                return Err(EarlyExit::Message(text, status));
            }
        }
    }
}

/// Writes a definition file as it arrives.
pub(super) fn export(
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
    let mut left_out = Vec::new();
    loop {
        match (client.receive().map_err(failed)?, &mut file) {
            (Response::Chunk(text), Some(file)) => file.write(&text).map_err(wrong_file)?,
            (Response::Chunk(text), None) => terminal.out.write_all(text.as_bytes())?,
            (Response::Error { kind, message }, _) => {
                let (text, status) =
                    report::refusal(&line.program.name, &command.request, kind, &message);
                return Err(EarlyExit::Message(text, status));
            }
            (Response::LeftOut(users), _) => {
                left_out = users;
                break;
            }
            _ => break,
        }
    }
    if let Some(file) = file {
        file.finish().map_err(wrong_file)?;
    }
    if !left_out.is_empty() {
        let names: Vec<_> = left_out
            .iter()
            .map(|name| escaped(name, Form::Line))
            .collect();
        writeln!(
            terminal.err,
            "Left out with their permissions, because RabbitMQ cannot read their password hashes (argon2id): {}",
            names.join(", ")
        )?;
    }
    Ok(exit::OK)
}

pub(super) fn wrong_file(text: String) -> EarlyExit {
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
    } else if !line.is_quiet() {
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
    let quiet = line.is_quiet();
    let success = report::success(&line.program.name, verb.name, &command.request, count);
    let text = if command.format == Format::Json {
        let members: Vec<(&str, Json)> = match success {
            SuccessText::None => vec![("result", "ok".into())],
            SuccessText::Hint(text) => vec![("message", text.into()), ("status", "ok".into())],
            SuccessText::Result(text)
                if matches!(
                    verb.name,
                    "close_all_connections" | "trace_on" | "trace_off"
                ) =>
            {
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
