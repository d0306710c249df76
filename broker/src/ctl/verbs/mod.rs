//! The verbs by theme, each declared once, for checking command lines and for the help.

mod access;
mod cluster;
mod configuration;
mod definitions;
mod health;
mod help;
mod logs;
mod monitoring;
mod node;
mod operations;
mod parameters;
mod plugins;
mod policies;
mod queues;
mod replication;
mod runtime;
mod upgrade;
mod users;
mod vhosts;

use crate::manage::columns::Column;
use crate::manage::request::Request;

use super::action::{self, Action, Answer, Ask, Reply};
use super::exit;
use super::options::CommandLine;
use super::request::Invalid;

/// One of RabbitMQ's tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// rabbitmqctl.
    Ctl,
    /// rabbitmq-diagnostics.
    Diagnostics,
    /// rabbitmq-queues.
    Queues,
    /// rabbitmq-streams.
    Streams,
    /// rabbitmq-plugins.
    Plugins,
    /// rabbitmq-upgrade.
    Upgrade,
}

impl Tool {
    /// Every tool.
    pub(super) const ALL: [Tool; 6] = [
        Tool::Ctl,
        Tool::Diagnostics,
        Tool::Queues,
        Tool::Streams,
        Tool::Plugins,
        Tool::Upgrade,
    ];

    /// Returns the name of the program.
    pub(super) fn name(self) -> &'static str {
        match self {
            Tool::Ctl => "rabbitmqctl",
            Tool::Diagnostics => "rabbitmq-diagnostics",
            Tool::Queues => "rabbitmq-queues",
            Tool::Streams => "rabbitmq-streams",
            Tool::Plugins => "rabbitmq-plugins",
            Tool::Upgrade => "rabbitmq-upgrade",
        }
    }
}

/// The tools of what reads and changes nothing.
const CTL_AND_DIAGNOSTICS: &[Tool] = &[Tool::Ctl, Tool::Diagnostics];
const DIAGNOSTICS: &[Tool] = &[Tool::Diagnostics];

/// The verbs of a theme.
pub(super) struct Group {
    /// The heading under which help lists them.
    pub(super) heading: &'static str,
    /// In the order of `help`.
    pub(super) verbs: &'static [Verb],
}

/// Every verb, in the order of `help`. A verb is in the file of its theme only.
pub(super) static GROUPS: [&Group; 19] = [
    &help::GROUP,
    &node::GROUP,
    &cluster::GROUP,
    &users::GROUP,
    &access::GROUP,
    &monitoring::GROUP,
    &health::GROUP,
    &logs::GROUP,
    &parameters::GROUP,
    &policies::GROUP,
    &vhosts::GROUP,
    &configuration::GROUP,
    &definitions::GROUP,
    &operations::GROUP,
    &queues::GROUP,
    &replication::GROUP,
    &plugins::GROUP,
    &runtime::GROUP,
    &upgrade::GROUP,
];

/// Returns every verb, in the order of `help`.
pub(super) fn all() -> impl Iterator<Item = &'static Verb> {
    GROUPS.iter().flat_map(|group| group.verbs)
}

/// A verb of leveretctl.
pub(super) struct Verb {
    pub(super) name: &'static str,
    /// RabbitMQ's tools that have it.
    pub(super) tools: &'static [Tool],
    /// One line for the list of verbs, without a full stop at the end.
    pub(super) summary: &'static str,
    /// The usage line after the name.
    pub(super) usage: &'static str,
    /// The minimum number of arguments.
    pub(super) min_arguments: usize,
    /// The maximum number of arguments; `None` for any number.
    pub(super) max_arguments: Option<usize>,
    /// The columns that its arguments choose from.
    pub(super) columns: Option<fn() -> Vec<&'static str>>,
    /// Arguments and options, each with a description, for `help <verb>`.
    pub(super) details: &'static [(&'static str, &'static str)],
    /// What it does.
    pub(super) action: Action,
}

