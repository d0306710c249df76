//! The regular expressions that users write: of permissions, of policies, and of filters. RabbitMQ's are PCRE's, and its
//! users write `^(?!amq\\.).*`.
//!
//! What compiling and matching cost has bounds, because whoever may write a pattern must not be able to hold up the broker.
//! Most patterns are matched in linear time by `regex`; `fancy_regex` gets those with look-around or back-references.

mod weight;

use super::shorten::shortened;
use fancy_regex::Expr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The maximum length of a pattern in bytes. PCRE's own limit is 64 KiB of compiled code.
pub const LENGTH_MAX: usize = 4096;

/// The maximum size of a compiled pattern in bytes: an administrator's mistake must not cost the broker its memory, and a
/// large automaton matches slowly.
const COMPILED_LIMIT: usize = 1 << 20;
/// The same for each of the parts of a pattern that need no backtracking.
const PART_LIMIT: usize = COMPILED_LIMIT / 8;
/// The maximum number of instructions of a pattern that needs backtracking.
const PROGRAM_LIMIT: usize = 4096;

/// The steps that a match may take: about a millisecond of them. A name has at most 255 bytes, and a pattern that needs
/// more is a mistake.
const STEPS: usize = 80_000;
/// The steps that a match may take at most before it goes back once.
const WEIGHT_MAX: usize = 512;
/// How often a match may go back at most.
const BACKTRACK_LIMIT: usize = 5000;

/// How long a filter may match names, all together.
const FILTER_TIME: Duration = Duration::from_millis(500);

/// The bytes of a pattern that an error or the log shows.
const SHOWN: usize = 200;

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid regular expression \"{pattern}\": {reason}")]
pub struct PatternError {
    /// The pattern, or its beginning if it is long.
    pub pattern: String,
    /// What is wrong with it, in one line.
    pub reason: String,
}

impl PatternError {
    /// Returns the error with the pattern as it was written, before its variables were replaced.
    pub fn about(self, written: &str) -> Self {
        error(written, self.reason)
    }
}

/// A compiled regular expression.
#[derive(Debug)]
pub enum Expression {
    /// An expression that is matched in linear time.
    Linear(regex::Regex),
    /// An expression with look-around or back-references.
    Backtracking(Box<Backtracking>),
    /// An expression of an older version's that would take too many steps: it matches nothing.
    TooComplex,
}

/// An expression with look-around or back-references.
#[derive(Debug)]
pub struct Backtracking {
    regex: fancy_regex::Regex,
    /// Whether it was logged that a match took too many steps.
    logged: AtomicBool,
}

/// Why a match has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TooManySteps;

impl Expression {
    /// Compiles a regular expression.
    ///
    /// # Errors
    /// When it is invalid, too long, or would take too much memory or time.
    pub fn compile(pattern: &str) -> Result<Self, PatternError> {
        check_length(pattern)?;
        Self::compile_any_length(pattern)
    }

    /// Compiles a regular expression in which variables were replaced by names, after the [length](check_length) of what
    /// was written was checked.
    ///
    /// # Errors
    /// When it is invalid, or would take too much memory or time.
    pub fn compile_any_length(pattern: &str) -> Result<Self, PatternError> {
        compile(pattern, false).map_err(|reason| error(pattern, reason.text()))
    }

    /// Compiles a stored regular expression. Older versions had no limit on length and steps: a long one is used as it is,
    /// and one that would take too many steps matches nothing, which is logged.
    ///
    /// # Errors
    /// When it is invalid or would take too much memory.
    pub fn restore(pattern: &str) -> Result<Self, PatternError> {
        match compile(pattern, false) {
            Ok(expression) => Ok(expression),
            Err(Reason::TooComplex(reason)) => {
                let pattern = shortened(pattern, SHOWN);
                tracing::error!(%pattern, reason, "a stored pattern matches nothing from now on");
                Ok(Expression::TooComplex)
            }
            Err(reason) => Err(error(pattern, reason.text())),
        }
    }

    /// Returns whether it matches anywhere in the name. Like Erlang's `re:run`, treats a match that needs too many steps as
    /// none; the first one is logged.
    pub fn matches(&self, name: &str) -> bool {
        self.find(name).unwrap_or_else(|TooManySteps| {
            if let Expression::Backtracking(expression) = self
                && !expression.logged.swap(true, Ordering::Relaxed)
            {
                tracing::warn!(
                    pattern = %shortened(expression.regex.as_str(), SHOWN),
                    name = %shortened(name, SHOWN),
                    "a pattern takes too many steps: it counts as not matching this name"
                );
            }
            false
        })
    }

    fn find(&self, name: &str) -> Result<bool, TooManySteps> {
        match self {
            Expression::Linear(regex) => Ok(regex.is_match(name)),
            Expression::Backtracking(expression) => {
                expression.regex.is_match(name).map_err(|_| TooManySteps)
            }
            Expression::TooComplex => Ok(false),
        }
    }
}

