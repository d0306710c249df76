//! Settings that change while the broker runs.

use super::super::action::Action;
use super::super::commands::{facts, tls};
use super::{CTL_AND_DIAGNOSTICS, DIAGNOSTICS, Group, NONE, exactly, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Configuration and Environment",
    verbs: &[
        verb("certificates", NONE, "[--timeout <timeout>]",
            "Displays the certificates of every listener with TLS")
            .tools(DIAGNOSTICS)
            .asks(tls::certificates_request, tls::certificates_banner, tls::certificates),
        verb("cipher_suites", NONE, "[--format <openssl | erlang | map>] [--all] [--timeout <timeout>]",
            "Lists the cipher suites of TLS")
            .tools(DIAGNOSTICS)
            .asks(tls::suites_request, tls::suites_banner, tls::suites)
            .details(&[("--format", "output format to use: openssl, erlang or map"),
                ("--all", "the same: no others are supported")]),
        verb("environment", NONE, "[--timeout <timeout>]", "Displays the settings in force")
            .tools(CTL_AND_DIAGNOSTICS)
            .on_status(facts::environment_banner, facts::environment),
        verb("os_env", NONE, "[--timeout <timeout>]", "Lists the environment variables that the broker knows")
            .tools(DIAGNOSTICS)
            .on_status(facts::variables_banner, facts::os_env),
        verb("reload_tls", NONE, "[--timeout <timeout>]",
            "Reads certificates, keys and lists of revoked certificates again")
            .details(&[("", "connections go on as they are; what cannot be used leaves everything as it is"),
                ("", "the broker does this by itself when the files change")]),
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
        verb("tls_versions", NONE, "[--timeout <timeout>]",
            "Lists TLS versions supported (but not necessarily allowed) on the target node")
            .tools(DIAGNOSTICS)
            .asks(tls::versions_request, tls::versions_banner, tls::versions),
    ],
};
