//! Policies.

use super::{CTL_AND_DIAGNOSTICS, Group, NONE, exactly, verb};

const SET_POLICY: &str = "[--vhost <vhost>] [--priority <priority>] [--apply-to <apply-to>] <name> <pattern> <definition>";
const POLICY: &[(&str, &str)] = &[
    ("<name>", "policy name (identifier)"),
    (
        "<pattern>",
        "regular expression that the names of queues and exchanges are matched against",
    ),
    ("<definition>", "policy definition, as a JSON document"),
    (
        "--priority <priority>",
        "policy priority, an integer; 0 by default",
    ),
    (
        "--apply-to <queues | classic_queues | quorum_queues | streams | exchanges | all>",
        "the kind of entities the policy applies to; all by default",
    ),
];

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Policies",
    verbs: &[
        verb("clear_operator_policy", exactly(1), "[--vhost <vhost>] <name>",
            "Clears an operator policy"),
        verb("clear_policy", exactly(1), "[--vhost <vhost>] <name>",
            "Clears (removes) a policy"),
        verb("list_operator_policies", NONE,
            "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
            "Lists operator policy overrides for a virtual host")
            .tools(CTL_AND_DIAGNOSTICS),
        verb("list_policies", NONE,
            "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
            "Lists all policies in a virtual host")
            .tools(CTL_AND_DIAGNOSTICS),
        verb("set_operator_policy", exactly(3), SET_POLICY,
            "Sets an operator policy that overrides a subset of arguments in user policies")
            .details(POLICY),
        verb("set_policy", exactly(3), SET_POLICY, "Sets or updates a policy")
            .details(POLICY),
    ],
};
