//! Maps of small and large virtual hosts.

use super::*;
use crate::config::Limits;
use crate::domain::broker::DEFAULT_VHOST;
use crate::domain::vhost::spec::VhostSpec;
use crate::engine::exchange::{Binding, Destination, ExchangeKind, ExchangeSpec};
use crate::engine::queue::{Effects, QueueSpec};
use leveret_protocol::values::{AMQPValue, FieldTable};

struct World {
    broker: Broker,
    vhost: Arc<Vhost>,
    fx: Effects,
}

fn table(pairs: &[(&str, &str)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in pairs {
        let value = AMQPValue::LongString((*value).into());
        table.insert((*name).into(), value);
    }
    table
}

impl World {
    fn new() -> Self {
        let broker = Broker::new(Limits::default(), Vec::new(), None);
        let mut fx = broker.effects(None);
        broker.add_vhost(VhostSpec::named(DEFAULT_VHOST), &mut fx);
        let vhost = broker.vhost(DEFAULT_VHOST).unwrap();
        World { broker, vhost, fx }
    }

    fn queue(&mut self, name: &str, arguments: &[(&str, &str)]) -> Arc<Queue> {
        let spec = QueueSpec {
            name: name.into(),
            durable: false,
            auto_delete: false,
            exclusive_to: None,
            arguments: table(arguments),
        };
        let new_id = || self.broker.next_queue_id();
        let declared = self.vhost.declare_queue(spec, None, new_id, &mut self.fx);
        declared.unwrap().0
    }

    fn exchange(&mut self, name: &str, arguments: &[(&str, &str)]) -> Arc<Exchange> {
        let spec = ExchangeSpec {
            name: name.into(),
            kind: ExchangeKind::Topic,
            durable: false,
            auto_delete: false,
            internal: false,
            arguments: table(arguments),
        };
        let declared = self
            .vhost
            .declare_exchange(spec, Exchange::new, &mut self.fx);
        declared.unwrap().0
    }

    fn bind(&mut self, source: &Exchange, destination: Destination, key: &str) {
        let binding = Binding {
            destination,
            key: key.into(),
            arguments: FieldTable::default(),
        };
        self.vhost.bind(source, binding, &mut self.fx).unwrap();
    }

    fn map(&self, name: &str, prefix: &str) -> Map {
        let filter = MapFilter::new(name, prefix.to_owned());
        Map::of(&self.broker, &self.vhost, &filter)
    }
}

fn exchanges(map: &Map) -> Vec<(&str, bool)> {
    let exchanges = map.exchanges.iter();
    exchanges.map(|x| (x.name.as_str(), x.missing)).collect()
}

/// Returns each edge as `kind from > to keys count`.
fn edges(map: &Map) -> Vec<String> {
    let edges = map.edges.iter().map(|edge| {
        let (from, to) = (&edge.from, &edge.to);
        format!(
            "{:?} {} {} > {} {} {:?} {}",
            edge.kind, from.0, from.1, to.0, to.1, edge.keys, edge.count
        )
    });
    let mut edges: Vec<String> = edges.collect();
    edges.sort();
    edges
}

#[test]
fn bindings_dead_letters_and_alternate_exchanges_are_edges() {
    let mut world = World::new();
    let orders = world.exchange("orders", &[("alternate-exchange", "nowhere")]);
    let audit = world.exchange("audit", &[]);
    let work = world.queue("work", &[("x-dead-letter-exchange", "dead")]);
    world.queue(
        "retry",
        &[
            ("x-dead-letter-exchange", ""),
            ("x-dead-letter-routing-key", "work"),
        ],
    );
    world.bind(&orders, Destination::Queue(work.clone()), "a.#");
    world.bind(&orders, Destination::Queue(work), "b");
    world.bind(&orders, Destination::Exchange(audit), "#");
    let map = world.map("", "");
    assert_eq!(
        exchanges(&map),
        [
            ("audit", false),
            ("orders", false),
            ("nowhere", true),
            ("dead", true)
        ]
    );
    assert_eq!(
        edges(&map),
        [
            "Alternate exchange orders > exchange nowhere [] 1",
            "Binding exchange orders > exchange audit [\"#\"] 1",
            "Binding exchange orders > queue work [\"a.#\", \"b\"] 2",
            "DeadLetter queue retry > queue work [\"work\"] 1",
            "DeadLetter queue work > exchange dead [] 1",
        ]
    );
    let queues: Vec<(&str, bool)> = map
        .queues
        .iter()
        .map(|q| (q.name.as_str(), q.default))
        .collect();
    assert_eq!(queues, [("retry", true), ("work", false)]);
    let orders = map.exchanges.iter().find(|x| x.name == "orders").unwrap();
    assert_eq!((orders.bindings, orders.r#type), (3, Some("topic")));
}

#[test]
fn what_is_searched_for_is_shown_with_what_leads_to_it() {
    let mut world = World::new();
    let (first, second) = (world.exchange("first", &[]), world.exchange("second", &[]));
    world.exchange("other", &[]);
    world.exchange("Payments", &[]);
    let pay = world.queue("pay-out", &[]);
    world.queue("else", &[]);
    world.bind(&first, Destination::Exchange(second.clone()), "");
    world.bind(&second, Destination::Queue(pay), "");
    let map = world.map("PAY", "");
    let names: Vec<&str> = exchanges(&map).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Payments", "first", "second"]);
    assert_eq!(
        (map.queues.len(), map.total_queues, map.matching_queues),
        (1, 2, 1)
    );
    let map = world.map("", "pay-");
    let names: Vec<&str> = exchanges(&map).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["first", "second"]);
}

#[test]
fn many_queues_and_exchanges_become_few_nodes() {
    let mut world = World::new();
    let x = world.exchange("x", &[]);
    for n in 0..1000 {
        let queue = world.queue(&format!("orders.{n}"), &[]);
        world.bind(&x, Destination::Queue(queue), &n.to_string());
        world.queue(&format!("bills.{n}"), &[]);
        world.exchange(&format!("x{n}"), &[]);
    }
    let map = world.map("", "");
    assert_eq!((map.queues.len(), map.groups.len()), (0, 2));
    let groups: Vec<_> = map
        .groups
        .iter()
        .map(|g| (g.prefix.as_str(), g.queues, g.without_consumers, g.default))
        .collect();
    assert_eq!(
        groups,
        [("bills.", 1000, 1000, true), ("orders.", 1000, 1000, false)]
    );
    assert_eq!((map.exchanges.len(), map.matching_exchanges), (200, 1001));
    assert_eq!(map.exchanges[0].name, "x", "the one with bindings stays");
    let [edge] = &map.edges[..] else {
        panic!("{:?}", map.edges)
    };
    assert_eq!((edge.count, edge.keys.len()), (1000, 5));
    assert_eq!(edge.to, ("group", "orders.".to_owned()));
    let map = world.map("", "orders.1");
    assert_eq!((map.matching_queues, map.queues.len()), (111, 111));
    assert_eq!(map.exchanges.len(), 1);
}

#[test]
fn what_is_too_much_to_look_at_is_counted_and_left_out() {
    let mut world = World::new();
    let cycle: Vec<_> = (0..10)
        .map(|n| world.exchange(&format!("x{n}"), &[]))
        .collect();
    for (n, from) in cycle.iter().enumerate() {
        let to = Destination::Exchange(cycle[(n + 1) % 10].clone());
        world.bind(from, to.clone(), "a");
        world.bind(from, to, "b");
    }
    let alone = world.queue("alone", &[]);
    let found = |room: Room| {
        let edges = Edges::find(
            &world.vhost,
            &cycle,
            std::slice::from_ref(&alone),
            HashMap::new(),
            room,
        );
        let is_bound = edges.is_bound(&alone);
        let shown = edges.exchanges_on_the_map(|_| true);
        let (shown, not_shown) = edges.described(&shown, |_| ("queue", String::new()));
        (shown.len(), not_shown, is_bound)
    };
    assert_eq!(found(Room::default()), (10, 0, false));
    let few_ways = Room {
        ways: 4,
        ..Room::default()
    };
    assert_eq!(found(few_ways), (4, 12, false));
    let few_bindings = Room {
        bindings: 7,
        ..Room::default()
    };
    // Whether a queue is bound is not known then, and a map does not say that it is not.
    assert_eq!(found(few_bindings), (4, 13, true));
}
