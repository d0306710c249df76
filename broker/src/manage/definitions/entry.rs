//! Decoding an entry of a definition file, of a bounded size: a file may have 64 MiB, and decoded values take up to forty times
//! as much memory as their text.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// The longest entry in bytes. One request of the HTTP API makes none that is longer.
const ENTRY_MAX: usize = 4 << 20;
/// The values in an entry at most, those in its lists and objects included. Arguments, definitions of policies and
/// parameters have fewer, because their own sizes have limits.
const VALUES_MAX: usize = 1 << 16;

/// Checks the size of an entry.
///
/// # Errors
/// When it is too long or has too many values.
pub(super) fn check_size(entry: &RawValue) -> Result<(), String> {
    let text = entry.get();
    if text.len() > ENTRY_MAX {
        return Err(format!(
            "it has {} bytes, more than {ENTRY_MAX}",
            text.len()
        ));
    }
    match values(text) {
        0..=VALUES_MAX => Ok(()),
        values => Err(format!(
            "it has about {values} values, more than {VALUES_MAX}"
        )),
    }
}

/// Decodes an entry.
///
/// # Errors
/// When it is too large, or is not what it should be.
pub(super) fn parse<T: DeserializeOwned>(entry: &RawValue) -> Result<T, String> {
    check_size(entry)?;
    serde_json::from_str(entry.get()).map_err(|error| {
        // It counts lines and columns from the beginning of the entry.
        let text = error.to_string();
        let reason = text.split(" at line ").next();
        reason.unwrap_or_default().to_owned()
    })
}

/// Returns the number of values and keys in valid JSON, or a few more: each follows one of these characters.
fn values(json: &str) -> usize {
    let (mut values, mut in_string, mut escaped) = (1, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b',' | b':' | b'[' | b'{' if !in_string => values += 1,
            _ => {}
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn raw(text: String) -> Box<RawValue> {
        RawValue::from_string(text).unwrap()
    }

    #[test]
    fn an_entry_that_is_too_large_is_not_decoded() {
        let refused = |text: String| parse::<Value>(&raw(text)).unwrap_err();
        let ones = vec!["1"; VALUES_MAX + 1].join(",");
        let many = refused(format!(r#"{{"x":[{ones}]}}"#));
        assert_eq!(many, "it has about 65540 values, more than 65536");
        let long = refused(format!(r#"{{"x":"{}"}}"#, "a".repeat(ENTRY_MAX)));
        assert_eq!(long, "it has 4194312 bytes, more than 4194304");
        let commas = format!(r#"{{"x":"\"{}"}}"#, ",".repeat(VALUES_MAX));
        assert!(parse::<Value>(&raw(commas)).is_ok());
    }

    fn json() -> impl Strategy<Value = Value> {
        let text = r#"[a,:\[\]{}"\\\n]{0,6}"#;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            text.prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(text, inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Returns the values and keys, and how many lists and objects are empty.
    fn count(value: &Value) -> (usize, usize) {
        let sum = |counts: Vec<(usize, usize)>, keys| match counts.is_empty() {
            true => (1, 1),
            false => {
                let add = |(a, b), (c, d)| (a + c, b + d);
                counts.into_iter().fold((1 + keys, 0), add)
            }
        };
        match value {
            Value::Array(items) => sum(items.iter().map(count).collect(), 0),
            Value::Object(map) => sum(map.values().map(count).collect(), map.len()),
            _ => (1, 0),
        }
    }

    proptest! {
        #[test]
        fn no_value_is_overlooked(value in json(), pretty: bool) {
            let text = match pretty {
                true => serde_json::to_string_pretty(&value).unwrap(),
                false => value.to_string(),
            };
            let (there, empty) = count(&value);
            prop_assert_eq!(values(&text), there + empty, "{}", text);
        }
    }
}
