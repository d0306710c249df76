//! Settings that change while the broker runs.

use super::super::action::Action;
use super::super::commands::facts;
use super::{CTL_AND_DIAGNOSTICS, DIAGNOSTICS, Group, NONE, exactly, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Configuration and Environment",
    verbs: &[
        verb("environment", NONE, "[--timeout <timeout>]", "Displays the settings in force")
            .tools(CTL_AND_DIAGNOSTICS)
            .on_status(facts::environment_banner, facts::environment),
        verb("os_env", NONE, "[--timeout <timeout>]", "Lists the environment variables that the broker knows")
            .tools(DIAGNOSTICS)
            .on_status(facts::variables_banner, facts::os_env),
        verb("resolve_hostname", exactly(1), "<hostname> [--address-family <ipv4 | ipv6>] [--offline]",
            "Resolves a hostname to addresses")
            .tools(DIAGNOSTICS).does(Action::Local(facts::resolve_hostname)),
        verb("resolver_info", NONE, "[--offline]", "Displays how hostnames are resolved")
            .tools(DIAGNOSTICS).does(Action::Local(facts::resolver_info)),
        verb("set_disk_free_limit", (1, Some(2)),
            "<disk_limit> | mem_relative <fraction>", "Sets the disk_free_limit setting")
            .details(&[("<disk_limit>", "new limit as an absolute value with units, e.g. 1GB"),
                ("mem_relative <fraction>",
                    "new limit as a fraction of total memory reported by the OS"),
                ("", "in effect until the broker stops")]),
        verb("set_vm_memory_high_watermark", (1, Some(2)),
            "<fraction> | absolute <value>", "Sets the vm_memory_high_watermark setting")
            .details(&[("<fraction>", "new limit as a fraction of total memory reported by the OS"),
                ("absolute <value>", "new limit as an absolute value with units, e.g. 1GB"),
                ("", "in effect until the broker stops")]),
    ],
};
