//! Alternate exchanges, and what may be declared and bound.

use super::*;

fn alternate_to(name: &str, kind: ExchangeKind, alternate: &str) -> Arc<Exchange> {
    let mut arguments = FieldTable::default();
    arguments.insert(
        "alternate-exchange".into(),
        AMQPValue::LongString(alternate.into()),
    );
    exchange_with(name, kind, arguments)
}

fn bind_exchange(from: &Exchange, to: &Arc<Exchange>, key: &str) {
    from.bind(Binding {
        destination: Destination::Exchange(to.clone()),
        key: key.into(),
        arguments: FieldTable::default(),
    });
}

#[test]
fn what_matches_nothing_goes_to_the_alternate_exchange() {
    let x = alternate_to("x", ExchangeKind::Direct, "y");
    let y = alternate_to("y", ExchangeKind::Topic, "z");
    let z = exchange("z", ExchangeKind::Fanout);
    let (a, b, c) = (queue(1), queue(2), queue(3));
    bind(&x, &a, "a");
    bind(&y, &b, "b.*");
    bind(&z, &c, "");
    let known = Known(vec![x.clone(), y, z]);
    let to = |key: &str| routed_among(&x, &probe(key), &known);
    assert_eq!(to("a"), [1]);
    assert_eq!(to("b.1"), [2]);
    assert_eq!(to("c"), [3], "the alternate's alternate");
    assert!(
        routed(&x, &probe("c")).is_empty(),
        "there is none of the name"
    );
}

#[test]
fn alternates_in_a_circle_end() {
    let x = alternate_to("x", ExchangeKind::Direct, "y");
    let y = alternate_to("y", ExchangeKind::Direct, "x");
    let own = alternate_to("own", ExchangeKind::Direct, "own");
    let known = Known(vec![x.clone(), y.clone(), own.clone()]);
    assert!(routed_among(&x, &probe("k"), &known).is_empty());
    assert!(routed_among(&own, &probe("k"), &known).is_empty());
    bind(&y, &queue(1), "k");
    assert_eq!(routed_among(&x, &probe("k"), &known), [1]);
}

#[test]
fn every_exchange_on_the_way_has_its_own_alternate() {
    let x = alternate_to("x", ExchangeKind::Fanout, "last");
    let y = alternate_to("y", ExchangeKind::Direct, "rest");
    let (rest, last) = (
        exchange("rest", ExchangeKind::Fanout),
        exchange("last", ExchangeKind::Fanout),
    );
    bind_exchange(&x, &y, "");
    bind(&rest, &queue(1), "");
    bind(&last, &queue(2), "");
    let known = Known(vec![x.clone(), y, rest, last]);
    // x's binding matches, though y's do not: x's own alternate is not asked.
    assert_eq!(routed_among(&x, &probe("k"), &known), [1]);
}

#[test]
fn a_route_is_kept_only_when_the_key_alone_decides() {
    let by_key = |start: &Arc<Exchange>, known: &Known| {
        let message = Routable {
            routing_keys: &[b"k"],
            properties: &[0, 0],
        };
        let mut route = Route::default();
        route.find(start, &message, known);
        route.by_key_alone
    };
    let decides = |kind| by_key(&exchange("x", kind), &Known::default());
    assert!(decides(ExchangeKind::Direct) && decides(ExchangeKind::Topic));
    assert!(decides(ExchangeKind::Fanout) && decides(ExchangeKind::ModulusHash));
    assert!(decides(ExchangeKind::ConsistentHash));
    assert!(!decides(ExchangeKind::Headers) && !decides(ExchangeKind::Random));
    let x = alternate_to("x", ExchangeKind::Direct, "h");
    let known = Known(vec![exchange("h", ExchangeKind::Headers)]);
    assert!(!by_key(&x, &known), "the alternate looks at headers");
    bind(&x, &queue(1), "k");
    assert!(by_key(&x, &known), "the alternate is not asked");
}

#[test]
fn further_routing_keys_count_as_the_first() {
    let several = |keys: &[&str]| Probe {
        keys: keys.iter().map(|key| key.as_bytes().to_vec()).collect(),
        ..probe("")
    };
    for kind in [ExchangeKind::Direct, ExchangeKind::Topic] {
        let x = exchange("x", kind);
        for (n, key) in ["a", "b", "c"].into_iter().enumerate() {
            bind(&x, &queue(n as u64 + 1), key);
        }
        assert_eq!(routed(&x, &several(&["b", "c", "b", "z"])), [2, 3]);
    }
    let x = exchange("x", ExchangeKind::ConsistentHash);
    for n in 1..=4 {
        bind(&x, &queue(n), "1");
    }
    assert_eq!(routed(&x, &several(&["k", "l"])), routed(&x, &probe("k")));
}

