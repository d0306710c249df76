//! Whether the broker serves clients: the verbs that stop and start that, and the banners.

use crate::manage::request::Request;
use crate::text::names::NODE_NAME;

use super::super::options::CommandLine;
use super::super::request::Invalid;

/// Returns the request of a verb of this theme; `None` for other verbs.
pub(super) fn request(verb: &str, _: &CommandLine) -> Result<Option<Request>, Invalid> {
    Ok(Some(match verb {
        "stop_app" => Request::StopApp,
        "start_app" => Request::StartApp,
        "reset" | "force_reset" => Request::Reset,
        "suspend_listeners" => Request::SuspendListeners,
        "resume_listeners" | "revive" => Request::ResumeListeners,
        "drain" => Request::Drain,
        // There is nothing to do, but there has to be a broker.
        "force_gc" => Request::Ping,
        "await_online_quorum_plus_one" | "await_online_synchronized_mirror" | "post_upgrade" => {
            Request::IsRunning
        }
        _ => return Ok(None),
    }))
}

/// Returns the banner of a request of this theme; `None` for other requests.
pub(super) fn banner(verb: &str, request: &Request, seconds: u64) -> Option<String> {
    Some(match (verb, request) {
        ("force_gc", _) => {
            format!("Will ask all processes on node {NODE_NAME} to schedule a full sweep GC")
        }
        ("await_online_quorum_plus_one", _) => format!(
            "Will wait for a quorum + 1 of nodes to be online for all quorum queues for {seconds} seconds..."
        ),
        ("await_online_synchronized_mirror", _) => format!(
            "Will wait for a synchronised mirror be online for all classic mirrored queues for {seconds} \
             seconds..."
        ),
        ("post_upgrade", _) => "Executing post upgrade tasks...".to_owned(),
        ("revive", _) => format!(
            "Will put node {NODE_NAME} back into regular operating mode. The node will again serve client traffic and host primary queue replicas."
        ),
        ("force_reset", _) => format!("Forcefully resetting node {NODE_NAME} ..."),
        (_, Request::Reset) => format!("Resetting node {NODE_NAME} ..."),
        (_, Request::StopApp) => format!("Stopping rabbit application on node {NODE_NAME} ..."),
        (_, Request::StartApp) => format!("Starting node {NODE_NAME} ..."),
        (_, Request::SuspendListeners) => format!(
            "Will suspend client connection listeners on node {NODE_NAME}. The node will no longer accept client \
             connections!"
        ),
        (_, Request::ResumeListeners) => format!(
            "Will resume client connection listeners on node {NODE_NAME}. The node will now accept client connections"
        ),
        (_, Request::Drain) => format!(
            "Will put node {NODE_NAME} into maintenance mode. The node will no longer serve any client traffic!"
        ),
        _ => return None,
    })
}
