//! Property tests: decoders given valid input that was cut, extended or changed. None panics, none
//! finds what is not there, and where two decoders read the same thing they agree.
//!
//! `PROPTEST_CASES` sets the number of cases per test.

use crate::classes::{AMQPClass, BasicProperties, basic, connection, exchange, gen_class, queue};
use crate::content::{ContentHeader, HEADER_LEN, PropertyIndex, parse_expiration};
use crate::frame::{self, FRAME_END, HEADER_LEN as FRAME_HEADER_LEN, Split};
use crate::method::{self, Method};
use crate::raw_table;
use crate::table;
use crate::values::{AMQPValue, DecimalValue, FieldTable};
use proptest::prelude::*;
use proptest::sample::Index;

/// A change to the input.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Truncate(Index),
    /// Four bytes become a length.
    Length(Index, u32),
    /// A part is repeated at the end.
    Repeat(Index, Index),
}

impl Change {
    fn apply(&self, octets: &mut Vec<u8>) {
        if octets.is_empty() {
            return;
        }
        let len = octets.len();
        match self {
            Change::Flip(at, mask) => octets[at.index(len)] ^= mask,
            Change::Insert(at, octet) => octets.insert(at.index(len), *octet),
            Change::Remove(at) => drop(octets.remove(at.index(len))),
            Change::Truncate(at) => octets.truncate(at.index(len)),
            Change::Length(at, length) => {
                if let Some(field) = octets[at.index(len)..].first_chunk_mut() {
                    *field = length.to_be_bytes();
                }
            }
            Change::Repeat(from, to) => {
                let (from, to) = (from.index(len), to.index(len));
                octets.extend_from_within(from.min(to)..from.max(to));
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, mask)| Change::Flip(at, mask)),
        1 => (at(), any::<u8>()).prop_map(|(at, octet)| Change::Insert(at, octet)),
        1 => at().prop_map(Change::Remove),
        1 => at().prop_map(Change::Truncate),
        2 => (at(), prop_oneof![0u32..40, any::<u32>()]).prop_map(|(at, n)| Change::Length(at, n)),
        1 => (at(), at()).prop_map(|(from, to)| Change::Repeat(from, to)),
    ]
}

/// Applies up to three changes to the input.
fn changed(octets: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (octets, prop::collection::vec(change(), 0..4)).prop_map(|(mut octets, changes)| {
        changes.iter().for_each(|change| change.apply(&mut octets));
        octets
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-zä]{1,6}", Just("n".repeat(255))]
}

fn value() -> impl Strategy<Value = AMQPValue> {
    let octets = || prop::collection::vec(any::<u8>(), 0..12);
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
        (-1e30f32..1e30).prop_map(AMQPValue::Float),
        (-1e300f64..1e300).prop_map(AMQPValue::Double),
        any::<(u8, u32)>()
            .prop_map(|(scale, value)| AMQPValue::DecimalValue(DecimalValue { scale, value })),
        octets().prop_map(|octets| AMQPValue::LongString(octets.into())),
        octets().prop_map(|octets| AMQPValue::ByteArray(octets.into())),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|values| AMQPValue::FieldArray(values.into())),
            fields(inner).prop_map(AMQPValue::FieldTable),
        ]
    })
}

fn fields(value: impl Strategy<Value = AMQPValue>) -> impl Strategy<Value = FieldTable> {
    prop::collection::vec((name(), value), 0..5).prop_map(|fields| {
        let mut table = FieldTable::default();
        for (name, value) in fields {
            table.insert(name.into(), value);
        }
        table
    })
}

/// Methods that cover every kind of argument.
fn class() -> impl Strategy<Value = AMQPClass> {
    let flags = any::<[bool; 5]>;
    prop_oneof![
        (name(), flags(), fields(value())).prop_map(|(name, [a, b, c, d, e], arguments)| {
            let declare = queue::Declare {
                queue: name.into(),
                passive: a,
                durable: b,
                exclusive: c,
                auto_delete: d,
                nowait: e,
                arguments,
            };
            AMQPClass::Queue(queue::AMQPMethod::Declare(declare))
        }),
        (name(), name(), flags(), fields(value())).prop_map(
            |(source, key, [nowait, ..], arguments)| {
                let bind = exchange::Bind {
                    destination: "x".into(),
                    source: source.into(),
                    routing_key: key.into(),
                    nowait,
                    arguments,
                };
                AMQPClass::Exchange(exchange::AMQPMethod::Bind(bind))
            }
        ),
        (
            fields(value()),
            name(),
            prop::collection::vec(any::<u8>(), 0..20)
        )
            .prop_map(|(client_properties, mechanism, response)| {
                let start_ok = connection::StartOk {
                    client_properties,
                    mechanism: mechanism.into(),
                    response: response.into(),
                    locale: "en_US".into(),
                };
                AMQPClass::Connection(connection::AMQPMethod::StartOk(start_ok))
            }),
        (name(), name(), flags()).prop_map(|(exchange, key, [mandatory, immediate, ..])| {
            let publish = basic::Publish {
                exchange: exchange.into(),
                routing_key: key.into(),
                mandatory,
                immediate,
            };
            AMQPClass::Basic(basic::AMQPMethod::Publish(publish))
        }),
        (any::<u64>(), flags()).prop_map(|(delivery_tag, [multiple, requeue, ..])| {
            let nack = basic::Nack {
                delivery_tag,
                multiple,
                requeue,
            };
            AMQPClass::Basic(basic::AMQPMethod::Nack(nack))
        }),
    ]
}

fn payload(class: &AMQPClass) -> Vec<u8> {
    table::to_vec(gen_class(class))
}

