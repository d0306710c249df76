//! JSON of a bounded number of values: a parsed value takes up to thirty times as much memory as its text, so that the
//! size of a large body alone bounds too little.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::fmt;

/// Why a text was not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotParsed {
    /// It is not JSON.
    Invalid,
    /// It has more values than allowed.
    TooMany,
}

/// Parses JSON with at most `max` values, those in lists and objects included.
pub(super) fn parse(text: &[u8], max: usize) -> Result<Value, NotParsed> {
    let left = Cell::new(Some(max));
    let mut json = serde_json::Deserializer::from_slice(text);
    let parsed = Budgeted(&left).deserialize(&mut json);
    let parsed = parsed.and_then(|value| json.end().map(|()| value));
    parsed.map_err(|_| match left.get() {
        Some(_) => NotParsed::Invalid,
        None => NotParsed::TooMany,
    })
}

/// Builds values while there are any left; `None` when there were too many.
#[derive(Clone, Copy)]
struct Budgeted<'a>(&'a Cell<Option<usize>>);

impl Budgeted<'_> {
    fn one<E: Error>(self, value: Value) -> Result<Value, E> {
        let left = self.0.get().and_then(|left| left.checked_sub(1));
        self.0.set(left);
        match left {
            Some(_) => Ok(value),
            None => Err(E::custom("too many values")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Budgeted<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Budgeted<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.one(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.one(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.one(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.one(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.one(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.one(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            all.push(item);
        }
        self.one(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            all.insert(key, entries.next_value_seed(self)?);
        }
        self.one(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_counted() {
        let text = br#"{"a": [1, "x", null], "b": {}}"#;
        assert_eq!(parse(text, 5), Err(NotParsed::TooMany));
        let whole = serde_json::from_slice(text).map_err(|_| NotParsed::Invalid);
        assert_eq!(parse(text, 6), whole);
        assert_eq!(parse(b"[1] 2", 9), Err(NotParsed::Invalid));
        let deep = "[".repeat(100_000);
        assert_eq!(parse(deep.as_bytes(), 9), Err(NotParsed::Invalid));
    }

    proptest! {
        #[test]
        fn it_reads_what_the_library_reads(text in r#"[\[\]{}:," 0-9a-etrufls.-]{0,40}"#) {
            let read: Result<Value, _> = serde_json::from_str(&text);
            prop_assert_eq!(parse(text.as_bytes(), 1000).ok(), read.ok());
        }
    }
}
