//! The broker as a whole: the verbs that ask how it is, back it up or stop it, and the banners.

use crate::manage::request::Request;
use crate::text::names::NODE_NAME;

use super::super::options::CommandLine;
use super::super::request::{Invalid, argument, bad_argument};
use super::facts;

/// Returns the request of a verb of this theme; `None` for other verbs.
pub(super) fn request(verb: &str, line: &CommandLine) -> Result<Option<Request>, Invalid> {
    Ok(Some(match verb {
        "status" => status(line)?,
        "ping" => Request::Ping,
        "await_startup" => Request::IsRunning,
        "stop" | "shutdown" => Request::Stop,
        // The broker may run in another directory.
        "backup" => Request::Backup {
            directory: std::path::absolute(argument(line, 0)).map_err(|_| bad_argument("."))?,
        },
        _ => return Ok(None),
    }))
}

/// Returns the banner of a request of this theme; `None` for other requests.
pub(super) fn banner(verb: &str, request: &Request, seconds: u64) -> Option<String> {
    Some(match request {
        Request::Ping => {
            format!(
                "Will ping {NODE_NAME}. This only checks that the broker answers. Timeout: {} ms.",
                seconds * 1000
            )
        }
        Request::Status => format!("Status of node {NODE_NAME} ..."),
        Request::Stop if verb == "shutdown" => format!("Shutting down node {NODE_NAME} ..."),
        Request::Stop => format!("Stopping and halting node {NODE_NAME} ..."),
        Request::Backup { directory } => {
            format!("Copying everything durable to {} ...", directory.display())
        }
        _ => return None,
    })
}

fn status(line: &CommandLine) -> Result<Request, Invalid> {
    facts::unit(line)?;
    Ok(Request::Status)
}
