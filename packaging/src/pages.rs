//! The manual pages: leveret(8), leveretctl(8), leveretperf(1) and leveret.toml(5).

use clap::{Arg, Command};
use leveret::{config, ctl::manual, perf};

use crate::man::{Page, sentence};
use crate::settings;

/// Returns every page with the name of its file.
pub fn all() -> [(&'static str, String); 4] {
    [
        ("leveret.8", broker()),
        ("leveretctl.8", leveretctl()),
        ("leveretperf.1", leveretperf()),
        ("leveret.toml.5", file()),
    ]
}

/// What the broker is told with signals.
const SIGNALS: [(&str, &str); 2] = [
    (
        "SIGTERM, SIGINT, SIGQUIT",
        "Stop: close all connections and the store. Nothing that was confirmed depends on it.",
    ),
    (
        "SIGHUP",
        "Read the settings, the certificates and the revocation lists again, and open the log file anew. The log says \
         which settings need a restart. A mistake in a file changes nothing.",
    ),
];

const FILES: [(&str, &str); 4] = [
    (
        "/etc/leveret/leveret.toml",
        "The settings, see leveret.toml(5).",
    ),
    (
        "/etc/leveret/conf.d/",
        "More settings: *.toml, and *.conf in the format of rabbitmq.conf, in the order of their names; later ones win.",
    ),
    (
        "/var/lib/leveret",
        "The data directory of the service, and of root. Another user's is leveret in the user's data home, \
         ~/.local/share.",
    ),
    ("/usr/lib/systemd/system/leveret.service", "The service."),
];

const STATUSES: [(&str, &str); 4] = [
    ("0", "The broker was stopped as asked."),
    (
        "1",
        "It could not start, or failed; the last line on standard error says why.",
    ),
    ("64", "A flag or an environment variable is wrong."),
    ("78", "A configuration file is wrong."),
];

fn broker() -> String {
    let command = config::command_line();
    let subcommands: Vec<Command> = command.get_subcommands().cloned().collect();
    let mut page = of_clap(
        &command,
        "8",
        "a message broker that speaks AMQP 0-9-1",
        "[OPTION ...] [COMMAND]",
    );
    page.section("COMMANDS");
    for one in &subcommands {
        subcommand(&mut page, one, "");
    }
    page.section("SETTINGS");
    page.paragraph(
        "A flag wins over the environment variable of its name (--data-dir: LEVERET_DATA_DIR), that over the variable of \
         RabbitMQ's container image, and that over the files.",
    );
    let table = |page: &mut Page, heading: &str, rows: &[(&str, &str)]| {
        page.section(heading);
        for (term, meaning) in rows {
            page.term(term, "", meaning);
        }
    };
    table(&mut page, "FILES", &FILES);
    table(&mut page, "SIGNALS", &SIGNALS);
    table(&mut page, "EXIT STATUS", &STATUSES);
    page.see_also(&[
        ("leveret.toml", "5"),
        ("leveretctl", "8"),
        ("leveretperf", "1"),
    ]);
    page.finish()
}

/// Writes a command of the broker's, and those below it.
fn subcommand(page: &mut Page, command: &Command, above: &str) {
    let name = format!("{above}{}", command.get_name());
    let mut command = command.clone();
    let below: Vec<Command> = command.get_subcommands().cloned().collect();
    if !below.is_empty() {
        for one in &below {
            subcommand(page, one, &format!("{name} "));
        }
        return;
    }
    let help = command.get_long_about().or(command.get_about());
    let help = sentence(&help.map(ToString::to_string).unwrap_or_default());
    let usage = command.render_usage().to_string();
    let words = usage.trim_start_matches("Usage: ");
    let rest = words
        .split_once(command.get_name())
        .map_or("", |(_, rest)| rest);
    page.term(&name, rest.trim(), &help);
    for argument in command.get_arguments().filter(|one| !one.is_hide_set()) {
        let about = argument.get_help().map(ToString::to_string);
        let label = match argument.get_long() {
            Some("help") => continue,
            Some(long) => format!("--{long}"),
            None => argument.get_id().to_string().to_uppercase(),
        };
        page.inner_term(&label, &sentence(&about.unwrap_or_default()));
    }
}

fn leveretperf() -> String {
    let command = perf::command_line();
    let mut page = of_clap(
        &command,
        "1",
        "puts load on an AMQP 0-9-1 broker and measures it",
        "[OPTION ...] [MODE]",
    );
    if let Some(examples) = command.get_after_help() {
        page.section("EXAMPLES");
        page.lines(&examples.to_string());
    }
    page.see_also(&[("leveret", "8")]);
    page.finish()
}

/// Begins the page of a program that clap describes: up to its options.
fn of_clap(command: &Command, section: &str, about: &str, usage: &str) -> Page {
    let mut page = Page::new(command.get_name(), section, about);
    page.section("SYNOPSIS");
    page.synopsis(command.get_name(), usage);
    page.section("DESCRIPTION");
    let help = command.get_long_about().or(command.get_about());
    page.paragraph(&sentence(
        &help.map(ToString::to_string).unwrap_or_default(),
    ));
    options(&mut page, command);
    page
}

/// Writes the options by the headings of `--help`.
fn options(page: &mut Page, command: &Command) {
    let mut headings: Vec<Option<&str>> = Vec::new();
    let shown = || command.get_arguments().filter(|one| !one.is_hide_set());
    for argument in shown() {
        if !headings.contains(&argument.get_help_heading()) {
            headings.push(argument.get_help_heading());
        }
    }
    page.section("OPTIONS");
    for heading in headings {
        if let Some(heading) = heading {
            page.subsection(heading);
        }
        for argument in shown().filter(|one| one.get_help_heading() == heading) {
            let (name, value) = spelling(argument);
            page.term(&name, &value, &sentence(&meaning(argument)));
        }
    }
}

/// Returns how an option or argument is written, and its value.
fn spelling(argument: &Arg) -> (String, String) {
    let names = argument.get_value_names().unwrap_or_default();
    let value = names.first().map(ToString::to_string);
    let takes_value = argument.get_action().takes_values();
    let value = value.unwrap_or_else(|| argument.get_id().to_string().to_uppercase());
    match (argument.get_short(), argument.get_long()) {
        (None, None) => (value, String::new()),
        (short, long) => {
            let short = short.map(|letter| format!("-{letter}"));
            let long = long.map(|long| format!("--{long}"));
            let names: Vec<String> = short.into_iter().chain(long).collect();
            let value = if takes_value { value } else { String::new() };
            (names.join(", "), value)
        }
    }
}

/// Returns what an option means, with its default and the values that it may have.
fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help());
    let mut text = sentence(&help.map(ToString::to_string).unwrap_or_default());
    let possible = argument.get_possible_values();
    let possible: Vec<String> = possible
        .iter()
        .filter(|one| !one.is_hide_set() && argument.get_action().takes_values())
        .map(|one| match one.get_help() {
            Some(help) => format!("{}: {}", one.get_name(), sentence(&help.to_string())),
            None => format!("{}.", one.get_name()),
        })
        .collect();
    if !possible.is_empty() && !argument.is_hide_possible_values_set() {
        text = format!("{text} One of: {}", possible.join(" "));
    }
    let defaults = argument.get_default_values();
    let is_shown = argument.get_action().takes_values() && !argument.is_hide_default_value_set();
    match defaults.first().filter(|_| is_shown) {
        Some(default) => format!("{text} [default: {}]", default.to_string_lossy()),
        None => text,
    }
}

