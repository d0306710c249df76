//! Virtual hosts and their limits.

use super::{CTL_AND_DIAGNOSTICS, Group, NONE, exactly, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Virtual hosts",
    verbs: &[
        verb("add_vhost", exactly(1),
            "<vhost> [--description <description> --tags \"<tag1>,<tag2>,<...>\"]",
            "Creates a virtual host"),
        verb("clear_vhost_limits", NONE, "[--vhost <vhost>]", "Clears virtual host limits"),
        verb("delete_vhost", exactly(1), "<vhost>",
            "Deletes a virtual host with its queues, exchanges and permissions"),
        verb("list_vhost_limits", NONE,
            "[--vhost <vhost>] [--global] [--no-table-headers]",
            "Displays configured virtual host limits")
            .details(&[("--global", "list limits for all the virtual hosts")])
            .tools(CTL_AND_DIAGNOSTICS),
        verb("set_vhost_limits", exactly(1), "[--vhost <vhost>] <definition>",
            "Sets virtual host limits")
            .details(&[("<definition>", "limit definitions as a JSON document, \
                {\"max-connections\": 100, \"max-queues\": 500}; replaces the previous limits")]),
    ],
};