fn refusal(kind: ExchangeKind, key: &str, arguments: FieldTable) -> Option<String> {
    let binding = Binding {
        destination: Destination::Queue(queue(1)),
        key: key.into(),
        arguments,
    };
    check_binding(kind, &binding).err().map(|error| error.text)
}

#[test]
fn weights_are_checked_in_the_words_of_the_plugin() {
    let weight = |key| refusal(ExchangeKind::ConsistentHash, key, FieldTable::default());
    for good in ["1", "+5", "007", "10000"] {
        assert_eq!(weight(good), None, "{good}");
    }
    let text = |reason: &str| Some(format!("PRECONDITION_FAILED - {reason}"));
    for (bad, reason) in [
        ("abc", "The binding key must be an integer: <<\"abc\">>"),
        ("", "The binding key must be an integer: <<>>"),
        ("1.5", "The binding key must be an integer: <<\"1.5\">>"),
        ("-", "The binding key must be an integer: <<\"-\">>"),
        ("0", "The binding key must be greater than 0"),
        ("-3", "The binding key must be greater than 0"),
        ("10001", "The binding key must not exceed 10000"),
        (
            "99999999999999999999",
            "The binding key must not exceed 10000",
        ),
    ] {
        assert_eq!(weight(bad), text(reason), "{bad}");
    }
}

#[test]
fn an_unknown_x_match_is_refused_in_rabbitmqs_words() {
    let refused = |value: AMQPValue| {
        let mut arguments = FieldTable::default();
        arguments.insert("x-match".into(), value);
        refusal(ExchangeKind::Headers, "", arguments).unwrap_or_default()
    };
    let text = |t: &str| AMQPValue::LongString(t.into());
    assert_eq!(refused(text("any-with-x")), "");
    assert_eq!(
        refused(text("bad")),
        "PRECONDITION_FAILED - Invalid x-match field value <<\"bad\">>; expected all, any, \
         all-with-x, or any-with-x"
    );
    let typed = |kind: &str, value: &str| {
        format!(
            "PRECONDITION_FAILED - Invalid x-match field type {kind} (value {value}); expected \
             longstr"
        )
    };
    assert_eq!(refused(AMQPValue::LongInt(5)), typed("signedint", "5"));
    let array = AMQPValue::FieldArray(vec![text("a")].into());
    assert_eq!(refused(array), typed("array", "[{longstr,<<\"a\">>}]"));
    let mut table = FieldTable::default();
    table.insert("a".into(), text("b"));
    let table = AMQPValue::FieldTable(table);
    assert_eq!(
        refused(table),
        typed("table", "[{<<\"a\">>,longstr,<<\"b\">>}]")
    );
}

#[test]
fn a_local_random_exchange_takes_queues_without_keys() {
    let kind = ExchangeKind::LocalRandom;
    assert_eq!(refusal(kind, "", FieldTable::default()), None);
    assert_eq!(
        refusal(kind, "k", FieldTable::default()).as_deref(),
        Some("PRECONDITION_FAILED - Non empty binding 'k' key not permitted")
    );
    let binding = Binding {
        destination: Destination::Exchange(exchange("y", ExchangeKind::Fanout)),
        key: "".into(),
        arguments: FieldTable::default(),
    };
    let error = check_binding(kind, &binding).unwrap_err();
    assert_eq!(error.text, "PRECONDITION_FAILED - Destination not found");
}

#[test]
fn what_a_consistent_hash_exchange_hashes_is_checked() {
    let refused = |pairs: &[(&str, AMQPValue)]| {
        let mut arguments = FieldTable::default();
        for (name, value) in pairs {
            arguments.insert((*name).into(), value.clone());
        }
        let x = exchange_with("x", ExchangeKind::ConsistentHash, arguments);
        check_declaration(&x.spec, &"/".into())
            .err()
            .map(|error| error.text)
    };
    let text = |t: &str| AMQPValue::LongString(t.into());
    assert_eq!(refused(&[("hash-header", text("h"))]), None);
    assert_eq!(refused(&[("hash-property", text("timestamp"))]), None);
    assert_eq!(
        refused(&[("hash-property", text("app_id"))]).as_deref(),
        Some("PRECONDITION_FAILED - Unsupported property: app_id")
    );
    assert_eq!(
        refused(&[
            ("hash-property", text("app_id")),
            ("hash-header", text("h"))
        ])
        .as_deref(),
        Some("PRECONDITION_FAILED - hash-header and hash-property are mutually exclusive")
    );
    assert_eq!(
        refused(&[("hash-header", AMQPValue::LongInt(1))]).as_deref(),
        Some(
            "PRECONDITION_FAILED - invalid type 'signedint' for arg 'hash-header' in exchange 'x' \
             in vhost '/'"
        )
    );
}
