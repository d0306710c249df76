//! A policy: the names that it applies to, and its settings.

use super::PolicyDefinition;
use crate::engine::queue::{Queue, QueueKind};
use crate::text::pattern::{Expression, PatternError};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The kind of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyKind {
    /// Set by `set_policy`.
    User,
    /// Set by `set_operator_policy`, overriding user policies.
    Operator,
}

/// The kinds of objects that a policy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplyTo {
    /// Queues of all types.
    Queues,
    /// Exchanges.
    Exchanges,
    /// Queues and exchanges.
    All,
    /// Classic queues.
    ClassicQueues,
    /// Quorum queues.
    QuorumQueues,
    /// Streams.
    Streams,
}

/// An object that a policy may apply to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A queue of this type.
    Queue(QueueKind),
    /// An exchange.
    Exchange,
}

impl Target {
    /// Returns the target for a queue.
    pub fn of(queue: &Queue) -> Self {
        Target::Queue(queue.spec.kind())
    }
}

impl ApplyTo {
    /// Returns its name in commands.
    pub fn as_str(self) -> &'static str {
        match self {
            ApplyTo::Queues => "queues",
            ApplyTo::Exchanges => "exchanges",
            ApplyTo::All => "all",
            ApplyTo::ClassicQueues => "classic_queues",
            ApplyTo::QuorumQueues => "quorum_queues",
            ApplyTo::Streams => "streams",
        }
    }

    /// Returns whether it is for such objects.
    pub(super) fn includes(self, target: Target) -> bool {
        use QueueKind as K;
        match self {
            ApplyTo::All => true,
            ApplyTo::Exchanges => target == Target::Exchange,
            ApplyTo::Queues => target != Target::Exchange,
            ApplyTo::ClassicQueues => target == Target::Queue(K::Classic),
            ApplyTo::QuorumQueues => target == Target::Queue(K::Quorum),
            ApplyTo::Streams => target == Target::Queue(K::Stream),
        }
    }
}

impl FromStr for ApplyTo {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        use ApplyTo as A;
        let all = [
            A::Queues,
            A::Exchanges,
            A::All,
            A::ClassicQueues,
            A::QuorumQueues,
            A::Streams,
        ];
        let found = all.into_iter().find(|apply_to| apply_to.as_str() == name);
        found.ok_or_else(|| {
            // RabbitMQ 4's text, including its spaces.
            format!(
                "apply-to '{name}' unrecognised; should be one of: 'queues', 'classic_queues',  \
                 'quorum_queues', 'streams', 'exchanges', or 'all'"
            )
        })
    }
}

/// Why a policy was not set. The texts are RabbitMQ's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The definition is not JSON.
    #[error("JSON decoding error. Reason: {0}")]
    NotJson(String),
    /// Everything that is wrong with it, one line each.
    #[error("Validation failed\n\n{0}\n")]
    Invalid(String),
}

/// A policy as an operator writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenPolicy {
    /// The name.
    pub name: String,
    /// A regular expression.
    pub pattern: String,
    /// The settings, as a JSON object.
    pub definition: String,
    /// The priority.
    pub priority: i64,
    /// The kinds of objects that it is for.
    pub apply_to: String,
}

impl WrittenPolicy {
    /// Returns a policy with priority 0 for queues and exchanges.
    pub fn new(name: &str, pattern: &str, definition: &str) -> Self {
        WrittenPolicy {
            name: name.to_owned(),
            pattern: pattern.to_owned(),
            definition: definition.to_owned(),
            priority: 0,
            apply_to: ApplyTo::All.as_str().to_owned(),
        }
    }
}

/// A parsed policy, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicySpec {
    /// The name.
    pub name: String,
    /// A regular expression, which matches anywhere in a name unless it is anchored.
    pub pattern: String,
    /// The kinds of objects that it is for.
    pub apply_to: ApplyTo,
    /// Of all policies that match a name, only the one with the highest priority applies.
    pub priority: i64,
    /// Its settings.
    pub definition: PolicyDefinition,
}

/// A policy.
#[derive(Debug)]
pub struct Policy {
    /// The policy as it was given.
    pub spec: PolicySpec,
    pattern: Expression,
}

