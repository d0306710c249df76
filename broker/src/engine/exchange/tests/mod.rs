//! The look-ups of every type of exchange.

mod alternates;
mod cost;
mod explained;
mod model;
mod spread;

use super::*;
use crate::engine::queue::{Queue, QueueSpec};
use leveret_protocol::classes::BasicProperties;
use leveret_protocol::method::properties_to_vec;
use leveret_protocol::values::AMQPValue;
use leveret_storage::{Position, QueueId};
use proptest::prelude::*;
use std::sync::Arc;

struct Probe {
    keys: Vec<Vec<u8>>,
    properties: Vec<u8>,
}

fn probe(key: &str) -> Probe {
    Probe {
        keys: vec![key.as_bytes().to_vec()],
        properties: vec![0, 0],
    }
}

fn with_headers(headers: FieldTable) -> Probe {
    let properties = BasicProperties::default().with_headers(headers);
    Probe {
        properties: properties_to_vec(&properties),
        ..probe("")
    }
}

/// Exchanges that alternate exchanges are looked up in.
#[derive(Default)]
struct Known(Vec<Arc<Exchange>>);

impl Directory for Known {
    fn exchange(&self, name: &str) -> Option<Arc<Exchange>> {
        let known = self.0.iter().find(|x| x.name().as_str() == name);
        known.cloned()
    }
}

fn queue(id: u64) -> Arc<Queue> {
    let spec = QueueSpec {
        name: format!("q{id}").into(),
        durable: false,
        auto_delete: false,
        exclusive_to: None,
        arguments: FieldTable::default(),
    };
    Arc::new(Queue::new(QueueId(id), "/".into(), spec, Position(0)))
}

fn exchange(name: &str, kind: ExchangeKind) -> Arc<Exchange> {
    exchange_with(name, kind, FieldTable::default())
}

fn exchange_with(name: &str, kind: ExchangeKind, arguments: FieldTable) -> Arc<Exchange> {
    Arc::new(Exchange::new(ExchangeSpec {
        name: name.into(),
        kind,
        durable: false,
        auto_delete: false,
        internal: false,
        arguments,
    }))
}

fn bind(exchange: &Exchange, queue: &Arc<Queue>, key: &str) -> bool {
    bind_with(exchange, queue, key, FieldTable::default())
}

fn bind_with(exchange: &Exchange, queue: &Arc<Queue>, key: &str, arguments: FieldTable) -> bool {
    let destination = Destination::Queue(queue.clone());
    exchange.bind(Binding {
        destination,
        key: key.into(),
        arguments,
    })
}

fn routed_among(exchange: &Arc<Exchange>, message: &Probe, known: &Known) -> Vec<u64> {
    let keys: Vec<&[u8]> = message.keys.iter().map(Vec::as_slice).collect();
    let message = Routable {
        routing_keys: &keys,
        properties: &message.properties,
    };
    let mut route = Route::default();
    route.find(exchange, &message, known);
    route.queues.iter().map(|q| q.id.0).collect()
}

fn routed(exchange: &Arc<Exchange>, message: &Probe) -> Vec<u64> {
    routed_among(exchange, message, &Known::default())
}

#[test]
fn a_direct_exchange_compares_keys() {
    let (x, a, b) = (exchange("x", ExchangeKind::Direct), queue(1), queue(2));
    assert!(bind(&x, &a, "k") && bind(&x, &b, "k") && bind(&x, &b, "other"));
    assert!(!bind(&x, &a, "k"), "the same binding twice is one");
    assert_eq!(routed(&x, &probe("k")), [1, 2]);
    assert_eq!(routed(&x, &probe("other")), [2]);
    assert!(routed(&x, &probe("k.")).is_empty());
    assert!(x.unbind(
        &DestinationName::Queue("q1".into()),
        &"k".into(),
        &FieldTable::default()
    ));
    assert_eq!(routed(&x, &probe("k")), [2]);
    assert_eq!(x.unbind_all(&DestinationName::Queue("q2".into())).len(), 2);
    assert!(x.is_unbound());
}

#[test]
fn bindings_that_differ_in_arguments_alone_route_once_and_go_one_by_one() {
    let (x, a) = (exchange("x", ExchangeKind::Fanout), queue(1));
    let mut arguments = FieldTable::default();
    arguments.insert("n".into(), AMQPValue::LongInt(1));
    assert!(bind(&x, &a, "") && bind_with(&x, &a, "", arguments.clone()));
    assert_eq!(routed(&x, &probe("any")), [1]);
    assert!(x.unbind(&DestinationName::Queue("q1".into()), &"".into(), &arguments));
    assert_eq!(routed(&x, &probe("any")), [1]);
}

