//! The broker as a process: started, stopped, waited for.

use super::super::action::Action;
use super::{CTL_AND_DIAGNOSTICS, Group, NONE, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Nodes",
    verbs: &[
        verb("await_startup", NONE, "[--timeout <timeout>]",
            "Waits until the broker answers, for 300 seconds by default"),
        verb("force_reset", NONE, "", "Does what reset does")
            .details(&[("", "needs stop_app first; asks before it does so if it reads from a terminal")]),
        verb("reset", NONE, "", "Deletes everything that is declared or set, and every message")
            .details(&[("", "needs stop_app first; asks before it does so if it reads from a terminal")]),
        verb("shutdown", NONE, "[--wait] [--timeout <timeout>]",
            "Stops the broker and waits until it has ended")
            .details(&[("--wait", "wait until the broker has ended, as it does by default"),
                ("--no-wait", "do not wait until the broker has ended")]),
        verb("start_app", NONE, "", "Lets clients connect again after stop_app"),
        verb("stop", (0, Some(1)), "[--idempotent] [<pidfile>]",
            "Stops the broker and waits until it has ended")
            .details(&[("<pidfile>", "accepted and ignored"),
                ("--idempotent", "return success if the broker is not running")]),
        verb("wait", (0, Some(1)), "[<pidfile>] [--pid|-P <pid>] [--timeout <timeout>]",
            "Waits until the process of a pid file runs and the broker answers")
            .tools(CTL_AND_DIAGNOSTICS)
            .does(Action::Special)
            .details(&[("<pidfile>", "file with the process id"), ("--pid <pid>", "the process id itself")]),
        verb("stop_app", NONE, "",
            "Closes the ports and all connections; the broker runs on and answers leveretctl"),
    ],
};
