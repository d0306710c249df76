//! The broker as a whole: the verbs that ask how it is, back it up or stop it, and the banners.

use std::path::Path;

use crate::manage::request::Request;

use super::super::options::CommandLine;
use super::super::request::{Invalid, argument, bad_argument, usage};

/// Returns the request of a verb of this theme; `None` for other verbs.
pub(super) fn request(verb: &str, line: &CommandLine) -> Result<Option<Request>, Invalid> {
    Ok(Some(match verb {
        "status" => status(line)?,
        "ping" | "await_startup" => Request::Ping,
        "stop" => Request::Stop,
        // The broker may run in another directory.
        "backup" => Request::Backup {
            directory: std::path::absolute(argument(line, 0)).map_err(|_| bad_argument("."))?,
        },
        _ => return Ok(None),
    }))
}

/// Returns the banner of a request of this theme; `None` for other requests.
pub(super) fn banner(
    verb: &str,
    request: &Request,
    data_dir: &Path,
    seconds: u64,
) -> Option<String> {
    let node = data_dir.display();
    Some(match request {
        Request::Ping if verb == "await_startup" => return None,
        Request::Ping => {
            format!(
                "Will ping the broker in {node}. Timeout: {} ms.",
                seconds * 1000
            )
        }
        Request::Status => format!("Status of the broker in {node} ..."),
        Request::Stop => format!("Stopping the broker in {node} ..."),
        Request::Backup { directory } => {
            format!("Copying everything durable to {} ...", directory.display())
        }
        _ => return None,
    })
}

fn status(line: &CommandLine) -> Result<Request, Invalid> {
    match line.text("unit") {
        None | Some("bytes" | "mb" | "gb") => Ok(Request::Status),
        Some(unit) => Err(usage(format!(
            "unit '{unit}' is not supported: use bytes, mb or gb"
        ))),
    }
}
