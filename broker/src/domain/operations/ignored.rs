//! Arguments that have no effect are logged: each only once per caller, because programs
//! declare the same things again and again, and only so many, because a peer can invent names
//! without end.

use super::Caller;
use crate::domain::connections::log_connection;
use crate::engine::exchange::{Binding, Exchange, ignored_in_binding};
use crate::engine::queue::Ignored;

/// The number of names that are logged per caller.
const NAMES: usize = 32;
/// The number of characters of a name that are logged; names with the same beginning count as one.
const NAME_LENGTH: usize = 64;

/// The names that have been logged.
#[derive(Debug, Default)]
pub(super) struct LoggedNames {
    names: Vec<Box<str>>,
    has_stopped: bool,
}

/// What to log for a name.
#[derive(Debug, PartialEq, Eq)]
enum LogDecision<'a> {
    /// The name, escaped.
    Name(&'a str),
    /// That no more names will be logged.
    LastLine,
    Nothing,
}

impl LoggedNames {
    fn decide(&mut self, name: &str) -> LogDecision<'_> {
        let name = escaped_prefix(name);
        if self.names.iter().any(|known| **known == *name) {
            return LogDecision::Nothing;
        }
        if self.names.len() < NAMES {
            self.names.push(name.into());
            return self
                .names
                .last()
                .map_or(LogDecision::Nothing, |name| LogDecision::Name(name));
        }
        match std::mem::replace(&mut self.has_stopped, true) {
            false => LogDecision::LastLine,
            true => LogDecision::Nothing,
        }
    }
}

/// Returns the beginning of a name, escaped so that it cannot affect a terminal or break a line.
fn escaped_prefix(name: &str) -> String {
    let mut shown: String = name.chars().take(NAME_LENGTH).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    shown.escape_debug().to_string()
}

impl Caller {
    /// Logs ignored arguments of a binding to an exchange.
    pub(super) fn log_ignored_in_binding(&mut self, exchange: &Exchange, binding: &Binding) {
        let ignored = ignored_in_binding(exchange.spec.routed_by(), &binding.arguments);
        self.log_ignored("binding", exchange.spec.name.as_str(), ignored);
    }

    /// Logs arguments that have no effect. `on` is the kind of thing they were given to; `name` is
    /// its name, or that of the exchange or queue that it belongs to.
    pub fn log_ignored<'a>(
        &mut self,
        on: &str,
        name: &str,
        ignored: impl Iterator<Item = (&'a str, Ignored)>,
    ) {
        for (argument, why) in ignored {
            let why = match why {
                Ignored::Unknown => "unknown argument: it has no effect",
                Ignored::WithoutEffect => "this argument has no effect here",
            };
            let decision = self.logged.decide(argument);
            if decision == LogDecision::Nothing {
                continue;
            }
            let (connection, user) = (self.connection.as_deref(), self.user.name.as_str());
            match (decision, connection) {
                (LogDecision::Name(argument), Some(info)) => {
                    log_connection!(warn, info, on, object = name, argument, "{why}");
                }
                (LogDecision::Name(argument), None) => {
                    tracing::warn!(user, on, object = name, argument, "{why}");
                }
                (_, Some(info)) => log_connection!(
                    warn,
                    info,
                    "further arguments that have no effect will not be logged for this connection"
                ),
                (_, None) => tracing::warn!(
                    user,
                    "further arguments that have no effect will not be logged for this request"
                ),
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
        assert_eq!(logged.decide("x-overflw"), LogDecision::Name("x-overflw"));
        assert_eq!(logged.decide("x-overflw"), LogDecision::Nothing);
        for n in 1..NAMES {
            assert!(matches!(
                logged.decide(&format!("x{n}")),
                LogDecision::Name(_)
            ));
        }
        assert_eq!(logged.decide("one more"), LogDecision::LastLine);
        for n in 0..1000 {
            assert_eq!(logged.decide(&format!("more {n}")), LogDecision::Nothing);
        }
        assert_eq!(logged.names.len(), NAMES);
    }

    #[test]
    fn names_are_cut_and_escaped() {
        let mut logged = LoggedNames::default();
        let evil = "a\n\u{1b}[2J";
        assert_eq!(logged.decide(evil), LogDecision::Name("a\\n\\u{1b}[2J"));
        let long = "ü".repeat(100);
        let cut = "ü".repeat(NAME_LENGTH) + "…";
        assert_eq!(logged.decide(&long), LogDecision::Name(&cut));
        assert_eq!(logged.decide(&(long + "b")), LogDecision::Nothing);
    }
}