#[test]
fn exchanges_bound_in_a_circle_route_each_message_once() {
    let (x, y, a) = (
        exchange("x", ExchangeKind::Fanout),
        exchange("y", ExchangeKind::Fanout),
        queue(1),
    );
    let arguments = FieldTable::default;
    x.bind(Binding {
        destination: Destination::Exchange(y.clone()),
        key: "".into(),
        arguments: arguments(),
    });
    y.bind(Binding {
        destination: Destination::Exchange(x.clone()),
        key: "".into(),
        arguments: arguments(),
    });
    bind(&y, &a, "");
    assert_eq!(routed(&x, &probe("k")), [1]);
}

#[test]
fn headers_match_all_or_any() {
    let (x, a, b) = (exchange("x", ExchangeKind::Headers), queue(1), queue(2));
    let table = |pairs: &[(&str, AMQPValue)]| {
        let mut table = FieldTable::default();
        for (k, v) in pairs {
            table.insert((*k).into(), v.clone());
        }
        table
    };
    let text = |t: &str| AMQPValue::LongString(t.into());
    bind_with(
        &x,
        &a,
        "",
        table(&[("t", text("a")), ("n", AMQPValue::LongInt(1))]),
    );
    bind_with(
        &x,
        &b,
        "",
        table(&[
            ("x-match", text("any")),
            ("t", text("a")),
            ("p", AMQPValue::Void),
        ]),
    );
    let headers = |pairs: &[(&str, AMQPValue)]| with_headers(table(pairs));
    let both = headers(&[("t", text("a")), ("n", AMQPValue::LongLongInt(1))]);
    assert_eq!(routed(&x, &both), [1, 2]);
    assert_eq!(routed(&x, &headers(&[("p", text("whatever"))])), [2]);
    assert!(routed(&x, &headers(&[("n", AMQPValue::LongInt(1))])).is_empty());
}

/// The rule as the specification words it, without a trie.
fn topic_matches(pattern: &[&str], words: &[&str]) -> bool {
    match pattern.split_first() {
        None => words.is_empty(),
        Some((&"#", rest)) => (0..=words.len()).any(|n| topic_matches(rest, &words[n..])),
        Some((&"*", rest)) => words
            .split_first()
            .is_some_and(|(_, w)| topic_matches(rest, w)),
        Some((word, rest)) => words
            .split_first()
            .is_some_and(|(w, ws)| w == word && topic_matches(rest, ws)),
    }
}

#[test]
fn a_pattern_of_many_hashes_costs_no_exponential_time() {
    let (x, a) = (exchange("x", ExchangeKind::Topic), queue(1));
    bind(&x, &a, &["#", "a"].repeat(30).join("."));
    assert_eq!(routed(&x, &probe(&["a"; 100].join("."))), [1]);
    assert!(routed(&x, &probe(&["b"; 100].join("."))).is_empty());
}

proptest! {
    #[test]
    fn topics_route_as_the_plain_rule_says(
        patterns in prop::collection::vec(prop::collection::vec(
            prop::sample::select(vec!["a", "b", "", "*", "#"]), 1..5), 1..8),
        removed in any::<prop::sample::Index>(),
        keys in prop::collection::vec(prop::collection::vec(
            prop::sample::select(vec!["a", "b", ""]), 1..5), 1..8),
    ) {
        let x = exchange("x", ExchangeKind::Topic);
        let queues: Vec<_> = (0..patterns.len() as u64).map(queue).collect();
        for (pattern, queue) in patterns.iter().zip(&queues) {
            bind(&x, queue, &pattern.join("."));
        }
        let removed = removed.index(patterns.len());
        x.unbind_all(&DestinationName::Queue(queues[removed].name().clone()));
        for key in &keys {
            let joined = key.join(".");
            let words: Vec<&str> = if joined.is_empty() { vec![] } else { joined.split('.').collect() };
            let expected: Vec<u64> = patterns.iter().enumerate()
                .filter(|(i, _)| *i != removed)
                .filter(|(_, p)| {
                    let joined = p.join(".");
                    let p: Vec<&str> = if joined.is_empty() { vec![] } else { joined.split('.').collect() };
                    topic_matches(&p, &words)
                })
                .map(|(i, _)| i as u64).collect();
            prop_assert_eq!(routed(&x, &probe(&joined)), expected);
        }
    }
}
