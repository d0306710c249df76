//! Users, their passwords and tags, and their permissions: the verbs and their banners.

use crate::manage::request::Request;

use super::super::options::CommandLine;
use super::super::request::{Invalid, argument, bad_argument};

/// Returns the request of a verb of this theme; `None` for other verbs.
pub(super) fn request(verb: &str, line: &CommandLine) -> Result<Option<Request>, Invalid> {
    let (vhost, user) = (line.vhost().to_owned(), argument(line, 0));
    let password = argument(line, 1);
    Ok(Some(match verb {
        "add_user" if user.is_empty() => {
            return Err(bad_argument(": user cannot be an empty string"));
        }
        "add_user" => Request::AddUser { user, password },
        "delete_user" => Request::DeleteUser { user },
        "change_password" => Request::ChangePassword { user, password },
        "clear_password" => Request::ClearPassword { user },
        "authenticate_user" => Request::AuthenticateUser { user, password },
        "set_user_tags" => {
            let tags = line.arguments.iter().skip(1).cloned().collect();
            Request::SetUserTags { user, tags }
        }
        "set_permissions" => {
            let [configure, write, read] = [1, 2, 3].map(|index| argument(line, index));
            Request::SetPermissions {
                vhost,
                user,
                configure,
                write,
                read,
            }
        }
        "clear_permissions" => Request::ClearPermissions { vhost, user },
        "set_topic_permissions" => {
            let [exchange, write, read] = [1, 2, 3].map(|index| argument(line, index));
            Request::SetTopicPermissions {
                vhost,
                user,
                exchange,
                write,
                read,
            }
        }
        "clear_topic_permissions" => {
            let exchange = line.arguments.get(1).cloned();
            Request::ClearTopicPermissions {
                vhost,
                user,
                exchange,
            }
        }
        _ => return Ok(None),
    }))
}

/// Returns the banner of a request of this theme; `None` for other requests.
pub(super) fn banner(request: &Request) -> Option<String> {
    Some(match request {
        Request::AddUser { user, .. } => format!("Adding user \"{user}\" ..."),
        Request::DeleteUser { user } => format!("Deleting user \"{user}\" ..."),
        Request::ChangePassword { user, .. } => {
            format!("Changing password for user \"{user}\" ...")
        }
        Request::ClearPassword { user } => format!("Clearing password for user \"{user}\" ..."),
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
        Request::SetTopicPermissions {
            vhost,
            user,
            exchange,
            ..
        } => format!(
            "Setting topic permissions on \"{exchange}\" for user \"{user}\" in vhost \"{vhost}\" ..."
        ),
        Request::ClearTopicPermissions {
            vhost,
            user,
            exchange,
        } => {
            let on = exchange
                .iter()
                .map(|exchange| format!("on \"{exchange}\" "));
            let on: String = on.collect();
            format!("Clearing topic permissions {on}for user \"{user}\" in vhost \"{vhost}\" ...")
        }
        _ => return None,
    })
}
