//! Values in request bodies: how RabbitMQ reads them, and its words for those that are wrong.

use super::error::{ApiError, ApiResult};
use crate::manage::table::to_amqp;
use leveret_protocol::values::FieldTable;
use serde_json::{Map, Value, json};

/// The length of a name at most, in bytes: it travels as a short string.
const NAME_MAX: usize = 255;

/// Returns a boolean: `true`, `false`, or either as text; `None` if it is missing (`rabbit_misc:parse_bool`).
///
/// # Errors
/// 400 `not_boolean`.
pub(super) fn boolean(object: &Map<String, Value>, key: &str) -> ApiResult<Option<bool>> {
    match object.get(key) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(Value::String(text)) if text == "true" => Ok(Some(true)),
        Some(Value::String(text)) if text == "false" => Ok(Some(false)),
        Some(other) => Err(ApiError::bad_request(json!(["not_boolean", other]))),
    }
}

/// Like [`boolean`]; false if it is missing.
///
/// # Errors
/// 400 `not_boolean`.
pub(super) fn flag(object: &Map<String, Value>, key: &str) -> ApiResult<bool> {
    Ok(boolean(object, key)?.unwrap_or_default())
}

/// Returns an integer, which may be written as text or with a fraction (`rabbit_misc:parse_int`). One that does not fit
/// counts as the largest or smallest that does.
///
/// # Errors
/// 400 `not_integer`.
pub(super) fn integer(value: &Value) -> ApiResult<i64> {
    let not = || ApiError::bad_request(json!(["not_integer", value]));
    match value {
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Ok(number),
            // Saturates.
            (None, Some(number)) => Ok(number as i64),
            (None, None) => Err(not()),
        },
        Value::String(text) => {
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(not());
            }
            let limit = if text.starts_with('-') {
                i64::MIN
            } else {
                i64::MAX
            };
            Ok(text.parse().unwrap_or(limit))
        }
        _ => Err(not()),
    }
}

/// Returns a text; a number counts as its digits, as RabbitMQ's routing keys have it. Empty if it is missing.
///
/// # Errors
/// 400 for anything else, or if it is too long for a short string.
pub(super) fn short_text(object: &Map<String, Value>, key: &str) -> ApiResult<String> {
    let text = match object.get(key) {
        None => return Ok(String::new()),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(ApiError::bad_request(json!(["not_string", key]))),
    };
    check_name(key, &text)?;
    Ok(text)
}

/// Checks that a name fits into a short string (`rabbit_parameter_validation:amqp091_queue_name`).
///
/// # Errors
/// 400 that says what is too long.
pub(super) fn check_name(what: &str, name: &str) -> ApiResult<()> {
    match name.len() {
        0..=NAME_MAX => Ok(()),
        bytes => Err(ApiError::bad_request(format!(
            "{what} should be less than 255 bytes, actually was {bytes}"
        ))),
    }
}

/// Returns the table under `arguments`; empty if it is missing, or an empty list.
///
/// # Errors
/// 400 for anything else, and for values that AMQP has no type for.
pub(super) fn arguments(object: &Map<String, Value>) -> ApiResult<FieldTable> {
    match object.get("arguments") {
        None => Ok(FieldTable::default()),
        Some(value) => table(value),
    }
}

