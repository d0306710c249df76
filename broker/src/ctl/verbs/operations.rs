//! Operations: backup, closed connections.

use super::{Group, NONE, exactly, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Operations",
    verbs: &[
        verb("backup", exactly(1), "<directory> [--timeout <timeout>]",
            "Copies everything durable to a new data directory, while the broker runs")
            .details(&[("<directory>", "must be empty or not exist. The broker writes it, as its own user. To \
                    restore, start `leveret --data-dir <directory>`")]),
        verb("close_all_connections", exactly(1),
            "[--vhost <vhost> --limit <limit>] [--global] [--per-connection-delay <delay>] <explanation>",
            "Closes all connections to a vhost, or with --global to all vhosts")
            .details(&[("--global", "close connections to all virtual hosts"),
                ("--limit <number>", "close up to this many connections"),
                ("--per-connection-delay <milliseconds>", "wait this long after each connection closed")]),
        verb("close_all_user_connections", exactly(2), "<username> <explanation>",
            "Closes all connections of a user")
            .details(&[("<explanation>", "reason for connection closure, sent to the clients")]),
        verb("close_connection", exactly(2), "<connection pid> <explanation>",
            "Closes a connection")
            .details(&[("<connection pid>", "such as <leveret.3.0>, see list_connections pid"),
                ("<explanation>", "reason for connection closure, sent to the client")]),
        verb("force_gc", NONE, "[--timeout <timeout>]", "Does nothing: there is no garbage to collect"),
        verb("resume_listeners", NONE, "[--timeout <timeout>]",
            "Resumes client connection listeners making them accept client connections again"),
        verb("suspend_listeners", NONE, "[--timeout <timeout>]",
            "Suspends client connection listeners so that no new client connections are accepted"),
    ],
};
