//! Permissions.

use crate::manage::columns::VhostColumn;

use super::{ANY, CTL_AND_DIAGNOSTICS, EVERYWHERE, Group, NONE, exactly, names, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Access Control",
    verbs: &[
        verb("clear_permissions", exactly(1), "[--vhost <vhost>] <username>",
            "Revokes user permissions for a vhost"),
        verb("clear_topic_permissions", (1, Some(2)),
            "[--vhost <vhost>] <username> [<exchange>]",
            "Clears user topic permissions for a vhost or exchange")
            .details(&[("<username>", "name of the user whose topic permissions should be revoked"),
                ("<exchange>", "exchange the permissions are for")]),
        verb("list_permissions", NONE,
            "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
            "Lists user permissions in a virtual host")
            .tools(CTL_AND_DIAGNOSTICS),
        verb("list_topic_permissions", NONE,
            "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
            "Lists topic permissions in a virtual host")
            .tools(CTL_AND_DIAGNOSTICS),
        verb("list_user_permissions", exactly(1),
            "[--no-table-headers] <username> [--timeout <timeout>]",
            "Lists permissions of a user across all virtual hosts")
            .tools(CTL_AND_DIAGNOSTICS),
        verb("list_user_topic_permissions", exactly(1), "<username> [--timeout <timeout>]",
            "Lists user topic permissions")
            .tools(CTL_AND_DIAGNOSTICS),
        verb("list_vhosts", ANY, EVERYWHERE, "Lists virtual hosts")
            .columns(names::<VhostColumn>)
            .tools(CTL_AND_DIAGNOSTICS),
        verb("set_permissions", exactly(4),
            "[--vhost <vhost>] <username> <conf> <write> <read>",
            "Sets user permissions for a vhost")
            .details(&[("<conf>", "regular expression of names to declare and delete"),
                ("<write>", "regular expression of names to publish to and bind"),
                ("<read>", "regular expression of names to consume, get, purge and bind to"),
                ("", "a pattern matches anywhere in a name unless anchored with ^ and $")]),
        verb("set_topic_permissions", exactly(4),
            "[--vhost <vhost>] <username> <exchange> <write> <read>",
            "Sets user topic permissions for an exchange")
            .details(&[("<exchange>", "topic exchange to set the permissions for"),
                ("<write>", "regular expression of routing keys to publish with"),
                ("<read>", "regular expression of routing keys to bind with"),
                ("", "{username} and {vhost} stand for the names")]),
    ],
};
