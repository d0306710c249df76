//! The policies of a virtual host, and which of them apply to a name.

use super::{Policy, PolicyDefinition, PolicyKind, Target};
use crate::engine::applied_policy::AppliedPolicy;
use crate::engine::queue::Settings;
use leveret_protocol::values::FieldTable;
use std::collections::HashMap;
use std::sync::Arc;

/// The policies of a virtual host.
#[derive(Debug, Default)]
pub struct Policies {
    in_order: InOrder,
    /// The merged policies by the names of both, shared by all queues with that pair.
    combined: HashMap<Pair, Arc<Applied>>,
}

/// The policies of a virtual host in the order of precedence. Matching takes its time and is done with a clone, without
/// the lock on [`Policies`].
#[derive(Clone, Debug, Default)]
pub struct InOrder {
    users: Arc<Vec<Arc<Policy>>>,
    operators: Arc<Vec<Arc<Policy>>>,
}

/// The policies that apply to a name.
#[derive(Clone, Debug, Default)]
pub struct Found {
    policy: Option<Arc<Policy>>,
    operator: Option<Arc<Policy>>,
}

impl InOrder {
    /// Returns the policies that apply to a name.
    pub fn find(&self, name: &str, target: Target) -> Found {
        let find = |policies: &[Arc<Policy>]| {
            let found = policies.iter().find(|policy| policy.matches(name, target));
            found.cloned()
        };
        Found {
            policy: find(&self.users),
            operator: find(&self.operators),
        }
    }
}

/// Returns what orders policies by precedence, the highest first. Of policies with the same priority RabbitMQ applies any;
/// here it is always the first by name.
pub(super) fn rank(priority: i64, name: &str) -> (i128, String) {
    (-i128::from(priority), name.to_owned())
}

/// The names of a policy and an operator policy.
type Pair = (Option<String>, Option<String>);

/// The policies that apply to a queue or an exchange: at most one user policy and one operator policy.
#[derive(Debug)]
pub struct Applied {
    /// The user policy.
    pub policy: Option<Arc<Policy>>,
    /// The operator policy.
    pub operator: Option<Arc<Policy>>,
    /// The merged definition.
    pub definition: PolicyDefinition,
    /// The same as a table, with keys without `x-`.
    table: FieldTable,
    /// The settings of a queue without arguments.
    settings: Arc<Settings>,
}

impl Applied {
    fn of(policy: Option<Arc<Policy>>, operator: Option<Arc<Policy>>) -> Self {
        let set = |policy: &Option<Arc<Policy>>| {
            let policy = policy.as_ref()?;
            Some(policy.spec.definition.clone())
        };
        let definition = match (set(&policy), set(&operator)) {
            (Some(users), Some(operators)) => users.merged(&operators),
            (users, operators) => users.or(operators).unwrap_or_default(),
        };
        let table = definition.to_table();
        let settings = Settings::of(&FieldTable::default(), Some(&table));
        Applied {
            policy,
            operator,
            definition,
            table,
            settings: Arc::new(settings),
        }
    }
}

impl Applied {
    /// Returns whether it was merged from these, and not from earlier ones with the same names.
    fn is_of(&self, policy: &Option<Arc<Policy>>, operator: &Option<Arc<Policy>>) -> bool {
        let same = |ours: &Option<Arc<Policy>>, given: &Option<Arc<Policy>>| {
            ours.as_ref().map(Arc::as_ptr) == given.as_ref().map(Arc::as_ptr)
        };
        same(&self.policy, policy) && same(&self.operator, operator)
    }
}

impl AppliedPolicy for Applied {
    fn settings(&self, arguments: &FieldTable) -> Arc<Settings> {
        match arguments.inner().is_empty() {
            true => self.settings.clone(),
            false => Arc::new(Settings::of(arguments, Some(&self.table))),
        }
    }

    fn policy_name(&self) -> Option<&str> {
        name_of(&self.policy)
    }

