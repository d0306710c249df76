//! Field tables (spec 4.2.5.5, with RabbitMQ's type letters): limits, checking and comparing.
//!
//! Tables from peers are checked by [`check`], without recursion, before they are decoded.

use amq_protocol::types::generation::gen_field_table;
use amq_protocol::types::parsing::parse_field_table;
use amq_protocol::types::{AMQPValue, FieldTable};
use cookie_factory::{SerializeFn, WriteContext};
use thiserror::Error;

/// How deeply tables and arrays may be nested. RabbitMQ has no limit, but no client comes near this
/// one, and the peer must not control how deep decoding recurses.
pub const MAX_DEPTH: usize = 64;

/// Why a field table is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TableError {
    /// A length points past the end of what holds it.
    #[error("field table is cut short")]
    Truncated,
    /// A type letter that RabbitMQ does not know.
    #[error("unknown field table type octet {0}")]
    UnknownType(u8),
    /// Tables or arrays nested deeper than [`MAX_DEPTH`].
    #[error("field table nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// Returns the size of values of this type, or `None` if they carry their length.
pub(crate) fn fixed_size(kind: u8) -> Result<Option<usize>, TableError> {
    Ok(Some(match kind {
        b'V' => 0,
        b't' | b'b' | b'B' => 1,
        b's' | b'U' | b'u' => 2,
        b'I' | b'i' | b'f' => 4,
        b'D' => 5,
        b'L' | b'l' | b'd' | b'T' => 8,
        b'S' | b'x' | b'A' | b'F' => return Ok(None),
        other => return Err(TableError::UnknownType(other)),
    }))
}

fn long_len(bytes: &[u8], at: usize) -> Result<usize, TableError> {
    let octets = bytes.get(at..at + 4).ok_or(TableError::Truncated)?;
    let octets: [u8; 4] = octets.try_into().map_err(|_| TableError::Truncated)?;
    Ok(u32::from_be_bytes(octets) as usize)
}

/// Checks the table at the front of `bytes`, including its length prefix, and returns its size.
///
/// # Errors
/// See [`TableError`].
pub fn check(bytes: &[u8]) -> Result<usize, TableError> {
    /// A table or an array being walked, and where it ends.
    struct Level {
        end: usize,
        keyed: bool,
    }
    let len = long_len(bytes, 0)?;
    // Lengths are compared with what is left and never added up, because they may use all 32 bits.
    if len > bytes.len() - 4 {
        return Err(TableError::Truncated);
    }
    let end = 4 + len;
    // The enclosing levels: usually none, and then nothing is allocated.
    let mut outer: Vec<Level> = Vec::new();
    let mut level = Level { end, keyed: true };
    let mut at = 4;
    loop {
        if at == level.end {
            match outer.pop() {
                Some(next) => level = next,
                None => return Ok(end),
            }
            continue;
        }
        let limit = level.end;
        if level.keyed {
            at += 1 + usize::from(bytes[at]);
            if at >= limit {
                return Err(TableError::Truncated);
            }
        }
        let kind = bytes[at];
        at += 1;
        let inner = match fixed_size(kind)? {
            Some(size) => size,
            None => {
                if at + 4 > limit {
                    return Err(TableError::Truncated);
                }
                let size = long_len(bytes, at)?;
                at += 4;
                size
            }
        };
        if at > limit || inner > limit - at {
            return Err(TableError::Truncated);
        }
        if kind == b'F' || kind == b'A' {
            if outer.len() + 1 == MAX_DEPTH {
                return Err(TableError::TooDeep);
            }
            let inner = Level {
                end: at + inner,
                keyed: kind == b'F',
            };
            outer.push(std::mem::replace(&mut level, inner));
        } else {
            at += inner;
        }
    }
}

/// Returns the size that the table at the front of `bytes` claims to have, including the length
/// prefix, without looking at its contents.
pub(crate) fn stated_len(bytes: &[u8]) -> Option<usize> {
    long_len(bytes, 0).ok()?.checked_add(4)
}

