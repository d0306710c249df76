//! Policies that come, change and go while a queue is in use.

use super::fixtures::{Delays, Limit};
use super::world::World;
use crate::domain::policy::{Policies, Policy, PolicyKind, Target, WrittenPolicy};
use crate::engine::applied_policy::AppliedPolicy;
use std::sync::Arc;

impl World {
    /// A policy with this limit and these delays applies to a queue from now on, or none does.
    pub(super) fn set_policy(
        &mut self,
        queue: usize,
        limit: Option<Limit>,
        delays: Option<Delays>,
    ) {
        let rules = self.models[queue].rules;
        let dead_letters = rules.dead_letters && rules.quorum.is_none();
        let mut policies = Policies::default();
        let limits = limit.map(|limit| limit.definition(dead_letters));
        let settings: Vec<String> = limits
            .into_iter()
            .chain(delays.map(Delays::definition))
            .collect();
        if !settings.is_empty() {
            let definition = format!("{{{}}}", settings.join(","));
            let written = WrittenPolicy::new("p", "", &definition);
            let policy = Policy::parse(PolicyKind::User, written).unwrap();
            policies.set(PolicyKind::User, policy);
        }
        let real = self.queues[queue].clone();
        let applied = policies.matching(real.name().as_str(), Target::of(&real));
        let applied = applied.map(|applied| applied as Arc<dyn AppliedPolicy>);
        let model = &mut self.models[queue];
        let refused = model.rules.limit.is_some_and(|limit| limit.refuses);
        model.rules.limit = match (model.declared.limit, limit) {
            (Some(argument), Some(policy)) => Some(Limit {
                messages: argument.messages.min(policy.messages),
                bytes: argument.bytes.min(policy.bytes),
                refuses: argument.refuses,
            }),
            (argument, policy) => argument.or(policy),
        };
        model.rules.delays = match (model.declared.delays, delays) {
            (Some(arguments), Some(policy)) => Some(arguments.with(policy)),
            (arguments, policy) => arguments.or(policy),
        };
        if real.set_policy(applied) {
            model.touch();
            // A classic queue has the new limit before it refuses what is more.
            model.trim(!refused && rules.quorum.is_none());
            real.follow_settings(&mut self.fx);
        }
        self.judge(queue);
    }
}
