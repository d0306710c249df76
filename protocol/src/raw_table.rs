//! Field tables in their wire format, read in place: decoding a whole table for the few headers
//! that the broker acts upon would cost more than the rest of a publish.
//!
//! Everything here expects a table that has passed [`crate::table::check`]. For anything else it
//! may find less than is there, but never more, and never panics.

use crate::table::fixed_size;

/// A value: its type letter and its bytes, without a length prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawValue<'a> {
    /// The type letter (RabbitMQ: "AMQP 0-9-1 Errata", field types).
    pub kind: u8,
    /// The bytes of the value.
    pub bytes: &'a [u8],
}

/// An entry of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawEntry<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its value.
    pub value: RawValue<'a>,
    /// The bytes of name and value in the table.
    pub bytes: &'a [u8],
}

/// Returns the entries of a table that has its length prefix; the empty slice is an empty table.
pub fn entries(table: &[u8]) -> impl Iterator<Item = RawEntry<'_>> {
    keyed(table.get(4..).unwrap_or_default())
}

/// Returns the first entry with this name.
pub fn find<'a>(table: &'a [u8], name: &str) -> Option<RawValue<'a>> {
    entries(table)
        .find(|entry| entry.name == name.as_bytes())
        .map(|entry| entry.value)
}

/// Returns the entries of a table without its length prefix, as nested in another table or array.
pub fn fields(table: &[u8]) -> impl Iterator<Item = RawEntry<'_>> {
    keyed(table)
}

/// Like [`find`], in a table without its length prefix.
pub fn find_field<'a>(table: &'a [u8], name: &str) -> Option<RawValue<'a>> {
    fields(table)
        .find(|entry| entry.name == name.as_bytes())
        .map(|entry| entry.value)
}

/// Returns the values of an array without its length prefix.
pub fn elements(mut array: &[u8]) -> impl Iterator<Item = RawValue<'_>> {
    std::iter::from_fn(move || {
        let (value, rest) = split_value(array)?;
        array = rest;
        Some(value)
    })
}

fn keyed(mut body: &[u8]) -> impl Iterator<Item = RawEntry<'_>> {
    std::iter::from_fn(move || {
        let (&len, rest) = body.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(len))?;
        let (value, rest) = split_value(rest)?;
        let bytes = &body[..body.len() - rest.len()];
        body = rest;
        Some(RawEntry { name, value, bytes })
    })
}

fn split_value(bytes: &[u8]) -> Option<(RawValue<'_>, &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let (len, rest) = match fixed_size(kind).ok()? {
        Some(size) => (size, rest),
        None => {
            let (len, rest) = rest.split_first_chunk::<4>()?;
            (u32::from_be_bytes(*len) as usize, rest)
        }
    };
    let (bytes, rest) = rest.split_at_checked(len)?;
    Some((RawValue { kind, bytes }, rest))
}

impl RawValue<'_> {
    /// Returns RabbitMQ's name for the value's type, as in its error texts.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            b't' => "bool",
            b'b' => "byte",
            b'B' => "unsignedbyte",
            b's' | b'U' => "short",
            b'u' => "unsignedshort",
            b'I' => "signedint",
            b'i' => "unsignedint",
            b'L' | b'l' => "long",
            b'f' => "float",
            b'd' => "double",
            b'D' => "decimal",
            b'A' => "array",
            b'T' => "timestamp",
            b'F' => "table",
            b'x' => "binary",
            b'V' => "void",
            _ => "longstr",
        }
    }

    /// Appends a form of the value that is equal for values that RabbitMQ's headers exchange
    /// considers equal: integers and timestamps of any width compare by number, floating-point
    /// numbers likewise but never equal to an integer, long strings and byte arrays by their
    /// bytes. Inside arrays and tables the types must be equal as well.
    ///
    /// Recursion is as deep as the nesting of values, at most
    /// [`MAX_DEPTH`](crate::table::MAX_DEPTH).
    pub fn comparable(&self, out: &mut Vec<u8>) {
        if let Some(number) = self.integer() {
            out.push(b'i');
            out.extend_from_slice(&number.to_be_bytes());
            return;
        }
        match (self.kind, self.bytes) {
            (b't', &[flag]) => out.extend_from_slice(&[b't', u8::from(flag != 0)]),
            (b'f', &[a, b, c, d]) => float(f64::from(f32::from_be_bytes([a, b, c, d])), out),
            (b'd', &[a, b, c, d, e, f, g, h]) => {
                float(f64::from_be_bytes([a, b, c, d, e, f, g, h]), out);
            }
            (b'S' | b'x', bytes) => {
                out.push(b's');
                out.extend_from_slice(bytes);
            }
            // RabbitMQ treats both as an empty list.
            (b'A' | b'F', []) => out.push(b'['),
            (b'A', bytes) => {
                out.push(b'[');
                for value in elements(bytes) {
                    value.nested(out);
                }
            }
            (b'F', bytes) => {
                out.push(b'{');
                let mut entries: Vec<RawEntry<'_>> = keyed(bytes).collect();
                entries.sort_by_key(|entry| entry.name);
                for entry in entries {
                    out.push(entry.name.len() as u8);
                    out.extend_from_slice(entry.name);
                    entry.value.nested(out);
                }
            }
            (kind, bytes) => {
                out.push(kind);
                out.extend_from_slice(bytes);
            }
        }
    }

    /// Appends a value inside an array or a table: with its type, and with its length so that it
    /// cannot run into the next one.
    fn nested(&self, out: &mut Vec<u8>) {
        out.push(match self.kind {
            b'l' => b'L',
            b'U' => b's',
            kind => kind,
        });
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        self.comparable(out);
        let len = (out.len() - at - 4) as u32;
        out[at..at + 4].copy_from_slice(&len.to_be_bytes());
    }

    /// Returns the value as a number if it is an integer or a timestamp.
    pub fn integer(&self) -> Option<i128> {
        Some(match (self.kind, self.bytes) {
            (b'b', &[a]) => i128::from(a.cast_signed()),
            (b'B', &[a]) => i128::from(a),
            (b's' | b'U', &[a, b]) => i128::from(i16::from_be_bytes([a, b])),
            (b'u', &[a, b]) => i128::from(u16::from_be_bytes([a, b])),
            (b'I', &[a, b, c, d]) => i128::from(i32::from_be_bytes([a, b, c, d])),
            (b'i', &[a, b, c, d]) => i128::from(u32::from_be_bytes([a, b, c, d])),
            (b'L' | b'l', bytes) => i128::from(i64::from_be_bytes(bytes.try_into().ok()?)),
            (b'T', bytes) => i128::from(u64::from_be_bytes(bytes.try_into().ok()?)),
            _ => return None,
        })
    }
}

