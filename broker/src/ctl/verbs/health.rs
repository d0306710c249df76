//! Health checks.

use super::super::action;
use super::super::commands::{health, tls};
use super::{CTL_AND_DIAGNOSTICS, DIAGNOSTICS, Group, NONE, Tool, exactly, verb};

const CRITICAL: &[Tool] = &[Tool::Diagnostics, Tool::Queues];

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Health checks",
    verbs: &[
        verb("alarms", NONE, "[--timeout <timeout>]", "Lists resource alarms in effect")
            .tools(DIAGNOSTICS),
        verb("check_alarms", NONE, "[--timeout <timeout>]",
            "Health check that exits with a non-zero code if there are resource alarms")
            .tools(DIAGNOSTICS),
        verb("check_local_alarms", NONE, "[--timeout <timeout>]",
            "Health check that exits with a non-zero code if there are resource alarms")
            .tools(DIAGNOSTICS),
        verb("check_certificate_expiration", NONE, "[--within <period>] [--unit <unit>]",
            "Health check that exits with a non-zero code if certificates of listeners expire soon")
            .tools(DIAGNOSTICS)
            .asks(tls::expiration_request, tls::expiration_banner, tls::check_certificate_expiration)
            .details(&[("--within <period>", "period of time to check, four (weeks) by default"),
                ("--unit <days | weeks | months | years>", "unit of the period, weeks by default")]),
        verb("check_if_node_is_mirror_sync_critical", NONE, "[--timeout <timeout>]",
            "Health check for nodes of a cluster, which always passes on a single node")
            .tools(CRITICAL)
            .on_status(health::mirrors_banner, health::is_the_only_node),
        verb("check_if_node_is_quorum_critical", NONE, "[--timeout <timeout>]",
            "Health check for nodes of a cluster, which always passes on a single node")
            .tools(CRITICAL)
            .on_status(health::quorum_banner, health::is_the_only_node),
        verb("check_port_connectivity", NONE, "[--timeout <timeout>]",
            "Health check that opens a TCP connection to each listener")
            .tools(DIAGNOSTICS)
            .on_status(health::connectivity_banner, health::check_port_connectivity),
        verb("check_port_listener", exactly(1), "<port> [--timeout <timeout>]",
            "Health check that exits with a non-zero code if there is no listener on a port")
            .tools(DIAGNOSTICS)
            .asks(health::port_request, health::port_banner, health::check_port_listener),
        verb("check_protocol_listener", exactly(1), "<protocol> [--timeout <timeout>]",
            "Health check that exits with a non-zero code if there is no listener for a protocol")
            .tools(DIAGNOSTICS)
            .on_status(health::protocol_banner, health::check_protocol_listener),
        verb("check_running", NONE, "[--timeout <timeout>]",
            "Health check that exits with a non-zero code if the broker does not run")
            .tools(DIAGNOSTICS)
            .asks(action::running, health::running_banner, health::check_running),
        verb("check_virtual_hosts", NONE, "[--timeout <timeout>]",
            "Health check that exits with a non-zero code if a virtual host does not run")
            .tools(DIAGNOSTICS)
            .on_status(health::vhosts_banner, health::check_virtual_hosts),
        verb("is_booting", NONE, "[--timeout <timeout>]", "Checks if the broker is still starting")
            .tools(DIAGNOSTICS)
            .asks(action::running, health::boot_banner, health::is_booting),
        verb("is_running", NONE, "[--timeout <timeout>]", "Checks if the broker has started and runs")
            .tools(DIAGNOSTICS)
            .asks(action::running, health::status_banner, health::is_running),
        verb("listeners", NONE, "[--timeout <timeout>]", "Lists active listeners with their interface, port and protocol")
            .tools(DIAGNOSTICS)
            .on_status(health::listeners_banner, health::listeners),
        verb("node_health_check", NONE, "[--timeout <timeout>]",
            "Health check that fails if there are alarms (deprecated)")
            .tools(CTL_AND_DIAGNOSTICS)
            .on_status(health::health_banner, health::node_health_check),
    ],
};
