//! What a policy that is not set yet would apply to.

use crate::domain::policy::{Candidate, Target};
use crate::domain::vhost::Vhost;
use crate::text::pattern::FilterTooSlow;
use serde::Serialize;
use utoipa::ToSchema;

/// The names that are listed at most.
const NAMES_MAX: usize = 50;

/// What a policy would apply to.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct PolicyMatches {
    /// Queues and streams.
    pub queues: MatchedObjects,
    /// Exchanges.
    pub exchanges: MatchedObjects,
}

/// The objects of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct MatchedObjects {
    /// How many the policy is for.
    pub total: usize,
    /// The names of some.
    pub names: Vec<String>,
    /// Some of those that another policy applies to in its place.
    pub overridden: Vec<Overridden>,
    /// How many these are.
    pub overridden_total: usize,
}

/// An object that another policy applies to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Overridden {
    /// Its name.
    pub name: String,
    /// The policy that applies to it.
    pub policy: String,
}

impl PolicyMatches {
    /// Returns what a candidate would apply to in a virtual host.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn of(candidate: &Candidate, vhost: &Vhost) -> Result<Self, FilterTooSlow> {
        let mut matches = PolicyMatches::default();
        for queue in vhost.queues() {
            let target = Target::of(&queue);
            matches
                .queues
                .add(candidate, queue.name().as_str(), target)?;
        }
        for exchange in vhost.exchanges() {
            let name = exchange.name().as_str();
            matches.exchanges.add(candidate, name, Target::Exchange)?;
        }
        Ok(matches)
    }
}

impl MatchedObjects {
    fn add(
        &mut self,
        candidate: &Candidate,
        name: &str,
        target: Target,
    ) -> Result<(), FilterTooSlow> {
        if !candidate.accepts(name, target)? {
            return Ok(());
        }
        self.total += 1;
        if self.names.len() < NAMES_MAX {
            self.names.push(name.to_owned());
        }
        if let Some(policy) = candidate.overridden_by(name, target)? {
            self.overridden_total += 1;
            if self.overridden.len() < NAMES_MAX {
                self.overridden.push(Overridden {
                    name: name.to_owned(),
                    policy: policy.spec.name.clone(),
                });
            }
        }
        Ok(())
    }
}