fn float(value: f64, out: &mut Vec<u8>) {
    out.push(b'd');
    // Zero equals minus zero.
    let value = if value == 0.0 { 0.0 } else { value };
    out.extend_from_slice(&value.to_bits().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;
    use crate::values::{AMQPValue, FieldTable};
    use proptest::prelude::*;

    fn table_of(pairs: &[(&str, AMQPValue)]) -> Vec<u8> {
        let mut table = FieldTable::default();
        for (name, value) in pairs {
            table.insert((*name).into(), value.clone());
        }
        table::encode(&table)
    }

    fn comparable(value: AMQPValue) -> Vec<u8> {
        let raw = table_of(&[("v", value)]);
        let mut out = Vec::new();
        find(&raw, "v").unwrap().comparable(&mut out);
        out
    }

    fn array(values: Vec<AMQPValue>) -> AMQPValue {
        AMQPValue::FieldArray(values.into())
    }

    #[test]
    fn entries_are_found_in_place() {
        let raw = table_of(&[
            ("a", AMQPValue::LongInt(1)),
            (
                "b",
                array(vec![AMQPValue::LongString("x".into()), AMQPValue::Void]),
            ),
            ("c", AMQPValue::Boolean(true)),
        ]);
        let names: Vec<&[u8]> = entries(&raw).map(|entry| entry.name).collect();
        assert_eq!(names, [b"a", b"b", b"c"]);
        let list = find(&raw, "b").unwrap();
        assert_eq!(list.type_name(), "array");
        let kinds: Vec<u8> = elements(list.bytes).map(|value| value.kind).collect();
        assert_eq!(kinds, *b"SV");
        assert_eq!(find(&raw, "d"), None);
        let whole: usize = entries(&raw).map(|entry| entry.bytes.len()).sum();
        assert_eq!(whole + 4, raw.len());
    }

    #[test]
    fn values_are_equal_when_rabbitmq_says_so() {
        use AMQPValue as V;
        let same = |a: V, b: V| comparable(a) == comparable(b);
        assert!(same(V::LongInt(1), V::LongLongInt(1)));
        assert!(same(V::Timestamp(5), V::LongInt(5)));
        assert!(same(
            V::LongString("x".into()),
            V::ByteArray(b"x".as_slice().into())
        ));
        assert!(same(V::Float(1.5), V::Double(1.5)));
        assert!(same(V::Double(0.0), V::Double(-0.0)));
        assert!(same(array(vec![]), V::FieldTable(FieldTable::default())));
        assert!(!same(V::LongInt(1), V::Double(1.0)));
        assert!(!same(V::LongInt(1), V::Boolean(true)));
        assert!(!same(V::LongInt(1), V::LongString("1".into())));
        assert!(!same(
            array(vec![V::LongInt(1)]),
            array(vec![V::LongLongInt(1)])
        ));
        assert!(!same(
            array(vec![V::LongString("a".into()), V::LongString("b".into())]),
            array(vec![V::LongString("aS".into())]),
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_walk_panic(raw in prop::collection::vec(any::<u8>(), 0..64)) {
            for entry in entries(&raw) {
                entry.value.comparable(&mut Vec::new());
            }
        }
    }
}
