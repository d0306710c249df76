//! Turns a command line into a request, or reports what is wrong with it.

use crate::config::{ByteSize, DEFAULT_USER};
use crate::config::{DiskFreeLimit, MemoryWatermark};
use crate::manage::columns::Column;
use crate::manage::pid::InvalidPid;
use crate::manage::request::Request;
use crate::manage::request::{PolicyKind, WrittenPolicy};

use super::options::CommandLine;
use super::verbs::Verb;
use super::{exit, render::Format};

/// Why a command line is invalid.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    /// The text after `Error (argument validation): `.
    pub(super) reason: String,
    pub(super) status: u8,
}

fn usage(reason: impl Into<String>) -> Invalid {
    Invalid {
        reason: reason.into(),
        status: exit::USAGE,
    }
}

/// A valid command.
#[derive(Debug, PartialEq)]
pub(super) struct Command {
    /// The request; its password is empty until the user has been prompted for it.
    pub(super) request: Request,
    /// Whether the user is prompted for the password, which is not on the command line.
    pub(super) prompts_for_password: bool,
    /// The format of the output.
    pub(super) format: Format,
}

impl Command {
    /// Checks the options, the number of arguments and the columns, in rabbitmqctl's order.
    pub(super) fn of(verb: &Verb, line: &CommandLine) -> Result<Self, Invalid> {
        if !line.invalid.is_empty() {
            let options: Vec<String> = line
                .invalid
                .iter()
                .map(|(name, value)| format!("{name} : {value}"))
                .collect();
            let options = options.join("\n");
            return Err(usage(format!(
                "Invalid options for this command:\n{options}"
            )));
        }
        if line.arguments.len() < verb.min_arguments {
            return Err(usage("not enough arguments."));
        }
        if verb
            .max_arguments
            .is_some_and(|max| line.arguments.len() > max)
        {
            return Err(usage("too many arguments."));
        }
        let format = Format::parse(line.text("formatter")).map_err(usage)?;
        let request = request(verb.name, line)?;
        let prompts_for_password = line.arguments.len() == 1
            && matches!(
                verb.name,
                "add_user" | "change_password" | "authenticate_user"
            );
        Ok(Command {
            request,
            prompts_for_password,
            format,
        })
    }

    /// Sets the password that the user was prompted for.
    pub(super) fn set_password(&mut self, given: String) {
        match &mut self.request {
            Request::AddUser { password, .. }
            | Request::ChangePassword { password, .. }
            | Request::AuthenticateUser { password, .. } => *password = given,
            _ => {}
        }
    }
}

/// Returns an argument. Their number has been checked, so a missing one is optional (the password, which
/// is prompted for later).
fn argument(line: &CommandLine, index: usize) -> String {
    line.arguments.get(index).cloned().unwrap_or_default()
}

fn request(verb: &str, line: &CommandLine) -> Result<Request, Invalid> {
    let asked = match listing_request(verb, line)? {
        None => user_request(verb, line)?,
        found => found,
    };
    let asked = match asked {
        None => limits_request(verb, line)?,
        found => found,
    };
    match asked.or_else(|| policy_request(verb, line)) {
        Some(request) => Ok(request),
        None => other_request(verb, line),
    }
}

fn listing_request(verb: &str, line: &CommandLine) -> Result<Option<Request>, Invalid> {
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
        _ => return Ok(None),
    }))
}

fn user_request(verb: &str, line: &CommandLine) -> Result<Option<Request>, Invalid> {
    let (vhost, user) = (line.vhost().to_owned(), argument(line, 0));
    let password = argument(line, 1);
    Ok(Some(match verb {
        "add_user" if user.is_empty() => {
            let reason = "Bad argument: user cannot be an empty string".to_owned();
            return Err(Invalid {
                reason,
                status: exit::DATA,
            });
        }
        "add_user" => Request::AddUser { user, password },
        "delete_user" => Request::DeleteUser { user },
        "change_password" => Request::ChangePassword { user, password },
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
        _ => return Ok(None),
    }))
}

