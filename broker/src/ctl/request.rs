//! What is the same for all commands: the checks of a command line, what may be wrong with it, and
//! the password that is prompted for.

use crate::manage::request::Request;

use super::options::CommandLine;
use super::verbs::{Verb, most_similar};
use super::{exit, render::Format};

/// Why a command line is invalid.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    /// The text after `Error (argument validation): `.
    pub(super) reason: String,
    pub(super) status: u8,
    /// Whether the usage is shown, too.
    pub(super) is_usage: bool,
}

/// Returns a value that is refused in the same way as the broker would refuse it.
pub(super) fn refused(reason: impl Into<String>) -> Invalid {
    Invalid {
        reason: reason.into(),
        status: exit::UNAVAILABLE,
        is_usage: false,
    }
}

/// Returns a mistake in how the command is used.
pub(super) fn usage(reason: impl Into<String>) -> Invalid {
    Invalid {
        reason: reason.into(),
        status: exit::USAGE,
        is_usage: true,
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
    /// Checks the options, the number of arguments and the columns, in rabbitmqctl's order. The
    /// request is what `request_of` makes of the verb's name and the line.
    pub(super) fn of(
        verb: &Verb,
        line: &CommandLine,
        request_of: fn(&str, &CommandLine) -> Result<Request, Invalid>,
    ) -> Result<Self, Invalid> {
        let format = check(verb, line)?;
        let request = request_of(verb.name, line)?;
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

/// Checks the options and the number of arguments, and returns the format of the output.
pub(super) fn check(verb: &Verb, line: &CommandLine) -> Result<Format, Invalid> {
    if !line.invalid.is_empty() {
        let option = |(name, value): &(String, String)| match line.similar_option(name) {
            Some(meant) => format!("{name} : {value}\nDid you mean '--{meant}'?"),
            None => format!("{name} : {value}"),
        };
        let options: Vec<String> = line.invalid.iter().map(option).collect();
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
    Format::parse(line.text("formatter")).map_err(usage)
}

/// Returns the requested names of columns, each once, or the default ones. As in rabbitmqctl, they are
/// separated by spaces, commas or both, and unknown ones are reported in alphabetical order.
pub(super) fn selected(
    line: &CommandLine,
    known: &[&'static str],
    default: &[&'static str],
) -> Result<Vec<&'static str>, Invalid> {
    let mut found: Vec<&'static str> = Vec::new();
    let mut unknown = Vec::new();
    for name in line.arguments.iter().flat_map(|argument| words(argument)) {
        match known.iter().find(|column| **column == name) {
            Some(column) if found.contains(column) => {}
            Some(column) => found.push(column),
            None => unknown.push(name),
        }
    }
    if unknown.is_empty() {
        return Ok(if found.is_empty() {
            default.to_vec()
        } else {
            found
        });
    }
    unknown.sort();
    unknown.dedup();
    let meant = unknown
        .iter()
        .filter_map(|name| most_similar(name, known.iter().copied()));
    let meant: Vec<String> = meant.map(|name| format!("'{name}'")).collect();
    let hint = match meant.as_slice() {
        [] => String::new(),
        meant => format!(". Did you mean {}?", meant.join(", ")),
    };
    let unknown = unknown.join(",");
    Err(usage(format!(
        "Info key(s) {unknown} are not supported{hint}"
    )))
}

/// Returns an argument. Their number has been checked, so a missing one is optional (the password, which
/// is prompted for later).
pub(super) fn argument(line: &CommandLine, index: usize) -> String {
    line.arguments.get(index).cloned().unwrap_or_default()
}

/// Returns a mistake in the value of an argument.
pub(super) fn bad_argument(reason: &str) -> Invalid {
    Invalid {
        reason: format!("Bad argument{reason}"),
        status: exit::DATA,
        is_usage: true,
    }
}

/// Returns the words of a list that is separated by commas.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}
