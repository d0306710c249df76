//! Help and the version.

use super::super::action::Action;
use super::super::commands::facts;
use super::{Group, NONE, Tool, exactly, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Help",
    verbs: &[
        verb("autocomplete", exactly(1), "[prefix]", "Lists the verbs that begin like this")
            .tools(&Tool::ALL).does(Action::Local(facts::autocomplete)),
        verb("help", (0, Some(1)), "(<command> | [--list-commands])",
            "Displays usage information for a command")
            .tools(&Tool::ALL).does(Action::Special),
        verb("version", NONE, "", "Displays the version of leveretctl")
            .tools(&[Tool::Ctl, Tool::Diagnostics, Tool::Plugins]).does(Action::Special),
    ],
};
