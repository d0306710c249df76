//! Setting and clearing policies, and telling queues and exchanges which of them apply.
//!
//! Which policy applies is decided under the lock for changes, where nothing can be declared
//! beside it. What is in the queues follows afterwards, queue by queue: however much that drops,
//! nobody waits for it but the queue's own users.

use super::Vhost;
use crate::definitions::Definition;
use crate::exchange::Exchange;
use crate::policy::{Applied, Policy, PolicyKind, Target};
use crate::queue::{Effects, Queue};
use leveret_storage::Op;
use std::sync::Arc;

impl Vhost {
    /// Sets a policy, in place of one of its name; it is in force, as far as it reaches, when this
    /// returns. `false` when the virtual host has been deleted.
    pub fn set_policy(&self, kind: PolicyKind, policy: Policy, fx: &mut Effects) -> bool {
        let sources = self.sources.lock();
        if self.is_cleared() {
            return false;
        }
        let definition = Definition::policy(&self.spec.name, kind, &policy.spec);
        self.policies.lock().set(kind, policy);
        self.store_policies(definition.put(), fx);
        let changed = self.assign_policies();
        drop(sources);
        follow(&changed, fx);
        true
    }

    /// Takes a policy away; `false` when there is none of that name.
    pub fn clear_policy(&self, kind: PolicyKind, name: &str, fx: &mut Effects) -> bool {
        let sources = self.sources.lock();
        let Some(policy) = self.policies.lock().clear(kind, name) else {
            return false;
        };
        let definition = Definition::policy(&self.spec.name, kind, &policy.spec);
        self.store_policies(definition.delete(), fx);
        let changed = self.assign_policies();
        drop(sources);
        follow(&changed, fx);
        true
    }

    /// Puts back a policy at start, before there are queues.
    pub fn restore_policy(&self, kind: PolicyKind, policy: Policy) {
        self.policies.lock().set(kind, policy);
        // The exchanges that every virtual host has are there already.
        self.assign_policies();
    }

    /// All policies of a kind, those that apply before others last.
    pub fn policies(&self, kind: PolicyKind) -> Vec<Arc<Policy>> {
        self.policies.lock().list(kind)
    }

    /// The policies that apply, or would apply, to a name.
    pub fn policy_for(&self, name: &str, target: Target) -> Option<Arc<Applied>> {
        self.policies.lock().matching(name, target)
    }

    /// A new queue gets its policies before anybody knows it.
    pub(super) fn configure_queue(&self, queue: &Queue, fx: &mut Effects) {
        let policy = self.policy_for(queue.name().as_str(), queue.policy_target());
        if queue.set_policy(policy) {
            queue.follow_settings(fx);
        }
    }

    /// A new exchange gets its policies before anybody knows it.
    pub(super) fn configure_exchange(&self, exchange: &Exchange) {
        exchange.set_policy(self.policy_for(exchange.name().as_str(), Target::Exchange));
    }

    /// Forgets all policies with the virtual host.
    pub(super) fn forget_policies(&self, fx: &mut Effects) {
        for kind in [PolicyKind::User, PolicyKind::Operator] {
            for policy in self.policies(kind) {
                self.policies.lock().clear(kind, &policy.spec.name);
                fx.store(Definition::policy(&self.spec.name, kind, &policy.spec).delete());
            }
        }
    }

    /// Stored in the order in which they take effect: under the lock for changes.
    fn store_policies(&self, op: Op, fx: &mut Effects) {
        fx.store(op);
        fx.submit();
    }

    /// Tells every queue and exchange which policies apply to it, under the lock for changes;
    /// returns the queues whose settings that changes.
    fn assign_policies(&self) -> Vec<Arc<Queue>> {
        let exchanges: Vec<_> = self.exchanges.read().values().cloned().collect();
        for exchange in exchanges {
            self.configure_exchange(&exchange);
        }
        // An alternate exchange may have changed, and with it every route.
        self.changed();
        let mut queues: Vec<_> = self.queues.read().values().cloned().collect();
        queues.retain(|queue| {
            let policy = self.policy_for(queue.name().as_str(), queue.policy_target());
            queue.set_policy(policy)
        });
        queues
    }
}

/// What is in the queues follows their settings. One batch of effects per queue, so that they need
/// no more memory than the largest queue asks for.
fn follow(queues: &[Arc<Queue>], fx: &mut Effects) {
    for queue in queues {
        queue.follow_settings(fx);
        fx.perform();
    }
}
