//! The `x-delay` header: how long a message is delayed, and how consumers see that it was.

use leveret_protocol::content::PropertyIndex;
use leveret_protocol::raw_table::{self, RawValue};
use std::num::IntErrorKind;
use std::time::Duration;

const X_DELAY: &str = "x-delay";

/// Returns how long a message with these headers (a table with its length prefix, or nothing) is
/// delayed: `x-delay` milliseconds, without a maximum. (The plugin immediately routes a message
/// whose delay exceeds an Erlang timer, 2^32 - 1 ms.) Returns `None` without the header, or if it
/// is not a number above 0.
pub fn delay_of(headers: &[u8]) -> Option<Duration> {
    let delay = milliseconds(raw_table::find(headers, X_DELAY)?)?;
    let delay = u64::try_from(delay).ok().filter(|delay| *delay > 0)?;
    Some(Duration::from_millis(delay))
}

/// Converts a value to a number (the plugin: `get_delay`): any integer, the integral part of a
/// floating point number, or decimal text; larger values saturate.
fn milliseconds(value: RawValue<'_>) -> Option<i64> {
    Some(match (value.kind, value.bytes) {
        (b'b', &[a]) => i64::from(a.cast_signed()),
        (b'B', &[a]) => i64::from(a),
        (b's' | b'U', &[a, b]) => i64::from(i16::from_be_bytes([a, b])),
        (b'u', &[a, b]) => i64::from(u16::from_be_bytes([a, b])),
        (b'I', &[a, b, c, d]) => i64::from(i32::from_be_bytes([a, b, c, d])),
        (b'i', &[a, b, c, d]) => i64::from(u32::from_be_bytes([a, b, c, d])),
        (b'l' | b'L', bytes) => i64::from_be_bytes(bytes.try_into().ok()?),
        // The cast truncates, and maps NaN to zero.
        (b'f', &[a, b, c, d]) => f32::from_be_bytes([a, b, c, d]) as i64,
        (b'd', bytes) => f64::from_be_bytes(bytes.try_into().ok()?) as i64,
        (b'S' | b'x', bytes) => match std::str::from_utf8(bytes).ok()?.parse::<i64>() {
            Err(error) if *error.kind() == IntErrorKind::PosOverflow => i64::MAX,
            parsed => parsed.ok()?,
        },
        _ => return None,
    })
}

/// Returns the properties of a message that was delayed: `x-delay` becomes negative, so that no
/// other delayed exchange keeps the message again and consumers can tell that it was delayed (the
/// plugin's README and `swap_delay_header`).
///
/// It is a 32-bit integer if it fits, which all clients read alike, as in the plugin for RabbitMQ
/// 3. In RabbitMQ 4 it is a 64-bit one, which pika takes for unsigned.
pub fn waited(properties: &[u8]) -> Vec<u8> {
    replaced(properties).unwrap_or_else(|| properties.to_vec())
}

fn replaced(properties: &[u8]) -> Option<Vec<u8>> {
    let headers = PropertyIndex::scan(properties)?.headers?;
    let table = properties.get(headers.clone())?;
    // After the length of the table.
    let mut at = headers.start + 4;
    let entry = raw_table::entries(table).find(|entry| {
        let found = entry.name == X_DELAY.as_bytes();
        at += if found { 0 } else { entry.bytes.len() };
        found
    })?;
    let delay = milliseconds(entry.value)?;
    let value = at + 1 + entry.name.len()..at + entry.bytes.len();
    let mut new = Vec::with_capacity(properties.len() + 9);
    new.extend_from_slice(&properties[..value.start]);
    let negative = delay.wrapping_neg();
    match i32::try_from(negative) {
        Ok(short) => {
            new.push(b'I');
            new.extend_from_slice(&short.to_be_bytes());
        }
        Err(_) => {
            new.push(b'l');
            new.extend_from_slice(&negative.to_be_bytes());
        }
    }
    new.extend_from_slice(&properties[value.end..]);
    let len = (table.len() - 4 + new.len() - properties.len()) as u32;
    new[headers.start..headers.start + 4].copy_from_slice(&len.to_be_bytes());
    Some(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_protocol::classes::BasicProperties;
    use leveret_protocol::method::properties_to_vec;
    use leveret_protocol::table;
    use leveret_protocol::values::{AMQPValue as V, FieldTable};
    use proptest::prelude::*;

    fn headers(value: V) -> FieldTable {
        let mut headers = FieldTable::default();
        headers.insert("a".into(), V::LongString("before".into()));
        headers.insert("x-delay".into(), value);
        headers.insert("z".into(), V::LongInt(1));
        headers
    }

    fn millis(value: V) -> Option<u128> {
        delay_of(&table::encode(&headers(value))).map(|delay| delay.as_millis())
    }

    #[test]
    fn any_kind_of_number_is_a_delay() {
        for value in [
            V::ShortShortInt(100),
            V::ShortShortUInt(100),
            V::ShortInt(100),
            V::ShortUInt(100),
            V::LongInt(100),
            V::LongUInt(100),
            V::LongLongInt(100),
            V::Float(100.7),
            V::Double(100.7),
            V::LongString("100".into()),
            V::LongString("+100".into()),
            V::ByteArray(b"100".as_slice().into()),
        ] {
            assert_eq!(millis(value.clone()), Some(100), "{value:?}");
        }
    }

    #[test]
    fn what_is_no_delay_does_not_wait() {
        for value in [
            V::LongInt(0),
            V::LongInt(-5),
            V::LongLongInt(i64::MIN),
            V::Double(f64::NAN),
            V::Double(0.9),
            V::LongString("abc".into()),
            V::LongString("".into()),
            V::LongString("100.5".into()),
            V::LongString(" 100".into()),
            V::Boolean(true),
            V::Timestamp(100),
            V::Void,
            V::FieldTable(FieldTable::default()),
        ] {
            assert_eq!(millis(value.clone()), None, "{value:?}");
        }
        assert_eq!(delay_of(&[]), None);
    }

    #[test]
    fn a_long_delay_is_waited_for() {
        for (value, expected) in [
            (V::LongLongInt(0xffff_ffff), 0xffff_ffff),
            (V::LongLongInt(0x1_0000_0000), 0x1_0000_0000),
            (V::LongString("4294967296".into()), 0x1_0000_0000),
            (V::LongLongInt(i64::MAX), i64::MAX as u128),
            (V::Double(f64::INFINITY), i64::MAX as u128),
            (
                V::LongString("99999999999999999999".into()),
                i64::MAX as u128,
            ),
        ] {
            assert_eq!(millis(value.clone()), Some(expected), "{value:?}");
        }
    }

    #[test]
    fn a_message_that_has_waited_says_so_and_is_otherwise_the_same() {
        for (value, expected) in [
            (V::LongInt(5000), V::LongInt(-5000)),
            (V::LongString("5000".into()), V::LongInt(-5000)),
            (V::Double(5000.2), V::LongInt(-5000)),
            (V::LongUInt(u32::MAX), V::LongLongInt(-0xffff_ffff)),
        ] {
            let properties = |headers| {
                BasicProperties::default()
                    .with_content_type("text/plain".into())
                    .with_headers(headers)
                    .with_correlation_id("c".into())
            };
            let raw = properties_to_vec(&properties(headers(value)));
            let expected = properties_to_vec(&properties(headers(expected)));
            assert_eq!(waited(&raw), expected);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(raw in prop::collection::vec(any::<u8>(), 0..48)) {
            let _ = delay_of(&raw);
            let _ = waited(&raw);
        }
    }
}
