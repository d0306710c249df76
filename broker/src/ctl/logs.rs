//! Lines of the log, shown as they arrive.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::manage::request::Request;

use super::render::json_object;

/// How the lines that answer a request are shown.
pub(super) enum Lines {
    /// As they are.
    Plain,
    /// As a list of objects: rabbitmq-diagnostics' form of `log_tail`.
    Objects { is_first: bool },
    /// As one object, at the end: that of `log_location`.
    Paths(Vec<Value>),
}

impl Lines {
    /// Returns how the response to a request is shown; `None` if it has no lines of the log.
    pub(super) fn of(request: &Request, json: bool) -> Option<Self> {
        Some(match request {
            // A stream has no end, and its lines may be JSON.
            Request::LogTailStream { .. } => Lines::Plain,
            Request::LogTail { .. } if json => Lines::Objects { is_first: true },
            Request::LogLocation { .. } if json => Lines::Paths(Vec::new()),
            Request::LogTail { .. } | Request::LogLocation { .. } => Lines::Plain,
            _ => return None,
        })
    }

    /// Shows some whole lines.
    pub(super) fn show(&mut self, text: &str, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Lines::Plain => {
                out.write_all(text.as_bytes())?;
                return out.flush();
            }
            Lines::Objects { is_first } => {
                for line in text.lines() {
                    let before = if *is_first { "[\n" } else { "," };
                    *is_first = false;
                    writeln!(out, "{before}{}", json!({"message": line}))?;
                }
            }
            Lines::Paths(paths) => paths.extend(text.lines().map(Value::from)),
        }
        Ok(())
    }

    /// Shows what comes at the end.
    pub(super) fn end(self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Lines::Plain => Ok(()),
            Lines::Objects { is_first: true } => writeln!(out, "[\n]"),
            Lines::Objects { is_first: false } => writeln!(out, "]"),
            Lines::Paths(paths) => {
                let members = [("result", "ok".into()), ("paths", Value::Array(paths))];
                writeln!(out, "{}", json_object(members.into_iter()))
            }
        }
    }
}
