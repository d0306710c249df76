//! Field tables and properties: mostly what a broker knows, with values that make sense; sometimes
//! any value of any type, nested, huge or broken.

use super::super::requests::{table, text};
use super::methods::{EXCHANGES, QUEUES, TYPES, word};
use leveret_protocol::classes::BasicProperties;
use leveret_protocol::method::properties_to_vec;
use leveret_protocol::values::{AMQPValue, DecimalValue, FieldTable};
use proptest::prelude::*;
use proptest::sample::select;

/// A field table as it travels.
#[derive(Clone, Debug)]
pub(super) enum Table {
    Sound(FieldTable),
    /// So many tables in each other.
    Nested(usize),
    /// So many fields.
    Huge(usize),
    /// Anything, its length in front.
    Broken(Vec<u8>),
}

impl Table {
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Table::Sound(fields) => leveret_protocol::table::encode(fields),
            Table::Nested(depth) => {
                let mut inner = FieldTable::default();
                for _ in 0..*depth {
                    inner = table([("k", AMQPValue::FieldTable(inner))]);
                }
                leveret_protocol::table::encode(&inner)
            }
            Table::Huge(fields) => {
                let mut huge = FieldTable::default();
                for i in 0..*fields {
                    huge.insert(format!("field-{i}").into(), text("a value of some length"));
                }
                leveret_protocol::table::encode(&huge)
            }
            Table::Broken(body) => {
                let mut bytes = (body.len() as u32).to_be_bytes().to_vec();
                bytes.extend_from_slice(body);
                bytes
            }
        }
    }
}

/// A table out of fields like these.
pub(super) fn table_of(
    fields: impl Strategy<Value = (String, AMQPValue)>,
    most: usize,
) -> impl Strategy<Value = Table> {
    prop_oneof![
        600 => prop::collection::vec(fields, 0..=most).prop_map(|fields| Table::Sound(collect(fields))),
        1 => (0usize..70).prop_map(Table::Nested),
        1 => (0usize..3000).prop_map(Table::Huge),
        1 => prop::collection::vec(any::<u8>(), 0..30).prop_map(Table::Broken),
    ]
}

fn collect(fields: Vec<(String, AMQPValue)>) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in fields {
        table.insert(name.into(), value);
    }
    table
}

/// A value of any type.
fn value() -> impl Strategy<Value = AMQPValue> {
    let leaf = prop_oneof![
        Just(AMQPValue::Void),
        any::<bool>().prop_map(AMQPValue::Boolean),
        any::<i8>().prop_map(AMQPValue::ShortShortInt),
        any::<u8>().prop_map(AMQPValue::ShortShortUInt),
        any::<i16>().prop_map(AMQPValue::ShortInt),
        any::<u16>().prop_map(AMQPValue::ShortUInt),
        any::<i32>().prop_map(AMQPValue::LongInt),
        any::<u32>().prop_map(AMQPValue::LongUInt),
        any::<i64>().prop_map(AMQPValue::LongLongInt),
        any::<u64>().prop_map(AMQPValue::Timestamp),
        any::<f32>().prop_map(AMQPValue::Float),
        any::<f64>().prop_map(AMQPValue::Double),
        any::<(u8, u32)>()
            .prop_map(|(scale, value)| AMQPValue::DecimalValue(DecimalValue { scale, value })),
        word().prop_map(|word| text(&word)),
        prop::collection::vec(any::<u8>(), 0..8)
            .prop_map(|octets| AMQPValue::LongString(octets.into())),
        prop::collection::vec(any::<u8>(), 0..8)
            .prop_map(|octets| AMQPValue::ByteArray(octets.into())),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|values| AMQPValue::FieldArray(values.into())),
            prop::collection::vec((word(), inner), 0..4)
                .prop_map(|fields| AMQPValue::FieldTable(collect(fields))),
        ]
    })
}