fn limits_request(verb: &str, line: &CommandLine) -> Result<Option<Request>, Invalid> {
    let (vhost, first, second) = (
        line.vhost().to_owned(),
        argument(line, 0),
        argument(line, 1),
    );
    Ok(Some(match verb {
        "set_vm_memory_high_watermark" => Request::SetVmMemoryHighWatermark {
            watermark: memory_watermark(&line.arguments)?,
        },
        "set_disk_free_limit" => Request::SetDiskFreeLimit {
            limit: disk_free_limit(&line.arguments)?,
        },
        "alarms" | "check_alarms" | "check_local_alarms" => Request::Alarms,
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

fn policy_request(verb: &str, line: &CommandLine) -> Option<Request> {
    let (kind, verb) = match verb {
        "set_operator_policy" => (PolicyKind::Operator, "set_policy"),
        "clear_operator_policy" => (PolicyKind::Operator, "clear_policy"),
        "list_operator_policies" => (PolicyKind::Operator, "list_policies"),
        verb => (PolicyKind::User, verb),
    };
    let vhost = line.vhost().to_owned();
    let [name, pattern, definition] = [0, 1, 2].map(|index| argument(line, index));
    Some(match verb {
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
        _ => return None,
    })
}

fn bad_argument(reason: &str) -> Invalid {
    Invalid {
        reason: format!("Bad argument{reason}"),
        status: exit::DATA,
    }
}

/// `0.4`, or `absolute 2GB`.
fn memory_watermark(arguments: &[String]) -> Result<MemoryWatermark, Invalid> {
    match arguments {
        [word] if word == "absolute" => Err(usage("not enough arguments.")),
        [word, size] if word == "absolute" => size
            .parse()
            .map(|ByteSize(bytes)| MemoryWatermark::Absolute(bytes))
            .map_err(|reason| bad_argument(&format!(": {reason}"))),
        [fraction] => match fraction.parse::<f64>() {
            Ok(fraction) if (0.0..=1.0).contains(&fraction) => {
                Ok(MemoryWatermark::Relative(fraction))
            }
            Ok(_) => Err(bad_argument(
                ": The threshold should be a fraction between 0.0 and 1.0",
            )),
            Err(_) => Err(bad_argument(".")),
        },
        _ => Err(usage("too many arguments.")),
    }
}

/// `50MB`, or `mem_relative 1.5`.
fn disk_free_limit(arguments: &[String]) -> Result<DiskFreeLimit, Invalid> {
    let limit = match arguments {
        [word] if word == "mem_relative" => return Err(usage("not enough arguments.")),
        [word, _] if word != "mem_relative" => return Err(usage("too many arguments.")),
        words => words.join(" ").parse(),
    };
    limit.map_err(|_| bad_argument("."))
}

fn other_request(verb: &str, line: &CommandLine) -> Result<Request, Invalid> {
    let (vhost, first) = (line.vhost().to_owned(), argument(line, 0));
    Ok(match verb {
        "status" => status(line)?,
        "ping" | "await_startup" => Request::Ping,
        "stop" => Request::Stop,
        "add_vhost" => Request::AddVhost {
            vhost: first,
            description: line.text("description").unwrap_or_default().to_owned(),
            tags: words(line.text("tags").unwrap_or_default()),
        },
        "delete_vhost" => Request::DeleteVhost { vhost: first },
        // The broker may run in another directory.
        "backup" => Request::Backup {
            directory: std::path::absolute(&first).map_err(|_| bad_argument("."))?,
        },
        "purge_queue" => Request::PurgeQueue {
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
        "close_connection" => {
            let invalid = |error: InvalidPid| Invalid {
                reason: error.to_string(),
                status: exit::UNAVAILABLE,
            };
            let pid = first.parse().map_err(invalid)?;
            Request::CloseConnection {
                pid,
                reason: argument(line, 1),
            }
        }
        "close_all_connections" => Request::CloseAllConnections {
            vhost: (!line.has("global")).then_some(vhost),
            limit: line.number("limit").filter(|limit| *limit > 0),
            reason: first,
        },
        "close_all_user_connections" => Request::CloseAllUserConnections {
            user: first,
            reason: argument(line, 1),
        },
        other => return Err(usage(format!("'{other}' is not a request to a broker"))),
    })
}

fn status(line: &CommandLine) -> Result<Request, Invalid> {
    match line.text("unit") {
        None | Some("bytes" | "mb" | "gb") => Ok(Request::Status),
        Some(unit) => Err(usage(format!(
            "unit '{unit}' is not supported: use bytes, mb or gb"
        ))),
    }
}

/// Returns the requested columns, each once, or the default ones. As in rabbitmqctl, they are separated
/// by spaces, commas or both, and unknown ones are reported in alphabetical order.
fn columns<C: Column>(line: &CommandLine) -> Result<Vec<C>, Invalid> {
    let mut found: Vec<C> = Vec::new();
    let mut unknown = Vec::new();
    for name in line.arguments.iter().flat_map(|argument| words(argument)) {
        match C::ALL.iter().find(|column| column.name() == name) {
            Some(column) if found.contains(column) => {}
            Some(column) => found.push(*column),
            None => unknown.push(name),
        }
    }
    if !unknown.is_empty() {
        unknown.sort();
        unknown.dedup();
        return Err(usage(format!(
            "Info key(s) {} are not supported",
            unknown.join(",")
        )));
    }
    Ok(if found.is_empty() {
        C::DEFAULT.to_vec()
    } else {
        found
    })
}

fn words(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}
