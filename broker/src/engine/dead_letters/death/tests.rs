use super::*;
use crate::engine::message::MessageBuilder;
use crate::engine::queue::Origin;
use crate::engine::test_tables::{table, text as string};
use leveret_protocol::classes::BasicProperties;
use leveret_protocol::method::properties_to_vec;
use leveret_protocol::values::{AMQPValue as V, FieldTable};
use proptest::prelude::*;
use std::sync::Arc;

fn array(values: Vec<V>) -> V {
    V::FieldArray(values.into())
}

fn letter(properties: &[u8], reason: Reason) -> DeadLetter {
    let message = MessageBuilder::new(b"x", b"k", properties, true, 0).finish(true);
    // What has died before is a letter that the broker made.
    let died = decoded_headers(properties).is_some_and(|headers| headers.contains_key(LAST_DEATH));
    let message = if died { message.into_letter() } else { message };
    DeadLetter {
        message: Arc::new(message),
        reason,
        chained: false,
        number: 0,
        stored_at: None,
    }
}

fn origin(queue: &str, key: Option<&str>) -> Origin {
    Origin {
        queue: queue.into(),
        exchange: "dlx".into(),
        routing_key: key.map(|key| key.as_bytes().into()),
        loses_none: false,
    }
}

/// The properties with a death noted in them, and the queues of all deaths.
fn noted(letter: &DeadLetter, origin: &Origin) -> (Vec<u8>, Known) {
    let mut buffers = Buffers::default();
    let deaths = Death::new(letter, origin, 7).note(&mut buffers);
    let known = deaths.0.iter();
    let known = known.map(|(queue, rejected)| (queue.to_vec(), *rejected));
    (buffers.properties, Known(known.collect()))
}

#[derive(Debug, PartialEq, Eq)]
struct Known(Vec<(Vec<u8>, bool)>);

impl Known {
    fn would_cycle(&self, queue: &str) -> bool {
        let known = self.0.iter();
        let deaths = known.map(|(queue, rejected)| (&queue[..], *rejected));
        Deaths(deaths.collect()).would_cycle(queue)
    }
}

/// Dies once more.
fn again(properties: &[u8], queue: &str, reason: Reason) -> (Vec<u8>, Known) {
    noted(&letter(properties, reason), &origin(queue, None))
}

fn death(queue: &str, reason: &str, count: i64) -> V {
    V::FieldTable(table(&[
        ("count", V::LongLongInt(count)),
        ("reason", string(reason)),
        ("queue", string(queue)),
        ("time", V::Timestamp(7)),
        ("exchange", string("x")),
        ("routing-keys", array(vec![string("k")])),
    ]))
}

fn with_headers(first: (&str, &str), last: (&str, &str), deaths: Vec<V>) -> Vec<u8> {
    let headers = table(&[
        ("a", V::LongInt(1)),
        ("x-death", array(deaths)),
        ("x-first-death-exchange", string("x")),
        ("x-first-death-queue", string(first.0)),
        ("x-first-death-reason", string(first.1)),
        ("x-last-death-exchange", string("x")),
        ("x-last-death-queue", string(last.0)),
        ("x-last-death-reason", string(last.1)),
    ]);
    let properties = BasicProperties::default()
        .with_content_type("text/plain".into())
        .with_content_encoding("gzip".into())
        .with_headers(headers)
        .with_delivery_mode(2)
        .with_message_id("m".into());
    properties_to_vec(&properties)
}

const LAST_DEATH: &str = "x-last-death-queue";

fn decoded_headers(properties: &[u8]) -> Option<FieldTable> {
    let range = PropertyIndex::scan(properties)?.headers?;
    leveret_protocol::table::decode(&properties[range])
}