/// An integer as clients send them: of any width, small, sometimes out of bounds.
fn number() -> impl Strategy<Value = AMQPValue> {
    prop_oneof![
        4 => (0i32..6).prop_map(AMQPValue::LongInt),
        2 => (0i64..2000).prop_map(AMQPValue::LongLongInt),
        1 => any::<i8>().prop_map(AMQPValue::ShortShortInt),
        1 => any::<u8>().prop_map(AMQPValue::ShortShortUInt),
        1 => any::<i64>().prop_map(AMQPValue::LongLongInt),
    ]
}

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = AMQPValue> {
    select(words).prop_map(text)
}

fn flag() -> impl Strategy<Value = AMQPValue> {
    any::<bool>().prop_map(AMQPValue::Boolean)
}

fn texts() -> impl Strategy<Value = AMQPValue> {
    prop::collection::vec(one_of(QUEUES), 0..4)
        .prop_map(|values| AMQPValue::FieldArray(values.into()))
}

/// A field that the broker knows, seldom with a value of any type.
fn known<S: Strategy<Value = AMQPValue> + 'static>(
    name: &'static str,
    plausible: S,
) -> BoxedStrategy<(String, AMQPValue)> {
    prop_oneof![12 => plausible.boxed(), 1 => value().boxed()]
        .prop_map(move |value| (name.to_owned(), value))
        .boxed()
}

fn unknown() -> BoxedStrategy<(String, AMQPValue)> {
    (word(), value()).boxed()
}

/// queue.declare's.
pub(super) fn queue_arguments() -> impl Strategy<Value = (String, AMQPValue)> {
    let overflow: &[&str] = &["drop-head", "reject-publish", "reject-publish-dlx", "x"];
    let kinds: &[&str] = &["classic", "classic", "classic", "quorum", "stream"];
    proptest::strategy::Union::new([
        known("x-message-ttl", number()),
        known("x-expires", number()),
        known("x-max-length", number()),
        known("x-max-length-bytes", number()),
        known("x-max-priority", number()),
        known("x-dead-letter-exchange", one_of(EXCHANGES)),
        known("x-dead-letter-exchange", one_of(EXCHANGES)),
        known("x-dead-letter-routing-key", one_of(QUEUES)),
        known(
            "x-dead-letter-strategy",
            one_of(&["at-most-once", "at-least-once"]),
        ),
        known("x-overflow", one_of(overflow)),
        known("x-queue-mode", one_of(&["default", "lazy"])),
        known("x-queue-type", one_of(kinds)),
        known("x-queue-version", number()),
        known("x-single-active-consumer", flag()),
        known("x-consumer-timeout", number()),
        known("x-delivery-limit", number()),
        known("x-max-age", one_of(&["1h", "1s", "h"])),
        known("x-stream-max-segment-size-bytes", number()),
        unknown(),
    ])
}

/// exchange.declare's.
pub(super) fn exchange_arguments() -> impl Strategy<Value = (String, AMQPValue)> {
    proptest::strategy::Union::new([
        known("alternate-exchange", one_of(EXCHANGES)),
        known("x-delayed-type", one_of(TYPES)),
        known("hash-header", one_of(QUEUES)),
        known(
            "hash-property",
            one_of(&["message_id", "correlation_id", "x"]),
        ),
        known("x-cache-size", number()),
        known("x-cache-ttl", number()),
        known("x-cache-persistence", one_of(&["memory", "disk"])),
        unknown(),
    ])
}

/// queue.bind's and exchange.bind's.
pub(super) fn binding_arguments() -> impl Strategy<Value = (String, AMQPValue)> {
    let matches: &[&str] = &["all", "any", "all-with-x", "any-with-x", "x"];
    proptest::strategy::Union::new([
        known("x-match", one_of(matches)),
        known("a", number()),
        known("b", one_of(QUEUES)),
        unknown(),
    ])
}

/// basic.consume's.
pub(super) fn consume_arguments() -> impl Strategy<Value = (String, AMQPValue)> {
    proptest::strategy::Union::new([
        known("x-priority", number()),
        known("x-cancel-on-ha-failover", flag()),
        known("x-consumer-timeout", number()),
        known(
            "x-stream-offset",
            one_of(&["first", "last", "next", "1h", "5"]),
        ),
        known("x-stream-offset", number()),
        known("x-stream-filter", one_of(QUEUES)),
        known("x-stream-match-unfiltered", flag()),
        unknown(),
    ])
}

