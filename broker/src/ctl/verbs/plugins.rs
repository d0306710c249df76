//! RabbitMQ's plugins.

use super::super::action::Action;
use super::super::commands::plugins;
use super::{Group, NONE, Tool, verb};

const TOOLS: &[Tool] = &[Tool::Plugins];
const PLUGINS: (usize, Option<usize>) = (0, None);

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Plugin Management",
    verbs: &[
        verb("directories", NONE, "[--offline] [--online]", "Displays where plugins are, which is nowhere")
            .tools(TOOLS)
            .needless("Features are built in: there are no plugin directories and no file of enabled plugins"),
        verb("disable", PLUGINS, "<plugin1> [ <plugin2>] | --all [--offline] [--online]",
            "Disables plugins: what is built in cannot be disabled")
            .tools(TOOLS).does(Action::Local(plugins::disable)),
        verb("enable", PLUGINS, "<plugin1> [ <plugin2>] | --all [--offline] [--online]",
            "Enables plugins: what is built in is enabled already")
            .tools(TOOLS).does(Action::Local(plugins::enable)),
        verb("is_enabled", (1, None), "<plugin1> [ <plugin2>] [--offline] [--online] [--timeout <timeout>]",
            "Health check that exits with a non-zero code if plugins are not built in")
            .tools(TOOLS)
            .asks(plugins::is_enabled_request, plugins::is_enabled_banner, plugins::is_enabled),
        verb("list", (0, Some(1)), "[pattern] [--verbose] [--minimal] [--enabled] [--implicitly-enabled]",
            "Lists the plugins whose features are built in")
            .tools(TOOLS).does(Action::Local(plugins::list))
            .details(&[("<pattern>", "regular expression that names are matched against"),
                ("--enabled, -E", "only those that nobody else needs"),
                ("--implicitly-enabled, -e", "also those that others need"),
                ("--minimal, -m", "only names"), ("--verbose, -v", "with descriptions")]),
        verb("set", PLUGINS, "[<plugin1> [ <plugin2>]] [--offline] [--online]",
            "Enables plugins and disables the rest: what is built in stays enabled")
            .tools(TOOLS).does(Action::Local(plugins::set)),
    ],
};
