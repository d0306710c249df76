//! Queues: the verbs that purge and delete them, and the banners.

use crate::manage::request::Request;

use super::super::options::CommandLine;
use super::super::request::{Invalid, argument};

/// Returns the request of a verb of this theme; `None` for other verbs.
pub(super) fn request(verb: &str, line: &CommandLine) -> Result<Option<Request>, Invalid> {
    let (vhost, first) = (line.vhost().to_owned(), argument(line, 0));
    Ok(Some(match verb {
        "purge_queue" => Request::PurgeQueue {
            vhost,
            queue: first,
        },
        "sync_queue" | "cancel_sync_queue" => Request::SyncQueue {
            vhost,
            queue: first,
        },
        "delete_queue" => {
            let (if_empty, if_unused) = (line.has("if-empty"), line.has("if-unused"));
            Request::DeleteQueue {
                vhost,
                queue: first,
                if_empty,
                if_unused,
            }
        }
        _ => return Ok(None),
    }))
}

/// Returns the banner of a request of this theme; `None` for other requests.
pub(super) fn banner(verb: &str, request: &Request) -> Option<String> {
    Some(match request {
        Request::SyncQueue { vhost, queue } => {
            let what = match verb {
                "sync_queue" => "Synchronising",
                _ => "Stopping synchronising",
            };
            format!("{what} queue '{queue}' in vhost '{vhost}' ...")
        }
        Request::PurgeQueue { vhost, queue } => {
            format!("Purging queue '{queue}' in vhost '{vhost}' ...")
        }
        Request::DeleteQueue {
            vhost,
            queue,
            if_empty,
            if_unused,
        } => {
            let condition = match (if_empty, if_unused) {
                (false, false) => "",
                (true, false) => " if queue is empty",
                (false, true) => " if queue is unused",
                (true, true) => " if queue is empty and if queue is unused",
            };
            format!("Deleting queue '{queue}' on vhost '{vhost}'{condition} ...")
        }
        _ => return None,
    })
}