impl Policy {
    /// Parses a policy that an operator wrote.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn parse(kind: PolicyKind, written: WrittenPolicy) -> Result<Self, PolicyError> {
        let document = serde_json::from_str(&written.definition)
            .map_err(|error| PolicyError::NotJson(error.to_string()))?;
        // In RabbitMQ's order.
        let definition = PolicyDefinition::check(document, kind);
        let apply_to = written.apply_to.parse::<ApplyTo>();
        let pattern = Expression::compile(&written.pattern).map_err(invalid);
        match (definition, apply_to, pattern) {
            (Ok(definition), Ok(apply_to), Ok(pattern)) => {
                let spec = PolicySpec {
                    name: written.name,
                    pattern: written.pattern,
                    apply_to,
                    priority: written.priority,
                    definition,
                };
                Ok(Policy { spec, pattern })
            }
            (definition, apply_to, pattern) => {
                let reasons = [definition.err(), apply_to.err(), pattern.err()];
                let reasons: Vec<String> = reasons.into_iter().flatten().collect();
                Err(PolicyError::Invalid(reasons.join("\n")))
            }
        }
    }

    /// Restores a stored policy.
    ///
    /// # Errors
    /// When its pattern does not compile.
    pub fn restore(spec: PolicySpec) -> Result<Self, String> {
        let pattern = Expression::restore(&spec.pattern).map_err(invalid)?;
        Ok(Policy { spec, pattern })
    }

    /// Returns whether it applies to an object with this name.
    pub fn matches(&self, name: &str, target: Target) -> bool {
        let spec = &self.spec;
        spec.apply_to.includes(target)
            && spec.definition.applies_to(target)
            && self.pattern.matches(name)
    }
}

fn invalid(error: PatternError) -> String {
    let reason = error.reason;
    format!("pattern should be regular expression but is invalid: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pattern: &str, definition: &str, apply_to: &str) -> Result<Policy, PolicyError> {
        let written = WrittenPolicy {
            apply_to: apply_to.to_owned(),
            ..WrittenPolicy::new("p", pattern, definition)
        };
        Policy::parse(PolicyKind::User, written)
    }

    #[test]
    fn a_pattern_matches_anywhere_unless_anchored() {
        let matches = |pattern: &str, name: &str| {
            let policy = parse(pattern, r#"{"max-length":1}"#, "all").unwrap();
            policy.matches(name, Target::Exchange)
        };
        assert!(matches("b", "abc") && !matches("^b", "abc") && matches("c$", "abc"));
        assert!(matches("", "") && matches("", "anything"));
    }

    #[test]
    fn a_policy_applies_to_its_targets_only() {
        use QueueKind::{Classic, Quorum, Stream};
        let targets = [Classic, Quorum, Stream].map(Target::Queue);
        let includes = |apply_to: &str, definition: &str| {
            let policy = parse("", definition, apply_to).unwrap();
            let targets = [targets.as_slice(), &[Target::Exchange]].concat();
            let matches = targets.iter().map(|t| policy.matches("n", *t));
            matches.map(u8::from).collect::<Vec<_>>()
        };
        let plain = r#"{"max-length-bytes":1}"#;
        assert_eq!(includes("all", plain), [1, 1, 1, 1]);
        assert_eq!(includes("queues", plain), [1, 1, 1, 0]);
        assert_eq!(includes("exchanges", plain), [0, 0, 0, 1]);
        assert_eq!(includes("classic_queues", plain), [1, 0, 0, 0]);
        assert_eq!(includes("quorum_queues", plain), [0, 1, 0, 0]);
        assert_eq!(includes("streams", plain), [0, 0, 1, 0]);
        // A policy does not apply to a queue type that lacks one of its settings.
        let mixed = r#"{"delivery-limit":1,"max-length":2}"#;
        assert_eq!(includes("all", mixed), [0, 1, 0, 1]);
    }

    #[test]
    fn all_errors_are_reported_at_once() {
        let refused = parse("[", r#"{"max-length":"x"}"#, "nope").unwrap_err();
        let text = refused.to_string();
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(lines[0], "Validation failed");
        assert_eq!(lines[2], "<<\"x\">> is not a valid maximum length");
        assert!(lines[3].starts_with("apply-to 'nope' unrecognised; should be one of: 'queues'"));
        let invalid = "pattern should be regular expression but is invalid: ";
        assert!(lines[4].starts_with(invalid), "{text}");
        let refused = parse("", "junk", "all").unwrap_err().to_string();
        assert!(refused.starts_with("JSON decoding error. Reason: "));
    }
}
