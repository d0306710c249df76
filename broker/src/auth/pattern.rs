//! The regular expressions of permissions.

use regex::{Regex, RegexBuilder};

/// Octets that a compiled pattern may take: permissions are short, and an administrator's slip
/// must not cost the broker its memory.
const COMPILED_LIMIT: usize = 1 << 20;

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid regular expression \"{pattern}\": {reason}")]
pub struct PatternError {
    /// What was given.
    pub pattern: String,
    /// One line.
    pub reason: String,
}

/// Compiles a regular expression of an operator's.
///
/// # Errors
/// When it is none, or one of PCRE's that cannot be matched in linear time (look-around,
/// back-references), or takes too much memory.
pub fn compile(pattern: &str) -> Result<Regex, PatternError> {
    RegexBuilder::new(pattern)
        .size_limit(COMPILED_LIMIT)
        .dfa_size_limit(COMPILED_LIMIT)
        .build()
        .map_err(|error| PatternError {
            pattern: pattern.to_owned(),
            reason: reason(&error),
        })
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
    Matching(Regex),
}

impl Pattern {
    /// Compiles a permission.
    ///
    /// # Errors
    /// See [`compile`].
    pub fn compile(pattern: &str) -> Result<Self, PatternError> {
        match pattern {
            "" => return Ok(Pattern::EmptyName),
            ".*" | "^.*" | ".*$" => return Ok(Pattern::Everything),
            _ => {}
        }
        compile(pattern).map(Pattern::Matching)
    }

    /// Whether the name is permitted.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Pattern::Everything => true,
            Pattern::EmptyName => name.is_empty(),
            Pattern::Matching(regex) => regex.is_match(name),
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
    if last.contains("look-around") || last.contains("backreference") {
        return "look-around and back-references, which RabbitMQ's PCRE knows, are not supported; \
                write the names out instead, as in ^(a|b)$"
            .to_owned();
    }
    last.to_owned()
}
