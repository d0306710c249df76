//! Arguments that do nothing are told in the log: each once for a connection, because programs
//! declare the same again and again, and not forever, because a peer has names without end.

use super::Connection;
use crate::engine::exchange::{Binding, Exchange, ignored_in_binding};
use crate::engine::queue::Ignored;

/// So many names are told of a connection.
const NAMES: usize = 32;
/// So many characters of a name are shown; those that begin alike count as one.
const NAME_LENGTH: usize = 64;

/// What was told already.
#[derive(Debug, Default)]
pub(super) struct LoggedNames {
    names: Vec<Box<str>>,
    has_stopped: bool,
}

/// What is to be told of a name.
#[derive(Debug, PartialEq, Eq)]
enum News<'a> {
    /// The name, fit to be shown.
    Name(&'a str),
    /// That nothing more will be.
    Stops,
    Nothing,
}

impl LoggedNames {
    fn note(&mut self, name: &str) -> News<'_> {
        let name = shown(name);
        if self.names.iter().any(|known| **known == *name) {
            return News::Nothing;
        }
        if self.names.len() < NAMES {
            self.names.push(name.into());
            return self
                .names
                .last()
                .map_or(News::Nothing, |name| News::Name(name));
        }
        match std::mem::replace(&mut self.has_stopped, true) {
            false => News::Stops,
            true => News::Nothing,
        }
    }
}

/// The beginning of a name, with nothing in it that would do something to a terminal or a line.
fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(NAME_LENGTH).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    shown.escape_debug().to_string()
}

impl Connection {
    /// Tells of arguments of a binding to an exchange.
    pub(super) fn log_ignored_in_binding(&mut self, exchange: &Exchange, binding: &Binding) {
        let ignored = ignored_in_binding(exchange.spec.routed_by(), &binding.arguments);
        self.log_ignored("binding", exchange.spec.name.as_str(), ignored);
    }

    /// Tells of arguments that do nothing. `on`: what they were given to, the `name` of which is
    /// its own, or that of the exchange or queue that it belongs to.
    pub(super) fn log_ignored<'a>(
        &mut self,
        on: &str,
        name: &str,
        ignored: impl Iterator<Item = (&'a str, Ignored)>,
    ) {
        for (argument, why) in ignored {
            let why = match why {
                Ignored::Unknown => "nobody knows this argument: it has no effect",
                Ignored::WithoutEffect => "this argument has no effect here",
            };
            match self.logged_arguments.note(argument) {
                News::Name(argument) => {
                    let connection = self.info.label();
                    tracing::warn!(connection, on, name, argument, "{why}");
                }
                News::Stops => tracing::warn!(
                    connection = self.info.label(),
                    "further arguments that have no effect are not told"
                ),
                News::Nothing => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_once_and_of_names_without_end_only_some() {
        let mut logged = LoggedNames::default();
        assert_eq!(logged.note("x-overflw"), News::Name("x-overflw"));
        assert_eq!(logged.note("x-overflw"), News::Nothing);
        for n in 1..NAMES {
            assert!(matches!(logged.note(&format!("x{n}")), News::Name(_)));
        }
        assert_eq!(logged.note("one more"), News::Stops);
        for n in 0..1000 {
            assert_eq!(logged.note(&format!("more {n}")), News::Nothing);
        }
        assert_eq!(logged.names.len(), NAMES);
    }

    #[test]
    fn names_are_cut_and_escaped() {
        let mut logged = LoggedNames::default();
        let evil = "a\n\u{1b}[2J";
        assert_eq!(logged.note(evil), News::Name("a\\n\\u{1b}[2J"));
        let long = "ü".repeat(100);
        let cut = "ü".repeat(NAME_LENGTH) + "…";
        assert_eq!(logged.note(&long), News::Name(&cut));
        assert_eq!(logged.note(&(long + "b")), News::Nothing);
    }
}
