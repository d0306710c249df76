//! A policy that is not set yet: what it would apply to.

use super::policies::rank;
use super::{ApplyTo, Policy, Target};
use crate::text::pattern::{Filter, FilterTooSlow, PatternError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the other policies may be matched with names, all together.
const TIME: Duration = Duration::from_millis(500);

/// A policy without its definition.
#[derive(Debug)]
pub struct Candidate {
    apply_to: ApplyTo,
    pattern: Filter,
    /// Policies of the same kind that have precedence over it, the highest first.
    stronger: Vec<Arc<Policy>>,
    until: Instant,
}

impl Candidate {
    /// Returns a candidate beside the policies of its kind, the one with the highest precedence last. It would replace one
    /// with its name.
    ///
    /// # Errors
    /// When the pattern is invalid.
    pub fn new(
        name: &str,
        pattern: &str,
        apply_to: ApplyTo,
        priority: i64,
        policies: Vec<Arc<Policy>>,
    ) -> Result<Self, PatternError> {
        let own = rank(priority, name);
        let others = policies.into_iter().rev();
        let stronger = others.filter(|policy| {
            let spec = &policy.spec;
            spec.name != name && rank(spec.priority, &spec.name) < own
        });
        Ok(Candidate {
            apply_to,
            pattern: Filter::compile(pattern, false)?,
            stronger: stronger.collect(),
            until: Instant::now() + TIME,
        })
    }

    /// Returns whether it is for an object with this name.
    ///
    /// # Errors
    /// When looking at all the names takes too long.
    pub fn accepts(&self, name: &str, target: Target) -> Result<bool, FilterTooSlow> {
        Ok(self.apply_to.includes(target) && self.pattern.accepts(name)?)
    }

    /// Returns the policy that applies to an object in its place.
    ///
    /// # Errors
    /// When looking at all the names takes too long.
    pub fn overridden_by(
        &self,
        name: &str,
        target: Target,
    ) -> Result<Option<&Arc<Policy>>, FilterTooSlow> {
        if self.stronger.is_empty() {
            return Ok(None);
        }
        if Instant::now() >= self.until {
            return Err(FilterTooSlow);
        }
        let mut stronger = self.stronger.iter();
        Ok(stronger.find(|policy| policy.matches(name, target)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::{PolicyKind, WrittenPolicy};
    use crate::engine::queue::QueueKind;

    const QUEUE: Target = Target::Queue(QueueKind::Classic);

    fn policy(name: &str, pattern: &str, priority: i64) -> Arc<Policy> {
        let written = WrittenPolicy {
            priority,
            ..WrittenPolicy::new(name, pattern, r#"{"max-length":1}"#)
        };
        Arc::new(Policy::parse(PolicyKind::User, written).unwrap())
    }

    #[test]
    fn a_policy_of_higher_precedence_overrides_and_its_own_former_self_does_not() {
        let policies = vec![
            policy("low", "", 1),
            policy("z", "^a", 5),
            policy("own", "", 9),
            policy("high", "^ab", 9),
        ];
        let candidate = Candidate::new("own", "^a", ApplyTo::Queues, 5, policies).unwrap();
        let accepts = |name, target| candidate.accepts(name, target).unwrap();
        assert!(accepts("abc", QUEUE) && !accepts("b", QUEUE));
        assert!(!accepts("abc", Target::Exchange));
        let by = |name| {
            let by = candidate.overridden_by(name, QUEUE).unwrap();
            by.map(|policy| policy.spec.name.as_str())
        };
        assert_eq!((by("abc"), by("axc")), (Some("high"), None));
    }

    #[test]
    fn a_bad_pattern_is_refused_and_a_slow_one_ends() {
        let new = |pattern| Candidate::new("p", pattern, ApplyTo::All, 0, Vec::new());
        assert!(new("(").is_err());
        let slow = new(r"(a*)*\1b").unwrap();
        let name = "a".repeat(255);
        let mut names = std::iter::repeat_n(name.as_str(), 1_000_000);
        assert!(names.any(|name| slow.accepts(name, QUEUE).is_err()));
    }
}