/// As tables are read: whatever order their entries are in.
fn decoded(properties: &[u8]) -> (Vec<u8>, FieldTable) {
    let range = PropertyIndex::scan(properties).unwrap().headers.unwrap();
    let table = leveret_protocol::table::decode(&properties[range.clone()]).unwrap();
    let mut rest = properties[..range.start].to_vec();
    rest.extend(&properties[range.end..]);
    (rest, table)
}

fn plain() -> BasicProperties {
    BasicProperties::default()
        .with_content_type("text/plain".into())
        .with_content_encoding("gzip".into())
        .with_delivery_mode(2)
        .with_message_id("m".into())
}

#[test]
fn the_latest_death_stands_first_and_those_of_one_kind_are_counted() {
    let raw = properties_to_vec(&plain().with_headers(table(&[("a", V::LongInt(1))])));
    let (raw, _) = again(&raw, "q", Reason::Rejected);
    let expected = with_headers(
        ("q", "rejected"),
        ("q", "rejected"),
        vec![death("q", "rejected", 1)],
    );
    assert_eq!(decoded(&raw), decoded(&expected));
    let (raw, _) = again(&raw, "r", Reason::Expired);
    let (raw, deaths) = again(&raw, "q", Reason::Rejected);
    let expected = with_headers(
        ("q", "rejected"),
        ("q", "rejected"),
        vec![death("q", "rejected", 2), death("r", "expired", 1)],
    );
    assert_eq!(decoded(&raw), decoded(&expected));
    let known = vec![(b"q".to_vec(), true), (b"r".to_vec(), false)];
    assert_eq!(deaths, Known(known));
    let (raw, _) = again(&raw, "q", Reason::MaxLength);
    let expected = with_headers(
        ("q", "rejected"),
        ("q", "maxlen"),
        vec![
            death("q", "maxlen", 1),
            death("q", "rejected", 2),
            death("r", "expired", 1),
        ],
    );
    assert_eq!(decoded(&raw), decoded(&expected));
}

#[test]
fn fields_stand_in_rabbitmqs_order() {
    let raw = properties_to_vec(&plain().with_expiration("5".into()));
    let (raw, _) = again(&raw, "q", Reason::Expired);
    let names = |raw: &[u8]| -> Vec<Vec<String>> {
        let range = PropertyIndex::scan(raw).unwrap().headers.unwrap();
        let headers = &raw[range];
        let name = |entry: raw_table::RawEntry<'_>| String::from_utf8(entry.name.into()).unwrap();
        let deaths = raw_table::find(headers, "x-death").unwrap();
        let tables = raw_table::elements(deaths.bytes);
        std::iter::once(raw_table::entries(headers).map(name).collect())
            .chain(tables.map(|table| raw_table::fields(table.bytes).map(name).collect()))
            .collect()
    };
    let alone = names(&raw);
    assert!(alone[0].is_sorted());
    let order = "count reason queue time exchange routing-keys original-expiration";
    assert_eq!(alone[1].join(" "), order);
    let (raw, _) = again(&raw, "r", Reason::Expired);
    let two = names(&raw);
    assert!(two[0].is_sorted() && two[1].is_sorted());
    assert_eq!(two[2].join(" "), order);
}

#[test]
fn an_expiration_goes_and_is_remembered() {
    let raw = properties_to_vec(&plain().with_expiration("1500".into()));
    let (raw, _) = again(&raw, "q", Reason::Expired);
    let (rest, headers) = decoded(&raw);
    // Nothing but the flags tells that there are headers.
    let mut expected = properties_to_vec(&plain());
    expected[0] |= HEADERS_FLAG;
    assert_eq!(rest, expected);
    let Some(V::FieldArray(deaths)) = headers.inner().get("x-death") else {
        panic!("{headers:?}");
    };
    let V::FieldTable(entry) = &deaths.as_slice()[0] else {
        panic!("{deaths:?}");
    };
    let remembered = entry.inner().get("original-expiration");
    assert_eq!(remembered, Some(&string("1500")));
    assert!(!headers.contains_key("a"));
}