/// Checks the length of a pattern.
///
/// # Errors
/// When it has more than [`LENGTH_MAX`] bytes.
pub fn check_length(pattern: &str) -> Result<(), PatternError> {
    match pattern.len() {
        0..=LENGTH_MAX => Ok(()),
        length => Err(error(
            pattern,
            format!("it has {length} bytes, more than {LENGTH_MAX}"),
        )),
    }
}

fn error(pattern: &str, reason: String) -> PatternError {
    PatternError {
        pattern: shortened(pattern, SHOWN).into_owned(),
        reason,
    }
}

/// Why a pattern does not compile.
enum Reason {
    Invalid(String),
    /// A match could take too many steps.
    TooComplex(&'static str),
}

impl Reason {
    fn text(self) -> String {
        match self {
            Reason::Invalid(reason) => reason,
            Reason::TooComplex(reason) => reason.to_owned(),
        }
    }
}

fn compile(pattern: &str, caseless: bool) -> Result<Expression, Reason> {
    let linear = regex::RegexBuilder::new(pattern)
        .case_insensitive(caseless)
        .size_limit(COMPILED_LIMIT)
        .dfa_size_limit(COMPILED_LIMIT)
        .build();
    let error = match linear {
        Ok(regex) => return Ok(Expression::Linear(regex)),
        Err(error) => error,
    };
    let reason = reason(&error);
    if matches!(error, regex::Error::CompiledTooBig(_)) {
        return Err(Reason::Invalid(reason));
    }
    // Unless it only lacks look-around and the like, it says better than the other library what is wrong.
    let invalid = |error: fancy_regex::Error| match reason.ends_with("not supported") {
        true => Reason::Invalid(error.to_string()),
        false => Reason::Invalid(reason.clone()),
    };
    let tree = Expr::parse_tree(pattern).map_err(invalid)?;
    let weight = match weight::of(&tree.expr) {
        Some(weight @ ..=WEIGHT_MAX) => weight,
        Some(_) => {
            return Err(Reason::TooComplex(
                "it is too complex (a match could take too many steps)",
            ));
        }
        None => {
            return Err(Reason::TooComplex(
                "it calls a group, which is not supported",
            ));
        }
    };
    let regex = fancy_regex::RegexBuilder::new(pattern)
        .case_insensitive(caseless)
        .backtrack_limit((STEPS / weight.max(1)).min(BACKTRACK_LIMIT))
        .max_prog_size(PROGRAM_LIMIT)
        .delegate_size_limit(PART_LIMIT)
        .delegate_dfa_size_limit(PART_LIMIT)
        .build()
        .map_err(invalid)?;
    let logged = AtomicBool::new(false);
    Ok(Expression::Backtracking(Box::new(Backtracking {
        regex,
        logged,
    })))
}

/// Returns the last line of a syntax error, which is the reason; the lines before show the position.
fn reason(error: &regex::Error) -> String {
    let text = match error {
        regex::Error::CompiledTooBig(limit) => {
            return format!("it is too complex (it would take over {limit} bytes)");
        }
        other => other.to_string(),
    };
    let last = text
        .lines()
        .last()
        .unwrap_or_default()
        .trim_start_matches("error: ");
    last.to_owned()
}

/// A filter of a list of names.
#[derive(Debug)]
pub struct Filter {
    expression: Expression,
    /// Nanoseconds that its matches took.
    spent: AtomicU64,
}

/// The names of a list are not filtered any more, because that has taken too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the regular expression takes too long to match the names")]
pub struct FilterTooSlow;

impl Filter {
    /// Compiles a filter; `caseless` if the case of letters does not count.
    ///
    /// # Errors
    /// When it is invalid, too long, or would take too much memory or time.
    pub fn compile(pattern: &str, caseless: bool) -> Result<Self, PatternError> {
        check_length(pattern)?;
        let compiled = compile(pattern, caseless);
        Ok(Filter {
            expression: compiled.map_err(|reason| error(pattern, reason.text()))?,
            spent: AtomicU64::new(0),
        })
    }

    /// Returns whether it matches anywhere in the name. As in RabbitMQ, a match that needs too many steps is none.
    ///
    /// # Errors
    /// When all its matches together have taken too long. Whoever only looks at names can be told so; permissions and
    /// policies must not depend on how busy the machine is, and have no such limit.
    pub fn accepts(&self, name: &str) -> Result<bool, FilterTooSlow> {
        let limit = FILTER_TIME.as_nanos() as u64;
        if self.spent.load(Ordering::Relaxed) > limit {
            return Err(FilterTooSlow);
        }
        let before = Instant::now();
        let found = self.expression.find(name).unwrap_or(false);
        let took = before.elapsed().as_nanos() as u64;
        self.spent.fetch_add(took, Ordering::Relaxed);
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
