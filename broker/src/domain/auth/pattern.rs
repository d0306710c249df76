//! The regular expressions of permissions and policies: PCRE's to RabbitMQ's users, who write
//! `^(?!amq\\.).*`.

use regex::RegexBuilder;

/// Octets that a compiled pattern may take: permissions are short, and an administrator's slip
/// must not cost the broker its memory.
const COMPILED_LIMIT: usize = 1 << 20;

/// Steps back that a match may take where the pattern cannot do without. A name has 255 octets at
/// most; what needs more is a pattern gone wrong, and must not hold a publisher up.
const BACKTRACK_LIMIT: usize = 20_000;

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid regular expression \"{pattern}\": {reason}")]
pub struct PatternError {
    /// What was given.
    pub pattern: String,
    /// One line.
    pub reason: String,
}

/// A compiled regular expression.
#[derive(Clone, Debug)]
pub enum Expression {
    /// One that is matched in linear time.
    Linear(regex::Regex),
    /// One with look-around or back-references.
    Backtracking(Box<fancy_regex::Regex>),
}

impl Expression {
    /// Compiles a regular expression of an operator's.
    ///
    /// # Errors
    /// When it is none, or takes too much memory.
    pub fn compile(pattern: &str) -> Result<Self, PatternError> {
        let linear = RegexBuilder::new(pattern)
            .size_limit(COMPILED_LIMIT)
            .dfa_size_limit(COMPILED_LIMIT)
            .build();
        let error = match linear {
            Ok(regex) => return Ok(Expression::Linear(regex)),
            Err(error) => error,
        };
        if !matches!(error, regex::Error::CompiledTooBig(_))
            && let Ok(regex) = backtracking(pattern)
        {
            return Ok(Expression::Backtracking(Box::new(regex)));
        }
        Err(PatternError {
            pattern: pattern.to_owned(),
            reason: reason(&error),
        })
    }

    /// Whether it matches anywhere in the name, as Erlang's `re:run` does: which takes a match that
    /// needs too many steps for none, too.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Expression::Linear(regex) => regex.is_match(name),
            Expression::Backtracking(regex) => regex.is_match(name).unwrap_or(false),
        }
    }
}

fn backtracking(pattern: &str) -> Result<fancy_regex::Regex, fancy_regex::Error> {
    fancy_regex::RegexBuilder::new(pattern)
        .backtrack_limit(BACKTRACK_LIMIT)
        .delegate_size_limit(COMPILED_LIMIT)
        .delegate_dfa_size_limit(COMPILED_LIMIT)
        .build()
}

/// A compiled permission.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// `.*`, which nearly every permission is: no name needs looking at.
    Everything,
    /// The empty pattern: RabbitMQ reads it as `^$`, which only the empty name matches
    /// (`rabbit_auth_backend_internal:check_resource_access`).
    EmptyName,
    /// Anything else: matched anywhere in the name, as Erlang's `re:run` does.
    Matching(Expression),
}

impl Pattern {
    /// Compiles a permission.
    ///
    /// # Errors
    /// See [`Expression::compile`].
    pub fn compile(pattern: &str) -> Result<Self, PatternError> {
        match pattern {
            "" => return Ok(Pattern::EmptyName),
            ".*" | "^.*" | ".*$" => return Ok(Pattern::Everything),
            _ => {}
        }
        Expression::compile(pattern).map(Pattern::Matching)
    }

    /// Whether the name is permitted.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Pattern::Everything => true,
            Pattern::EmptyName => name.is_empty(),
            Pattern::Matching(expression) => expression.matches(name),
        }
    }
}

/// The last line of a syntax error is its reason; those before draw a caret under the place.
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
