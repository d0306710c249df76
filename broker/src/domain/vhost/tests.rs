//! Random declarations, bindings and deletions: after a restart, everything durable is as it was before.

use super::*;
use crate::config::Config;
use crate::domain::broker::{Broker, DEFAULT_VHOST};
use crate::domain::policy::{Applied, Policy, PolicyKind, Target, WrittenPolicy};
use crate::domain::recovery::recover;
use crate::engine::applied_policy::AppliedPolicy;
use crate::engine::exchange::{Binding, Destination};
use crate::engine::queue::Settings;
use leveret_protocol::values::AMQPValue;
use leveret_storage::{Options, Store};
use proptest::prelude::*;
use std::path::Path;

/// The numbers of queues and exchanges; the even ones are durable.
const OBJECTS: usize = 6;

#[derive(Clone, Debug)]
enum Op {
    DeclareQueue(usize),
    DeclareExchange(usize, ExchangeKind, bool),
    /// From an exchange to a queue, or to an exchange.
    Bind(usize, usize, bool, u8, bool),
    Unbind(usize, usize, bool, u8, bool),
    DeleteQueue(usize),
    DeleteExchange(usize),
    /// With this pattern and priority.
    SetPolicy(usize, usize, i64, bool),
    ClearPolicy(usize, bool),
}

fn op() -> impl Strategy<Value = Op> {
    let n = || 0..OBJECTS;
    let ends = || (n(), n(), any::<bool>(), 1..4u8, any::<bool>());
    prop_oneof![
        3 => n().prop_map(Op::DeclareQueue),
        4 => (n(), prop::sample::select(ExchangeKind::ALL.to_vec()), any::<bool>())
            .prop_map(|(n, kind, alternate)| Op::DeclareExchange(n, kind, alternate)),
        9 => ends().prop_map(|(x, to, queue, key, args)| Op::Bind(x, to, queue, key, args)),
        3 => ends().prop_map(|(x, to, queue, key, args)| Op::Unbind(x, to, queue, key, args)),
        1 => n().prop_map(Op::DeleteQueue),
        1 => n().prop_map(Op::DeleteExchange),
        2 => (n(), n(), 0..3i64, any::<bool>()).prop_map(|(n, p, rank, op)| Op::SetPolicy(n, p, rank, op)),
        1 => (n(), any::<bool>()).prop_map(|(n, operator)| Op::ClearPolicy(n, operator)),
    ]
}

fn arguments(some: bool) -> FieldTable {
    let mut arguments = FieldTable::default();
    if some {
        arguments.insert("n".into(), AMQPValue::Double(0.5));
    }
    arguments
}

fn open(dir: &Path) -> Broker {
    let config = Config::with_data_dir(dir.to_owned());
    let opened = Store::open(Options::new(dir.join("store"))).unwrap();
    recover(&config, opened).unwrap()
}

fn destination(vhost: &Vhost, to: usize, queue: bool) -> Option<Destination> {
    match queue {
        true => vhost.queue(&format!("q{to}")).map(Destination::Queue),
        false => vhost.exchange(&format!("x{to}")).map(Destination::Exchange),
    }
}

