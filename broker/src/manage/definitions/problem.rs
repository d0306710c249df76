//! What became of an import: how much was applied, and what was not.

use crate::text::escape::{Form, escaped};
use crate::text::shorten::beginning;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt::Write;
use thiserror::Error;

/// Problems that are reported one by one; of further ones, only their number.
const REPORTED: usize = 1000;
/// Problems that are logged one by one.
const LOGGED: usize = 100;
/// Problems that a summary names.
const SUMMARIZED: usize = 10;
/// The characters of a name or a reason that are reported.
const LONGEST: usize = 300;

/// What became of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The number of entries that were applied.
    pub applied: usize,
    /// The number of entries that RabbitMQ, too, would refuse.
    pub invalid: usize,
    /// The number of entries that this broker does not have.
    pub unsupported: usize,
    /// The first of these entries, in the order in which they were to be applied.
    pub problems: Vec<Problem>,
    /// Nothing was applied, because the same definitions were imported last.
    pub unchanged: bool,
}

/// An entry that was not applied.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{what}: {reason}")]
pub struct Problem {
    /// Which one: `queue 'q' in vhost '/'`.
    pub what: String,
    /// Why.
    pub reason: String,
    /// Whether RabbitMQ, too, would refuse it; otherwise it is something that this broker does not have.
    pub invalid: bool,
}

impl Imported {
    /// Adds a problem, and logs it.
    pub(super) fn add(&mut self, problem: Problem) {
        match problem.invalid {
            true => self.invalid += 1,
            false => self.unsupported += 1,
        }
        if self.problems.len() < LOGGED {
            log(&problem);
        } else if self.problems.len() == LOGGED {
            tracing::warn!("further definitions were not imported");
        }
        if self.problems.len() < REPORTED {
            self.problems.push(problem);
        }
    }

    /// Adds what became of another file.
    pub(super) fn append(&mut self, other: Imported) {
        self.applied += other.applied;
        self.invalid += other.invalid;
        self.unsupported += other.unsupported;
        self.problems.extend(other.problems);
        self.problems.truncate(REPORTED);
    }

    /// Returns the number of problems that are not reported one by one.
    pub fn unreported(&self) -> usize {
        (self.invalid + self.unsupported).saturating_sub(self.problems.len())
    }

    /// Returns what is wrong with the file, naming the first invalid entries; `None` if nothing is.
    pub fn complaint(&self) -> Option<String> {
        self.complaint_that(" left out, the others were imported")
    }

    /// Like [`Imported::complaint`], after an import that was only tried.
    pub(super) fn complaint_of_rehearsal(&self) -> Option<String> {
        self.complaint_that(", nothing was imported")
    }

    /// Logs the problems of an import during which nothing was logged.
    pub(super) fn log(&self) {
        for problem in self.problems.iter().take(LOGGED) {
            log(problem);
        }
    }

    fn complaint_that(&self, outcome: &str) -> Option<String> {
        if self.invalid == 0 {
            return None;
        }
        let plural = if self.invalid == 1 { "" } else { "s" };
        let mut text = format!("{} invalid definition{plural}{outcome}:", self.invalid);
        let invalid = self.problems.iter().filter(|problem| problem.invalid);
        for (index, problem) in invalid.take(SUMMARIZED).enumerate() {
            let separator = if index == 0 { "" } else { ";" };
            // Writing to a string cannot fail.
            let _ = write!(text, "{separator} {problem}");
        }
        if self.invalid > SUMMARIZED {
            text.push_str("; and more, see the broker's log");
        }
        Some(text)
    }
}

fn log(problem: &Problem) {
    tracing::warn!(%problem, "a definition was not imported");
}

/// Returns a text as part of a line that is not too long to be shown.
pub(super) fn within(text: &str) -> String {
    // Escapes take more than one character, line ends none.
    let words: Vec<&str> = beginning(text, 16 * LONGEST)
        .split(['\r', '\n'])
        .filter(|line| !line.is_empty())
        .collect();
    let mut text = escaped(&words.join(" "), Form::Line).to_string();
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// Names an entry for people: `queue 'q' in vhost '/'`. `vhost` is the one that everything is imported into.
pub(super) fn describe(kind: &str, entry: &RawValue, vhost: Option<&str>) -> String {
    // What is not a name may be of any size.
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Names<'a> {
        #[serde(borrow)]
        name: Option<&'a RawValue>,
        #[serde(borrow)]
        user: Option<&'a RawValue>,
        #[serde(borrow)]
        source: Option<&'a RawValue>,
        #[serde(borrow)]
        destination: Option<&'a RawValue>,
        #[serde(borrow)]
        vhost: Option<&'a RawValue>,
    }
    let names: Names<'_> = serde_json::from_str(entry.get()).unwrap_or_default();
    let text = |name: &Option<&RawValue>| {
        let name = name.map(RawValue::get);
        let name = name.filter(|name| name.starts_with('"'));
        let name = name.and_then(|name| serde_json::from_str::<String>(name).ok());
        within(&name.unwrap_or_else(|| "?".to_owned()))
    };
    let singular = match kind {
        "policies" => "policy",
        "topic_permissions" => "topic permission",
        "global_parameters" => "global parameter",
        other => other.trim_end_matches('s'),
    };
    let name = match kind {
        "bindings" => format!(
            "of '{}' to '{}'",
            text(&names.destination),
            text(&names.source)
        ),
        "permissions" | "topic_permissions" => format!("of user '{}'", text(&names.user)),
        _ => format!("'{}'", text(&names.name)),
    };
    let of_vhost = !matches!(kind, "users" | "vhosts" | "global_parameters");
    match vhost.map_or_else(|| text(&names.vhost), within) {
        vhost if of_vhost => format!("{singular} {name} in vhost '{vhost}'"),
        _ => format!("{singular} {name}"),
    }
}
