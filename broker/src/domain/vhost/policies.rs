//! Setting and clearing policies, and telling queues and exchanges which of them apply.
//!
//! Which policy applies is decided under the change lock, so that objects declared at the same time get the
//! right one. The messages in the queues follow afterwards, queue by queue: even if many are dropped, only
//! that queue's clients wait.

use super::Vhost;
use super::bindings::Sources;
use crate::domain::durable::Definition;
use crate::domain::policy::{Applied, Policy, PolicyKind, Target};
use crate::engine::applied_policy::AppliedPolicy;
use crate::engine::exchange::Exchange;
use crate::engine::queue::{Effects, Queue};
use leveret_storage::Op;
use parking_lot::MutexGuard;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long queues and exchanges are updated before others may take the change lock.
const TURN: Duration = Duration::from_millis(2);

impl Vhost {
    /// Sets a policy, replacing one with its name. It is in force everywhere when this returns. Returns false if
    /// the virtual host has been deleted.
    pub fn set_policy(&self, kind: PolicyKind, policy: Policy, fx: &mut Effects) -> bool {
        let mut sources = self.sources.lock();
        if self.is_deleted() {
            return false;
        }
        let policies = self.policies(kind);
        if policies.iter().any(|existing| existing.spec == policy.spec) {
            // Importing the same definitions again must not touch every queue for each policy.
            return true;
        }
        let definition = Definition::policy(&self.name, kind, &policy.spec);
        self.policies.lock().set(kind, policy);
        self.store_policies(definition.put(), fx);
        let changed = self.assign_policies(&mut sources);
        drop(sources);
        follow_settings(&changed, fx);
        true
    }

    /// Removes a policy; returns false if it does not exist.
    pub fn clear_policy(&self, kind: PolicyKind, name: &str, fx: &mut Effects) -> bool {
        let mut sources = self.sources.lock();
        let Some(policy) = self.policies.lock().clear(kind, name) else {
            return false;
        };
        let definition = Definition::policy(&self.name, kind, &policy.spec);
        self.store_policies(definition.delete(), fx);
        let changed = self.assign_policies(&mut sources);
        drop(sources);
        follow_settings(&changed, fx);
        true
    }

    /// Restores a policy at startup, before there are queues.
    pub fn restore_policy(&self, kind: PolicyKind, policy: Policy) {
        self.policies.lock().set(kind, policy);
        // The system exchanges already exist.
        self.assign_policies(&mut self.sources.lock());
    }

    /// Returns all policies of a kind, the one with the highest precedence last.
    pub fn policies(&self, kind: PolicyKind) -> Vec<Arc<Policy>> {
        self.policies.lock().list(kind)
    }

    /// Returns the policies that apply to an object with this name.
    pub fn applied_to(&self, name: &str, target: Target) -> Option<Arc<dyn AppliedPolicy>> {
        let policy = self.policy_for(name, target)?;
        Some(policy)
    }

    /// Returns the policies that apply, or would apply, to a name.
    pub fn policy_for(&self, name: &str, target: Target) -> Option<Arc<Applied>> {
        // The patterns may be costly to match.
        let policies = self.policies.lock().in_order();
        let found = policies.find(name, target);
        self.policies.lock().merged(found)
    }

    /// Gives a queue its policies, before others can find it and before it has messages.
    pub fn configure_queue(&self, queue: &Arc<Queue>, fx: &mut Effects) {
        let policy = self.applied_to(queue.name().as_str(), Target::of(queue));
        if queue.set_policy(policy) {
            queue.follow_settings(fx);
        }
    }

    /// Gives a new exchange its policies, before others can find it.
    pub(super) fn configure_exchange(&self, exchange: &Exchange) {
        exchange.set_policy(self.applied_to(exchange.name().as_str(), Target::Exchange));
    }

    /// Removes all policies when the virtual host is deleted.
    pub(super) fn forget_policies(&self, fx: &mut Effects) {
        for kind in [PolicyKind::User, PolicyKind::Operator] {
            for policy in self.policies(kind) {
                self.policies.lock().clear(kind, &policy.spec.name);
                fx.store(Definition::policy(&self.name, kind, &policy.spec).delete());
            }
        }
    }

    /// Stores a change of policies. Called under the change lock, so that changes are stored in the order in
    /// which they take effect.
    fn store_policies(&self, op: Op, fx: &mut Effects) {
        fx.store(op);
        fx.submit();
    }

    /// Gives every queue and exchange the policies that apply to it; returns the queues whose settings changed.
    ///
    /// Others may take the change lock in between: what is declared then already has the new policies, and
    /// another change of policies updates all queues after this one.
    fn assign_policies(&self, sources: &mut MutexGuard<'_, Sources>) -> Vec<Arc<Queue>> {
        let mut turn = Instant::now();
        let mut let_others = |sources: &mut MutexGuard<'_, Sources>| {
            if turn.elapsed() >= TURN {
                MutexGuard::bump(sources);
                turn = Instant::now();
            }
        };
        let exchanges: Vec<_> = self.exchanges.read().values().cloned().collect();
        for exchange in exchanges {
            self.configure_exchange(&exchange);
            let_others(sources);
        }
        // An alternate exchange may have changed, and with it every route.
        self.changed();
        let queues: Vec<_> = self.queues.read().values().cloned().collect();
        let mut changed = Vec::new();
        for queue in queues {
            let policy = self.applied_to(queue.name().as_str(), Target::of(&queue));
            if queue.set_policy(policy) {
                changed.push(queue);
            }
            let_others(sources);
        }
        changed
    }
}

