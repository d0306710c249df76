//! Conversion of field tables to cells, and to and from JSON.

use super::value::{Field, FieldKind, Value};
use leveret_protocol::table::MAX_DEPTH;
use leveret_protocol::values::{AMQPValue, FieldTable};

/// The longest name of an argument in bytes: AMQP's short string.
const KEY_MAX: usize = 255;

/// Converts a field table. The recursion is bounded, because the protocol crate limits the nesting of
/// tables.
pub(super) fn table(fields: &FieldTable) -> Value {
    let field = |(name, value): (&leveret_protocol::values::ShortString, &AMQPValue)| Field {
        name: name.to_string(),
        kind: kind(value),
        value: cell(value),
    };
    Value::Table {
        table: fields.into_iter().map(field).collect(),
    }
}

/// Converts a field table to an object with plain JSON values, as RabbitMQ's HTTP API shows it.
pub(super) fn json(fields: &FieldTable) -> serde_json::Map<String, serde_json::Value> {
    let field = |(name, value): (&leveret_protocol::values::ShortString, &AMQPValue)| {
        (name.to_string(), json_value(value))
    };
    fields.into_iter().map(field).collect()
}

/// Serializes a field table like [`json`].
///
/// # Errors
/// The serializer's.
pub(super) fn serialize<S: serde::Serializer>(
    fields: &FieldTable,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&json(fields), serializer)
}

fn json_value(value: &AMQPValue) -> serde_json::Value {
    match value {
        AMQPValue::Boolean(v) => (*v).into(),
        AMQPValue::Float(v) => f64::from(*v).into(),
        AMQPValue::Double(v) => (*v).into(),
        AMQPValue::Timestamp(v) => (*v).into(),
        AMQPValue::FieldTable(fields) => json(fields).into(),
        AMQPValue::FieldArray(values) => values.as_slice().iter().map(json_value).collect(),
        // `undefined` in Erlang, and so in RabbitMQ's JSON.
        AMQPValue::Void => "undefined".into(),
        other => match leveret_protocol::table::as_integer(other) {
            Some(number) => number.into(),
            None => leveret_protocol::table::display(other).into(),
        },
    }
}

/// Converts JSON to a field table with the types that RabbitMQ gives them (`rabbit_misc:to_amqp_table`). It writes a table
/// without fields as `[]`.
///
/// # Errors
/// When it is not an object, or AMQP cannot carry it: `null`, a name that is too long, an integer that is too large, or
/// tables nested too deeply.
pub fn to_amqp(value: &serde_json::Value) -> Result<FieldTable, String> {
    match value {
        serde_json::Value::Object(object) => table_of(object, MAX_DEPTH),
        serde_json::Value::Array(items) if items.is_empty() => Ok(FieldTable::default()),
        _ => Err("arguments must be an object".into()),
    }
}

fn table_of(
    object: &serde_json::Map<String, serde_json::Value>,
    depth: usize,
) -> Result<FieldTable, String> {
    let mut table = FieldTable::default();
    for (name, value) in object {
        let length = name.len();
        if length > KEY_MAX {
            return Err(format!(
                "the name of an argument should be less than {KEY_MAX} bytes, actually was {length}"
            ));
        }
        table.insert(name.as_str().into(), amqp_value(value, depth)?);
    }
    Ok(table)
}

/// Converts a value in a table or array that may contain `depth` levels, itself included.
fn amqp_value(value: &serde_json::Value, depth: usize) -> Result<AMQPValue, String> {
    use serde_json::Value as Json;
    let inner = || match depth.saturating_sub(1) {
        0 => Err("arguments are nested too deeply".to_owned()),
        depth => Ok(depth),
    };
    Ok(match value {
        Json::Null => return Err("null_not_allowed".into()),
        Json::Bool(value) => AMQPValue::Boolean(*value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => AMQPValue::LongLongInt(integer),
            (None, Some(float)) if number.is_f64() => AMQPValue::Double(float),
            _ => return Err(format!("{number} does not fit into 64 bits")),
        },
        Json::String(text) => AMQPValue::LongString(text.as_str().into()),
        Json::Array(items) => {
            let depth = inner()?;
            let items = items.iter().map(|item| amqp_value(item, depth));
            AMQPValue::FieldArray(items.collect::<Result<Vec<_>, _>>()?.into())
        }
        Json::Object(object) => AMQPValue::FieldTable(table_of(object, inner()?)?),
    })
}

fn kind(value: &AMQPValue) -> FieldKind {
    match value {
        AMQPValue::Boolean(_) => FieldKind::Bool,
        AMQPValue::ShortShortInt(_) => FieldKind::Byte,
        AMQPValue::ShortShortUInt(_) => FieldKind::UnsignedByte,
        AMQPValue::ShortInt(_) => FieldKind::Short,
        AMQPValue::ShortUInt(_) => FieldKind::UnsignedShort,
        AMQPValue::LongInt(_) => FieldKind::SignedInt,
        AMQPValue::LongUInt(_) => FieldKind::UnsignedInt,
        AMQPValue::LongLongInt(_) => FieldKind::Long,
        AMQPValue::Float(_) => FieldKind::Float,
        AMQPValue::Double(_) => FieldKind::Double,
        AMQPValue::DecimalValue(_) => FieldKind::Decimal,
        AMQPValue::ShortString(_) | AMQPValue::LongString(_) => FieldKind::LongStr,
        AMQPValue::ByteArray(_) => FieldKind::Binary,
        AMQPValue::Timestamp(_) => FieldKind::Timestamp,
        AMQPValue::FieldTable(_) => FieldKind::Table,
        AMQPValue::FieldArray(_) => FieldKind::Array,
        AMQPValue::Void => FieldKind::Void,
    }
}

fn cell(value: &AMQPValue) -> Value {
    match value {
        AMQPValue::Boolean(v) => Value::Bool(*v),
        AMQPValue::Float(v) => Value::Float(f64::from(*v)),
        AMQPValue::Double(v) => Value::Float(*v),
        AMQPValue::Timestamp(v) => Value::from(*v),
        AMQPValue::FieldTable(fields) => table(fields),
        AMQPValue::FieldArray(values) => Value::Array {
            array: values.as_slice().iter().map(cell).collect(),
        },
        AMQPValue::Void => Value::Absent,
        other => match leveret_protocol::table::as_integer(other) {
            Some(number) => Value::Integer(number),
            None => Value::Text(leveret_protocol::table::display(other)),
        },
    }
}
