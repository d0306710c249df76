//! Virtual hosts: the verbs that add and delete them, and the banners.

use crate::manage::request::Request;

use super::super::options::CommandLine;
use super::super::request::{Invalid, argument, words};

/// Returns the request of a verb of this theme; `None` for other verbs.
pub(super) fn request(verb: &str, line: &CommandLine) -> Result<Option<Request>, Invalid> {
    let first = argument(line, 0);
    Ok(Some(match verb {
        "add_vhost" => Request::AddVhost {
            vhost: first,
            description: line.text("description").unwrap_or_default().to_owned(),
            tags: words(line.text("tags").unwrap_or_default()),
        },
        "delete_vhost" => Request::DeleteVhost { vhost: first },
        _ => return Ok(None),
    }))
}

/// Returns the banner of a request of this theme; `None` for other requests.
pub(super) fn banner(request: &Request) -> Option<String> {
    Some(match request {
        Request::AddVhost { vhost, .. } => format!("Adding vhost \"{vhost}\" ..."),
        Request::DeleteVhost { vhost } => format!("Deleting vhost \"{vhost}\" ..."),
        _ => return None,
    })
}
