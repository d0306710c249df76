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
            default_queue_type: line.text("default-queue-type").map(str::to_owned),
        },
        "delete_vhost" => Request::DeleteVhost { vhost: first },
        "set_vhost_tags" => update(
            first,
            None,
            Some(line.arguments.iter().skip(1).cloned().collect()),
            None,
        ),
        "update_vhost_metadata" => {
            let text = |name| line.text(name).map(str::to_owned);
            let tags = line.text("tags").map(words);
            update(first, text("description"), tags, text("default-queue-type"))
        }
        "trace_on" | "trace_off" => Request::SetTracing {
            vhost: line.vhost().to_owned(),
            enabled: verb == "trace_on",
        },
        "restart_vhost" => Request::RestartVhost {
            vhost: line.vhost().to_owned(),
        },
        _ => return Ok(None),
    }))
}

fn update(
    vhost: String,
    description: Option<String>,
    tags: Option<Vec<String>>,
    default_queue_type: Option<String>,
) -> Request {
    Request::UpdateVhost {
        vhost,
        description,
        tags,
        default_queue_type,
        protected_from_deletion: None,
    }
}

/// Returns the banner of a request of this theme; `None` for other requests.
pub(super) fn banner(verb: &str, request: &Request) -> Option<String> {
    Some(match request {
        Request::UpdateVhost {
            vhost,
            tags: Some(tags),
            ..
        } if verb == "set_vhost_tags" => format!(
            "Setting tags for virtual host \"{vhost}\" to [{}] ...",
            tags.join(", ")
        ),
        Request::UpdateVhost { vhost, .. } => {
            format!("Updating metadata of vhost \"{vhost}\" ...")
        }
        Request::SetTracing { vhost, enabled } => {
            let what = if *enabled { "Starting" } else { "Stopping" };
            format!("{what} tracing for vhost \"{vhost}\" ...")
        }
        Request::RestartVhost { vhost } => format!("Trying to restart vhost '{vhost}' ..."),
        Request::AddVhost { vhost, .. } => format!("Adding vhost \"{vhost}\" ..."),
        Request::DeleteVhost { vhost } => format!("Deleting vhost \"{vhost}\" ..."),
        _ => return None,
    })
}