/// Applies the new settings to the messages in the queues. One batch of effects per queue, so that the
/// effects never take more memory than those of the largest queue.
fn follow_settings(queues: &[Arc<Queue>], fx: &mut Effects) {
    for queue in queues {
        queue.follow_settings(fx);
        fx.perform();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use crate::domain::broker::{Broker, DEFAULT_VHOST};
    use crate::domain::policy::WrittenPolicy;
    use crate::domain::vhost::spec::VhostSpec;
    use crate::engine::exchange::{ExchangeKind, ExchangeSpec, Routable, Route};
    use crate::engine::message::MessageBuilder;
    use crate::engine::queue::QueueSpec;
    use leveret_protocol::values::FieldTable;

    const USER: PolicyKind = PolicyKind::User;

    struct World {
        broker: Broker,
        vhost: Arc<Vhost>,
        fx: Effects,
    }

    impl World {
        fn new() -> Self {
            let broker = Broker::new(Limits::default(), Vec::new(), None);
            let mut fx = broker.effects(None);
            broker.add_vhost(VhostSpec::named(DEFAULT_VHOST), &mut fx);
            let vhost = broker.vhost(DEFAULT_VHOST).unwrap();
            World { broker, vhost, fx }
        }

        fn queue(&mut self, name: &str) -> Arc<Queue> {
            let spec = QueueSpec {
                name: name.into(),
                durable: true,
                auto_delete: false,
                exclusive_to: None,
                arguments: FieldTable::default(),
            };
            let new_id = || self.broker.next_queue_id();
            let (vhost, fx) = (&self.vhost, &mut self.fx);
            let declared = vhost.declare_queue(spec, None, new_id, fx);
            declared.unwrap().0
        }

        fn publish(&mut self, queue: &Arc<Queue>, count: usize) {
            for _ in 0..count {
                let message = MessageBuilder::new(b"", b"", &[0, 0], true, 0).finish(true);
                queue.publish([(Arc::new(message), None)], false, &mut self.fx);
            }
        }

        fn set(&mut self, name: &str, pattern: &str, definition: &str) {
            let written = WrittenPolicy::new(name, pattern, definition);
            let policy = Policy::parse(USER, written).unwrap();
            assert!(self.vhost.set_policy(USER, policy, &mut self.fx));
        }
    }

    #[test]
    fn a_lowered_limit_drops_what_is_over_it_at_once() {
        let mut world = World::new();
        let (queue, other) = (world.queue("q"), world.queue("other"));
        for queue in [&queue, &other] {
            world.publish(queue, 5);
        }
        world.set("p", "^q$", r#"{"max-length":2}"#);
        assert_eq!((queue.counts().ready, other.counts().ready), (2, 5));
        assert!(world.vhost.clear_policy(USER, "p", &mut world.fx));
        world.publish(&queue, 3);
        assert_eq!(queue.counts().ready, 5);
        assert!(queue.policy().is_none());
    }

    #[test]
    fn a_new_queue_has_its_limit_from_the_first_message_on() {
        let mut world = World::new();
        world.set("p", "^q", r#"{"max-length":1}"#);
        let queue = world.queue("q");
        world.publish(&queue, 3);
        assert_eq!(queue.counts().ready, 1);
    }

    #[test]
    fn cached_routes_are_looked_up_again() {
        let mut world = World::new();
        let spec = ExchangeSpec {
            name: "x".into(),
            kind: ExchangeKind::Direct,
            durable: false,
            auto_delete: false,
            internal: false,
            arguments: FieldTable::default(),
        };
        let (vhost, fx) = (world.vhost.clone(), &mut world.fx);
        let (exchange, _) = vhost.declare_exchange(spec, Exchange::new, fx).unwrap();
        let queue = world.queue("q");
        let binding = crate::engine::exchange::Binding {
            destination: crate::engine::exchange::Destination::Queue(queue),
            key: "".into(),
            arguments: FieldTable::default(),
        };
        let fanout = vhost.exchange("amq.fanout").unwrap();
        vhost.bind(&fanout, binding, &mut world.fx).unwrap();
        let routes = || {
            let mut route = Route::default();
            let message = Routable {
                routing_keys: &[b"k"],
                properties: &[0, 0],
            };
            route.find(&exchange, &message, vhost.as_ref());
            route.queues.len()
        };
        assert_eq!(routes(), 0);
        let before = vhost.generation();
        world.set("p", "^x$", r#"{"alternate-exchange":"amq.fanout"}"#);
        assert_eq!(routes(), 1);
        assert!(vhost.generation() > before);
        let before = vhost.generation();
        assert!(vhost.clear_policy(USER, "p", &mut world.fx));
        assert_eq!(routes(), 0);
        assert!(vhost.generation() > before);
    }

    #[test]
    fn a_deleted_virtual_host_takes_its_policies_along() {
        let mut world = World::new();
        world.set("p", "", r#"{"max-length":1}"#);
        let vhost = world.vhost.clone();
        let deleted = world.broker.delete_vhost(DEFAULT_VHOST, &mut world.fx);
        assert_eq!(deleted, Ok(()));
        assert!(vhost.policies(USER).is_empty());
        let written = WrittenPolicy::new("p", "", r#"{"max-length":1}"#);
        let policy = Policy::parse(USER, written).unwrap();
        assert!(!vhost.set_policy(USER, policy, &mut world.fx));
    }
}
