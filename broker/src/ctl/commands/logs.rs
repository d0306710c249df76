//! The log: the verbs that show it, say where it is, rotate it and change its level, and the banners.

use crate::config::LogFilter;
use crate::manage::request::Request;
use crate::text::names::NODE_NAME;

use super::super::options::CommandLine;
use super::super::request::{Invalid, argument, refused};

/// The lines that `log_tail` shows by default.
const LINES: u64 = 50;

/// Returns the request of a verb of this theme; `None` for other verbs.
pub(super) fn request(verb: &str, line: &CommandLine) -> Result<Option<Request>, Invalid> {
    Ok(Some(match verb {
        "set_log_level" => Request::SetLogLevel {
            level: level(argument(line, 0))?,
        },
        "rotate_logs" => Request::RotateLogs,
        "log_location" => Request::LogLocation {
            all: line.has("all"),
        },
        "log_tail" => Request::LogTail {
            lines: line.number("number").unwrap_or(LINES),
        },
        "log_tail_stream" => Request::LogTailStream {
            seconds: line.number("duration"),
        },
        _ => return Ok(None),
    }))
}

/// Returns the banner of a request of this theme; `None` for other requests.
pub(super) fn banner(request: &Request) -> Option<String> {
    Some(match request {
        Request::SetLogLevel { level } => format!("Setting log level to \"{level}\" ..."),
        Request::RotateLogs => format!("Rotating logs for node {NODE_NAME} ..."),
        Request::LogLocation { .. } => format!("Log file location(s) on node {NODE_NAME} ..."),
        Request::LogTail { lines } => format!("Last {lines} log lines on node {NODE_NAME} ..."),
        Request::LogTailStream { seconds: None } => {
            format!("Streaming logs from node {NODE_NAME} ...")
        }
        Request::LogTailStream {
            seconds: Some(seconds),
        } => {
            format!("Streaming logs from node {NODE_NAME} for {seconds} seconds ...")
        }
        _ => return None,
    })
}

/// Checks a level, or a filter such as `info,leveret=debug`, which rabbitmqctl does not have.
fn level(given: String) -> Result<String, Invalid> {
    match given.parse::<LogFilter>() {
        Ok(_) => Ok(given),
        Err(_) => Err(refused(format!(
            "level {given} is not supported. Try one of debug, info, warning, error, critical, none"
        ))),
    }
}
