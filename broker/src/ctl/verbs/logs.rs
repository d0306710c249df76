//! The log: where it is, its latest lines, its level.

use super::{Group, NONE, Tool, exactly, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Logs",
    verbs: &[
        verb("consume_event_stream", NONE, "[--duration <seconds>] [--pattern <pattern>] [--timeout <timeout>]",
            "Streams internal events: not available")
            .tools(&[Tool::Diagnostics])
            .impossible("There are no internal events to stream: 'log_tail_stream' has a line for each change"),
        verb("log_location", NONE, "[--all|-a]", "Shows where the log goes")
            .tools(&[Tool::Diagnostics])
            .details(&[("--all", "every place: the log file, and <stderr> for standard error")]),
        verb("log_tail", NONE, "[--number|-N <number>]", "Prints the last N lines of the log")
            .tools(&[Tool::Diagnostics])
            .details(&[("<number>", "number of lines to print. Defaults to 50"),
                ("", "without a log file, the lines that the broker still has in memory")]),
        verb("log_tail_stream", NONE, "[--duration|-d <seconds>]",
            "Streams the log of a running broker for a period of time")
            .tools(&[Tool::Diagnostics])
            .details(&[("<duration_in_seconds>", "duration in seconds to stream log. Defaults to infinity")]),
        verb("rotate_logs", NONE, "", "Rotates the log file, or reopens it if it was renamed")
            .details(&[("", "rotates if log_file_rotation_size or log_file_rotation_age is set, otherwise reopens")]),
        verb("set_log_level", exactly(1), "<log_level>", "Sets log level in the running broker")
            .details(&[("<log_level>",
                    "new log level: debug, info, warning, error, critical, none; or a filter such as info,leveret=debug"),
                ("", "in effect until the broker stops or log_level changes in its configuration")]),
    ],
};
