//! Settings that change while the broker runs.

use super::{Group, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Configuration and Environment",
    verbs: &[
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
