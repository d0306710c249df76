//! Policies that come, change and go while a queue is in use.

use super::fixtures::Limit;
use super::world::World;
use crate::policy::{Policies, Policy, PolicyKind, WrittenPolicy};

impl World {
    /// A policy with this limit applies to a queue from now on, or none does.
    pub(super) fn set_policy(&mut self, queue: usize, limit: Option<Limit>) {
        let rules = self.models[queue].rules;
        let dead_letters = rules.dead_letters && rules.quorum.is_none();
        let mut policies = Policies::default();
        if let Some(limit) = limit {
            let written = WrittenPolicy::new("p", "", &limit.definition(dead_letters));
            let policy = Policy::parse(PolicyKind::User, written).unwrap();
            policies.set(PolicyKind::User, policy);
        }
        let real = self.queues[queue].clone();
        let applied = policies.matching(real.name().as_str(), real.policy_target());
        let model = &mut self.models[queue];
        model.rules.limit = match (model.declared.limit, limit) {
            (Some(argument), Some(policy)) => Some(Limit {
                messages: argument.messages.min(policy.messages),
                octets: argument.octets.min(policy.octets),
                refuses: argument.refuses,
            }),
            (argument, policy) => argument.or(policy),
        };
        if real.set_policy(applied) {
            model.touch();
            model.drop_over_limit();
            real.follow_settings(&mut self.fx);
        }
        self.judge(queue);
    }
}
