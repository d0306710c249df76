//! The text that is printed after a request succeeded or failed. Recorded from rabbitmqctl 3.10.8,
//! except where it speaks of Erlang.

use crate::manage::request::{ErrorKind, Request};

use crate::text::names::NODE_NAME;

use super::exit;

/// The text for a request that succeeded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SuccessText {
    /// No text.
    None,
    /// A hint, not shown with `--quiet`.
    Hint(String),
    /// The result itself.
    Result(String),
}

/// Returns the text for a response of `ok` or a count.
pub(super) fn success(program: &str, verb: &str, request: &Request, count: u64) -> SuccessText {
    match request {
        Request::AddUser { .. } => SuccessText::Hint(format!(
            "Done. Don't forget to grant the user permissions to some virtual hosts! See \
             '{program} help set_permissions' to learn more."
        )),
        Request::Ping if verb == "ping" => SuccessText::Result("Ping succeeded".to_owned()),
        Request::AuthenticateUser { .. } => SuccessText::Result("Success".to_owned()),
        Request::SetTracing { vhost, enabled } => {
            let state = if *enabled { "enabled" } else { "disabled" };
            SuccessText::Result(format!("Trace {state} for vhost {vhost}"))
        }
        Request::RestartVhost { vhost } => {
            SuccessText::Result(format!("Vhost '{vhost}' is already running"))
        }
        Request::IsRunning if verb.starts_with("await_online") => SuccessText::Result(
            "The broker is a single node, so the command does not apply".to_owned(),
        ),
        Request::Stop if verb == "shutdown" => {
            SuccessText::Hint("The broker successfully shut down".to_owned())
        }
        Request::DeleteQueue { .. } => SuccessText::Result(format!(
            "Queue was successfully deleted with {count} ready messages"
        )),
        Request::CloseAllConnections { .. } => {
            SuccessText::Result(format!("Closed {count} connections"))
        }
        _ => SuccessText::None,
    }
}

/// Returns the text for stderr and the exit status of a refusal.
pub(super) fn refusal(
    program: &str,
    request: &Request,
    kind: ErrorKind,
    message: &str,
) -> (String, u8) {
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
            Request::RestartVhost { vhost } => (
                format!("Failed to start vhost '{vhost}': it does not exist"),
                exit::SOFTWARE,
            ),
            Request::UpdateVhost { vhost, .. } => (
                format!("Virtual host \"{vhost}\" does not exist"),
                exit::DATA,
            ),
            Request::SetPermissions { vhost, .. }
            | Request::ClearPermissions { vhost, .. }
            | Request::SetTopicPermissions { vhost, .. }
            | Request::ClearTopicPermissions { vhost, .. } => (
                format!("Virtual host {vhost} does not exist"),
                exit::UNAVAILABLE,
            ),
            // The only refusal that rabbitmqctl does not begin with "Error:".
            other => {
                let vhost = vhost_of(other);
                return (format!("Virtual host '{vhost}' does not exist"), exit::DATA);
            }
        },
        ErrorKind::NoSuchQueue => match request {
            Request::DeleteQueue { .. } => ("Queue not found".to_owned(), exit::USAGE),
            Request::QueueKind { .. } => ("not_found".to_owned(), exit::UNAVAILABLE),
            // RabbitMQ: not_found.
            _ => ("Queue not found".to_owned(), exit::UNAVAILABLE),
        },
        ErrorKind::QueueNotEmpty => ("Queue is not empty".to_owned(), exit::USAGE),
        ErrorKind::QueueInUse => ("Queue is in use".to_owned(), exit::USAGE),
        ErrorKind::Refused if matches!(request, Request::DeleteVhost { .. }) => {
            (message.to_owned(), exit::DATA)
        }
        ErrorKind::AppStopped if *request == Request::IsRunning => (
            format!(
                "RabbitMQ on node {NODE_NAME} is not running: '{program} stop_app' has stopped it"
            ),
            exit::UNAVAILABLE,
        ),
        ErrorKind::AppStopped => return (needs("running", program, "start_app"), exit::USAGE),
        ErrorKind::AppRunning => return (needs("stopped", program, "stop_app"), exit::USAGE),
        ErrorKind::Data => (message.to_owned(), exit::DATA),
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

/// Returns the text for a request that needs another state of the service, with the verb that brings it about.
fn needs(state: &str, program: &str, verb: &str) -> String {
    let what = match state {
        "running" => "Start",
        _ => "Stop",
    };
    format!(
        "Error: this command requires the 'rabbit' app to be {state} on the target node. {what} it with '{program} {verb}'."
    )
}

fn no_such_user(request: &Request) -> String {
    let user = user_of(request);
    match request {
        Request::SetPermissions { .. }
        | Request::ClearPermissions { .. }
        | Request::SetTopicPermissions { .. }
        | Request::ClearTopicPermissions { .. } => {
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
        | Request::ClearPassword { user }
        | Request::AuthenticateUser { user, .. }
        | Request::SetUserTags { user, .. }
        | Request::SetPermissions { user, .. }
        | Request::ClearPermissions { user, .. }
        | Request::SetTopicPermissions { user, .. }
        | Request::ClearTopicPermissions { user, .. }
        | Request::ListUserTopicPermissions { user }
        | Request::SetUserLimits { user, .. }
        | Request::ClearUserLimits { user, .. }
        | Request::ListUserPermissions { user } => user,
        Request::ListUserLimits { user } => user.as_deref().unwrap_or_default(),
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
        | Request::ListTopicPermissions { vhost }
        | Request::AddVhost { vhost, .. }
        | Request::SetParameter { vhost, .. }
        | Request::ClearParameter { vhost, .. }
        | Request::ListParameters { vhost }
        | Request::SetTracing { vhost, .. }
        | Request::SyncQueue { vhost, .. }
        | Request::DeleteVhost { vhost }
        | Request::PurgeQueue { vhost, .. }
        | Request::SetVhostLimits { vhost, .. }
        | Request::SetPolicy { vhost, .. }
        | Request::ListPolicies { vhost, .. }
        | Request::ClearVhostLimits { vhost }
        | Request::DeleteQueue { vhost, .. } => vhost,
        Request::ListVhostLimits { vhost } | Request::CloseAllConnections { vhost, .. } => {
            vhost.as_deref().unwrap_or_default()
        }
        _ => "",
    }
}
