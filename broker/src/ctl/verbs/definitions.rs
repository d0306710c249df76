//! Definition files.

use super::{Group, exactly, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Definitions",
    verbs: &[
        verb("export_definitions", exactly(1),
            "<file_path | \"-\"> [--format json] [--compatible-hashes] [--timeout <timeout>]", "Exports definitions in JSON")
            .details(&[("<file_path>", "local file path to export to. Pass a dash (-) for stdout"),
                ("--format", "output format to use: json"),
                ("--compatible-hashes", "leave out, by name, users whose password hashes RabbitMQ cannot read")]),
        verb("import_definitions", (0, Some(1)),
            "[<file_path> | -] [--format json] [--skip-if-unchanged] [--timeout <timeout>]",
            "Imports definitions in JSON")
            .details(&[("<file_path>", "local file path to import from. If omitted or a dash (-), standard input is read"),
                ("--format", "input format to use: json"),
                ("--skip-if-unchanged", "do nothing if the last import with this option had the same definitions")]),
    ],
};
