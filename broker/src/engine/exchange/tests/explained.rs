//! Explanations of routes say what routing does: here for examples, and in `model` for random exchanges.

use super::*;

pub(super) fn explained(exchange: &Arc<Exchange>, message: &Probe, known: &Known) -> Explanation {
    within(explain::Budget::default(), exchange, message, known)
}

fn within(
    budget: explain::Budget,
    exchange: &Arc<Exchange>,
    message: &Probe,
    known: &Known,
) -> Explanation {
    let keys: Vec<&[u8]> = message.keys.iter().map(Vec::as_slice).collect();
    let message = Routable {
        routing_keys: &keys,
        properties: &message.properties,
    };
    Explanation::within(budget, exchange, &message, known)
}

/// Returns the names of the queues and the exchanges on the way.
fn names(explanation: &Explanation) -> (Vec<String>, Vec<String>) {
    let queues = explanation.queues.iter().map(|q| q.name().to_string());
    let steps = explanation.steps.iter();
    let exchanges = steps.map(|step| step.exchange.as_ref().unwrap().name().to_string());
    (queues.collect(), exchanges.collect())
}

/// Checks an explanation against the route and against itself.
pub(super) fn check(exchange: &Arc<Exchange>, message: &Probe, known: &Known, route: &[u64]) {
    let explanation = explained(exchange, message, known);
    let queues: Vec<u64> = explanation.queues.iter().map(|q| q.id.0).collect();
    assert_eq!(queues, route);
    let mut led_to = std::collections::BTreeSet::new();
    for (n, step) in explanation.steps.iter().enumerate() {
        assert_eq!(step.reached_by.is_none(), n == 0);
        assert_eq!(step.not_shown, 0);
        let matched = step.bindings.iter().take_while(|b| b.matched).count();
        assert!(step.bindings[matched..].iter().all(|b| !b.matched));
        for binding in &step.bindings[..matched] {
            if let Destination::Queue(queue) = &binding.binding.destination {
                led_to.insert(queue.id.0);
            }
        }
    }
    assert_eq!(led_to.into_iter().collect::<Vec<_>>(), route);
}

#[test]
fn a_route_over_a_binding_and_an_alternate_exchange_is_explained() {
    let mut arguments = FieldTable::default();
    arguments.insert(
        ALTERNATE_EXCHANGE.into(),
        AMQPValue::LongString("other".into()),
    );
    let start = exchange("start", ExchangeKind::Fanout);
    let topics = exchange_with("topics", ExchangeKind::Topic, arguments);
    let other = exchange("other", ExchangeKind::Direct);
    let (a, b) = (queue(1), queue(2));
    start.bind(Binding {
        destination: Destination::Exchange(topics.clone()),
        key: "k".into(),
        arguments: FieldTable::default(),
    });
    bind(&topics, &a, "x.*");
    bind(&other, &b, "a.b");
    bind(&other, &a, "c");
    let known = Known(vec![other.clone()]);
    let explanation = explained(&start, &probe("a.b"), &known);
    let (queues, exchanges) = names(&explanation);
    assert_eq!(queues, ["q2"]);
    assert_eq!(exchanges, ["start", "topics", "other"]);
    let reached: Vec<_> = explanation
        .steps
        .iter()
        .map(|s| s.reached_by.clone())
        .collect();
    assert_eq!(
        reached,
        [
            None,
            Some(Reached::Binding("start".into(), Some("k".to_owned()))),
            Some(Reached::Alternate("topics".into()))
        ]
    );
    let topics = &explanation.steps[1];
    assert_eq!(
        topics.bindings[0].why,
        "The pattern \"x.*\" does not match the routing key \"a.b\": word 1 is \"a\", not \"x\"."
    );
    assert_eq!(
        topics.note.as_deref(),
        Some("No binding matches, so the message goes to the alternate exchange \"other\".")
    );
    let whys = explanation.steps[2].bindings.iter();
    let whys: Vec<(bool, &str)> = whys.map(|b| (b.matched, b.why.as_str())).collect();
    assert_eq!(
        whys,
        [
            (true, "The routing key is \"a.b\"."),
            (false, "The routing key \"a.b\" is not \"c\".")
        ]
    );
}

#[test]
fn of_many_bindings_those_that_match_are_explained() {
    let (x, q) = (exchange("x", ExchangeKind::Direct), queue(1));
    for n in 0..1000 {
        bind(&x, &q, &n.to_string());
    }
    let explanation = explained(&x, &probe("777"), &Known::default());
    let step = &explanation.steps[0];
    assert_eq!((step.bindings.len(), step.not_shown), (200, 800));
    assert!(step.bindings[0].matched && !step.bindings[1].matched);
    assert_eq!(step.bindings[0].binding.key.as_str(), "777");
}

const CUT: &str = "There is too much to compare: others that are not shown may match, too.";