/// Converts an object to a field table; see [`to_amqp`].
///
/// # Errors
/// 400 for what it refuses.
pub(super) fn table(value: &Value) -> ApiResult<FieldTable> {
    to_amqp(value).map_err(ApiError::bad_request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manage::objects::Arguments;
    use leveret_protocol::values::AMQPValue;
    use proptest::prelude::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            other => panic!("{other}"),
        }
    }

    fn reason(refused: ApiResult<impl std::fmt::Debug>) -> Value {
        refused.unwrap_err().reason().clone()
    }

    #[test]
    fn arguments_become_amqps_types() {
        let body = json!({"arguments": {
            "n": 1, "t": "x", "b": true, "d": 1.5, "a": [1, "x"], "o": {"p": -3},
        }});
        let table = arguments(&object(body)).unwrap();
        let value = |name: &str| table.inner().get(name).unwrap();
        assert_eq!(*value("n"), AMQPValue::LongLongInt(1));
        assert_eq!(*value("t"), AMQPValue::LongString("x".into()));
        assert_eq!(*value("b"), AMQPValue::Boolean(true));
        assert_eq!(*value("d"), AMQPValue::Double(1.5));
        let array = vec![AMQPValue::LongLongInt(1), AMQPValue::LongString("x".into())];
        assert_eq!(*value("a"), AMQPValue::FieldArray(array.into()));
        let mut inner = FieldTable::default();
        inner.insert("p".into(), AMQPValue::LongLongInt(-3));
        assert_eq!(*value("o"), AMQPValue::FieldTable(inner));
        for nothing in [
            json!({}),
            json!({"arguments": []}),
            json!({"arguments": {}}),
        ] {
            assert_eq!(arguments(&object(nothing)).unwrap(), FieldTable::default());
        }
    }

    #[test]
    fn what_amqp_has_no_type_for_is_refused() {
        let refused = |value: Value| reason(arguments(&object(json!({"arguments": value}))));
        assert_eq!(refused(json!({"a": [null]})), "null_not_allowed");
        assert_eq!(refused(json!("x")), "arguments must be an object");
        assert_eq!(refused(json!([1])), "arguments must be an object");
        assert_eq!(
            refused(json!({"n": u64::MAX})),
            "18446744073709551615 does not fit into 64 bits"
        );
        let name = "n".repeat(256);
        assert_eq!(
            refused(json!({ name: 1 })),
            "the name of an argument should be less than 255 bytes, actually was 256"
        );
        let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(
            refused(json!({"a": deep})),
            "arguments are nested too deeply"
        );
    }

    #[test]
    fn booleans_and_integers_may_be_written_as_text() {
        let body = object(json!({"a": true, "b": "true", "c": "false", "d": "maybe", "e": 5}));
        let read = |key| boolean(&body, key);
        let [yes, no] = [true, false].map(Some);
        for (key, value) in [("a", yes), ("b", yes), ("c", no), ("none", None)] {
            assert_eq!(flag(&body, key).unwrap(), value.unwrap_or_default());
            assert_eq!(read(key).unwrap(), value);
        }
        assert_eq!(reason(read("d")), json!(["not_boolean", "maybe"]));
        assert_eq!(reason(read("e")), json!(["not_boolean", 5]));
        for (value, number) in [
            (json!(5), 5),
            (json!("-5"), -5),
            (json!(2.9), 2),
            (json!(1e300), i64::MAX),
            (json!("99999999999999999999"), i64::MAX),
            (json!(u64::MAX), i64::MAX),
        ] {
            assert_eq!(integer(&value).unwrap(), number);
        }
        for value in [
            json!("one"),
            json!(""),
            json!("-"),
            json!("1.5"),
            json!(null),
            json!([]),
        ] {
            assert_eq!(reason(integer(&value)), json!(["not_integer", value]));
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".{0,8}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Whatever is accepted is shown as it was written.
        #[test]
        fn arguments_come_back_as_they_were_written(value in any_json()) {
            if let Ok(table) = table(&value) {
                let shown = serde_json::to_value(Arguments(table)).unwrap();
                let nothing = matches!(&value, Value::Array(items) if items.is_empty());
                let wanted = if nothing { json!({}) } else { value };
                prop_assert_eq!(shown, wanted);
            }
        }

        #[test]
        fn no_value_makes_reading_panic(value in any_json()) {
            let body = object(json!({"a": value}));
            let _ = (boolean(&body, "a"), integer(&body["a"]), short_text(&body, "a"));
        }
    }
}
