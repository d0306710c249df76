//! The types that choose one of their bindings: who is chosen how often, and what moves.

use super::*;

fn weighted(weights: &[u32]) -> (Arc<Exchange>, Vec<Arc<Queue>>) {
    let x = exchange("x", ExchangeKind::ConsistentHash);
    let queues: Vec<Arc<Queue>> = (1..=weights.len() as u64).map(queue).collect();
    for (queue, weight) in queues.iter().zip(weights) {
        assert!(bind(&x, queue, &weight.to_string()));
    }
    (x, queues)
}

/// Where each of `count` routing keys goes.
fn spread(x: &Arc<Exchange>, count: u64) -> Vec<u64> {
    (0..count)
        .map(|n| match routed(x, &probe(&format!("key {n}")))[..] {
            [only] => only,
            ref other => panic!("one queue, not {other:?}"),
        })
        .collect()
}

fn share(spread: &[u64], queue: u64) -> f64 {
    spread.iter().filter(|q| **q == queue).count() as f64 / spread.len() as f64
}

#[test]
fn consistent_hash_gives_shares_after_the_weights() {
    let (x, _) = weighted(&[1, 1, 2, 2, 1000]);
    let spread = spread(&x, 100_000);
    for (queue, weight) in [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0), (5, 1000.0)] {
        let expected: f64 = weight / 1006.0;
        let deviation = (expected * (1.0 - expected) / 100_000.0).sqrt();
        let share = share(&spread, queue);
        assert!(
            (share - expected).abs() < 4.0 * deviation,
            "queue {queue}: {share} for {expected}"
        );
    }
}

#[test]
fn consistent_hash_moves_only_what_comes_or_goes() {
    let (x, _) = weighted(&[1, 2, 1, 3]);
    let before = spread(&x, 10_000);
    bind(&x, &queue(5), "2");
    let with_five = spread(&x, 10_000);
    for (old, new) in before.iter().zip(&with_five) {
        assert!(new == old || *new == 5, "moved from {old} to {new}");
    }
    assert!((share(&with_five, 5) - 2.0 / 9.0).abs() < 0.02);
    x.unbind_all(&DestinationName::Queue("q2".into()));
    for (old, new) in with_five.iter().zip(spread(&x, 10_000)) {
        assert!(new == *old || *old == 2, "moved from {old} to {new}");
    }
}

#[test]
fn consistent_hash_does_not_depend_on_the_order_of_bindings() {
    let (x, queues) = weighted(&[1, 2, 1, 3]);
    let y = exchange("y", ExchangeKind::ConsistentHash);
    for (queue, weight) in queues.iter().zip([1, 2, 1, 3]).rev() {
        bind(&y, queue, &weight.to_string());
    }
    assert_eq!(spread(&x, 1000), spread(&y, 1000));
}

/// So that an update does not send the messages of a key elsewhere.
#[test]
fn hashes_are_what_they_were_in_the_first_version() {
    let (x, queues) = weighted(&[1, 2, 1, 3]);
    let consistent = spread(&x, 16);
    let y = exchange("y", ExchangeKind::ModulusHash);
    for queue in &queues {
        bind(&y, queue, "");
    }
    let modulus = spread(&y, 16);
    assert_eq!(consistent, [4, 3, 4, 3, 2, 4, 4, 1, 1, 4, 2, 4, 1, 1, 3, 4]);
    assert_eq!(modulus, [2, 1, 4, 3, 2, 2, 3, 4, 1, 1, 2, 2, 3, 1, 4, 3]);
}

#[test]
fn of_two_bindings_of_a_queue_the_first_counts() {
    let (x, queues) = weighted(&[3, 1]);
    bind(&x, &queues[0], "1");
    assert!((share(&spread(&x, 10_000), 1) - 0.75).abs() < 0.02);
    let to = DestinationName::Queue("q1".into());
    x.unbind(&to, &"3".into(), &FieldTable::default());
    assert!((share(&spread(&x, 10_000), 1) - 0.5).abs() < 0.02);
    x.unbind(&to, &"1".into(), &FieldTable::default());
    assert_eq!(share(&spread(&x, 100), 1), 0.0);
}

fn hashing(argument: &str, value: &str) -> Arc<Exchange> {
    let mut arguments = FieldTable::default();
    arguments.insert(argument.into(), AMQPValue::LongString(value.into()));
    let x = exchange_with("x", ExchangeKind::ConsistentHash, arguments);
    for n in 1..=8 {
        bind(&x, &queue(n), "1");
    }
    x
}

fn with(properties: BasicProperties, key: &str) -> Probe {
    Probe {
        properties: properties_to_vec(&properties),
        ..probe(key)
    }
}

#[test]
fn a_header_or_a_property_is_hashed_in_place_of_the_routing_key() {
    let header = |n: i64| {
        let mut headers = FieldTable::default();
        headers.insert("h".into(), AMQPValue::LongLongInt(n));
        BasicProperties::default().with_headers(headers)
    };
    let plain = BasicProperties::default;
    type Make<'a> = &'a dyn Fn(i64) -> BasicProperties;
    let cases: [(&str, &str, Make<'_>); 4] = [
        ("hash-header", "h", &header),
        ("hash-property", "message_id", &|n| {
            plain().with_message_id(n.to_string().into())
        }),
        ("hash-property", "correlation_id", &|n| {
            plain().with_correlation_id(n.to_string().into())
        }),
        ("hash-property", "timestamp", &|n| {
            plain().with_timestamp(n as u64)
        }),
    ];
    for (argument, name, make) in cases {
        let x = hashing(argument, name);
        let mut reached = std::collections::BTreeSet::new();
        for n in 0..200 {
            let to = routed(&x, &with(make(n), "k"));
            assert_eq!(to, routed(&x, &with(make(n), "another key")), "{name}");
            reached.extend(to);
        }
        assert_eq!(reached.len(), 8, "{name}");
        let without = routed(&x, &with(plain(), "k"));
        assert_eq!(without.len(), 1);
        assert_eq!(without, routed(&x, &with(plain(), "another key")), "{name}");
    }
}

#[test]
fn modulus_hash_spreads_keys_evenly_and_keeps_to_its_choice() {
    let x = exchange("x", ExchangeKind::ModulusHash);
    for n in 1..=4 {
        bind(&x, &queue(n), "");
    }
    let first = spread(&x, 10_000);
    assert_eq!(first, spread(&x, 10_000));
    for n in 1..=4 {
        assert!((share(&first, n) - 0.25).abs() < 0.02);
    }
}

#[test]
fn random_reaches_every_queue_with_one_key() {
    for kind in [ExchangeKind::Random, ExchangeKind::LocalRandom] {
        let x = exchange("x", kind);
        assert!(routed(&x, &probe("k")).is_empty());
        for n in 1..=4 {
            bind(&x, &queue(n), "");
        }
        let to: Vec<u64> = (0..10_000).flat_map(|_| routed(&x, &probe("k"))).collect();
        assert_eq!(to.len(), 10_000);
        for n in 1..=4 {
            assert!((share(&to, n) - 0.25).abs() < 0.03);
        }
    }
}
