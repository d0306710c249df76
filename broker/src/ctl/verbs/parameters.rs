//! Runtime parameters.

use super::{CTL_AND_DIAGNOSTICS, Group, NONE, exactly, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Parameters",
    verbs: &[
        verb("clear_global_parameter", exactly(1), "<name>", "Clears a global runtime parameter")
            .details(&[("<name>", "parameter name (identifier)")]),
        verb("clear_parameter", exactly(2), "[--vhost <vhost>] <component_name> <name>",
            "Clears a runtime parameter")
            .details(&[("<component_name>", "component name"), ("<name>", "parameter name (identifier)")]),
        verb("list_global_parameters", NONE, "[--no-table-headers] [--timeout <timeout>]",
            "Lists global runtime parameters")
            .tools(CTL_AND_DIAGNOSTICS),
        verb("list_parameters", NONE,
            "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
            "Lists runtime parameters for a virtual host")
            .tools(CTL_AND_DIAGNOSTICS),
        verb("set_global_parameter", exactly(2), "<name> <value>", "Sets a global runtime parameter")
            .details(&[("<name>", "global parameter name (identifier)"),
                ("<value>", "parameter value, as a JSON document")]),
        verb("set_parameter", exactly(3), "[--vhost <vhost>] <component_name> <name> <value>",
            "Sets a runtime parameter")
            .details(&[("<component_name>", "component name: vhost-limits, operator_policy"),
                ("<name>", "parameter name (identifier)"),
                ("<value>", "parameter value, as a JSON document")]),
    ],
};
