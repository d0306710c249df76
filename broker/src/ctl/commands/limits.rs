//! Limits of users and of virtual hosts: the verbs and their banners.

use crate::config::DEFAULT_USER;
use crate::manage::request::Request;

use super::super::options::CommandLine;
use super::super::request::{Invalid, argument};

/// Returns the request of a verb of this theme; `None` for other verbs.
pub(super) fn request(verb: &str, line: &CommandLine) -> Result<Option<Request>, Invalid> {
    let (vhost, first, second) = (
        line.vhost().to_owned(),
        argument(line, 0),
        argument(line, 1),
    );
    Ok(Some(match verb {
        "set_vhost_limits" => Request::SetVhostLimits {
            vhost,
            definition: first,
        },
        "clear_vhost_limits" => Request::ClearVhostLimits { vhost },
        "list_vhost_limits" => Request::ListVhostLimits {
            vhost: (!line.has("global")).then_some(vhost),
        },
        "set_user_limits" => Request::SetUserLimits {
            user: first,
            definition: second,
        },
        "clear_user_limits" => Request::ClearUserLimits {
            user: first,
            limit: second,
        },
        "list_user_limits" => Request::ListUserLimits {
            user: (!line.has("global"))
                .then(|| line.text("user").unwrap_or(DEFAULT_USER).to_owned()),
        },
        _ => return Ok(None),
    }))
}

/// Returns the banner of a request of this theme; `None` for other requests.
pub(super) fn banner(request: &Request) -> Option<String> {
    Some(match request {
        Request::SetVhostLimits { vhost, definition } => {
            format!("Setting vhost limits to \"{definition}\" for vhost \"{vhost}\" ...")
        }
        Request::ClearVhostLimits { vhost } => format!("Clearing vhost \"{vhost}\" limits ..."),
        Request::ListVhostLimits { vhost: Some(vhost) } => {
            format!("Listing limits for vhost \"{vhost}\" ...")
        }
        Request::ListVhostLimits { vhost: None } => "Listing limits for all vhosts ...".to_owned(),
        Request::SetUserLimits { user, definition } => {
            format!("Setting user limits to \"{definition}\" for user \"{user}\" ...")
        }
        Request::ClearUserLimits { user, limit } if limit == "all" => {
            format!("Clearing all limits for user \"{user}\" ...")
        }
        Request::ClearUserLimits { user, limit } => {
            format!("Clearing \"{limit}\" limit for user \"{user}\" ...")
        }
        Request::ListUserLimits { user: Some(user) } => {
            format!("Listing limits for user \"{user}\" ...")
        }
        Request::ListUserLimits { user: None } => "Listing limits for all users ...".to_owned(),
        _ => return None,
    })
}