    fn operator_name(&self) -> Option<&str> {
        name_of(&self.operator)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.definition.text(key)
    }

    fn definition(&self) -> Vec<(&str, &serde_json::Value)> {
        self.definition.settings().collect()
    }
}

fn name_of(policy: &Option<Arc<Policy>>) -> Option<&str> {
    Some(policy.as_ref()?.spec.name.as_str())
}

impl Policies {
    fn of(&mut self, kind: PolicyKind) -> &mut Vec<Arc<Policy>> {
        self.combined.clear();
        Arc::make_mut(match kind {
            PolicyKind::User => &mut self.in_order.users,
            PolicyKind::Operator => &mut self.in_order.operators,
        })
    }

    /// Sets a policy, replacing one with its name.
    pub fn set(&mut self, kind: PolicyKind, policy: Policy) {
        let policies = self.of(kind);
        policies.retain(|known| known.spec.name != policy.spec.name);
        let of_new = rank(policy.spec.priority, &policy.spec.name);
        let of = |known: &Policy| rank(known.spec.priority, &known.spec.name);
        let at = policies.partition_point(|known| of(known) < of_new);
        policies.insert(at, Arc::new(policy));
    }

    /// Removes a policy; returns `None` if it does not exist.
    pub fn clear(&mut self, kind: PolicyKind, name: &str) -> Option<Arc<Policy>> {
        let policies = self.of(kind);
        let at = policies.iter().position(|known| known.spec.name == name)?;
        Some(policies.remove(at))
    }

    /// Returns all policies of a kind, the one with the highest precedence last, as RabbitMQ lists them.
    pub fn list(&self, kind: PolicyKind) -> Vec<Arc<Policy>> {
        let policies = match kind {
            PolicyKind::User => &self.in_order.users,
            PolicyKind::Operator => &self.in_order.operators,
        };
        policies.iter().rev().cloned().collect()
    }

    /// Returns the policies to match names with.
    pub fn in_order(&self) -> InOrder {
        self.in_order.clone()
    }

    /// Merges the policies that apply to a name; `None` if there are none.
    pub fn merged(&mut self, found: Found) -> Option<Arc<Applied>> {
        let Found { policy, operator } = found;
        if policy.is_none() && operator.is_none() {
            return None;
        }
        let owned = |policy| name_of(policy).map(str::to_owned);
        let pair = (owned(&policy), owned(&operator));
        match self.combined.get(&pair) {
            Some(known) if known.is_of(&policy, &operator) => Some(known.clone()),
            _ => {
                let applied = Arc::new(Applied::of(policy, operator));
                self.combined.insert(pair, applied.clone());
                Some(applied)
            }
        }
    }