fn properties() -> impl Strategy<Value = Vec<u8>> {
    (
        prop::option::of(fields(value())),
        name(),
        any::<u8>(),
        any::<u64>(),
    )
        .prop_map(|(headers, word, octet, time)| {
            let mut properties = BasicProperties::default()
                .with_content_type(word.as_str().into())
                .with_delivery_mode(octet)
                .with_priority(octet)
                .with_reply_to(word.as_str().into())
                .with_expiration(word.as_str().into())
                .with_timestamp(time)
                .with_user_id(word.as_str().into());
            if let Some(headers) = headers {
                properties = properties.with_headers(headers);
            }
            method::properties_to_vec(&properties)
        })
}

/// A few frames in sequence.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let frame = (0u8..10, any::<u16>(), class()).prop_map(|(kind, channel, class)| {
        let payload = payload(&class);
        let mut out = vec![kind.max(1)];
        out.extend_from_slice(&channel.to_be_bytes());
        out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        out.extend(payload);
        out.push(FRAME_END);
        out
    });
    prop::collection::vec(frame, 1..5).prop_map(|frames| frames.concat())
}

/// Splits input that arrives in pieces of this size. Returns the frames found and the error, if
/// any.
fn split_all(octets: &[u8], piece: usize, frame_max: u32) -> (Vec<Vec<u8>>, Option<String>) {
    let (mut buffer, mut frames) = (Vec::new(), Vec::new());
    for piece in octets.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match frame::split(&buffer, frame_max) {
                Ok(Split::Whole(frame)) => {
                    assert!(frame.total() > FRAME_HEADER_LEN && frame.total() <= buffer.len());
                    frames.push(buffer.drain(..frame.total()).collect());
                }
                Ok(Split::Need(octets)) => {
                    assert!(octets > buffer.len());
                    break;
                }
                // The text depends on how much of the frame has arrived; the reason does not.
                Err(error) => {
                    let reason = error.text.rsplit(": ").next().map(str::to_owned);
                    return (frames, reason);
                }
            }
        }
    }
    (frames, None)
}

/// Reads everything in a table that the broker may look for.
fn look_at(octets: &[u8]) -> usize {
    let mut comparable = Vec::new();
    let entries = raw_table::entries(octets).inspect(|entry| {
        entry.value.comparable(&mut comparable);
        let _ = (
            entry.value.type_name(),
            raw_table::elements(entry.value.bytes).count(),
        );
    });
    entries.count()
}

proptest! {
    #[test]
    fn frames_are_found_alike_in_one_piece_and_in_many(
        octets in changed(stream()), piece in 1usize..40, frame_max in prop::sample::select(vec![0u32, 4096]),
    ) {
        let whole = split_all(&octets, octets.len().max(1), frame_max);
        prop_assert_eq!(split_all(&octets, piece, frame_max), whole);
    }

    #[test]
    fn a_method_that_decodes_is_written_as_it_was_read(octets in changed(class().prop_map(|c| payload(&c)))) {
        let _ = frame::describe(1, &octets);
        if let Ok(Method::Other(class)) = method::decode(&octets) {
            let again = payload(&class);
            prop_assert_eq!(method::decode(&again), Ok(Method::Other(class)));
        }
    }

    #[test]
    fn sound_methods_decode(class in class()) {
        prop_assert!(method::decode(&payload(&class)).is_ok());
    }

    #[test]
    fn a_table_that_passes_the_check_is_read_alike_raw_and_decoded(
        octets in changed(fields(value()).prop_map(|t| table::encode(&t)))
    ) {
        let raw = look_at(&octets);
        let Ok(len) = table::check(&octets) else { return Ok(()) };
        prop_assert!(len <= octets.len());
        let octets = &octets[..len];
        if let Some(decoded) = table::decode(octets) {
            prop_assert!(decoded.inner().len() <= raw.max(look_at(octets)));
            for (name, value) in &decoded {
                let found = raw_table::find(octets, name.as_str());
                prop_assert!(found.is_some());
                let _ = (table::display(value), table::type_name(value), table::as_integer(value));
                // NaN is not equal to itself.
                let not_a_number = format!("{value:?}").contains("NaN");
                prop_assert!(not_a_number || table::equivalent(value, value));
            }
            prop_assert!(table::check(&table::encode(&decoded)).is_ok());
        }
    }

    #[test]
    fn properties_are_found_within_their_octets(octets in changed(properties())) {
        let Some(index) = PropertyIndex::scan(&octets) else { return Ok(()) };
        for range in [&index.expiration, &index.user_id, &index.reply_to, &index.headers] {
            let Some(range) = range.clone() else { continue };
            prop_assert!(range.start >= 2 && range.end <= octets.len());
            let _ = parse_expiration(&octets[range]);
        }
        if let Some(headers) = index.headers {
            look_at(&octets[headers.clone()]);
            let _ = table::decode(&octets[headers]);
        }
    }

    #[test]
    fn sound_properties_are_found(octets in properties()) {
        prop_assert!(PropertyIndex::scan(&octets).is_some());
    }

    #[test]
    fn a_content_header_is_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..40)) {
        let header = ContentHeader::decode(&octets);
        prop_assert_eq!(header.is_some(), octets.len() >= HEADER_LEN);
    }

    #[test]
    fn expirations_are_digits(octets in prop::collection::vec(prop_oneof![b'0'..=b'9', any::<u8>()], 0..24)) {
        if let Ok(milliseconds) = parse_expiration(&octets) {
            prop_assert!(octets.iter().all(u8::is_ascii_digit) && milliseconds <= 0xffff_ffff);
        }
    }
}
