//! Before and after an upgrade: maintenance.

use super::{Group, NONE, Tool, verb};

/// rabbitmq-upgrade's verbs.
const UPGRADE: &[Tool] = &[Tool::Upgrade];

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Upgrade",
    verbs: &[
        verb("await_online_quorum_plus_one", NONE, "[--timeout <timeout>]",
            "Does nothing: one node has no quorum to wait for")
            .tools(UPGRADE),
        verb("await_online_synchronized_mirror", NONE, "[--timeout <timeout>]",
            "Does nothing: one node has no mirrors to wait for")
            .tools(UPGRADE),
        verb("drain", NONE, "[--timeout <timeout>]",
            "Puts the broker under maintenance: closes the AMQP ports and all connections")
            .tools(UPGRADE),
        verb("post_upgrade", NONE, "[--timeout <timeout>]",
            "Does nothing: there is nothing to do after an upgrade")
            .tools(UPGRADE),
        verb("revive", NONE, "[--timeout <timeout>]",
            "Ends maintenance: clients can connect again")
            .tools(UPGRADE),
    ],
};
