//! Exchanges of every type, bound to queues, to each other and as alternates, against a model
//! that keeps lists and looks at every binding for every message.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

/// Exchanges in the world; each has its number as name.
const EXCHANGES: usize = 5;
/// Queues in the world, numbered from 1.
const QUEUES: u64 = 4;

#[derive(Clone, Debug)]
enum Op {
    Bind(usize, To, String, FieldTable),
    /// Removes the n-th of an exchange's bindings, or one that it does not have.
    Unbind(usize, prop::sample::Index),
    /// All bindings to a destination go, as when it is deleted.
    Forget(To),
    Clear(usize),
    Route(usize, Vec<String>, FieldTable),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum To {
    Queue(u64),
    Exchange(usize),
}

#[derive(Clone, Debug)]
struct Bound {
    to: To,
    key: String,
    arguments: FieldTable,
}

/// One exchange as the model has it.
struct Model {
    kind: ExchangeKind,
    alternate: Option<usize>,
    bindings: Vec<Bound>,
}

/// A headers binding, word for word after RabbitMQ's documentation.
fn headers_match(arguments: &FieldTable, headers: &FieldTable) -> bool {
    let mode = match arguments.inner().get("x-match") {
        Some(AMQPValue::LongString(mode)) => mode.to_string(),
        _ => "all".to_owned(),
    };
    let asked: Vec<bool> = arguments
        .into_iter()
        .filter(|(name, _)| name.as_str() != "x-match")
        .filter(|(name, _)| mode.ends_with("with-x") || !name.as_str().starts_with("x-"))
        .map(|(name, value)| match headers.inner().get(name.as_str()) {
            None => false,
            Some(_) if *value == AMQPValue::Void => true,
            Some(header) => match (number(value), number(header)) {
                (Some(a), Some(b)) => a == b,
                _ => value == header,
            },
        })
        .collect();
    if mode.starts_with("any") {
        asked.contains(&true)
    } else {
        !asked.contains(&false)
    }
}

fn number(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::LongInt(n) => Some(i64::from(*n)),
        AMQPValue::LongLongInt(n) => Some(*n),
        _ => None,
    }
}

fn split(key: &str) -> Vec<&str> {
    if key.is_empty() {
        vec![]
    } else {
        key.split('.').collect()
    }
}

impl Model {
    fn matches(&self, bound: &Bound, keys: &[String], headers: &FieldTable) -> bool {
        match self.kind {
            ExchangeKind::Direct => keys.contains(&bound.key),
            ExchangeKind::Fanout => true,
            ExchangeKind::Topic => keys
                .iter()
                .any(|key| topic_matches(&split(&bound.key), &split(key))),
            ExchangeKind::Headers => headers_match(&bound.arguments, headers),
            other => panic!("{other} chooses among its bindings"),
        }
    }

    /// Where a message may go from here; for the types that choose, what they may choose among.
    fn matching(&self, keys: &[String], headers: &FieldTable) -> BTreeSet<To> {
        let all = self.bindings.iter();
        match self.kind {
            ExchangeKind::ModulusHash => {
                let mut sorted: Vec<&Bound> = all.collect();
                sorted.sort_by_key(|b| (name_of(b.to), b.key.clone(), arguments_of(b)));
                let hash = keys.iter().fold(0, |seed, key| {
                    xxhash_rust::xxh3::xxh3_64_with_seed(key.as_bytes(), seed)
                });
                let len = sorted.len().max(1) as u64;
                let chosen = sorted.get((hash % len) as usize);
                chosen.map(|b| b.to).into_iter().collect()
            }
            _ => all
                .filter(|bound| self.matches(bound, keys, headers))
                .map(|bound| bound.to)
                .collect(),
        }
    }
}

fn arguments_of(bound: &Bound) -> Vec<u8> {
    match bound.arguments.inner().is_empty() {
        true => Vec::new(),
        false => leveret_protocol::table::encode(&bound.arguments),
    }
}

fn name_of(to: To) -> DestinationName {
    match to {
        To::Queue(n) => DestinationName::Queue(format!("q{n}").into()),
        To::Exchange(n) => DestinationName::Exchange(n.to_string().into()),
    }
}

fn routed_by_model(models: &[Model], start: usize, keys: &[String], h: &FieldTable) -> Vec<u64> {
    let mut queues = BTreeSet::new();
    let mut seen = BTreeSet::from([start]);
    let mut next = vec![start];
    while let Some(at) = next.pop() {
        let mut found = models[at].matching(keys, h);
        if found.is_empty() {
            found.extend(models[at].alternate.map(To::Exchange));
        }
        for to in found {
            match to {
                To::Queue(queue) => {
                    queues.insert(queue);
                }
                To::Exchange(exchange) => {
                    if seen.insert(exchange) {
                        next.push(exchange);
                    }
                }
            }
        }
    }
    queues.into_iter().collect()
}

/// The exchanges under test beside their models.
struct World {
    exchanges: Vec<Arc<Exchange>>,
    queues: BTreeMap<u64, Arc<Queue>>,
    models: Vec<Model>,
}

impl World {
    fn new(kinds: &[(ExchangeKind, Option<usize>)]) -> Self {
        let exchanges = kinds.iter().enumerate().map(|(n, (kind, alternate))| {
            let mut arguments = FieldTable::default();
            if let Some(alternate) = alternate {
                let name = AMQPValue::LongString(alternate.to_string().into());
                arguments.insert("alternate-exchange".into(), name);
            }
            exchange_with(&n.to_string(), *kind, arguments)
        });
        let model = |(kind, alternate): &(ExchangeKind, Option<usize>)| Model {
            kind: *kind,
            // One that does not exist is as good as none.
            alternate: alternate.filter(|n| *n < EXCHANGES),
            bindings: Vec::new(),
        };
        World {
            exchanges: exchanges.collect(),
            queues: (1..=QUEUES).map(|n| (n, queue(n))).collect(),
            models: kinds.iter().map(model).collect(),
        }
    }

