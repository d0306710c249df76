//! The patterns of permissions: regular expressions, and RabbitMQ's special cases of them.

use crate::text::pattern::{Expression, PatternError, check_length};

/// A compiled permission.
#[derive(Debug)]
pub enum Pattern {
    /// `.*`, like nearly every permission: no name needs to be matched.
    Everything,
    /// The empty pattern, which RabbitMQ reads as `^$`: only the empty name matches
    /// (`rabbit_auth_backend_internal:check_resource_access`).
    EmptyName,
    /// Any other pattern, matched anywhere in the name, as by Erlang's `re:run`.
    Matching(Expression),
}

/// Where a permission comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Somebody sets it.
    Written,
    /// It is in the store, perhaps by an older version without limits of patterns.
    Stored,
}

impl Pattern {
    /// Compiles a permission.
    ///
    /// # Errors
    /// See [`Expression::compile`].
    pub(super) fn compile(pattern: &str, origin: Origin) -> Result<Self, PatternError> {
        Self::expanded(pattern, pattern, origin)
    }

    /// Compiles a permission in which variables were replaced by names. The names do not count for the length.
    ///
    /// # Errors
    /// See [`Expression::compile`].
    pub(super) fn expanded(
        written: &str,
        expanded: &str,
        origin: Origin,
    ) -> Result<Self, PatternError> {
        match expanded {
            "" => return Ok(Pattern::EmptyName),
            ".*" | "^.*" | ".*$" => return Ok(Pattern::Everything),
            _ => {}
        }
        let expression = match origin {
            Origin::Written => {
                check_length(written)?;
                Expression::compile_any_length(expanded)?
            }
            Origin::Stored => Expression::restore(expanded)?,
        };
        Ok(Pattern::Matching(expression))
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
