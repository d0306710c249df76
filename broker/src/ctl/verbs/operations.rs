//! Operations: backup, closed connections.

use super::{Group, exactly, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Operations",
    verbs: &[
        verb("backup", exactly(1), "<directory> [--timeout <timeout>]",
            "Copies everything durable to a new data directory, while the broker runs")
            .details(&[("<directory>", "must be empty or not exist. The broker writes it, as its own user. To \
                    restore, start `leveret --data-dir <directory>`")]),
        verb("close_all_connections", exactly(1),
            "[--vhost <vhost> --limit <limit>] [--global] <explanation>",
            "Closes all connections to a vhost, or with --global to all vhosts")
            .details(&[("--global", "close connections to all virtual hosts"),
                ("--limit <number>", "close up to this many connections")]),
        verb("close_all_user_connections", exactly(2), "<username> <explanation>",
            "Closes all connections of a user")
            .details(&[("<explanation>", "reason for connection closure, sent to the clients")]),
        verb("close_connection", exactly(2), "<connection pid> <explanation>",
            "Closes a connection")
            .details(&[("<connection pid>", "such as <leveret.3.0>, see list_connections pid"),
                ("<explanation>", "reason for connection closure, sent to the client")]),
    ],
};
