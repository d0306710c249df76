//! The name that the program is called by, which says whose verbs it has.

use std::path::Path;

use super::verbs::Tool;

/// The program's own name.
pub(super) const OWN_NAME: &str = "leveretctl";

/// The name that the program was called by.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// As it is shown.
    pub(super) name: String,
    /// The tool of RabbitMQ's whose verbs it has; all verbs without one.
    pub(super) tool: Option<Tool>,
}

impl Program {
    /// Returns the program with this name or path. Any other name than a tool's has all verbs, so that
    /// people can call it as they like.
    pub(super) fn called(path: &str) -> Self {
        let name = Path::new(path).file_stem().and_then(|name| name.to_str());
        let name = name.unwrap_or(OWN_NAME);
        Program {
            name: name.to_owned(),
            tool: Tool::ALL.into_iter().find(|tool| tool.name() == name),
        }
    }
}

impl Default for Program {
    fn default() -> Self {
        Program::called(OWN_NAME)
    }
}

/// Returns whether a program of this name or path is leveretctl, or one of the tools that it stands for.
pub fn is_known(path: &str) -> bool {
    let program = Program::called(path);
    program.tool.is_some() || program.name == OWN_NAME
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_known_by_the_names_of_their_files() {
        assert_eq!(
            Program::called("/usr/sbin/rabbitmqctl").tool,
            Some(Tool::Ctl)
        );
        assert_eq!(
            Program::called("rabbitmq-plugins").tool,
            Some(Tool::Plugins)
        );
        assert_eq!(Program::called("./leveretctl").tool, None);
        assert!(is_known("leveretctl") && is_known("/x/rabbitmq-diagnostics"));
        assert!(!is_known("/usr/bin/leveret") && !is_known("rabbitmq"));
    }
}
