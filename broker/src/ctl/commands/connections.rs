//! Connections: the verbs that close them, and the banners.

use crate::manage::pid::InvalidPid;
use crate::manage::request::Request;

use super::super::exit;
use super::super::options::CommandLine;
use super::super::request::{Invalid, argument};

/// Returns the request of a verb of this theme; `None` for other verbs.
pub(super) fn request(verb: &str, line: &CommandLine) -> Result<Option<Request>, Invalid> {
    let (vhost, first) = (line.vhost().to_owned(), argument(line, 0));
    Ok(Some(match verb {
        "close_connection" => {
            let invalid = |error: InvalidPid| Invalid {
                reason: error.to_string(),
                status: exit::UNAVAILABLE,
                is_usage: true,
            };
            let pid = first.parse().map_err(invalid)?;
            Request::CloseConnection {
                pid,
                reason: argument(line, 1),
            }
        }
        "close_all_connections" => Request::CloseAllConnections {
            vhost: (!line.has("global")).then_some(vhost),
            limit: line.number("limit").filter(|limit| *limit > 0),
            delay_ms: line.number("per-connection-delay").unwrap_or_default(),
            reason: first,
        },
        "close_all_user_connections" => Request::CloseAllUserConnections {
            user: first,
            reason: argument(line, 1),
        },
        _ => return Ok(None),
    }))
}

/// Returns the banner of a request of this theme; `None` for other requests.
pub(super) fn banner(request: &Request) -> Option<String> {
    Some(match request {
        Request::CloseConnection { pid, reason } => {
            format!("Closing connection {pid}, reason: {reason}...")
        }
        Request::CloseAllConnections {
            vhost: Some(vhost),
            reason,
            ..
        } => {
            format!("Closing all connections in vhost {vhost}, reason: {reason}...")
        }
        Request::CloseAllConnections {
            vhost: None,
            reason,
            ..
        } => {
            format!("Closing all connections in all vhosts, reason: {reason}...")
        }
        Request::CloseAllUserConnections { user, reason } => {
            format!("Closing connections of user {user}, reason: {reason}...")
        }
        _ => return None,
    })
}
