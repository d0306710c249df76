//! JSON, as rabbitmqctl's `--formatter json` prints it.

use serde_json::Value as Json;

use crate::manage::value::Value;

/// Formats a row as an object, with keys in the order of the columns.
pub(super) fn row(columns: &[&str], row: &[Value]) -> String {
    let members = columns
        .iter()
        .zip(row)
        .map(|(name, value)| (*name, json(value)));
    object(members)
}

/// Formats an object with its members in this order.
pub(in crate::ctl) fn object<'a>(members: impl Iterator<Item = (&'a str, Json)>) -> String {
    let members: Vec<String> = members
        .map(|(name, value)| format!("{}:{value}", Json::from(name)))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// Converts a value. As in RabbitMQ 3.10, a field table is an array of names, types and values.
fn json(value: &Value) -> Json {
    match value {
        Value::Absent => Json::from(""),
        Value::Bool(value) => Json::from(*value),
        Value::Integer(value) => Json::from(*value),
        Value::Float(value) => Json::from(*value),
        Value::Text(text) => Json::from(text.as_str()),
        Value::Table { table } => table
            .iter()
            .map(|field| {
                Json::from(vec![
                    Json::from(field.name.as_str()),
                    Json::from(field.kind.as_str()),
                    json(&field.value),
                ])
            })
            .collect(),
        Value::Array { array } => array.iter().map(json).collect(),
        Value::Words { words } => words.iter().map(String::as_str).collect(),
        // RabbitMQ cannot tell an empty list of pairs from any other empty list.
        Value::Map { map } if map.is_empty() => Json::Array(Vec::new()),
        Value::Map { map } => map.iter().map(|(k, v)| (k.clone(), json(v))).collect(),
        Value::Tuple { tuple } => tuple.iter().copied().collect(),
    }
}
