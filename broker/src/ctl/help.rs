//! The texts of `help`, and the usage that is shown after a mistake.

use std::fmt::Write;

use super::options::CommandLine;
use super::verbs::{self, GROUPS, Verb};
use crate::text::escape::BOLD;

const GENERAL_OPTIONS: &str = "\
The following options are accepted by all commands, before, between or after the arguments.

short            | long              | description
-----------------|-------------------|--------------------------------
-?               | --help            | displays command help
-V               | --version         | displays the version
-q               | --quiet           | suppress informational messages
-s               | --silent          | suppress informational messages
                 |                   | and table header row
-p <vhost>       | --vhost <vhost>   | the virtual host, for commands that work on one;
                 |                   | / by default
-t <seconds>     | --timeout <n>     | operation timeout in seconds
                 | --formatter <f>   | table, pretty_table, json, csv, erlang,
                 |                   | string or inspect
                 | --data-dir <dir>  | the broker's data directory; also LEVERET_DATA_DIR
                 | --config <file>   | the broker's config file; also LEVERET_CONFIG
-n <node>        | --node            | must be the broker's own name, leveret@localhost, or rabbit@
                 |                   | and the machine's: the data directory selects the broker
-l, ...          | --longnames, ...  | options of RabbitMQ's tools that matter to Erlang only are
                 |                   | accepted and ignored
";

/// Returns a heading, bold on a terminal only, so that scripts read plain text.
pub(super) fn heading(text: &str, bold: bool) -> String {
    if bold {
        let [on, off] = BOLD;
        format!("{on}{text}{off}")
    } else {
        text.to_owned()
    }
}

/// Returns the usage line of a verb.
pub(super) fn usage(verb: &Verb, line: &CommandLine) -> String {
    format!(
        "{} [--data-dir <dir>] [--quiet] {} {}",
        line.program.name, verb.name, verb.usage
    )
    .trim_end()
    .to_owned()
}

/// Returns the list of the program's verbs.
pub(super) fn overview(line: &CommandLine) -> String {
    let (program, tool, bold) = (&line.program.name, line.program.tool, line.bold);
    let mut text = format!(
        "\n{}\n\n{program} [--data-dir <dir>] [--timeout <timeout>] [--quiet] <command> \
         [<command options>]\n\nAvailable commands:\n",
        heading("Usage", bold)
    );
    for group in GROUPS {
        let verbs = group.verbs.iter();
        let verbs: Vec<&Verb> = verbs
            .filter(|verb| tool.is_none_or(|tool| verb.is_of(tool)))
            .collect();
        if verbs.is_empty() {
            continue;
        }
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "\n{}:\n", heading(group.heading, bold));
        for verb in verbs {
            let _ = writeln!(text, "   {:<37} {}", verb.name, verb.summary);
        }
    }
    let _ = writeln!(
        text,
        "\nUse '{program} help <command>' to learn more about a specific command"
    );
    text
}

/// Returns the help of one verb.
pub(super) fn for_verb(verb: &Verb, line: &CommandLine) -> String {
    let head = |text| heading(text, line.bold);
    let mut text = format!(
        "\n{}\n\n{}\n\n{}.\n\n",
        head("Usage"),
        usage(verb, line),
        verb.summary
    );
    if verb.columns.is_some() || !verb.details.is_empty() {
        let _ = writeln!(text, "\n{}\n", head("Arguments and Options"));
    }
    if let Some(columns) = verb.columns {
        let _ = writeln!(
            text,
            "<column>\n\tmust be one of {}\n",
            columns().join(", ")
        );
    }
    for (name, meaning) in verb.details {
        let _ = match *name {
            "" => writeln!(text, "{meaning}\n"),
            name => writeln!(text, "{name}\n\t{meaning}\n"),
        };
    }
    let _ = write!(text, "\n{}\n\n{GENERAL_OPTIONS}", head("General Options"));
    text
}

/// Returns the names of the program's verbs, one per line (`help --list-commands`).
pub(super) fn list(line: &CommandLine) -> String {
    verbs::of_tool(line.program.tool).fold(String::new(), |text, verb| text + verb.name + "\n")
}