/// Decodes a table with its length prefix. Returns `None` if it is malformed.
pub fn decode(bytes: &[u8]) -> Option<FieldTable> {
    check(bytes).ok()?;
    parse_field_table(bytes).ok().map(|(_, table)| table)
}

/// Encodes a table with its length prefix.
pub fn encode(table: &FieldTable) -> Vec<u8> {
    to_vec(gen_field_table(table))
}

/// Runs one of `amq-protocol`'s generators and returns its output.
pub(crate) fn to_vec(generator: impl SerializeFn<Vec<u8>>) -> Vec<u8> {
    let context = WriteContext::from(Vec::new());
    // Generators fail only if the writer does, and writing to memory cannot fail.
    generator(context)
        .map(|c| c.into_inner().0)
        .unwrap_or_default()
}

/// Returns RabbitMQ's name for a value's type, as in its error texts.
pub fn type_name(value: &AMQPValue) -> &'static str {
    match value {
        AMQPValue::Boolean(_) => "bool",
        AMQPValue::ShortShortInt(_) => "byte",
        AMQPValue::ShortShortUInt(_) => "unsignedbyte",
        AMQPValue::ShortInt(_) => "short",
        AMQPValue::ShortUInt(_) => "unsignedshort",
        AMQPValue::LongInt(_) => "signedint",
        AMQPValue::LongUInt(_) => "unsignedint",
        AMQPValue::LongLongInt(_) => "long",
        AMQPValue::Float(_) => "float",
        AMQPValue::Double(_) => "double",
        AMQPValue::DecimalValue(_) => "decimal",
        AMQPValue::ShortString(_) | AMQPValue::LongString(_) => "longstr",
        AMQPValue::FieldArray(_) => "array",
        AMQPValue::Timestamp(_) => "timestamp",
        AMQPValue::FieldTable(_) => "table",
        AMQPValue::ByteArray(_) => "binary",
        AMQPValue::Void => "void",
    }
}

/// Returns a value as an integer, whatever its width, or `None` if it is not one.
pub fn as_integer(value: &AMQPValue) -> Option<i64> {
    Some(match value {
        AMQPValue::ShortShortInt(v) => i64::from(*v),
        AMQPValue::ShortShortUInt(v) => i64::from(*v),
        AMQPValue::ShortInt(v) => i64::from(*v),
        AMQPValue::ShortUInt(v) => i64::from(*v),
        AMQPValue::LongInt(v) => i64::from(*v),
        AMQPValue::LongUInt(v) => i64::from(*v),
        AMQPValue::LongLongInt(v) => *v,
        _ => return None,
    })
}

