//! The headers that streams read and write, in raw properties.

use leveret_protocol::raw_table::{self, RawValue};

/// The header with the message's offset, for consumers.
const OFFSET: &str = "x-stream-offset";
/// The header by which consumers filter.
const FILTER_VALUE: &str = "x-stream-filter-value";
/// The flag of the headers table, and of the properties before it.
const HEADERS: u16 = 1 << 13;
const BEFORE_HEADERS: [u16; 2] = [1 << 15, 1 << 14];

/// Returns the flags and the position of the headers table, present or not; `None` if the
/// properties are malformed, which is checked on arrival.
fn headers_start(properties: &[u8]) -> Option<(u16, usize)> {
    let flags = u16::from_be_bytes(*properties.first_chunk()?);
    let mut at = 2;
    for flag in BEFORE_HEADERS {
        if flags & flag != 0 {
            at += 1 + usize::from(*properties.get(at)?);
        }
    }
    (at <= properties.len()).then_some((flags, at))
}

/// Returns the headers table with its length prefix; empty if there is none.
fn table(properties: &[u8]) -> Option<&[u8]> {
    let (flags, at) = headers_start(properties)?;
    if flags & HEADERS == 0 {
        return Some(&[]);
    }
    let len = u32::from_be_bytes(*properties.get(at..)?.first_chunk()?) as usize;
    properties.get(at..at.checked_add(4)?.checked_add(len)?)
}

/// Returns the value that consumers filter by; `None` if the publisher gave none (it must be a
/// string).
pub fn filter_value(properties: &[u8]) -> Option<&[u8]> {
    match raw_table::find(table(properties)?, FILTER_VALUE) {
        Some(RawValue { kind: b'S', bytes }) => Some(bytes),
        _ => None,
    }
}

/// Returns the properties with the offset added as the last header, replacing one that the
/// publisher may have written.
pub fn with_offset(properties: &[u8], offset: u64) -> Vec<u8> {
    with_long(properties, OFFSET, offset)
}

/// Returns the properties with a long integer added as the last header, replacing one with the same
/// (short) name.
pub fn with_long(properties: &[u8], name: &str, value: u64) -> Vec<u8> {
    let (Some((flags, start)), Some(table)) = (headers_start(properties), table(properties)) else {
        return properties.to_vec();
    };
    let mut out = Vec::with_capacity(properties.len() + 32);
    out.extend_from_slice(&(flags | HEADERS).to_be_bytes());
    out.extend_from_slice(&properties[2..start]);
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    for entry in raw_table::entries(table).filter(|entry| entry.name != name.as_bytes()) {
        out.extend_from_slice(entry.bytes);
    }
    out.push(name.len() as u8);
    out.extend_from_slice(name.as_bytes());
    out.push(b'l');
    out.extend_from_slice(&value.to_be_bytes());
    // The length fits 32 bits: only a few bytes were added to what came in a smaller frame.
    let len = (out.len() - length_at - 4) as u32;
    out[length_at..length_at + 4].copy_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&properties[start + table.len()..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_protocol::classes::BasicProperties;
    use leveret_protocol::content::PropertyIndex;
    use leveret_protocol::method::properties_to_vec;
    use leveret_protocol::values::{AMQPValue, FieldTable};

    fn table_of(pairs: &[(&str, AMQPValue)]) -> FieldTable {
        let mut table = FieldTable::default();
        for (name, value) in pairs {
            table.insert((*name).into(), value.clone());
        }
        table
    }

    fn full() -> BasicProperties {
        BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_content_encoding("gzip".into())
            .with_priority(3)
            .with_message_id("m".into())
    }

    fn offset(offset: i64) -> (&'static str, AMQPValue) {
        (OFFSET, AMQPValue::LongLongInt(offset))
    }

    #[test]
    fn the_offset_stands_among_the_headers_whatever_else_there_is() {
        for base in [BasicProperties::default(), full()] {
            let raw = properties_to_vec(&base);
            let expected = base.clone().with_headers(table_of(&[offset(7)]));
            assert_eq!(with_offset(&raw, 7), properties_to_vec(&expected));
            let text = |t: &str| AMQPValue::LongString(t.into());
            let others = base
                .clone()
                .with_headers(table_of(&[("a", text("b")), (OFFSET, text("mine"))]));
            let found = with_offset(&properties_to_vec(&others), 1 << 40);
            let expected = base.with_headers(table_of(&[("a", text("b")), offset(1 << 40)]));
            assert_eq!(found, properties_to_vec(&expected));
            assert!(PropertyIndex::scan(&found).is_some());
        }
    }

    #[test]
    fn the_filter_value_is_a_string() {
        let value = |v: AMQPValue| {
            let headers = table_of(&[("z", AMQPValue::Void), (FILTER_VALUE, v)]);
            let raw = properties_to_vec(&full().with_headers(headers));
            filter_value(&raw).map(<[u8]>::to_vec)
        };
        assert_eq!(
            value(AMQPValue::LongString("de".into())),
            Some(b"de".to_vec())
        );
        assert_eq!(value(AMQPValue::LongInt(5)), None);
        assert_eq!(filter_value(&properties_to_vec(&full())), None);
        assert_eq!(filter_value(&[0, 0]), None);
    }

    #[test]
    fn malformed_properties_are_left_alone() {
        for raw in [&[][..], &[0x80, 0, 9, 1], &[0x20, 0, 0, 0, 0, 9]] {
            assert_eq!(with_offset(raw, 1), raw);
            assert_eq!(filter_value(raw), None);
        }
    }
}