    fn destination(&self, to: To) -> Destination {
        match to {
            To::Queue(n) => Destination::Queue(self.queues[&n].clone()),
            To::Exchange(n) => Destination::Exchange(self.exchanges[n].clone()),
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Bind(at, to, key, arguments) => {
                let same = |b: &Bound| b.to == to && b.key == key && b.arguments == arguments;
                let is_new = !self.models[at].bindings.iter().any(same);
                let binding = Binding {
                    destination: self.destination(to),
                    key: key.as_str().into(),
                    arguments: arguments.clone(),
                };
                assert_eq!(self.exchanges[at].bind(binding), is_new);
                if is_new {
                    let bound = Bound { to, key, arguments };
                    self.models[at].bindings.push(bound);
                }
            }
            Op::Unbind(at, index) => {
                let bindings = &mut self.models[at].bindings;
                let missing = Bound {
                    to: To::Queue(1),
                    key: "missing".to_owned(),
                    arguments: FieldTable::default(),
                };
                let (gone, was_there) = match bindings.is_empty() {
                    true => (missing, false),
                    false => (bindings.remove(index.index(bindings.len())), true),
                };
                let (to, key) = (name_of(gone.to), gone.key.as_str().into());
                let unbound = self.exchanges[at].unbind(&to, &key, &gone.arguments);
                assert_eq!(unbound, was_there);
            }
            Op::Forget(to) => {
                for (exchange, model) in self.exchanges.iter().zip(&mut self.models) {
                    let before = model.bindings.len();
                    model.bindings.retain(|bound| bound.to != to);
                    let gone = exchange.unbind_all(&name_of(to)).len();
                    assert_eq!(gone, before - model.bindings.len());
                    assert!(!exchange.is_bound_to(&name_of(to)));
                }
            }
            Op::Clear(at) => {
                let gone = self.exchanges[at].clear().len();
                assert_eq!(gone, std::mem::take(&mut self.models[at].bindings).len());
                assert!(self.exchanges[at].is_unbound());
            }
            Op::Route(at, keys, headers) => {
                let probe = Probe {
                    keys: keys.iter().map(|key| key.as_bytes().to_vec()).collect(),
                    ..with_headers(headers.clone())
                };
                let known = Known(self.exchanges.clone());
                let route = routed_among(&self.exchanges[at], &probe, &known);
                assert_eq!(route, routed_by_model(&self.models, at, &keys, &headers),);
                explained::check(&self.exchanges[at], &probe, &known, &route);
            }
        }
        for (exchange, model) in self.exchanges.iter().zip(&self.models) {
            assert_eq!(exchange.bindings().len(), model.bindings.len());
        }
    }
}

fn key() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec!["a", "b", "", "*", "#"]);
    prop::collection::vec(word, 0..4).prop_map(|words| words.join("."))
}

fn table() -> impl Strategy<Value = FieldTable> {
    let name = prop::sample::select(vec!["a", "b", "x-c", "x-match"]);
    let value = prop::sample::select(vec![
        AMQPValue::LongInt(1),
        AMQPValue::LongLongInt(1),
        AMQPValue::LongString("v".into()),
        AMQPValue::Boolean(true),
        AMQPValue::Void,
    ]);
    let mode = prop::sample::select(vec!["all", "any", "all-with-x", "any-with-x"]);
    prop::collection::vec((name, value, mode), 0..4).prop_map(|pairs| {
        let mut table = FieldTable::default();
        for (name, value, mode) in pairs {
            let value = match name {
                "x-match" => AMQPValue::LongString(mode.into()),
                _ => value,
            };
            table.insert(name.into(), value);
        }
        table
    })
}

fn to() -> impl Strategy<Value = To> {
    prop_oneof![
        3 => (1..=QUEUES).prop_map(To::Queue),
        1 => (0..EXCHANGES).prop_map(To::Exchange),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..EXCHANGES, to(), key(), table()).prop_map(|(x, to, k, t)| Op::Bind(x, to, k, t)),
        2 => (0..EXCHANGES, any::<prop::sample::Index>()).prop_map(|(x, i)| Op::Unbind(x, i)),
        1 => to().prop_map(Op::Forget),
        1 => (0..EXCHANGES).prop_map(Op::Clear),
        6 => (0..EXCHANGES, prop::collection::vec(key(), 1..3), table())
            .prop_map(|(x, keys, headers)| Op::Route(x, keys, headers)),
    ]
}

fn kind() -> impl Strategy<Value = (ExchangeKind, Option<usize>)> {
    let decided = vec![
        ExchangeKind::Direct,
        ExchangeKind::Fanout,
        ExchangeKind::Topic,
        ExchangeKind::Headers,
        ExchangeKind::ModulusHash,
    ];
    (
        prop::sample::select(decided),
        prop::option::of(0..=EXCHANGES),
    )
}

proptest! {
    #[test]
    fn messages_go_where_a_scan_of_all_bindings_says(
        kinds in prop::collection::vec(kind(), EXCHANGES),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let mut world = World::new(&kinds);
        for op in ops {
            world.run(op);
        }
    }
}