/// Returns whether RabbitMQ considers two arguments equal: integers by value whatever their width
/// (`rabbit_misc:assert_args_equivalence`), strings by their bytes, everything else by type and
/// value.
pub fn equivalent(a: &AMQPValue, b: &AMQPValue) -> bool {
    match (as_integer(a), as_integer(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Formats a value as RabbitMQ prints it in a text: strings plain, numbers in decimal.
pub fn display(value: &AMQPValue) -> String {
    match value {
        AMQPValue::Boolean(v) => v.to_string(),
        AMQPValue::Float(v) => v.to_string(),
        AMQPValue::Double(v) => v.to_string(),
        AMQPValue::ShortString(v) => v.to_string(),
        AMQPValue::LongString(v) => v.to_string(),
        AMQPValue::Timestamp(v) => v.to_string(),
        AMQPValue::ByteArray(v) => crate::erlang::erlang_binary(v.as_slice()),
        AMQPValue::DecimalValue(v) => format!("{{{},{}}}", v.scale, v.value),
        AMQPValue::FieldArray(values) => {
            let inner: Vec<String> = values.as_slice().iter().map(display).collect();
            format!("[{}]", inner.join(","))
        }
        AMQPValue::FieldTable(table) => {
            let inner: Vec<String> = table
                .into_iter()
                .map(|(k, v)| format!("{{{k},{}}}", display(v)))
                .collect();
            format!("[{}]", inner.join(","))
        }
        AMQPValue::Void => "undefined".to_owned(),
        other => as_integer(other).map(|v| v.to_string()).unwrap_or_default(),
    }
}

/// Formats a value as Erlang prints the term that RabbitMQ makes of it (`~p`).
///
/// Recursion is as deep as the nesting of values, at most [`MAX_DEPTH`].
pub fn erlang_term(value: &AMQPValue) -> String {
    let binary = |octets: &[u8]| crate::erlang::erlang_binary(octets);
    match value {
        AMQPValue::ShortString(v) => binary(v.as_str().as_bytes()),
        AMQPValue::LongString(v) => binary(v.as_bytes()),
        AMQPValue::FieldArray(values) => {
            let typed = |v| format!("{{{},{}}}", type_name(v), erlang_term(v));
            let inner: Vec<String> = values.as_slice().iter().map(typed).collect();
            format!("[{}]", inner.join(","))
        }
        AMQPValue::FieldTable(table) => {
            let typed = |(k, v): (&amq_protocol::types::ShortString, &AMQPValue)| {
                let name = binary(k.as_str().as_bytes());
                format!("{{{name},{},{}}}", type_name(v), erlang_term(v))
            };
            let inner: Vec<String> = table.into_iter().map(typed).collect();
            format!("[{}]", inner.join(","))
        }
        other => display(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(body: &[u8]) -> Vec<u8> {
        let mut out = (body.len() as u32).to_be_bytes().to_vec();
        out.extend_from_slice(body);
        out
    }

    fn nested(depth: usize) -> Vec<u8> {
        let mut inner = table(&[]);
        for _ in 1..depth {
            let mut body = vec![1, b'k', b'F'];
            body.extend_from_slice(&inner);
            inner = table(&body);
        }
        inner
    }

    #[test]
    fn nesting_is_limited_without_recursion() {
        assert_eq!(check(&nested(MAX_DEPTH)), Ok(nested(MAX_DEPTH).len()));
        assert_eq!(check(&nested(MAX_DEPTH + 1)), Err(TableError::TooDeep));
        assert_eq!(check(&nested(10_000)), Err(TableError::TooDeep));
        assert!(decode(&nested(MAX_DEPTH)).is_some());
    }

    #[test]
    fn lengths_that_point_outside_are_found() {
        assert_eq!(check(&[0, 0]), Err(TableError::Truncated));
        assert_eq!(check(&[0, 0, 0, 9, 1]), Err(TableError::Truncated));
        assert_eq!(check(&table(&[1, b'k'])), Err(TableError::Truncated));
        assert_eq!(
            check(&table(&[1, b'k', b'I', 0, 0])),
            Err(TableError::Truncated)
        );
        assert_eq!(
            check(&table(&[1, b'k', b'S', 0, 0, 0, 200, 1])),
            Err(TableError::Truncated)
        );
        assert_eq!(
            check(&table(&[1, b'k', b'?'])),
            Err(TableError::UnknownType(b'?'))
        );
    }

    #[test]
    fn integers_compare_by_value_and_not_by_width() {
        assert!(equivalent(
            &AMQPValue::LongInt(1000),
            &AMQPValue::LongLongInt(1000)
        ));
        assert!(!equivalent(
            &AMQPValue::LongInt(1),
            &AMQPValue::Boolean(true)
        ));
    }

    proptest! {
        #[test]
        fn whatever_passes_the_check_decodes_or_fails_cleanly(
            bytes in prop::collection::vec(any::<u8>(), 0..80)
        ) {
            let bytes = table(&bytes);
            let _ = check(&bytes);
            let _ = decode(&bytes);
        }
    }
}
