//! The broker as a process: started, stopped, waited for.

use super::{Group, NONE, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Nodes",
    verbs: &[
        verb("await_startup", NONE, "[--timeout <timeout>]",
            "Waits until the broker answers, for 300 seconds by default"),
        verb("stop", (0, Some(1)), "[--idempotent] [<pidfile>]",
            "Stops the broker and waits until it has ended")
            .details(&[("<pidfile>", "accepted and ignored"),
                ("--idempotent", "return success if the broker is not running")]),
    ],
};
