//! Content headers (spec 2.3.5.2, 4.2.6.1). Properties are kept as raw bytes: they are sent on
//! unchanged, and the few that the broker acts upon are found in one pass.

use crate::erlang::erlang_binary;
use crate::table;
use std::ops::Range;

/// The class that carries content, `basic`.
pub const CLASS_BASIC: u16 = 60;
/// The length of a content header without its properties: class, weight, body size.
pub const HEADER_LEN: usize = 12;

/// The fixed part of a content header frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHeader {
    /// The class of the content; always `basic`.
    pub class: u16,
    /// Always 0; RabbitMQ rejects a header with another weight.
    pub weight: u16,
    /// The size in bytes of the body that follows in body frames.
    pub body_size: u64,
}

impl ContentHeader {
    /// Decodes the fixed part. The properties follow it, from [`HEADER_LEN`] on. Returns `None` if
    /// the payload is too short.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let fixed: &[u8; HEADER_LEN] = payload.first_chunk()?;
        let [c0, c1, w0, w1, size @ ..] = *fixed;
        Some(ContentHeader {
            class: u16::from_be_bytes([c0, c1]),
            weight: u16::from_be_bytes([w0, w1]),
            body_size: u64::from_be_bytes(size),
        })
    }
}

/// The properties of `basic` in the order of their flag bits, starting with the highest.
const SHORT_STRING: u8 = b's';
const LAYOUT: [(u16, u8); 14] = [
    (15, SHORT_STRING), // content-type
    (14, SHORT_STRING), // content-encoding
    (13, b'F'),         // headers
    (12, b'B'),         // delivery-mode
    (11, b'B'),         // priority
    (10, SHORT_STRING), // correlation-id
    (9, SHORT_STRING),  // reply-to
    (8, SHORT_STRING),  // expiration
    (7, SHORT_STRING),  // message-id
    (6, b'T'),          // timestamp
    (5, SHORT_STRING),  // type
    (4, SHORT_STRING),  // user-id
    (3, SHORT_STRING),  // app-id
    (2, SHORT_STRING),  // cluster-id
];

/// The properties that a broker acts upon, as ranges of the raw property bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PropertyIndex {
    /// 1 transient, 2 persistent.
    pub delivery_mode: Option<u8>,
    /// 0 to 255.
    pub priority: Option<u8>,
    /// Time to live as decimal text, milliseconds.
    pub expiration: Option<Range<usize>>,
    /// The user that the publisher claims to be.
    pub user_id: Option<Range<usize>>,
    /// Where replies should go.
    pub reply_to: Option<Range<usize>>,
    /// The headers table with its length prefix.
    pub headers: Option<Range<usize>>,
}

impl PropertyIndex {
    /// Scans raw properties, including the flags, once. Returns `None` if they are malformed: a
    /// length that points outside, an invalid headers table, or bytes left over.
    pub fn scan(properties: &[u8]) -> Option<Self> {
        let mut index = PropertyIndex::default();
        let table_len = |bytes: &[u8]| table::check(bytes).ok();
        walk(properties, table_len, |bit, value| match bit {
            13 => index.headers = Some(value),
            12 => index.delivery_mode = Some(properties[value.start]),
            11 => index.priority = Some(properties[value.start]),
            9 => index.reply_to = Some(value),
            8 => index.expiration = Some(value),
            4 => index.user_id = Some(value),
            _ => {}
        })?;
        Some(index)
    }

    /// Returns whether the message asks to survive a restart (`delivery_mode` 2).
    pub fn persistent(&self) -> bool {
        self.delivery_mode == Some(2)
    }
}

/// A property that is looked up on its own, because it is rarely needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Property {
    /// The headers table, with its length prefix.
    Headers = 13,
    /// `delivery-mode`, one byte.
    DeliveryMode = 12,
    /// `priority`, one byte.
    Priority = 11,
    /// `correlation-id`
    CorrelationId = 10,
    /// `expiration`, milliseconds as text.
    Expiration = 8,
    /// `message-id`
    MessageId = 7,
    /// `timestamp`, eight bytes.
    Timestamp = 6,
}