    /// Returns the policies that apply to a name; `None` if there are none.
    #[cfg(test)]
    pub fn matching(&mut self, name: &str, target: Target) -> Option<Arc<Applied>> {
        let found = self.in_order.find(name, target);
        self.merged(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::WrittenPolicy;
    use crate::engine::queue::QueueKind;

    const QUEUE: Target = Target::Queue(QueueKind::Classic);

    fn set(
        policies: &mut Policies,
        kind: PolicyKind,
        name: &str,
        pattern: &str,
        rest: (i64, &str),
    ) {
        let (priority, definition) = rest;
        let written = WrittenPolicy {
            priority,
            ..WrittenPolicy::new(name, pattern, definition)
        };
        let policy = Policy::parse(kind, written).unwrap();
        policies.set(kind, policy);
    }

    fn names(policies: &Policies) -> Vec<String> {
        let policies = policies.list(PolicyKind::User);
        policies.iter().map(|p| p.spec.name.clone()).collect()
    }

    #[test]
    fn the_highest_priority_applies_and_of_equal_ones_the_first_by_name() {
        let mut policies = Policies::default();
        let limit = r#"{"max-length":1}"#;
        for (name, priority) in [("m", 5), ("zz", 5), ("k", i64::MIN), ("a", 5), ("b", 7)] {
            set(
                &mut policies,
                PolicyKind::User,
                name,
                "^q",
                (priority, limit),
            );
        }
        assert_eq!(names(&policies), ["k", "zz", "m", "a", "b"]);
        let applied = |policies: &mut Policies| {
            let applied = policies.matching("q1", QUEUE)?;
            applied.policy_name().map(str::to_owned)
        };
        assert_eq!(applied(&mut policies).as_deref(), Some("b"));
        assert!(policies.clear(PolicyKind::User, "b").is_some());
        assert!(policies.clear(PolicyKind::User, "b").is_none());
        assert_eq!(applied(&mut policies).as_deref(), Some("a"));
        set(&mut policies, PolicyKind::User, "a", "^x", (9, limit));
        assert_eq!(applied(&mut policies).as_deref(), Some("m"));
        assert!(policies.matching("r", QUEUE).is_none());
    }

    #[test]
    fn a_policy_that_cannot_apply_is_skipped() {
        let mut policies = Policies::default();
        let quorum = r#"{"delivery-limit":1,"max-length":1}"#;
        set(&mut policies, PolicyKind::User, "first", "", (9, quorum));
        set(
            &mut policies,
            PolicyKind::User,
            "next",
            "",
            (1, r#"{"max-length":2}"#),
        );
        let name = |policies: &mut Policies, target| {
            let applied = policies.matching("q", target).unwrap();
            applied.policy_name().map(str::to_owned)
        };
        assert_eq!(name(&mut policies, QUEUE).as_deref(), Some("next"));
        let quorum = Target::Queue(QueueKind::Quorum);
        assert_eq!(name(&mut policies, quorum).as_deref(), Some("first"));
    }

    #[test]
    fn a_policy_that_was_replaced_while_a_name_was_matched_does_not_stay() {
        let mut policies = Policies::default();
        let limit = |policies: &mut Policies, found| {
            let applied = policies.merged(found).unwrap();
            applied.definition.to_json()
        };
        let set = |policies: &mut Policies, definition| {
            set(policies, PolicyKind::User, "p", "", (0, definition));
        };
        set(&mut policies, r#"{"max-length":5}"#);
        let before = policies.in_order().find("q", QUEUE);
        set(&mut policies, r#"{"max-length":3}"#);
        assert_eq!(limit(&mut policies, before), r#"{"max-length":5}"#);
        let after = policies.in_order().find("q", QUEUE);
        assert_eq!(limit(&mut policies, after), r#"{"max-length":3}"#);
    }

    #[test]
    fn queues_with_the_same_two_policies_share_their_merged_definition() {
        let mut policies = Policies::default();
        set(
            &mut policies,
            PolicyKind::User,
            "p",
            "",
            (0, r#"{"max-length":5}"#),
        );
        set(
            &mut policies,
            PolicyKind::Operator,
            "o",
            "^q",
            (0, r#"{"max-length":3}"#),
        );
        let both = policies.matching("q1", QUEUE).unwrap();
        assert!(Arc::ptr_eq(&both, &policies.matching("q2", QUEUE).unwrap()));
        assert_eq!(both.definition.to_json(), r#"{"max-length":3}"#);
        assert_eq!(
            (both.policy_name(), both.operator_name()),
            (Some("p"), Some("o"))
        );
        let alone = policies.matching("r", QUEUE).unwrap();
        assert_eq!(alone.definition.to_json(), r#"{"max-length":5}"#);
        set(
            &mut policies,
            PolicyKind::Operator,
            "o",
            "^q",
            (0, r#"{"max-length":2}"#),
        );
        let both = policies.matching("q1", QUEUE).unwrap();
        assert_eq!(both.definition.to_json(), r#"{"max-length":2}"#);
    }
}
