//! The regular expressions of permissions and policies. RabbitMQ's are PCRE's, and its users write
//! `^(?!amq\\.).*`.

use regex::RegexBuilder;

/// The maximum size of a compiled pattern in bytes: permissions are short, and an administrator's mistake
/// must not cost the broker its memory.
const COMPILED_LIMIT: usize = 1 << 20;

/// The maximum number of backtracking steps of a match, for patterns that need backtracking. A name has
/// at most 255 bytes; a pattern that needs more steps is a mistake and must not delay publishers.
const BACKTRACK_LIMIT: usize = 20_000;

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid regular expression \"{pattern}\": {reason}")]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it, in one line.
    pub reason: String,
}

/// A compiled regular expression.
#[derive(Clone, Debug)]
pub enum Expression {
    /// An expression that is matched in linear time.
    Linear(regex::Regex),
    /// An expression with look-around or back-references.
    Backtracking(Box<fancy_regex::Regex>),
}

impl Expression {
    /// Compiles a regular expression written by an operator.
    ///
    /// # Errors
    /// When it is invalid or takes too much memory.
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

    /// Returns whether it matches anywhere in the name. Like Erlang's `re:run`, treats a match that needs too
    /// many steps as none.
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
    /// `.*`, like nearly every permission: no name needs to be matched.
    Everything,
    /// The empty pattern, which RabbitMQ reads as `^$`: only the empty name matches
    /// (`rabbit_auth_backend_internal:check_resource_access`).
    EmptyName,
    /// Any other pattern, matched anywhere in the name, as by Erlang's `re:run`.
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

    /// Returns whether the name is permitted.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Pattern::Everything => true,
            Pattern::EmptyName => name.is_empty(),
            Pattern::Matching(expression) => expression.matches(name),
        }
    }
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
