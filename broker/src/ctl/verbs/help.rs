//! Help and the version.

use super::{Group, NONE, Tool, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Help",
    verbs: &[
        verb("help", (0, Some(1)), "(<command> | [--list-commands])",
            "Displays usage information for a command")
            .tools(&Tool::ALL),
        verb("version", NONE, "", "Displays the version of leveretctl")
            .tools(&[Tool::Ctl, Tool::Diagnostics, Tool::Plugins]),
    ],
};