/// The options that leveretctl has for every verb, with what follows each.
const EVERY_VERB: [(&str, &str, &str); 9] = [
    ("-q, --quiet", "", "Show results only."),
    (
        "-s, --silent",
        "",
        "Show results only, and no headings of tables.",
    ),
    (
        "-p, --vhost",
        "VHOST",
        "The virtual host, for verbs that work on one; / by default.",
    ),
    (
        "-t, --timeout",
        "SECONDS",
        "How long to wait for the broker.",
    ),
    (
        "--formatter",
        "FORMAT",
        "table, pretty_table, json, csv, erlang, string or inspect.",
    ),
    (
        "--data-dir",
        "DIR",
        "The broker's data directory; also LEVERET_DATA_DIR.",
    ),
    (
        "--config",
        "PATH",
        "The broker's configuration, which names the data directory; also LEVERET_CONFIG.",
    ),
    (
        "-n, --node",
        "NODE",
        "Accepted if it names the broker: leveret@localhost, or rabbit@ and the machine's name.",
    ),
    ("-V, --version", "", "Show the version."),
];

fn leveretctl() -> String {
    let mut page = Page::new(
        "leveretctl",
        "8",
        "inspects and controls a running Leveret broker",
    );
    page.section("SYNOPSIS");
    page.synopsis("leveretctl", "[OPTION ...] VERB [ARGUMENT ...]");
    page.section("DESCRIPTION");
    page.paragraph(
        "Lists and changes what a broker on this machine has, and tells how it is. Without an option it finds the broker that \
         runs here. Called by the name of rabbitmqctl, rabbitmq-diagnostics, rabbitmq-queues, rabbitmq-streams, rabbitmq-plugins or \
         rabbitmq-upgrade, it is that tool.",
    );
    page.section("OPTIONS");
    page.paragraph("Options may be before, between or after the arguments.");
    for (option, value, meaning) in EVERY_VERB {
        page.term(option, value, meaning);
    }
    page.section("VERBS");
    for theme in manual::themes() {
        page.subsection(theme.heading);
        for verb in &theme.verbs {
            page.term(verb.name, verb.usage, &sentence(verb.summary));
            if !verb.columns.is_empty() {
                let columns = format!("Any of {}.", verb.columns.join(", "));
                page.inner_term("<column>", &columns);
            }
            for (name, meaning) in verb.details {
                page.inner_term(name, &sentence(&capitalized(meaning)));
            }
        }
    }
    page.section("EXIT STATUS");
    page.paragraph(
        "0 after a success. 64: the command line is wrong; 65: what it names is not there; 67: there is no such user; 69: the \
         broker does not answer, or the verb means nothing here; 70: the broker refused or failed; 74: the output cannot be \
         written; 75: it took too long.",
    );
    page.see_also(&[("leveret", "8"), ("leveret.toml", "5")]);
    page.finish()
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

const EXAMPLE: &str = r#"bind = "0.0.0.0"
data_dir = "/var/lib/leveret"
default_user = "admin"
default_pass_file = "/etc/leveret/default_pass"
vm_memory_high_watermark = 0.4"#;

fn file() -> String {
    let mut page = Page::new("leveret.toml", "5", "the settings of the Leveret broker");
    page.section("DESCRIPTION");
    page.paragraph(
        "The broker reads /etc/leveret/leveret.toml at every start, and after it the files of /etc/leveret/conf.d that end \
         with .toml or .conf, in the order of their names; what comes later wins. Those that end with .conf are in the format \
         of rabbitmq.conf. --config names another file or folder instead; --config none reads none.",
    );
    page.paragraph(
        "The format is TOML: a key, =, and a value. Texts are in quotation marks, numbers, true and false are not. A key that \
         does not exist, and a value that is not valid, keep the broker from starting; leveret --check-config finds them \
         without starting it. Every key is a flag, too (data_dir: --data-dir), and an environment variable \
         (LEVERET_DATA_DIR), except passwords, which have no flag.",
    );
    for (heading, settings) in settings::by_heading() {
        page.section(&heading.to_uppercase());
        for setting in settings {
            let value = match setting.value.as_str() {
                "" => String::new(),
                value => format!("= {value}"),
            };
            page.term(&setting.key, &value, &sentence(&setting.help));
        }
    }
    page.section("EXAMPLES");
    page.lines(EXAMPLE);
    page.see_also(&[("leveret", "8"), ("leveretctl", "8")]);
    page.finish()
}

#[cfg(test)]
mod tests;
