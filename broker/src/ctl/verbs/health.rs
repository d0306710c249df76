//! Health checks.

use super::{Group, NONE, Tool, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Health checks",
    verbs: &[
        verb("alarms", NONE, "[--timeout <timeout>]", "Lists resource alarms in effect")
            .tools(&[Tool::Diagnostics]),
        verb("check_alarms", NONE, "[--timeout <timeout>]",
            "Health check that exits with a non-zero code if there are resource alarms")
            .tools(&[Tool::Diagnostics]),
        verb("check_local_alarms", NONE, "[--timeout <timeout>]",
            "Health check that exits with a non-zero code if there are resource alarms")
            .tools(&[Tool::Diagnostics]),
    ],
};
