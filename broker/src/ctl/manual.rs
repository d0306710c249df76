//! What manuals and completions say of leveretctl, from the tables that the program itself uses.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command};

use super::options::{ListedOption, listed};
use super::program::OWN_NAME;
use super::render::Format;
use super::verbs::{GROUPS, Verb, all};
use crate::text::version::FULL_VERSION;

/// The verbs of a theme.
pub struct Theme {
    /// The heading under which help lists them.
    pub heading: &'static str,
    /// In the order of help.
    pub verbs: Vec<VerbText>,
}

/// What help says of a verb.
pub struct VerbText {
    /// The verb.
    pub name: &'static str,
    /// What follows it on the command line.
    pub usage: &'static str,
    /// What it does, without a full stop.
    pub summary: &'static str,
    /// The columns that its arguments choose from.
    pub columns: Vec<&'static str>,
    /// Arguments and options with their descriptions; a description without a name is about the verb.
    pub details: &'static [(&'static str, &'static str)],
}

/// Returns every verb, by theme, in the order of help.
pub fn themes() -> Vec<Theme> {
    let text = |verb: &Verb| VerbText {
        name: verb.name,
        usage: verb.usage,
        summary: verb.summary,
        columns: verb.columns.map(|columns| columns()).unwrap_or_default(),
        details: verb.details,
    };
    let themes = GROUPS.iter().map(|group| Theme {
        heading: group.heading,
        verbs: group.verbs.iter().map(text).collect(),
    });
    themes.collect()
}

/// Returns the command line of leveretctl as clap describes one, for completions. leveretctl does not parse its own with
/// it: rabbitmqctl's allows more.
pub fn command_line() -> Command {
    let mut command = Command::new(OWN_NAME)
        .version(FULL_VERSION)
        .about("Inspects and controls a running Leveret broker")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args(listed(None).map(argument));
    for verb in all() {
        let own = listed(Some(verb.name)).map(argument);
        let mut subcommand = Command::new(verb.name)
            .about(verb.summary)
            .disable_help_flag(true)
            .args(own);
        if let Some(columns) = verb.columns {
            let columns = Arg::new("column")
                .num_args(0..)
                .value_parser(PossibleValuesParser::new(columns()));
            subcommand = subcommand.arg(columns);
        }
        command = command.subcommand(subcommand);
    }
    command
}

/// Describes an option. Those of leveretctl itself may follow the verb.
fn argument(option: ListedOption) -> Arg {
    let mut argument = Arg::new(option.long).long(option.long);
    // Shells expand a question mark.
    if let Some(letter) = option.short.filter(|letter| *letter != '?') {
        argument = argument.short(letter);
    }
    let action = match option.has_value {
        true => ArgAction::Set,
        false => ArgAction::SetTrue,
    };
    argument = argument.action(action).global(option.is_of_every_verb);
    match option.long {
        "data-dir" => argument.value_hint(clap::ValueHint::DirPath),
        "config" => argument.value_hint(clap::ValueHint::AnyPath),
        "formatter" => argument.value_parser(PossibleValuesParser::new(Format::names())),
        _ => argument,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_completed_with_its_options() {
        // clap panics where two options of a verb have the same name or letter.
        let mut command = command_line();
        command.build();
        for verb in all() {
            let found = command.find_subcommand(verb.name);
            let found = found.unwrap_or_else(|| panic!("no {}", verb.name));
            assert!(found.get_arguments().any(|one| one.get_id() == "data-dir"));
        }
        let verbs: usize = themes().iter().map(|theme| theme.verbs.len()).sum();
        assert_eq!(verbs, all().count());
    }
}