fn run(broker: &Broker, vhost: &Vhost, op: &Op, fx: &mut Effects) {
    match *op {
        Op::DeclareQueue(n) => {
            let spec = QueueSpec {
                name: format!("q{n}").into(),
                durable: n % 2 == 0,
                auto_delete: false,
                exclusive_to: None,
                arguments: FieldTable::default(),
            };
            let new_id = || broker.next_queue_id();
            vhost.declare_queue(spec, None, new_id, fx).unwrap();
        }
        Op::DeclareExchange(n, kind, alternate) => {
            let mut arguments = FieldTable::default();
            let topic = AMQPValue::LongString("topic".into());
            arguments.insert("x-delayed-type".into(), topic);
            if alternate {
                let name = AMQPValue::LongString("x0".into());
                arguments.insert("alternate-exchange".into(), name);
            }
            let spec = ExchangeSpec {
                name: format!("x{n}").into(),
                kind,
                durable: n % 2 == 0,
                auto_delete: n % 3 == 0,
                internal: false,
                arguments,
            };
            // One with another type may exist.
            let new_exchange = |spec| broker.new_exchange(vhost.name(), spec);
            let _ = vhost.declare_exchange(spec, new_exchange, fx);
        }
        Op::Bind(x, to, queue, key, args) => {
            let source = vhost.exchange(&format!("x{x}"));
            if let Some((source, destination)) = source.zip(destination(vhost, to, queue)) {
                let binding = Binding {
                    destination,
                    key: key.to_string().into(),
                    arguments: arguments(args),
                };
                // Some types refuse some bindings.
                let _ = vhost.bind(&source, binding, fx);
            }
        }
        Op::Unbind(x, to, queue, key, args) => {
            let source = vhost.exchange(&format!("x{x}"));
            if let Some((source, destination)) = source.zip(destination(vhost, to, queue)) {
                let binding = Binding {
                    destination,
                    key: key.to_string().into(),
                    arguments: arguments(args),
                };
                vhost.unbind(&source, &binding, fx);
            }
        }
        Op::DeleteQueue(n) => {
            if let Some(queue) = vhost.queue(&format!("q{n}")) {
                vhost.end_queue(&queue, fx);
            }
        }
        Op::DeleteExchange(n) => {
            let _ = vhost.delete_exchange(&format!("x{n}").into(), false, fx);
        }
        Op::SetPolicy(n, pattern, priority, operator) => {
            let definition = match operator {
                true => format!(r#"{{"max-length":{n}}}"#),
                false => format!(r#"{{"max-length":3,"alternate-exchange":"x{n}"}}"#),
            };
            let (name, pattern) = (format!("p{n}"), format!("[qx]{pattern}"));
            let written = WrittenPolicy {
                priority,
                ..WrittenPolicy::new(&name, &pattern, &definition)
            };
            let kind = kind(operator);
            let policy = Policy::parse(kind, written).unwrap();
            assert!(vhost.set_policy(kind, policy, fx));
        }
        Op::ClearPolicy(n, operator) => {
            vhost.clear_policy(kind(operator), &format!("p{n}"), fx);
        }
    }
}

fn kind(operator: bool) -> PolicyKind {
    match operator {
        true => PolicyKind::Operator,
        false => PolicyKind::User,
    }
}

/// Checks that every queue and exchange has the policies that it would have if it were declared now,
/// whatever the order of changes was.
fn check_policies(vhost: &Vhost) {
    let effective = |policy: Option<Arc<dyn AppliedPolicy>>| {
        let definition = policy?;
        Some(format!("{:?}", definition.definition()))
    };
    let dynamic = |policy: Option<Arc<Applied>>| policy.map(|p| p as Arc<dyn AppliedPolicy>);
    for queue in vhost.queues() {
        let expected = vhost.policy_for(queue.name().as_str(), Target::of(&queue));
        let table = expected.as_ref().map(|policy| policy.definition.to_table());
        assert_eq!(effective(queue.policy()), effective(dynamic(expected)));
        let settings = Settings::of(&queue.spec.arguments, table.as_ref());
        assert_eq!(*queue.settings(), settings);
    }
    for exchange in vhost.exchanges() {
        let expected = vhost.policy_for(exchange.name().as_str(), Target::Exchange);
        assert_eq!(effective(exchange.policy()), effective(dynamic(expected)));
    }
}

/// Returns the durable exchanges with their durable bindings, and the settings of the durable queues.
fn durable(vhost: &Vhost) -> Vec<String> {
    let mut lines = Vec::new();
    for exchange in vhost.exchanges().iter().filter(|x| x.spec.durable) {
        lines.push(format!(
            "{:?}, else {:?}, kept as {:?}",
            exchange.spec,
            exchange.alternate(),
            exchange.delays().map(|delays| delays.id)
        ));
        for binding in exchange.bindings() {
            if binding.destination.is_durable() {
                let to = binding.destination.name();
                lines.push(format!("{to:?} {} {:?}", binding.key, binding.arguments));
            }
        }
    }
    for queue in vhost.queues().iter().filter(|queue| queue.spec.durable) {
        lines.push(format!("{} {:?}", queue.name(), queue.settings()));
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_durable_is_the_same_after_a_restart(
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let broker = open(dir.path());
        let vhost = broker.vhost(DEFAULT_VHOST).unwrap();
        let mut fx = broker.effects(None);
        for op in &ops {
            run(&broker, &vhost, op, &mut fx);
            check_policies(&vhost);
        }
        fx.perform();
        let before = durable(&vhost);
        broker.store.as_ref().unwrap().close().unwrap();
        drop((fx, vhost, broker));
        let broker = open(dir.path());
        let vhost = broker.vhost(DEFAULT_VHOST).unwrap();
        check_policies(&vhost);
        let after = durable(&vhost);
        broker.store.as_ref().unwrap().close().unwrap();
        prop_assert_eq!(before, after);
    }
}
