//! Runtime parameters: the verbs and their banners.

use serde_json::Value;

use crate::manage::request::Request;

use super::super::exit;
use super::super::options::CommandLine;
use super::super::request::{Invalid, argument};

/// Returns the request of a verb of this theme; `None` for other verbs.
pub(super) fn request(verb: &str, line: &CommandLine) -> Result<Option<Request>, Invalid> {
    let vhost = line.vhost().to_owned();
    let [first, second] = [0, 1].map(|index| argument(line, index));
    Ok(Some(match verb {
        "set_parameter" => Request::SetParameter {
            vhost,
            component: first,
            name: second,
            value: value(line, 2)?,
        },
        "clear_parameter" => Request::ClearParameter {
            vhost,
            component: first,
            name: second,
        },
        "list_parameters" => Request::ListParameters { vhost },
        "set_global_parameter" => Request::SetGlobalParameter {
            name: first,
            value: value(line, 1)?,
        },
        "clear_global_parameter" => Request::ClearGlobalParameter { name: first },
        "list_global_parameters" => Request::ListGlobalParameters,
        _ => return Ok(None),
    }))
}

/// Returns an argument as JSON.
fn value(line: &CommandLine, index: usize) -> Result<Value, Invalid> {
    serde_json::from_str(&argument(line, index)).map_err(|error| Invalid {
        reason: format!("the value is not a JSON document: {error}"),
        status: exit::UNAVAILABLE,
        is_usage: true,
    })
}

/// Returns the banner of a request of this theme; `None` for other requests. It shows the value as it was given.
pub(super) fn banner(line: &CommandLine, request: &Request) -> Option<String> {
    Some(match request {
        Request::SetParameter {
            vhost,
            component,
            name,
            ..
        } => format!(
            "Setting runtime parameter \"{name}\" for component \"{component}\" to \"{}\" in vhost \"{vhost}\" ...",
            argument(line, 2)
        ),
        Request::ClearParameter {
            vhost,
            component,
            name,
        } => format!(
            "Clearing runtime parameter \"{name}\" for component \"{component}\" on vhost \"{vhost}\" ..."
        ),
        Request::ListParameters { vhost } => {
            format!("Listing runtime parameters for vhost \"{vhost}\" ...")
        }
        Request::SetGlobalParameter { name, .. } => format!(
            "Setting global runtime parameter \"{name}\" to \"{}\" ...",
            argument(line, 1)
        ),
        Request::ClearGlobalParameter { name } => {
            format!("Clearing global runtime parameter \"{name}\" ...")
        }
        Request::ListGlobalParameters => "Listing global runtime parameters ...".to_owned(),
        _ => return None,
    })
}
