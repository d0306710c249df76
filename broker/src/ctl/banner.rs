//! The line that is printed before the response. Recorded from rabbitmqctl 3.10.8, except where it
//! names a node.

use std::path::Path;

use crate::config::{DiskFreeLimit, MemoryWatermark};
use crate::manage::request::Request;
use crate::manage::request::{PolicyKind, WrittenPolicy};

/// Returns the line that announces a request, without a line feed.
pub(super) fn banner(
    verb: &str,
    request: &Request,
    data_dir: &Path,
    timeout_seconds: Option<u64>,
) -> Option<String> {
    let (node, seconds) = (data_dir.display(), timeout_seconds.unwrap_or_default());
    Some(match request {
        Request::Ping if verb == "await_startup" => return None,
        Request::Ping => {
            format!(
                "Will ping the broker in {node}. Timeout: {} ms.",
                seconds * 1000
            )
        }
        Request::Status => format!("Status of the broker in {node} ..."),
        Request::Alarms if verb == "alarms" => {
            format!("Asking the broker in {node} to report any known resource alarms ...")
        }
        Request::Alarms => {
            format!("Asking the broker in {node} to report any local resource alarms ...")
        }
        Request::SetDiskFreeLimit { limit } => match limit {
            DiskFreeLimit::Absolute(bytes) => {
                format!("Setting disk free limit on the broker in {node} to {bytes} bytes ...")
            }
            DiskFreeLimit::MemRelative(times) => format!(
                "Setting disk free limit on the broker in {node} to {times:?} times the total RAM \
                 ..."
            ),
        },
        Request::SetVmMemoryHighWatermark { watermark } => {
            let mark = match watermark {
                MemoryWatermark::Relative(fraction) => format!("{fraction:?}"),
                MemoryWatermark::Absolute(bytes) => format!("{bytes} bytes"),
            };
            format!("Setting memory threshold on the broker in {node} to {mark} ...")
        }
        Request::Stop => format!("Stopping the broker in {node} ..."),
        Request::ListQueues { vhost, .. } => {
            format!("Timeout: {seconds}.0 seconds ...\nListing queues for vhost {vhost} ...")
        }
        other => {
            return listing_banner(other)
                .or_else(|| user_banner(other))
                .or_else(|| limits_banner(other))
                .or_else(|| policy_banner(other))
                .or_else(|| change_banner(other));
        }
    })
}

fn listing_banner(request: &Request) -> Option<String> {
    Some(match request {
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
        _ => return None,
    })
}

fn user_banner(request: &Request) -> Option<String> {
    Some(match request {
        Request::AddUser { user, .. } => format!("Adding user \"{user}\" ..."),
        Request::DeleteUser { user } => format!("Deleting user \"{user}\" ..."),
        Request::ChangePassword { user, .. } => {
            format!("Changing password for user \"{user}\" ...")
        }
        Request::AuthenticateUser { user, .. } => format!("Authenticating user \"{user}\" ..."),
        Request::SetUserTags { user, tags } => {
            format!(
                "Setting tags for user \"{user}\" to [{}] ...",
                tags.join(", ")
            )
        }
        Request::SetPermissions { vhost, user, .. } => {
            format!("Setting permissions for user \"{user}\" in vhost \"{vhost}\" ...")
        }
        Request::ClearPermissions { vhost, user } => {
            format!("Clearing permissions for user \"{user}\" in vhost \"{vhost}\" ...")
        }
        _ => return None,
    })
}

fn limits_banner(request: &Request) -> Option<String> {
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

fn policy_banner(request: &Request) -> Option<String> {
    use PolicyKind::{Operator, User};
    Some(match request {
        Request::SetPolicy {
            kind,
            vhost,
            policy,
        } => {
            let WrittenPolicy {
                name,
                pattern,
                definition,
                priority,
                ..
            } = &**policy;
            let what = match kind {
                User => "policy",
                Operator => "operator policy override",
            };
            format!(
                "Setting {what} \"{name}\" for pattern \"{pattern}\" to \"{definition}\" with \
                 priority \"{priority}\" for vhost \"{vhost}\" ..."
            )
        }
        Request::ClearPolicy { kind, vhost, name } => {
            let what = match kind {
                User => "policy",
                Operator => "operator policy",
            };
            format!("Clearing {what} \"{name}\" on vhost \"{vhost}\" ...")
        }
        Request::ListPolicies { kind, vhost } => {
            let what = match kind {
                User => "policies",
                Operator => "operator policy overrides",
            };
            format!("Listing {what} for vhost \"{vhost}\" ...")
        }
        _ => return None,
    })
}

fn change_banner(request: &Request) -> Option<String> {
    Some(match request {
        Request::AddVhost { vhost, .. } => format!("Adding vhost \"{vhost}\" ..."),
        Request::DeleteVhost { vhost } => format!("Deleting vhost \"{vhost}\" ..."),
        Request::Backup { directory } => {
            format!("Copying everything durable to {} ...", directory.display())
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
