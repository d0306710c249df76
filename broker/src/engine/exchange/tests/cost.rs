//! What a look-up costs does not depend on how many bindings there are. Counted, not timed.

use super::super::topic::TopicIndex;
use super::*;

fn binding(queue: &Arc<Queue>, key: &str) -> Binding {
    Binding {
        destination: Destination::Queue(queue.clone()),
        key: key.into(),
        arguments: FieldTable::default(),
    }
}

/// The nodes that a walk visits, and what it finds.
fn visited(pattern: impl Fn(u32) -> String, bindings: u32, key: &str) -> (usize, usize) {
    let mut index = TopicIndex::default();
    let q = queue(1);
    for n in 0..bindings {
        index.add(&binding(&q, &pattern(n)));
    }
    let mut found = 0;
    let visited = index.walk(key.as_bytes(), &mut |_| found += 1);
    (visited, found)
}

#[test]
fn a_topic_look_up_visits_as_many_nodes_with_100_000_bindings_as_with_10() {
    type Pattern = fn(u32) -> String;
    let patterns: [(Pattern, &str); 4] = [
        (|n| format!("a.{n}.c"), "a.7.c"),
        (|n| format!("*.{n}.#"), "a.7.c.d"),
        (|n| format!("#.{n}.*"), "a.b.7.c"),
        (|n| format!("{n}.#"), "7.a.b.c"),
    ];
    for (pattern, key) in patterns {
        let few = visited(pattern, 10, key);
        let many = visited(pattern, 100_000, key);
        assert_eq!(few, many, "{}", pattern(7));
        assert_eq!(many.1, 1);
        assert!(many.0 <= 16, "{} nodes for {}", many.0, pattern(7));
    }
}

#[test]
fn a_removed_binding_leaves_nothing_behind() {
    let mut index = TopicIndex::default();
    let q = queue(1);
    let keys = ["a.b.c", "a.*.#", "#", "", "*.*", "#.a.#"];
    for key in keys {
        index.add(&binding(&q, key));
    }
    for key in keys {
        index.remove(&binding(&q, key));
    }
    assert!(index.is_empty());
}

/// Quadratic work would take minutes here.
#[test]
fn bindings_come_and_go_by_the_ten_thousand() {
    for kind in ExchangeKind::ALL {
        let x = exchange("x", kind);
        let same_queue = queue(1);
        for n in 0..20_000u64 {
            let mut arguments = FieldTable::default();
            arguments.insert("n".into(), AMQPValue::LongLongInt(n as i64));
            assert!(bind_with(&x, &same_queue, "1", arguments));
        }
        let to = DestinationName::Queue("q1".into());
        assert_eq!(x.unbind_all(&to).len(), 20_000);
        assert!(x.is_unbound());
        let queues: Vec<_> = (0..10_000).map(queue).collect();
        for queue in &queues {
            assert!(bind(&x, queue, "1"));
        }
        for queue in &queues {
            let to = DestinationName::Queue(queue.name().clone());
            assert_eq!(x.unbind_all(&to).len(), 1);
        }
        assert!(x.is_unbound());
    }
}