#[test]
fn what_costs_too_much_to_compare_is_left_out_and_said() {
    let (x, q) = (exchange("x", ExchangeKind::Direct), queue(1));
    for n in 0..1000 {
        bind(&x, &q, &format!("{n:03}"));
    }
    let (known, message) = (Known::default(), probe("777"));
    for budget in [
        explain::Budget::of(10, usize::MAX),
        explain::Budget::of(usize::MAX, 2560),
    ] {
        let explanation = within(budget, &x, &message, &known);
        assert_eq!(names(&explanation).0, ["q1"], "the route is whole");
        let step = &explanation.steps[0];
        assert!(step.bindings.len() <= 10 && step.bindings.iter().all(|it| !it.matched));
        assert_eq!(step.bindings.len() + step.not_shown, 1000);
        assert_eq!(step.note.as_deref(), Some(CUT));
    }
    let few = explain::Budget::of(1500, usize::MAX);
    let step = &within(few, &x, &message, &known).steps[0];
    assert_eq!((step.bindings.len(), step.note.as_ref()), (200, None));
    assert!(step.bindings[0].matched);
}

#[test]
fn patterns_that_are_hard_to_compare_take_a_second_and_not_minutes() {
    let (x, q) = (exchange("x", ExchangeKind::Topic), queue(1));
    bind(&x, &q, "#");
    for n in 0..3000 {
        bind(&x, &q, &format!("{}{n}", "#.*.".repeat(20)));
    }
    let key = "a.".repeat(80) + "a";
    let start = std::time::Instant::now();
    let explanation = explained(&x, &probe(&key), &Known::default());
    // One for comparisons, the rest for a slow machine that has others to serve.
    let taken = start.elapsed();
    assert!(taken < std::time::Duration::from_secs(20), "{taken:?}");
    assert_eq!(names(&explanation).0, ["q1"]);
    let step = &explanation.steps[0];
    assert_eq!(step.bindings.len() + step.not_shown, 3001);
    assert_eq!(step.note.as_deref(), Some(CUT));
}

#[test]
fn of_more_bindings_that_match_than_are_shown_only_those_are_compared() {
    let x = exchange("x", ExchangeKind::Fanout);
    for n in 0..1000 {
        bind(&x, &queue(n), "");
    }
    let budget = explain::Budget::of(200, usize::MAX);
    let explanation = within(budget, &x, &probe(""), &Known::default());
    let step = &explanation.steps[0];
    assert_eq!((step.bindings.len(), step.not_shown), (200, 800));
    assert_eq!((explanation.queues.len(), step.note.as_ref()), (1000, None));
}

#[test]
fn a_chain_of_very_many_exchanges_is_explained_in_part() {
    let chain: Vec<_> = (0..150)
        .map(|n| exchange(&n.to_string(), ExchangeKind::Fanout))
        .collect();
    for pair in chain.windows(2) {
        pair[0].bind(Binding {
            destination: Destination::Exchange(pair[1].clone()),
            key: "".into(),
            arguments: FieldTable::default(),
        });
    }
    bind(&chain[149], &queue(1), "");
    let explanation = explained(&chain[0], &probe(""), &Known::default());
    assert_eq!(explanation.queues.len(), 1);
    assert_eq!(
        (explanation.steps.len(), explanation.steps_not_shown),
        (100, 50)
    );
}

#[test]
fn of_two_bindings_to_one_queue_a_consistent_hash_considers_one() {
    let (x, q) = (exchange("x", ExchangeKind::ConsistentHash), queue(1));
    bind(&x, &q, "7");
    bind(&x, &q, "3");
    let explanation = explained(&x, &probe("k"), &Known::default());
    let bindings = &explanation.steps[0].bindings;
    assert_eq!(
        bindings[0].why,
        "The hash of the routing key chooses this binding, of weight 7."
    );
    assert!(bindings[1].why.ends_with("only one of them counts."));
    assert_eq!((bindings[0].matched, bindings[1].matched), (true, false));
}

#[test]
fn a_delayed_message_is_followed_to_where_it_goes_when_it_is_due() {
    let mut arguments = FieldTable::default();
    let delayed_type = AMQPValue::LongString("topic".into());
    arguments.insert("x-delayed-type".into(), delayed_type);
    let spec = ExchangeSpec {
        name: "late".into(),
        kind: ExchangeKind::DelayedMessage,
        durable: false,
        auto_delete: false,
        internal: false,
        arguments,
    };
    let clock = crate::engine::clock::Clock::default();
    let delays = Arc::new(Delays::new(QueueId(9), &"/".into(), &spec, clock));
    let late = Arc::new(Exchange::delayed(spec, delays.clone()));
    let start = exchange("start", ExchangeKind::Fanout);
    start.bind(Binding {
        destination: Destination::Exchange(late.clone()),
        key: "".into(),
        arguments: FieldTable::default(),
    });
    bind(&late, &queue(1), "#");
    let mut headers = FieldTable::default();
    headers.insert("x-delay".into(), AMQPValue::LongInt(5000));
    let explanation = explained(&start, &with_headers(headers), &Known::default());
    let (queues, exchanges) = names(&explanation);
    assert_eq!(queues, ["q1"]);
    assert_eq!(exchanges, ["start", "late"]);
    let note = explanation.steps[1].note.as_deref().unwrap();
    assert!(note.starts_with("The exchange keeps the message for its delay"));
    assert!(delays.is_empty(), "nothing is kept");
}