/// Returns the bytes of one property, strings without their length, or `None` if it is absent. A
/// headers table must have passed [`PropertyIndex::scan`]: only its length is checked here.
pub fn property(properties: &[u8], wanted: Property) -> Option<&[u8]> {
    let mut found = None;
    walk(properties, table::stated_len, |bit, value| {
        if bit == wanted as u16 {
            found = Some(value);
        }
    })?;
    properties.get(found?)
}

/// The value of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyValue<'a> {
    /// A short string, without its length.
    Text(&'a [u8]),
    /// The headers table, with its length prefix.
    Headers(&'a [u8]),
    /// A byte or a timestamp.
    Number(u64),
}

/// Visits raw properties with their names, as RabbitMQ writes them (`content_type`). Returns `None` if they are malformed;
/// a headers table must have passed [`PropertyIndex::scan`].
pub fn each_property<'a>(
    properties: &'a [u8],
    mut visit: impl FnMut(&'static str, PropertyValue<'a>),
) -> Option<()> {
    const NAMES: [&str; 14] = [
        "cluster_id",
        "app_id",
        "user_id",
        "type",
        "timestamp",
        "message_id",
        "expiration",
        "reply_to",
        "correlation_id",
        "priority",
        "delivery_mode",
        "headers",
        "content_encoding",
        "content_type",
    ];
    walk(properties, table::stated_len, |bit, value| {
        // The lowest bit of a property is 2, and `walk` has checked the range.
        let (name, value) = (NAMES[usize::from(bit) - 2], &properties[value]);
        let number = || {
            value
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        visit(
            name,
            match bit {
                13 => PropertyValue::Headers(value),
                12 | 11 | 6 => PropertyValue::Number(number()),
                _ => PropertyValue::Text(value),
            },
        );
    })
}

/// Visits raw properties with their flag bits. Returns `None` if they are malformed.
#[inline]
fn walk(
    properties: &[u8],
    table_len: impl Fn(&[u8]) -> Option<usize>,
    mut visit: impl FnMut(u16, Range<usize>),
) -> Option<()> {
    let flags = u16::from_be_bytes(*properties.first_chunk()?);
    // Bit 0 announces another flag word, which basic does not have. Bit 1 is no property.
    if flags & 0b11 != 0 {
        return None;
    }
    let mut at = 2;
    for (bit, kind) in LAYOUT {
        if flags & (1 << bit) == 0 {
            continue;
        }
        let (value, end) = match kind {
            SHORT_STRING => {
                let start = at + 1;
                let end = start + usize::from(*properties.get(at)?);
                (start..end, end)
            }
            b'F' => {
                let end = at.checked_add(table_len(properties.get(at..)?)?)?;
                (at..end, end)
            }
            b'B' => (at..at + 1, at + 1),
            _ => (at..at + 8, at + 8),
        };
        if end > properties.len() {
            return None;
        }
        visit(bit, value);
        at = end;
    }
    (at == properties.len()).then_some(())
}

/// The longest time to live of messages and the longest `x-expires` of queues: ten years
/// (`rabbit_misc:check_expiry`).
pub const MAX_EXPIRY_MS: u64 = 315_360_000_000;

/// Checks an `expiration` property as RabbitMQ does and returns it in milliseconds.
///
/// # Errors
/// The reason, as in RabbitMQ's reply text.
pub fn parse_expiration(bytes: &[u8]) -> Result<u64, String> {
    let signed = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let digits = bytes[signed..].iter().take_while(|b| b.is_ascii_digit());
    let end = signed + digits.count();
    if end == signed {
        return Err("no_integer".to_owned());
    }
    if end < bytes.len() {
        return Err(format!(
            "{{leftover_string,{}}}",
            erlang_string(&bytes[end..])
        ));
    }
    // Digits are ASCII. RabbitMQ prints the number without leading zeros or a plus sign.
    let text = std::str::from_utf8(&bytes[signed..]).unwrap_or_default();
    let number = match text.trim_start_matches('0') {
        "" => "0",
        number => number,
    };
    if bytes[0] == b'-' && number != "0" {
        return Err(format!("{{value_negative,-{number}}}"));
    }
    match number.parse::<u64>() {
        Ok(ms) if ms <= MAX_EXPIRY_MS => Ok(ms),
        _ => Err(format!("{{value_too_large,{number}}}")),
    }
}

fn erlang_string(bytes: &[u8]) -> String {
    let binary = erlang_binary(bytes);
    binary
        .trim_start_matches("<<")
        .trim_end_matches(">>")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classes::BasicProperties;
    use crate::method::properties_to_vec;
    use proptest::prelude::*;

    #[test]
    fn the_properties_that_matter_are_found() {
        let properties = BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_delivery_mode(2)
            .with_priority(7)
            .with_expiration("1500".into())
            .with_user_id("guest".into())
            .with_cluster_id("x".into());
        let raw = properties_to_vec(&properties);
        let index = PropertyIndex::scan(&raw).unwrap();
        assert!(index.persistent());
        assert_eq!(index.priority, Some(7));
        assert_eq!(&raw[index.expiration.unwrap()], b"1500");
        assert_eq!(&raw[index.user_id.unwrap()], b"guest");
    }

    #[test]
    fn single_properties_are_found() {
        let properties = BasicProperties::default()
            .with_correlation_id("c".into())
            .with_message_id("m".into())
            .with_timestamp(7);
        let raw = properties_to_vec(&properties);
        assert_eq!(property(&raw, Property::CorrelationId), Some(&b"c"[..]));
        assert_eq!(property(&raw, Property::MessageId), Some(&b"m"[..]));
        assert_eq!(
            property(&raw, Property::Timestamp),
            Some(&7u64.to_be_bytes()[..])
        );
        assert_eq!(property(&raw, Property::Headers), None);
    }

    #[test]
    fn all_properties_are_visited_by_name() {
        let properties = BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_delivery_mode(2)
            .with_timestamp(1_700_000_000)
            .with_type("t".into())
            .with_cluster_id("x".into());
        let raw = properties_to_vec(&properties);
        let mut found = Vec::new();
        each_property(&raw, |name, value| found.push((name, value))).unwrap();
        let wanted = [
            ("content_type", PropertyValue::Text(b"text/plain")),
            ("delivery_mode", PropertyValue::Number(2)),
            ("timestamp", PropertyValue::Number(1_700_000_000)),
            ("type", PropertyValue::Text(b"t")),
            ("cluster_id", PropertyValue::Text(b"x")),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn expirations_are_judged_as_rabbitmq_does() {
        assert_eq!(parse_expiration(b"1000"), Ok(1000));
        assert_eq!(parse_expiration(b"abc"), Err("no_integer".to_owned()));
        assert_eq!(
            parse_expiration(b"12x"),
            Err("{leftover_string,\"x\"}".to_owned())
        );
        assert_eq!(parse_expiration(b"+010"), Ok(10));
        assert_eq!(parse_expiration(b"-0"), Ok(0));
        assert_eq!(
            parse_expiration(b"-5"),
            Err("{value_negative,-5}".to_owned())
        );
        assert_eq!(parse_expiration(b"-"), Err("no_integer".to_owned()));
        assert_eq!(parse_expiration(b"315360000000"), Ok(MAX_EXPIRY_MS));
        assert_eq!(
            parse_expiration(b"99999999999999999999"),
            Err("{value_too_large,99999999999999999999}".to_owned())
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_scan_panic(raw in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = PropertyIndex::scan(&raw);
            let _ = each_property(&raw, |_, _| {});
        }
    }
}
