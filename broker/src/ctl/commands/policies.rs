//! Policies of users and of operators: the verbs and their banners.

use crate::manage::request::Request;
use crate::manage::request::{PolicyKind, WrittenPolicy};

use super::super::options::CommandLine;
use super::super::request::{Invalid, argument};

/// Returns the request of a verb of this theme; `None` for other verbs.
pub(super) fn request(verb: &str, line: &CommandLine) -> Result<Option<Request>, Invalid> {
    let (kind, verb) = match verb {
        "set_operator_policy" => (PolicyKind::Operator, "set_policy"),
        "clear_operator_policy" => (PolicyKind::Operator, "clear_policy"),
        "list_operator_policies" => (PolicyKind::Operator, "list_policies"),
        verb => (PolicyKind::User, verb),
    };
    let vhost = line.vhost().to_owned();
    let [name, pattern, definition] = [0, 1, 2].map(|index| argument(line, index));
    Ok(Some(match verb {
        "set_policy" => Request::SetPolicy {
            kind,
            vhost,
            policy: Box::new(WrittenPolicy {
                priority: line.integer("priority").unwrap_or_default(),
                apply_to: line.text("apply-to").unwrap_or("all").to_owned(),
                ..WrittenPolicy::new(&name, &pattern, &definition)
            }),
        },
        "clear_policy" => Request::ClearPolicy { kind, vhost, name },
        "list_policies" => Request::ListPolicies { kind, vhost },
        _ => return Ok(None),
    }))
}

/// Returns the banner of a request of this theme; `None` for other requests.
pub(super) fn banner(request: &Request) -> Option<String> {
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