impl Verb {
    /// Returns the verb of a tool with this name; of any tool if none is given.
    pub(super) fn find(name: &str, tool: Option<Tool>) -> Option<&'static Verb> {
        of_tool(tool).find(|verb| verb.name == name)
    }

    /// Returns the verb that was probably meant.
    pub(super) fn similar_to(name: &str, tool: Option<Tool>) -> Option<&'static str> {
        most_similar(name, of_tool(tool).map(|verb| verb.name))
    }

    /// Returns whether a tool has the verb.
    pub(super) fn is_of(&self, tool: Tool) -> bool {
        self.tools.contains(&tool)
    }
}

/// Returns the verbs of a tool, or all, in the order of `help`.
pub(super) fn of_tool(tool: Option<Tool>) -> impl Iterator<Item = &'static Verb> {
    all().filter(move |verb| tool.is_none_or(|tool| verb.is_of(tool)))
}

/// Returns the name that was probably meant by another one.
pub(super) fn most_similar<'a>(
    name: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let likeness = |other: &&str| strsim::jaro(other, name);
    let best = names
        .into_iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    // rabbitmqctl's threshold.
    (likeness(&best) >= 0.8).then_some(best)
}

fn names<C: Column>() -> Vec<&'static str> {
    C::ALL.iter().map(|column| column.name()).collect()
}

/// Declares a verb, of rabbitmqctl unless [`tools`](Verb::tools) says otherwise.
const fn verb(
    name: &'static str,
    (min_arguments, max_arguments): (usize, Option<usize>),
    usage: &'static str,
    summary: &'static str,
) -> Verb {
    Verb {
        name,
        tools: &[Tool::Ctl],
        summary,
        usage,
        min_arguments,
        max_arguments,
        columns: None,
        details: &[],
        action: Action::Themed,
    }
}

impl Verb {
    const fn tools(mut self, tools: &'static [Tool]) -> Self {
        self.tools = tools;
        self
    }

    const fn columns(mut self, columns: fn() -> Vec<&'static str>) -> Self {
        self.columns = Some(columns);
        self
    }

    const fn does(mut self, action: Action) -> Self {
        self.action = action;
        self
    }

    /// The verb shows a part of the broker's status.
    const fn on_status(
        self,
        banner: fn(&CommandLine) -> String,
        answer: fn(&Reply, &CommandLine) -> Answer,
    ) -> Self {
        self.asks(action::status, banner, answer)
    }

    /// The verb asks the broker, and shows the response in its own way.
    const fn asks(
        self,
        request: fn(&CommandLine) -> Result<Request, Invalid>,
        banner: fn(&CommandLine) -> String,
        answer: fn(&Reply, &CommandLine) -> Answer,
    ) -> Self {
        self.does(Action::Ask(Ask {
            request,
            banner,
            answer,
        }))
    }

    /// The verb does nothing here, which is no failure: what is asked for is so already, or cannot be
    /// otherwise.
    const fn needless(self, why: &'static str) -> Self {
        self.does(Action::Nothing(exit::OK, why))
    }

    /// The verb cannot be done here.
    const fn impossible(self, why: &'static str) -> Self {
        self.does(Action::Nothing(exit::UNAVAILABLE, why))
    }

    const fn details(mut self, details: &'static [(&'static str, &'static str)]) -> Self {
        self.details = details;
        self
    }
}

const NONE: (usize, Option<usize>) = (0, Some(0));
const ANY: (usize, Option<usize>) = (0, None);
const fn exactly(count: usize) -> (usize, Option<usize>) {
    (count, Some(count))
}

const IN_VHOST: &str =
    "[--vhost <vhost>] [--no-table-headers] [<column> ...] [--timeout <timeout>]";
const EVERYWHERE: &str = "[--no-table-headers] [<column> ...] [--timeout <timeout>]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_verb_has_a_similar_one_and_nonsense_has_none() {
        let similar = |name: &str| Verb::similar_to(name, None);
        assert_eq!(similar("list_queue"), Some("list_queues"));
        assert_eq!(similar("listqueues"), Some("list_queues"));
        assert_eq!(similar("blah"), None);
        assert_eq!(similar("LIST_QUEUES"), None);
    }
}
