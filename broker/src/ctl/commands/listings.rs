//! Listings of what is declared and who is connected: their columns, and the banners.

use crate::manage::columns::Column;
use crate::manage::request::Request;

use super::super::options::CommandLine;
use super::super::request::{Invalid, argument, selected};

/// Returns the request of a verb of this theme; `None` for other verbs.
pub(super) fn request(verb: &str, line: &CommandLine) -> Result<Option<Request>, Invalid> {
    let vhost = line.vhost().to_owned();
    Ok(Some(match verb {
        "list_queues" => Request::ListQueues {
            vhost,
            columns: columns(line)?,
        },
        "list_connections" => Request::ListConnections {
            columns: columns(line)?,
        },
        "list_channels" => Request::ListChannels {
            columns: columns(line)?,
        },
        "list_consumers" => Request::ListConsumers {
            vhost,
            columns: columns(line)?,
        },
        "list_exchanges" => Request::ListExchanges {
            vhost,
            columns: columns(line)?,
        },
        "list_bindings" => Request::ListBindings {
            vhost,
            columns: columns(line)?,
        },
        "list_vhosts" => Request::ListVhosts {
            columns: columns(line)?,
        },
        "list_users" => Request::ListUsers,
        "list_permissions" => Request::ListPermissions { vhost },
        "list_user_permissions" => Request::ListUserPermissions {
            user: argument(line, 0),
        },
        "list_topic_permissions" => Request::ListTopicPermissions { vhost },
        "list_user_topic_permissions" => Request::ListUserTopicPermissions {
            user: argument(line, 0),
        },
        _ => return Ok(None),
    }))
}

/// Returns the banner of a request of this theme; `None` for other requests. That of queues names
/// the timeout, in seconds.
pub(super) fn banner(request: &Request, seconds: u64) -> Option<String> {
    Some(match request {
        Request::ListQueues { vhost, .. } => {
            format!("Timeout: {seconds}.0 seconds ...\nListing queues for vhost {vhost} ...")
        }
        Request::ListConnections { .. } => "Listing connections ...".to_owned(),
        Request::ListChannels { .. } => "Listing channels ...".to_owned(),
        Request::ListConsumers { vhost, .. } => format!("Listing consumers in vhost {vhost} ..."),
        Request::ListExchanges { vhost, .. } => format!("Listing exchanges for vhost {vhost} ..."),
        // Without a space, as in rabbitmqctl.
        Request::ListBindings { vhost, .. } => format!("Listing bindings for vhost {vhost}..."),
        Request::ListVhosts { .. } => "Listing vhosts ...".to_owned(),
        Request::ListUsers => "Listing users ...".to_owned(),
        Request::ListPermissions { vhost } => {
            format!("Listing permissions for vhost \"{vhost}\" ...")
        }
        Request::ListUserPermissions { user } => {
            format!("Listing permissions for user \"{user}\" ...")
        }
        Request::ListTopicPermissions { vhost } => {
            format!("Listing topic permissions for vhost \"{vhost}\" ...")
        }
        Request::ListUserTopicPermissions { user } => {
            format!("Listing topic permissions for user \"{user}\" ...")
        }
        _ => return None,
    })
}

/// Returns the requested columns, each once, or the default ones.
fn columns<C: Column>(line: &CommandLine) -> Result<Vec<C>, Invalid> {
    let names: Vec<&'static str> = C::ALL.iter().map(|column| column.name()).collect();
    let column = |name: &str| C::ALL.iter().copied().find(|column| column.name() == name);
    let found: Vec<C> = selected(line, &names, &[])?
        .into_iter()
        .filter_map(column)
        .collect();
    Ok(if found.is_empty() {
        C::DEFAULT.to_vec()
    } else {
        found
    })
}
