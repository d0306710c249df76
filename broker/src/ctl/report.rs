//! The sentences around the rows: what is about to be done, that it was done, why it was not.
//! Recorded from rabbitmqctl 3.10.8, except where it speaks of Erlang and nodes.

use std::path::Path;

use crate::admin::wire::{ErrorKind, Request};

use super::exit;

/// What is printed before the answer, unless told to be quiet. Ends without a line feed.
pub(super) fn banner(
    verb: &str,
    request: &Request,
    data_dir: &Path,
    timeout_seconds: Option<u64>,
) -> Option<String> {
    let node = data_dir.display();
    Some(match request {
        Request::ListQueues { vhost, .. } => {
            let seconds = timeout_seconds.unwrap_or_default();
            format!("Timeout: {seconds}.0 seconds ...\nListing queues for vhost {vhost} ...")
        }
        Request::ListConnections { .. } => "Listing connections ...".to_owned(),
        Request::ListChannels { .. } => "Listing channels ...".to_owned(),
        Request::ListConsumers { vhost, .. } => format!("Listing consumers in vhost {vhost} ..."),
        Request::ListExchanges { vhost, .. } => format!("Listing exchanges for vhost {vhost} ..."),
        // Without the space: it is rabbitmqctl's.
        Request::ListBindings { vhost, .. } => format!("Listing bindings for vhost {vhost}..."),
        Request::ListVhosts { .. } => "Listing vhosts ...".to_owned(),
        Request::ListUsers => "Listing users ...".to_owned(),
        Request::ListPermissions { vhost } => {
            format!("Listing permissions for vhost \"{vhost}\" ...")
        }
        Request::ListUserPermissions { user } => {
            format!("Listing permissions for user \"{user}\" ...")
        }
        Request::Status => format!("Status of the broker in {node} ..."),
        Request::Ping if verb == "await_startup" => return None,
        Request::Ping => {
            let milliseconds = timeout_seconds.unwrap_or_default() * 1000;
            format!("Will ping the broker in {node}. Timeout: {milliseconds} ms.")
        }
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
        Request::AddVhost { vhost, .. } => format!("Adding vhost \"{vhost}\" ..."),
        Request::DeleteVhost { vhost } => format!("Deleting vhost \"{vhost}\" ..."),
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
        Request::Stop => format!("Stopping the broker in {node} ..."),
    })
}

/// What is printed when it was done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// Nothing.
    Silent,
    /// A hint, which the quiet do without.
    Hint(String),
    /// The answer itself.
    Answer(String),
}

/// What is printed when the broker answered `ok`, or a count.
pub(super) fn done(verb: &str, request: &Request, count: u64) -> Done {
    match request {
        Request::AddUser { .. } => Done::Hint(
            "Done. Don't forget to grant the user permissions to some virtual hosts! See \
             'leveretctl help set_permissions' to learn more."
                .to_owned(),
        ),
        Request::Ping if verb == "ping" => Done::Answer("Ping succeeded".to_owned()),
        Request::AuthenticateUser { .. } => Done::Answer("Success".to_owned()),
        Request::DeleteQueue { .. } => Done::Answer(format!(
            "Queue was successfully deleted with {count} ready messages"
        )),
        Request::CloseAllConnections { .. } => Done::Answer(format!("Closed {count} connections")),
        _ => Done::Silent,
    }
}

/// The text for stderr and the exit status of a refusal.
pub(super) fn refusal(request: &Request, kind: ErrorKind, message: &str) -> (String, u8) {
    let (text, status) = match kind {
        ErrorKind::NoSuchUser => (no_such_user(request), exit::NO_USER),
        ErrorKind::UserExists => (
            format!("User \"{}\" already exists", user_of(request)),
            exit::SOFTWARE,
        ),
        ErrorKind::InvalidCredentials => {
            let user = user_of(request);
            let text = format!(
                "Error: failed to authenticate user \"{user}\"\nuser '{user}' - invalid credentials"
            );
            (text, exit::DATA)
        }
        ErrorKind::NoSuchVhost => match request {
            Request::SetPermissions { vhost, .. } | Request::ClearPermissions { vhost, .. } => (
                format!("Virtual host {vhost} does not exist"),
                exit::UNAVAILABLE,
            ),
            // The only refusal that rabbitmqctl does not head with "Error:".
            other => {
                let vhost = vhost_of(other);
                return (format!("Virtual host '{vhost}' does not exist"), exit::DATA);
            }
        },
        ErrorKind::NoSuchQueue => match request {
            Request::DeleteQueue { .. } => ("Queue not found".to_owned(), exit::USAGE),
            // RabbitMQ: not_found.
            _ => ("Queue not found".to_owned(), exit::UNAVAILABLE),
        },
        ErrorKind::QueueNotEmpty => ("Queue is not empty".to_owned(), exit::USAGE),
        ErrorKind::QueueInUse => ("Queue is in use".to_owned(), exit::USAGE),
        ErrorKind::InvalidPattern | ErrorKind::Refused => (message.to_owned(), exit::UNAVAILABLE),
        ErrorKind::VersionMismatch => {
            let ours = env!("CARGO_PKG_VERSION");
            let advice = "use the leveretctl that came with it, or restart the broker";
            (
                format!("{message}, this leveretctl is {ours}: {advice}"),
                exit::SOFTWARE,
            )
        }
        ErrorKind::Software => (message.to_owned(), exit::SOFTWARE),
    };
    (format!("Error:\n{text}"), status)
}

fn no_such_user(request: &Request) -> String {
    let user = user_of(request);
    match request {
        Request::SetPermissions { .. } | Request::ClearPermissions { .. } => {
            format!("User {user} does not exist")
        }
        _ => format!("User \"{user}\" does not exist"),
    }
}

fn user_of(request: &Request) -> &str {
    match request {
        Request::AddUser { user, .. }
        | Request::DeleteUser { user }
        | Request::ChangePassword { user, .. }
        | Request::AuthenticateUser { user, .. }
        | Request::SetUserTags { user, .. }
        | Request::SetPermissions { user, .. }
        | Request::ClearPermissions { user, .. }
        | Request::ListUserPermissions { user } => user,
        _ => "",
    }
}

fn vhost_of(request: &Request) -> &str {
    match request {
        Request::ListQueues { vhost, .. }
        | Request::ListConsumers { vhost, .. }
        | Request::ListExchanges { vhost, .. }
        | Request::ListBindings { vhost, .. }
        | Request::ListPermissions { vhost }
        | Request::AddVhost { vhost, .. }
        | Request::DeleteVhost { vhost }
        | Request::PurgeQueue { vhost, .. }
        | Request::DeleteQueue { vhost, .. } => vhost,
        Request::CloseAllConnections { vhost, .. } => vhost.as_deref().unwrap_or_default(),
        _ => "",
    }
}
