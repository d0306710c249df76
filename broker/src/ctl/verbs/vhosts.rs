//! Virtual hosts and their limits.

use super::{CTL_AND_DIAGNOSTICS, Group, NONE, exactly, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Virtual hosts",
    verbs: &[
        verb("add_vhost", exactly(1),
            "<vhost> [--description <description> --tags \"<tag1>,<tag2>,<...>\" \
             --default-queue-type <quorum|classic|stream>]",
            "Creates a virtual host")
            .details(&[("<vhost>", "virtual host name"),
                ("--description <description>", "virtual host description"),
                ("--tags <tags>", "comma-separated list of tags"),
                ("--default-queue-type <quorum|classic|stream>",
                    "type of queues that are declared without x-queue-type")]),
        verb("clear_vhost_limits", NONE, "[--vhost <vhost>]", "Clears virtual host limits"),
        verb("delete_vhost", exactly(1), "<vhost>",
            "Deletes a virtual host with its queues, exchanges and permissions"),
        verb("list_vhost_limits", NONE,
            "[--vhost <vhost>] [--global] [--no-table-headers]",
            "Displays configured virtual host limits")
            .details(&[("--global", "list limits for all the virtual hosts")])
            .tools(CTL_AND_DIAGNOSTICS),
        verb("restart_vhost", NONE, "[--vhost <vhost>] [--timeout <timeout>]",
            "Does nothing: a virtual host that exists runs"),
        verb("set_vhost_limits", exactly(1), "[--vhost <vhost>] <definition>",
            "Sets virtual host limits")
            .details(&[("<definition>", "limit definitions as a JSON document, \
                {\"max-connections\": 100, \"max-queues\": 500}; replaces the previous limits")]),
        verb("set_vhost_tags", (1, None), "<vhost> <tag> [...]", "Sets virtual host tags"),
        verb("trace_off", NONE, "[--vhost <vhost>]", "Stops copying messages to amq.rabbitmq.trace"),
        verb("trace_on", NONE, "[--vhost <vhost>]",
            "Copies messages of a virtual host to amq.rabbitmq.trace, until the broker stops"),
        verb("update_vhost_metadata", exactly(1),
            "<vhost> [--description <description>] [--tags \"<tag1>,<tag2>,<...>\"] \
             [--default-queue-type <quorum|classic|stream>]",
            "Updates metadata (tags, description, default queue type) of a virtual host")
            .details(&[("<vhost>", "virtual host name"),
                ("--description <description>", "virtual host description"),
                ("--tags <tags>", "comma-separated list of tags"),
                ("--default-queue-type <quorum|classic|stream>",
                    "type of queues that are declared without x-queue-type")]),
    ],
};