/// A message's headers.
fn headers() -> impl Strategy<Value = (String, AMQPValue)> {
    proptest::strategy::Union::new([
        known("CC", texts()),
        known("BCC", texts()),
        known("x-delay", number()),
        known("x-death", texts()),
        known("x-first-death-queue", one_of(QUEUES)),
        known("x-deduplication-header", one_of(QUEUES)),
        known("a", number()),
        known("b", one_of(QUEUES)),
        unknown(),
    ])
}

/// What clients announce.
pub(super) fn client_properties() -> impl Strategy<Value = (String, AMQPValue)> {
    let capabilities = prop::collection::vec(
        (
            select(&["authentication_failure_close", "consumer_cancel_notify"][..]),
            flag(),
        ),
        0..3,
    );
    let capabilities = capabilities.prop_map(|fields| {
        let named = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        AMQPValue::FieldTable(collect(named.collect()))
    });
    proptest::strategy::Union::new([known("capabilities", capabilities), unknown()])
}

/// Raw properties of a content header, flags first.
pub(super) fn properties() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        200 => sound_properties().prop_map(|properties| properties_to_vec(&properties)),
        1 => prop::collection::vec(any::<u8>(), 0..12),
        // A headers table, as it may be.
        20 => table_of(headers(), 4).prop_map(|table| {
            let mut raw = 0x2000u16.to_be_bytes().to_vec();
            raw.extend(table.bytes());
            raw
        }),
    ]
}

fn sound_properties() -> impl Strategy<Value = BasicProperties> {
    let maybe = |word: BoxedStrategy<String>| prop::option::weighted(0.1, word);
    let expiration: &[&str] = &[
        "0",
        "1",
        "5",
        "1000",
        "99999999999999999999",
        "-1",
        "1s",
        "",
    ];
    let reply_to: &[&str] = &["a", "amq.rabbitmq.reply-to", "amq.rabbitmq.reply-to.1.x"];
    let first = (
        prop::option::weighted(0.6, prop_oneof![9 => 1u8..3, 1 => any::<u8>()]),
        prop::option::weighted(0.2, any::<u8>()),
        prop::option::weighted(0.03, select(expiration)),
        prop::option::weighted(0.03, select(reply_to)),
        prop::option::weighted(0.02, select(&["guest", "guest", "guest", "mallory"][..])),
        prop::option::weighted(0.1, any::<u64>()),
    );
    let words = prop::collection::vec(maybe(word().boxed()), 7);
    (first, words).prop_map(
        |((mode, priority, expiration, reply_to, user, time), words)| {
            let mut p = BasicProperties::default();
            let word = |at: usize| words[at].clone().map(Into::into);
            type With<T> = fn(BasicProperties, T) -> BasicProperties;
            fn set<T>(p: &mut BasicProperties, value: Option<T>, with: With<T>) {
                if let Some(value) = value {
                    *p = with(std::mem::take(p), value);
                }
            }
            set(&mut p, mode, BasicProperties::with_delivery_mode);
            set(&mut p, priority, BasicProperties::with_priority);
            set(
                &mut p,
                expiration.map(Into::into),
                BasicProperties::with_expiration,
            );
            set(
                &mut p,
                reply_to.map(Into::into),
                BasicProperties::with_reply_to,
            );
            set(&mut p, user.map(Into::into), BasicProperties::with_user_id);
            set(&mut p, time, BasicProperties::with_timestamp);
            set(&mut p, word(0), BasicProperties::with_content_type);
            set(&mut p, word(1), BasicProperties::with_content_encoding);
            set(&mut p, word(2), BasicProperties::with_correlation_id);
            set(&mut p, word(3), BasicProperties::with_message_id);
            set(&mut p, word(4), BasicProperties::with_type);
            set(&mut p, word(5), BasicProperties::with_app_id);
            set(&mut p, word(6), BasicProperties::with_cluster_id);
            p
        },
    )
}