#[test]
fn copies_are_kept_unless_the_letter_gets_another_key() {
    let headers = table(&[("CC", array(vec![string("c"), V::LongInt(1)]))]);
    let raw = properties_to_vec(&plain().with_headers(headers));
    let kept = letter(&raw, Reason::Rejected);
    assert_eq!(
        Death::new(&kept, &origin("q", None), 7)
            .routing_keys
            .as_slice(),
        [b"k", b"c"]
    );
    assert!(
        decoded(&noted(&kept, &origin("q", None)).0)
            .1
            .contains_key("CC")
    );
    let other = letter(&raw, Reason::Rejected);
    assert_eq!(
        Death::new(&other, &origin("q", Some("new")), 7)
            .routing_keys
            .as_slice(),
        [b"k", b"c"]
    );
    assert!(
        !decoded(&noted(&other, &origin("q", Some("new"))).0)
            .1
            .contains_key("CC")
    );
}

#[test]
fn what_a_client_says_of_deaths_is_begun_anew() {
    let legacy = |queue| {
        V::FieldTable(table(&[
            ("queue", string(queue)),
            ("reason", string("expired")),
            ("exchange", string("x")),
            ("routing-keys", array(vec![string("k")])),
        ]))
    };
    for told in [
        string("?"),
        array(vec![death("q", "expired", 3)]),
        array(vec![legacy("a"), legacy("q"), legacy("a"), V::LongInt(1)]),
    ] {
        let headers = table(&[
            ("x-death", told),
            ("x-first-death-queue", string("a")),
            ("x-last-death-queue", V::LongInt(1)),
        ]);
        let raw = properties_to_vec(&plain().with_headers(headers));
        let message = MessageBuilder::new(b"x", b"k", &raw, true, 0).finish(true);
        let letter = DeadLetter {
            message: Arc::new(message),
            ..letter(&[0, 0], Reason::Expired)
        };
        let (raw, deaths) = noted(&letter, &origin("q", None));
        let (_, headers) = decoded(&raw);
        let value = |name| headers.inner().get(name).cloned();
        let one = array(vec![death("q", "expired", 1)]);
        assert_eq!(value("x-death"), Some(one));
        assert_eq!(value("x-first-death-queue"), Some(string("q")));
        assert_eq!(value("x-last-death-queue"), Some(string("q")));
        assert!(deaths.would_cycle("q") && !deaths.would_cycle("a"));
    }
}

#[test]
fn a_letter_that_nobody_rejected_on_its_way_round_goes_no_further() {
    let raw = properties_to_vec(&plain());
    let (raw, deaths) = again(&raw, "q", Reason::Rejected);
    assert!(!deaths.would_cycle("q") && !deaths.would_cycle("r"));
    let (raw, deaths) = again(&raw, "r", Reason::Expired);
    assert!(deaths.would_cycle("r"), "it has just come from there");
    assert!(!deaths.would_cycle("q"), "it was rejected there");
    let (_, deaths) = again(&raw, "q", Reason::Expired);
    assert!(deaths.would_cycle("r") && deaths.would_cycle("q"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(raw in prop::collection::vec(any::<u8>(), 2..64)) {
        let _ = again(&raw, "q", Reason::Expired);
    }

    #[test]
    fn what_it_notes_is_well_formed(
        raw in prop::collection::vec(any::<u8>(), 0..8),
        expires in any::<bool>(),
    ) {
        let mut properties = plain();
        if let Ok(text) = std::str::from_utf8(&raw) {
            properties = properties.with_headers(table(&[("x-death", array(vec![string(text)]))]));
        }
        if expires {
            properties = properties.with_expiration("1".into());
        }
        let (noted, _) = again(&properties_to_vec(&properties), "q", Reason::Expired);
        let index = PropertyIndex::scan(&noted).expect("well formed");
        prop_assert!(index.expiration.is_none() && index.headers.is_some());
        prop_assert_eq!(index.delivery_mode, Some(2));
    }
}
